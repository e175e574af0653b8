{{- define "ringway.selector" -}}
app.kubernetes.io/name: ringway
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "ringway.labels" -}}
{{ include "ringway.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{/* All names begin with the release's. */}}
{{- define "ringway.name" -}}
{{ .root.Release.Name }}-{{ .component }}
{{- end }}

{{- define "ringway.registers" -}}
{{ .Release.Name }}-register:{{ .Values.register.port }}
{{- end }}

{{/* What is alike in the pods of all three. */}}
{{- define "ringway.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  seccompProfile:
    type: Localhost
    localhostProfile: {{ .root.Values.seccompProfile }}
# One per node as far as there are nodes.
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{ include "ringway.selector" . | nindent 8 }}
{{- end }}

{{/* What is alike in the containers of all three; `image` goes before the chart's. */}}
{{- define "ringway.container" -}}
{{- $image := merge (dict) (.image | default dict) .root.Values.image -}}
name: {{ .component }}
image: "{{ $image.repository }}:{{ $image.tag | default .root.Chart.AppVersion }}"
imagePullPolicy: {{ $image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 5
# A data thread has not turned for 10 s.
livenessProbe:
  httpGet: {path: /healthz, port: admin}
  periodSeconds: 10
  failureThreshold: 3
resources: {{ toYaml .resources | nindent 2 }}
{{- end }}

{{- define "ringway.env" -}}
{{- $prefix := printf "RINGWAY_%s_" (upper .component) -}}
- name: {{ $prefix }}ADMIN
  value: 0.0.0.0:9500
{{- with .root.Values.secretName }}
- name: {{ $prefix }}SECRET_KEY
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: secret-key}
- name: {{ $prefix }}ADMIN_TOKEN
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: admin-token, optional: true}
{{- end }}
{{- range $name, $value := .env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
