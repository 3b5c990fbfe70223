{{/* The labels by which pods are selected. */}}
{{- define "tallyhouse.selector" -}}
app.kubernetes.io/name: tallyhouse
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The name and labels of an object. */}}
{{- define "tallyhouse.metadata" -}}
name: {{ .Release.Name | trunc 63 | trimSuffix "-" }}
labels:
  {{- include "tallyhouse.selector" . | nindent 2 }}
  app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ .Release.Service }}
  helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}
