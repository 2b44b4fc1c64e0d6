{{- define "journeys.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "journeys.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "journeys.labels" -}}
{{ include "journeys.selectorLabels" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "journeys.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "journeys.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "journeys.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "journeys.topologiesMap" -}}
{{- if .Values.topologies.files -}}{{ include "journeys.fullname" . }}-topologies{{- else -}}{{ .Values.topologies.existingConfigMap }}{{- end -}}
{{- end -}}

{{/* The settings file. Secrets are named in it, never written. */}}
{{- define "journeys.settings" -}}
bootstrap_server = {{ required "kafka.bootstrapServers: which Kafka?" .Values.kafka.bootstrapServers | quote }}
topologies = "/etc/journeys/topologies"
state_dir = "/var/lib/journeys"
http_address = "0.0.0.0:{{ .Values.http.port }}"
{{- if .Values.http.accessSecret }}
http_access_file = "/run/secrets/http-access/access"
{{- end }}
{{- if .Values.http.tlsSecret }}
http_certificate = "/run/secrets/http-tls/tls.crt"
http_key = "/run/secrets/http-tls/tls.key"
{{- if .Values.http.clientCertificates }}
http_client_ca = "/run/secrets/http-tls/ca.crt"
{{- end }}
{{- end }}
{{- range $name, $value := .Values.settings }}
{{ $name }} = {{ if kindIs "float64" $value }}{{ if eq (floor $value) $value }}{{ int64 $value }}{{ else }}{{ $value }}{{ end }}{{ else }}{{ toJson $value }}{{ end }}
{{- end }}

[kafka]
{{- range $name, $value := .Values.kafka.settings }}
{{ $name | quote }} = {{ if kindIs "float64" $value }}{{ int64 $value | toString | quote }}{{ else }}{{ $value | toString | quote }}{{ end }}
{{- end }}
{{- if .Values.kafka.tls.secretName }}
"ssl.ca.location" = "/run/secrets/kafka-tls/ca.crt"
{{- if .Values.kafka.tls.clientCertificate }}
"ssl.certificate.location" = "/run/secrets/kafka-tls/tls.crt"
"ssl.key.location" = "/run/secrets/kafka-tls/tls.key"
{{- end }}
{{- end }}
{{- range $at, $secret := .Values.kafka.secrets }}
"{{ $secret.setting }}_file" = "/run/secrets/kafka/{{ $at }}/{{ $secret.key }}"
{{- end }}
{{- end -}}

{{- define "journeys.mounts" -}}
- {name: settings, mountPath: /etc/journeys/settings.toml, subPath: settings.toml, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- if include "journeys.topologiesMap" . }}
- {name: topologies, mountPath: /etc/journeys/topologies, readOnly: true}
{{- end }}
{{- if .Values.kafka.tls.secretName }}
- {name: kafka-tls, mountPath: /run/secrets/kafka-tls, readOnly: true}
{{- end }}
{{- range $at, $secret := .Values.kafka.secrets }}
- {name: kafka-{{ $at }}, mountPath: /run/secrets/kafka/{{ $at }}, readOnly: true}
{{- end }}
{{- if .Values.http.accessSecret }}
- {name: http-access, mountPath: /run/secrets/http-access, readOnly: true}
{{- end }}
{{- if .Values.http.tlsSecret }}
- {name: http-tls, mountPath: /run/secrets/http-tls, readOnly: true}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "journeys.volumes" -}}
- name: settings
  configMap: {name: {{ include "journeys.fullname" . }}}
- name: tmp
  emptyDir: {}
{{- if .Values.topologies.files }}
- name: topologies
  configMap:
    name: {{ include "journeys.topologiesMap" . }}
    items:
      {{- range $path, $_ := .Values.topologies.files }}
      - {key: {{ $path | replace "/" "__" | quote }}, path: {{ $path | quote }}}
      {{- end }}
{{- else if .Values.topologies.existingConfigMap }}
- name: topologies
  configMap:
    name: {{ .Values.topologies.existingConfigMap }}
    {{- with .Values.topologies.items }}
    items:
      {{- toYaml . | nindent 6 }}
    {{- end }}
{{- end }}
{{- if .Values.kafka.tls.secretName }}
- name: kafka-tls
  secret: {secretName: {{ .Values.kafka.tls.secretName }}, defaultMode: 0440}
{{- end }}
{{- range $at, $secret := .Values.kafka.secrets }}
- name: kafka-{{ $at }}
  secret:
    secretName: {{ $secret.secretName }}
    defaultMode: 0440
    items:
      - {key: {{ $secret.key | quote }}, path: {{ $secret.key | quote }}}
{{- end }}
{{- if .Values.http.accessSecret }}
- name: http-access
  secret: {secretName: {{ .Values.http.accessSecret }}, defaultMode: 0440}
{{- end }}
{{- if .Values.http.tlsSecret }}
- name: http-tls
  secret: {secretName: {{ .Values.http.tlsSecret }}, defaultMode: 0440}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A pod that runs one command with the workers' settings and ends. Takes root, name and args. */}}
{{- define "journeys.commandPod" -}}
restartPolicy: Never
automountServiceAccountToken: false
serviceAccountName: {{ include "journeys.serviceAccountName" .root }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
containers:
  - name: {{ .name }}
    image: {{ include "journeys.image" .root | quote }}
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    args: {{ toJson .args }}
    env:
      - {name: ORCHESTRATOR_CONFIG, value: /etc/journeys/settings.toml}
      {{- with .root.Values.extraEnv }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    securityContext:
      {{- toYaml .root.Values.securityContext | nindent 6 }}
    volumeMounts:
      - {name: state, mountPath: /var/lib/journeys}
      {{- include "journeys.mounts" .root | nindent 6 }}
volumes:
  - name: state
    emptyDir: {}
  {{- include "journeys.volumes" .root | nindent 2 }}
{{- end -}}
