{{/* One variable, where it has a value: (list NAME value). */}}
{{- define "signert.variable" -}}
{{- $value := index . 1 -}}
{{- if not (or (kindIs "invalid" $value) (eq (toString $value) "")) }}
- name: {{ index . 0 }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end -}}

{{/* The settings of a component. What is left out is as Signert has it by itself. Never a secret: the path of its file. */}}
{{- define "signert.environment" -}}
{{- $v := .root.Values -}}
{{- $c := .component -}}
{{- $works := has $c (list "render" "sign" "deliver") -}}
{{- $judges := has $c (list "sign" "http") -}}
{{- $set := list -}}
{{- $set = append $set (list "HOME" "/var/lib/signert") -}}
{{- $set = append $set (list "TMPDIR" "/tmp") -}}
{{- $set = append $set (list "SIGNERT_ENV" $v.environment) -}}
{{- $set = append $set (list "SIGNERT_HOME" "/var/lib/signert") -}}
{{- $set = append $set (list "SIGNERT_CAPABILITIES" (ternary $c "none" $works)) -}}
{{- $set = append $set (list "SIGNERT_STORE" $v.store.address) -}}
{{- $set = append $set (list "SIGNERT_S3_ENDPOINT" $v.store.endpoint) -}}
{{- $set = append $set (list "SIGNERT_S3_REGION" $v.store.region) -}}
{{- $set = append $set (list "SIGNERT_S3_LOCK" $v.store.lock) -}}
{{- $set = append $set (list "SIGNERT_RETENTION_DAYS" (int $v.store.retentionDays)) -}}
{{- if $v.store.credentialsSecret.name -}}
{{- $set = append $set (list "AWS_SHARED_CREDENTIALS_FILE" "/etc/signert/store/credentials") -}}
{{- end -}}
{{- if $v.store.ca.name -}}
{{- $set = append $set (list "AWS_CA_BUNDLE" "/etc/signert/store-ca/ca.crt") -}}
{{- end -}}
{{- if $v.store.webIdentity.enabled -}}
{{- $set = append $set (list "AWS_ROLE_ARN" $v.store.webIdentity.role) -}}
{{- $set = append $set (list "AWS_WEB_IDENTITY_TOKEN_FILE" "/etc/signert/store-identity/token") -}}
{{- end -}}
{{- $set = append $set (list "SIGNERT_BROKER" $v.broker.address) -}}
{{- if $v.trust.anchors -}}
{{- $set = append $set (list "SIGNERT_TRUST" "/etc/signert/trust/anchors") -}}
{{- end -}}
{{- $set = append $set (list "SIGNERT_MANAGEMENT_PORT" (int $v.management.port)) -}}
{{- $set = append $set (list "SIGNERT_MANAGEMENT_HOST" $v.management.host) -}}
{{- $set = append $set (list "SIGNERT_PUBLIC_URL" $v.people.publicUrl) -}}
{{- if ne $c "http" -}}
{{- if $v.broker.passwordSecret.name -}}
{{- $set = append $set (list "SIGNERT_BROKER_PASSWORD_FILE" "/etc/signert/broker/password") -}}
{{- end -}}
{{- if $v.broker.ca.name -}}
{{- $set = append $set (list "SIGNERT_BROKER_CA" "/etc/signert/broker-ca/ca.crt") -}}
{{- end -}}
{{- if $v.broker.certificateSecret -}}
{{- $set = append $set (list "SIGNERT_BROKER_CERTIFICATE" "/etc/signert/broker-certificate/tls.crt") -}}
{{- $set = append $set (list "SIGNERT_BROKER_KEY" "/etc/signert/broker-certificate/tls.key") -}}
{{- end -}}
{{- $set = append $set (list "SIGNERT_ABANDONED_AFTER" (int $v.agreements.abandonedAfter)) -}}
{{- $set = append $set (list "SIGNERT_STALLED_AFTER" (int $v.agreements.stalledAfter)) -}}
{{- end -}}
{{- if $works -}}
{{- $set = append $set (list "SIGNERT_CONCURRENCY" (int (get $v $c).concurrency)) -}}
{{- if $v.commands.producers.name -}}
{{- $set = append $set (list "SIGNERT_PRODUCERS" "/etc/signert/producers/producers.json") -}}
{{- $set = append $set (list "SIGNERT_SIGNED_COMMANDS" $v.commands.signed) -}}
{{- $set = append $set (list "SIGNERT_COMMAND_MAX_AGE" (int $v.commands.maxAge)) -}}
{{- end -}}
{{- $set = append $set (list "SIGNERT_APPROVAL" $v.keys.approval) -}}
{{- $set = append $set (list "SIGNERT_FOLLOW_UP_DAYS" (int $v.agreements.followUpDays)) -}}
{{- $set = append $set (list "SIGNERT_UNSIGNED_DAYS" (int $v.agreements.unsignedDays)) -}}
{{- $set = append $set (list "SIGNERT_RENEW_BEFORE_DAYS" (int $v.evidence.renewBeforeDays)) -}}
{{- $set = append $set (list "SIGNERT_SMTP" $v.mail.server) -}}
{{- $set = append $set (list "SIGNERT_MAIL_FROM" $v.mail.sender) -}}
{{- end -}}
{{- if eq $c "render" -}}
{{- $set = append $set (list "SIGNERT_RENDER_TIMEOUT" (int $v.agreements.renderTimeout)) -}}
{{- end -}}
{{- if $judges -}}
{{- range $list, $folder := dict "outside" "outside" "csc" "csc" "pkcs11" "pkcs11" "pkcs12" "pkcs12" "timestamps" "timestamps" -}}
{{- if get $v.trust $list -}}
{{- $set = append $set (list (printf "SIGNERT_TRUST_%s" (upper $list)) (printf "/etc/signert/trust/%s" $folder)) -}}
{{- end -}}
{{- end -}}
{{- if $v.trust.listSigners.name -}}
{{- $set = append $set (list "SIGNERT_TRUST_LIST_SIGNERS" "/etc/signert/trust/list-signers/signers.pem") -}}
{{- end -}}
{{- if $v.trust.algorithms.name -}}
{{- $set = append $set (list "SIGNERT_ALGORITHMS" "/etc/signert/algorithms/algorithms.toml") -}}
{{- end -}}
{{- if $v.people.pseudonymKeySecret.name -}}
{{- $set = append $set (list "SIGNERT_PSEUDONYM_KEY_FILE" "/etc/signert/pseudonyms/pseudonym.key") -}}
{{- end -}}
{{- end -}}
{{- if eq $c "sign" -}}
{{- $set = append $set (list "SIGNERT_SEAL" $v.keys.seal) -}}
{{- range $role, $address := $v.keys.parties -}}
{{- $set = append $set (list (printf "SIGNERT_CREDENTIAL_%s" (upper $role)) $address) -}}
{{- end -}}
{{- $set = append $set (list "SIGNERT_TSA" (join "," $v.timestamps.authorities)) -}}
{{- $set = append $set (list "SIGNERT_TSA_POLICY" $v.timestamps.policy) -}}
{{- $set = append $set (list "SIGNERT_REVOCATION_GRACE" (int $v.evidence.revocationGrace)) -}}
{{- if $v.evidence.revocationMaxAge -}}
{{- $set = append $set (list "SIGNERT_REVOCATION_MAX_AGE" (int $v.evidence.revocationMaxAge)) -}}
{{- end -}}
{{- end -}}
{{- if eq $c "deliver" -}}
{{- $set = append $set (list "SIGNERT_SMTP_USER" $v.mail.user) -}}
{{- if $v.mail.passwordSecret.name -}}
{{- $set = append $set (list "SIGNERT_SMTP_PASSWORD_FILE" "/etc/signert/mail/password") -}}
{{- end -}}
{{- if $v.mail.ca.name -}}
{{- $set = append $set (list "SIGNERT_SMTP_CA" "/etc/signert/mail-ca/ca.crt") -}}
{{- end -}}
{{- end -}}
{{- if eq $c "http" -}}
{{- if $v.http.issuers.name -}}
{{- $set = append $set (list "SIGNERT_ISSUERS" (printf "/etc/signert/issuers/%s" $v.http.issuers.key)) -}}
{{- end -}}
{{- if $v.http.loginSecret.name -}}
{{- $set = append $set (list "SIGNERT_LOGIN" (printf "/etc/signert/login/%s" $v.http.loginSecret.key)) -}}
{{- end -}}
{{- if $v.http.sessionKeySecret.name -}}
{{- $set = append $set (list "SIGNERT_SESSION_KEY_FILE" "/etc/signert/session/session.key") -}}
{{- end -}}
{{- $set = append $set (list "SIGNERT_HTTP_PROXIES" (int $v.http.proxies)) -}}
{{- $set = append $set (list "SIGNERT_HTTP_RATE" $v.http.rate) -}}
{{- $set = append $set (list "SIGNERT_HTTP_ADDRESS_RATE" $v.http.addressRate) -}}
{{- $set = append $set (list "SIGNERT_HTTP_RATE_STORE" $v.http.rateStore) -}}
{{- if $v.http.rateStorePasswordSecret.name -}}
{{- $set = append $set (list "SIGNERT_HTTP_RATE_STORE_PASSWORD_FILE" "/etc/signert/rate-store/password") -}}
{{- end -}}
{{- $set = append $set (list "SIGNERT_HTTP_LINK_SECONDS" (int $v.http.linkSeconds)) -}}
{{- $set = append $set (list "SIGNERT_VERIFY_MAX_MB" (int $v.http.verifyMaxMb)) -}}
{{- end -}}
{{- with $v.telemetry.endpoint -}}
{{- $set = append $set (list "OTEL_EXPORTER_OTLP_ENDPOINT" .) -}}
{{- $set = append $set (list "OTEL_SERVICE_NAME" (printf "signert-%s" $c)) -}}
{{- $set = append $set (list "OTEL_TRACES_SAMPLER" "parentbased_traceidratio") -}}
{{- $set = append $set (list "OTEL_TRACES_SAMPLER_ARG" $v.telemetry.sampled) -}}
{{- end -}}
{{- range $set }}
{{- include "signert.variable" . }}
{{- end }}
{{- end -}}
