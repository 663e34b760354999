# What is counted from the log (resources/log_metrics.py says what and why), and the one alarm that a mail cannot give:
# that mails are not delivered.

variable "alarm_addresses" {
  type        = list(string)
  description = "Mail addresses that Google tells, by its own mails, when the platform's are given up."
  default     = []
}

locals {
  log_metrics = { for metric in yamldecode(file("${path.module}/../log_metrics.yaml")).metrics : metric.name => metric }
}

resource "google_logging_metric" "platform" {
  for_each         = local.log_metrics
  name             = each.key
  description      = each.value.description
  filter           = "resource.type=(\"cloud_run_revision\" OR \"cloud_run_job\" OR \"cloud_run_worker_pool\") AND (${each.value.filter})"
  label_extractors = each.value.labelExtractors
  value_extractor  = try(each.value.valueExtractor, null)
  metric_descriptor {
    metric_kind = each.value.metricDescriptor.metricKind
    value_type  = each.value.metricDescriptor.valueType
    dynamic "labels" {
      for_each = each.value.metricDescriptor.labels
      content {
        key        = labels.value.key
        value_type = labels.value.valueType
      }
    }
  }
  depends_on = [google_project_service.used]
}

resource "google_monitoring_notification_channel" "mail" {
  for_each     = toset(var.alarm_addresses)
  display_name = each.value
  type         = "email"
  labels       = { email_address = each.value }
}

resource "google_monitoring_alert_policy" "mails_dead" {
  display_name          = "Mails of the platform are given up"
  combiner              = "OR"
  notification_channels = [for channel in google_monitoring_notification_channel.mail : channel.id]
  # One condition each, for those who deliver mails: the daemon and the agent updater.
  dynamic "conditions" {
    for_each = toset(["cloud_run_worker_pool", "cloud_run_job"])
    content {
      display_name = "a mail was given up (${conditions.value})"
      condition_threshold {
        filter          = "metric.type=\"logging.googleapis.com/user/${google_logging_metric.platform["mlops_mails_dead"].name}\" AND resource.type=\"${conditions.value}\""
        comparison      = "COMPARISON_GT"
        threshold_value = 0
        duration        = "0s"
        aggregations {
          alignment_period   = "300s"
          per_series_aligner = "ALIGN_SUM"
        }
      }
    }
  }
  documentation {
    content = "`mlops mailbox` shows why; docs/runbook.md says what to do."
  }
}
