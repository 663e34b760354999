# The agent updater, every ten minutes: what serves follows the promotion ledger also where no run has just promoted.

variable "updater_schedule" {
  type        = string
  description = "Cron expression, UTC."
  default     = "*/10 * * * *"
}

resource "google_service_account" "scheduler" {
  account_id   = "mlops-scheduler"
  display_name = "Starts the agent updater."
  depends_on   = [google_project_service.used]
}

resource "google_cloud_run_v2_job_iam_member" "scheduler" {
  count    = var.is_released ? 1 : 0
  name     = "agent-updater"
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.scheduler.member
}

resource "google_cloud_scheduler_job" "agent_updater" {
  name             = "agent-updater"
  region           = var.region
  schedule         = var.updater_schedule
  time_zone        = "Etc/UTC"
  attempt_deadline = "60s"
  retry_config {
    retry_count = 2
  }
  http_target {
    http_method = "POST"
    uri         = "https://run.googleapis.com/v2/projects/${var.project}/locations/${var.region}/jobs/agent-updater:run"
    oauth_token {
      service_account_email = google_service_account.scheduler.email
    }
  }
  depends_on = [google_project_service.used]
}
