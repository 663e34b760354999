# A service account a role, with what the role needs and nothing else. No keys: Cloud Run hands out short-lived tokens.

resource "google_service_account" "role" {
  for_each     = var.accounts
  account_id   = each.key
  display_name = each.value.description
  depends_on   = [google_project_service.used]
}

# ---------------------------------------------------------------- objects
locals {
  bucket_roles = {
    none  = []
    read  = ["roles/storage.objectViewer", "roles/storage.legacyBucketReader"]
    write = ["roles/storage.objectUser", "roles/storage.legacyBucketReader"]
  }
  bucket_grants = merge([
    for name, account in var.accounts : merge(
      { for role in local.bucket_roles[account.bucket] : "${name} ${var.bucket} ${role}" => { account = name, bucket = var.bucket, role = role } },
      { for role in local.bucket_roles[account.landing] : "${name} ${var.landing_bucket} ${role}" => { account = name, bucket = var.landing_bucket, role = role } },
    )
  ]...)
}

resource "google_storage_bucket_iam_member" "role" {
  for_each = local.bucket_grants
  bucket   = google_storage_bucket.data[each.value.bucket].name
  role     = each.value.role
  member   = google_service_account.role[each.value.account].member
}

# Dagster shows the output of a step by a link that is signed by the account itself.
resource "google_service_account_iam_member" "signs_links" {
  for_each           = { for name, account in var.accounts : name => account if account.bucket == "read" }
  service_account_id = google_service_account.role[each.key].name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = google_service_account.role[each.key].member
}

# ---------------------------------------------------------------- database
resource "google_project_iam_member" "database" {
  for_each = { for name, account in var.accounts : name => account if account.has_database }
  project  = var.project
  role     = "roles/cloudsql.client"
  member   = google_service_account.role[each.key].member
  condition {
    title      = "this instance"
    expression = "resource.type == 'sqladmin.googleapis.com/Instance' && resource.name == 'projects/${var.project}/instances/${var.instance}'"
  }
}

# ---------------------------------------------------------------- runs
# Narrower than Google's own roles: whoever watches or stops runs can neither start nor change one.
resource "google_project_iam_custom_role" "stops_runs" {
  role_id     = "mlopsStopsRuns"
  title       = "Watches and stops runs"
  permissions = ["run.executions.get", "run.executions.list", "run.executions.cancel"]
}

resource "google_project_iam_custom_role" "launches_runs" {
  role_id = "mlopsLaunchesRuns"
  title   = "Starts, watches and stops runs"
  permissions = [
    "run.executions.get",
    "run.executions.list",
    "run.executions.cancel",
    "run.jobs.get",
    "run.jobs.run",
    "run.jobs.runWithOverrides",
  ]
}

locals {
  run_roles = {
    none   = []
    stop   = [google_project_iam_custom_role.stops_runs.id]
    launch = [google_project_iam_custom_role.launches_runs.id]
  }
  run_grants = merge([
    for name, account in var.accounts : merge([
      for job in var.run_jobs : {
        for role in local.run_roles[account.runs] : "${name} ${job}" => { account = name, job = job, role = role }
      }
    ]...)
  ]...)
}

# On each run job by itself, not on the project: no other job can be started with it.
resource "google_cloud_run_v2_job_iam_member" "runs" {
  for_each = { for key, grant in local.run_grants : key => grant if var.is_released }
  name     = each.value.job
  location = var.region
  role     = each.value.role
  member   = google_service_account.role[each.value.account].member
}

# ---------------------------------------------------------------- logs
resource "google_project_iam_member" "logs" {
  for_each = var.accounts
  project  = var.project
  role     = "roles/logging.logWriter"
  member   = google_service_account.role[each.key].member
}
