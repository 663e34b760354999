# Objects that nobody but the accounts of accounts.tf reaches, and that a mistake does not destroy: every replaced or
# deleted object stays as a version for a month.

locals {
  buckets  = toset([var.bucket, var.landing_bucket])
  releases = "${var.project}-releases"
}

resource "google_storage_bucket" "data" {
  for_each                    = local.buckets
  name                        = each.value
  location                    = var.region
  storage_class               = "STANDARD"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = false
  versioning {
    enabled = true
  }
  soft_delete_policy {
    retention_duration_seconds = 604800
  }
  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      days_since_noncurrent_time = 30
      with_state                 = "ARCHIVED"
    }
  }
  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }
    condition {
      age = 2
    }
  }
  lifecycle {
    prevent_destroy = true
  }
  depends_on = [google_project_service.used]
}

# What was released, for rollbacks.
resource "google_storage_bucket" "releases" {
  name                        = local.releases
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = false
  versioning {
    enabled = true
  }
  depends_on = [google_project_service.used]
}

resource "google_storage_bucket_iam_member" "feed_writers" {
  for_each = toset(var.feed_writers)
  bucket   = google_storage_bucket.data[var.landing_bucket].name
  role     = "roles/storage.objectCreator"
  member   = each.value
}

resource "google_artifact_registry_repository" "images" {
  repository_id = var.repository
  location      = var.region
  format        = "DOCKER"
  description   = "The one image of the platform."
  docker_config {
    immutable_tags = true
  }
  depends_on = [google_project_service.used]
}
