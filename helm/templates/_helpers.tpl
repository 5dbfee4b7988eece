{{/* Names, labels and the image. Most take (dict "root" $ "component" "render"). */}}

{{- define "signert.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}{{ end -}}
{{- end -}}
{{- end -}}

{{- define "signert.componentName" -}}
{{ include "signert.fullname" .root }}-{{ .component }}
{{- end -}}

{{/* What finds the pods of one Deployment, and no others. */}}
{{- define "signert.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/*
metadata of an object of one component, or (without `component`) of the whole release: name, labels, annotations.
`labels` and `annotations` are more of them; the chart's own win. A pod's has neither name nor namespace.
*/}}
{{- define "signert.metadata" -}}
{{- $values := .root.Values -}}
{{- $labels := dict
      "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_")
      "app.kubernetes.io/name" (default .root.Chart.Name $values.nameOverride)
      "app.kubernetes.io/instance" .root.Release.Name
      "app.kubernetes.io/version" .root.Chart.AppVersion
      "app.kubernetes.io/managed-by" .root.Release.Service
      "app.kubernetes.io/part-of" "signert" -}}
{{- if .component }}{{ $_ := set $labels "app.kubernetes.io/component" .component }}{{ end -}}
{{- if .context }}{{ $_ := set $labels "signert/context" .context }}{{ end -}}
{{- $labels = merge $labels (default dict .labels) $values.commonLabels -}}
{{- $annotations := merge (dict) (default dict .annotations) $values.commonAnnotations -}}
{{- if not .pod -}}
name: {{ .name | default (printf "%s%s%s" (include "signert.fullname" .root) (ternary (printf "-%s" .component) "" (hasKey . "component")) (default "" .suffix)) }}
namespace: {{ .root.Release.Namespace }}
{{ end -}}
labels:
  {{- toYaml $labels | nindent 2 }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "signert.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "signert.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end -}}
{{- end -}}

{{/* Sweeping and delivering need what signing needs, without its keys: no LibreOffice. */}}
{{- define "signert.image" -}}
{{- $image := .root.Values.image -}}
{{- $own := get $image (get (dict "render" "render" "http" "http") .component | default "sign") -}}
{{- with $image.registry }}{{ trimSuffix "/" . }}/{{ end }}{{ $own.name }}
{{- if $own.digest }}@{{ $own.digest }}{{ else }}:{{ default .root.Chart.AppVersion $image.tag }}{{ end -}}
{{- end -}}

{{/* The components that run, as a list. */}}
{{- define "signert.components" -}}
{{- $found := list "render" "sign" "sweeper" -}}
{{- if .Values.mail.server }}{{ $found = append $found "deliver" }}{{ end -}}
{{- if .Values.http.enabled }}{{ $found = append $found "http" }}{{ end -}}
{{ toJson $found }}
{{- end -}}

{{/* "keda", "hpa" or nothing: what sets the number of pods of a component. */}}
{{- define "signert.scaler" -}}
{{- if and .root.Values.autoscaling.enabled (has .component (list "render" "sign" "http")) -}}
{{- if and .root.Values.autoscaling.keda.enabled (ne .component "http") }}keda{{ else }}hpa{{ end -}}
{{- end -}}
{{- end -}}
