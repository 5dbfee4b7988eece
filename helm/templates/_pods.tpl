{{/* What every pod is held to. */}}
{{- define "signert.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ int .Values.podSecurity.user }}
runAsGroup: {{ int .Values.podSecurity.group }}
fsGroup: {{ int .Values.podSecurity.group }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "signert.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "signert.arguments" -}}
{{- $level := .root.Values.logLevel -}}
{{- if eq .component "http" -}}
{{ toJson (list "serve" "--host" "0.0.0.0" "--port" (toString .root.Values.http.port) "--workers" (toString .root.Values.http.workers) "--loglevel" $level "--json") }}
{{- else -}}
{{ toJson (list "worker" "--sweep" (ternary "only" "no" (eq .component "sweeper")) "--loglevel" $level "--json") }}
{{- end -}}
{{- end -}}

{{/* The probes. A worker tells its state beside its work; `signert serve` does so where it serves. */}}
{{- define "signert.probes" -}}
{{- $live := ternary "/healthz" "/livez" (eq .component "http") -}}
{{- $port := ternary "http" "management" (eq .component "http") -}}
startupProbe:
  httpGet: {path: {{ $live }}, port: {{ $port }}}
  periodSeconds: 3
  timeoutSeconds: 3
  failureThreshold: 60
livenessProbe:
  httpGet: {path: {{ $live }}, port: {{ $port }}}
  periodSeconds: 15
  timeoutSeconds: 5
  failureThreshold: 4
readinessProbe:
  httpGet: {path: /readyz, port: {{ $port }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
{{- end -}}

{{/* The spec of a pod, without where it is placed: (dict "root" $ "component" "render" "arguments" [...] "once" false). */}}
{{- define "signert.podBase" -}}
{{- $own := get .root.Values .component -}}
serviceAccountName: {{ include "signert.serviceAccountName" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- include "signert.podSecurity" .root | nindent 2 }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- if .once }}
restartPolicy: Never
{{- else }}
terminationGracePeriodSeconds: {{ int .root.Values.terminationGracePeriodSeconds }}
{{- end }}
containers:
  - name: {{ .component }}
    image: {{ include "signert.image" . | quote }}
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    command: [signert]
    args: {{ .arguments | default (include "signert.arguments" .) }}
    env:
      {{- include "signert.environment" . | trim | nindent 6 }}
    {{- if not .once }}
    ports:
      {{- if eq .component "http" }}
      - {name: http, containerPort: {{ int .root.Values.http.port }}, protocol: TCP}
      {{- end }}
      - {name: management, containerPort: {{ int .root.Values.management.port }}, protocol: TCP}
    {{- include "signert.probes" . | nindent 4 }}
    {{- if eq .component "http" }}
    lifecycle:
      preStop:
        # Until every proxy has heard that this pod is going, it still takes requests.
        exec: {command: [sleep, {{ .root.Values.http.drainSeconds | toString | quote }}]}
    {{- end }}
    {{- end }}
    resources:
      {{- toYaml $own.resources | nindent 6 }}
    securityContext:
      {{- include "signert.containerSecurity" . | nindent 6 }}
    terminationMessagePolicy: FallbackToLogsOnError
    volumeMounts:
      {{- include "signert.mounts" . | trim | nindent 6 }}
volumes:
  {{- include "signert.volumes" . | trim | nindent 2 }}
{{- with $own.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $own.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "signert.deployment" -}}
{{- $own := get .root.Values .component -}}
{{- $scaler := include "signert.scaler" . -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "signert.metadata" . | nindent 2 }}
spec:
  {{- if eq .component "sweeper" }}
  replicas: 1
  strategy: {type: Recreate}
  {{- else }}
  {{- if not $scaler }}
  replicas: {{ int $own.replicas }}
  {{- end }}
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxUnavailable: 0, maxSurge: 1}
  {{- end }}
  revisionHistoryLimit: 3
  selector:
    matchLabels:
      {{- include "signert.selector" . | nindent 6 }}
  template:
    metadata:
      {{- include "signert.metadata" (merge (dict "pod" true "context" .component "labels" $own.podLabels "annotations" $own.podAnnotations) .) | nindent 6 }}
    spec:
      {{- include "signert.podBase" . | nindent 6 }}
      {{- if and .root.Values.topologySpread (ne .component "sweeper") }}
      topologySpreadConstraints:
        {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
        - topologyKey: {{ . }}
          maxSkew: 1
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              {{- include "signert.selector" $ | nindent 14 }}
        {{- end }}
      {{- end }}
{{- end -}}

{{/* However few pods there are, one may always be moved: a drain is never held up. */}}
{{- define "signert.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "signert.metadata" . | nindent 2 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "signert.selector" . | nindent 6 }}
{{- end -}}
