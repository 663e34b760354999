# Containers for secrets. Their values are added by a person: `gcloud secrets versions add NAME --data-file=-`.

resource "google_secret_manager_secret" "platform" {
  for_each  = toset(var.secrets)
  secret_id = each.value
  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }
  depends_on = [google_project_service.used]
}

locals {
  secret_readers = merge([
    for name, account in var.accounts : {
      for secret in account.secrets : "${name} ${secret}" => { account = name, secret = secret }
    }
  ]...)
}

resource "google_secret_manager_secret_iam_member" "readers" {
  for_each  = local.secret_readers
  secret_id = google_secret_manager_secret.platform[each.value.secret].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.role[each.value.account].member
}
