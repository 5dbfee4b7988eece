{{/*
Every file that a component is given, as a JSON list of {name, path, secret | configMap, key, file}: with a key that one
alone, as `file`; without, all that is in it. Who is given what is decided here, and nowhere else.
*/}}
{{- define "signert.files" -}}
{{- $v := .root.Values -}}
{{- $c := .component -}}
{{- $works := has $c (list "render" "sign" "deliver") -}}
{{- $queues := or $works (eq $c "sweeper") -}}
{{- $judges := has $c (list "sign" "http") -}}
{{- $all := list -}}
{{- with $v.store.credentialsSecret }}{{ if .name }}
{{- $all = append $all (dict "name" "store-credentials" "path" "/etc/signert/store" "secret" .name "key" .key "file" "credentials") }}
{{- end }}{{ end -}}
{{- with $v.store.ca }}{{ if .name }}
{{- $all = append $all (dict "name" "store-ca" "path" "/etc/signert/store-ca" "configMap" .name "key" .key "file" "ca.crt") }}
{{- end }}{{ end -}}
{{- if $queues -}}
{{- with $v.broker.passwordSecret }}{{ if .name }}
{{- $all = append $all (dict "name" "broker-password" "path" "/etc/signert/broker" "secret" .name "key" .key "file" "password") }}
{{- end }}{{ end -}}
{{- with $v.broker.ca }}{{ if .name }}
{{- $all = append $all (dict "name" "broker-ca" "path" "/etc/signert/broker-ca" "configMap" .name "key" .key "file" "ca.crt") }}
{{- end }}{{ end -}}
{{- with $v.broker.certificateSecret }}
{{- $all = append $all (dict "name" "broker-certificate" "path" "/etc/signert/broker-certificate" "secret" .) }}
{{- end -}}
{{- end -}}
{{- if $works -}}
{{- with $v.commands.producers }}{{ if .name }}
{{- $all = append $all (dict "name" "producers" "path" "/etc/signert/producers" "configMap" .name "key" .key "file" "producers.json") }}
{{- end }}{{ end -}}
{{- end -}}
{{- with $v.trust.anchors }}
{{- $all = append $all (dict "name" "trust" "path" "/etc/signert/trust/anchors" "configMap" .) }}
{{- end -}}
{{- if $judges -}}
{{- range $list, $folder := dict "outside" "outside" "csc" "csc" "pkcs11" "pkcs11" "pkcs12" "pkcs12" "timestamps" "timestamps" -}}
{{- with get $v.trust $list }}
{{- $all = append $all (dict "name" (printf "trust-%s" $folder) "path" (printf "/etc/signert/trust/%s" $folder) "configMap" .) }}
{{- end -}}
{{- end -}}
{{- with $v.trust.listSigners }}{{ if .name }}
{{- $all = append $all (dict "name" "trust-list-signers" "path" "/etc/signert/trust/list-signers" "configMap" .name "key" .key "file" "signers.pem") }}
{{- end }}{{ end -}}
{{- with $v.trust.algorithms }}{{ if .name }}
{{- $all = append $all (dict "name" "algorithms" "path" "/etc/signert/algorithms" "configMap" .name "key" .key "file" "algorithms.toml") }}
{{- end }}{{ end -}}
{{- with $v.people.pseudonymKeySecret }}{{ if .name }}
{{- $all = append $all (dict "name" "pseudonym-key" "path" "/etc/signert/pseudonyms" "secret" .name "key" .key "file" "pseudonym.key") }}
{{- end }}{{ end -}}
{{- end -}}
{{- if eq $c "sign" -}}
{{- range $v.keys.secrets }}
{{- $all = append $all (dict "name" (printf "key-%s" .) "path" (printf "/etc/signert/keys/%s" .) "secret" .) }}
{{- end -}}
{{- end -}}
{{- if eq $c "deliver" -}}
{{- with $v.mail.passwordSecret }}{{ if .name }}
{{- $all = append $all (dict "name" "mail-password" "path" "/etc/signert/mail" "secret" .name "key" .key "file" "password") }}
{{- end }}{{ end -}}
{{- with $v.mail.ca }}{{ if .name }}
{{- $all = append $all (dict "name" "mail-ca" "path" "/etc/signert/mail-ca" "configMap" .name "key" .key "file" "ca.crt") }}
{{- end }}{{ end -}}
{{- end -}}
{{- if eq $c "http" -}}
{{- with $v.http.issuers }}{{ if .name }}
{{- $all = append $all (dict "name" "issuers" "path" "/etc/signert/issuers" "configMap" .name) }}
{{- end }}{{ end -}}
{{- with $v.http.loginSecret }}{{ if .name }}
{{- $all = append $all (dict "name" "login" "path" "/etc/signert/login" "secret" .name) }}
{{- end }}{{ end -}}
{{- with $v.http.sessionKeySecret }}{{ if .name }}
{{- $all = append $all (dict "name" "session-key" "path" "/etc/signert/session" "secret" .name "key" .key "file" "session.key") }}
{{- end }}{{ end -}}
{{- with $v.http.rateStorePasswordSecret }}{{ if .name }}
{{- $all = append $all (dict "name" "rate-store-password" "path" "/etc/signert/rate-store" "secret" .name "key" .key "file" "password") }}
{{- end }}{{ end -}}
{{- end -}}
{{ toJson $all }}
{{- end -}}

{{- define "signert.volumes" -}}
{{- range include "signert.files" . | fromJsonArray }}
- name: {{ .name | trunc 63 | trimSuffix "-" }}
  {{- if .secret }}
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
    {{- if .key }}
    items: [{key: {{ .key | quote }}, path: {{ .file | quote }}}]
    {{- end }}
  {{- else }}
  configMap:
    name: {{ .configMap }}
    defaultMode: 0444
    {{- if .key }}
    items: [{key: {{ .key | quote }}, path: {{ .file | quote }}}]
    {{- end }}
  {{- end }}
{{- end }}
{{- if .root.Values.store.webIdentity.enabled }}
- name: store-identity
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken:
          path: token
          audience: {{ .root.Values.store.webIdentity.audience | quote }}
          expirationSeconds: 3600
{{- end }}
{{- $space := (get .root.Values .component).space }}
- name: tmp
  emptyDir: {sizeLimit: {{ $space.tmp }}}
- name: home
  emptyDir: {sizeLimit: {{ $space.home }}}
{{- end -}}

{{- define "signert.mounts" -}}
{{- range include "signert.files" . | fromJsonArray }}
- {name: {{ .name | trunc 63 | trimSuffix "-" }}, mountPath: {{ .path }}, readOnly: true}
{{- end }}
{{- if .root.Values.store.webIdentity.enabled }}
- {name: store-identity, mountPath: /etc/signert/store-identity, readOnly: true}
{{- end }}
- {name: tmp, mountPath: /tmp}
- {name: home, mountPath: /var/lib/signert}
{{- end -}}
