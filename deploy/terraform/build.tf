# The pipeline: on each push to the main branch up to staging, and, once a person has approved, on to production. The
# triggers belong to the production project; in the others, only what the pipeline's account may do there is granted.

variable "release_project" {
  type        = string
  description = "Project that has the triggers and the image: the production one."
}

variable "release_region" {
  type        = string
  description = "Its region."
}

variable "staging_project" {
  type        = string
  description = "Project of staging."
}

variable "code_repository" {
  type        = string
  description = "The code: id of a Cloud Build repository (2nd generation), projects/P/locations/R/connections/C/repositories/N."
}

variable "base_image" {
  type        = string
  description = "Python image from which ours is built, by digest (deploy/Dockerfile)."
  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.base_image))
    error_message = "Name the base image by its digest: python:3.11-slim-bookworm@sha256:..."
  }
}

variable "ci_image" {
  type        = string
  description = "Image with Python 3.11, make and git, in which tests run, by digest."
  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.ci_image))
    error_message = "Name the image of the tests by its digest: python:3.11-bookworm@sha256:..."
  }
}

variable "gcloud_image" {
  type        = string
  description = "Google Cloud CLI image, by digest."
  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.gcloud_image))
    error_message = "Name the image of the CLI by its digest: google-cloud-cli:slim@sha256:..., with the host that keeps it"
  }
}

variable "docker_image" {
  type        = string
  description = "Cloud Build's Docker builder, by digest."
  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.docker_image))
    error_message = "Name the Docker builder by its digest: cloud-builders/docker@sha256:..., with the host that keeps it"
  }
}

variable "image" {
  type        = string
  description = "Where the platform's image is kept, without tag or digest: HOST/PROJECT/REPOSITORY/platform of the production project."
}

variable "scanner_location" {
  type        = string
  description = "Of the vulnerability scanner: us, europe or asia."
  default     = "us"
}

locals {
  is_production = var.project == var.release_project
  release       = "serviceAccount:mlops-release@${var.release_project}.iam.gserviceaccount.com"
  # Every account that a manifest names: who applies a manifest has to be allowed to act as it.
  acted_as = { for name, account in google_service_account.role : name => account.name }
}

resource "google_service_account" "release" {
  count        = local.is_production ? 1 : 0
  account_id   = "mlops-release"
  display_name = "The pipeline: builds, and applies releases."
  depends_on   = [google_project_service.used]
}

# ---------------------------------------------------------------- in every project
resource "google_project_iam_member" "release_runs" {
  project = var.project
  role    = "roles/run.developer"
  member  = local.release
}

resource "google_service_account_iam_member" "release_acts_as" {
  for_each           = local.acted_as
  service_account_id = each.value
  role               = "roles/iam.serviceAccountUser"
  member             = local.release
}

# Cloud Run of every project pulls the image of the production project.
resource "google_artifact_registry_repository_iam_member" "pulls" {
  project    = var.release_project
  location   = var.release_region
  repository = var.repository
  role       = "roles/artifactregistry.reader"
  member     = "serviceAccount:service-${data.google_project.this.number}@serverless-robot-prod.iam.gserviceaccount.com"
}

# ---------------------------------------------------------------- in the production project
resource "google_project_iam_member" "release_builds" {
  for_each = local.is_production ? toset([
    "roles/logging.logWriter",
    "roles/logging.viewer",
    "roles/ondemandscanning.admin",
    "roles/cloudbuild.builds.editor",
  ]) : []
  project = var.project
  role    = each.value
  member  = local.release
}

resource "google_artifact_registry_repository_iam_member" "release_pushes" {
  count      = local.is_production ? 1 : 0
  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.writer"
  member     = local.release
}

resource "google_storage_bucket_iam_member" "release_keeps" {
  count  = local.is_production ? 1 : 0
  bucket = google_storage_bucket.releases.name
  role   = "roles/storage.objectUser"
  member = local.release
}

# The first build asks for the second one, which runs as the same account.
resource "google_service_account_iam_member" "release_asks" {
  count              = local.is_production ? 1 : 0
  service_account_id = google_service_account.release[0].name
  role               = "roles/iam.serviceAccountUser"
  member             = local.release
}

resource "google_cloudbuild_trigger" "staging" {
  count           = local.is_production ? 1 : 0
  name            = "mlops-assets-staging"
  location        = var.region
  description     = "Test, build, scan, staging; then it asks for production."
  filename        = "deploy/cloudbuild.yaml"
  service_account = google_service_account.release[0].id
  repository_event_config {
    repository = var.code_repository
    push {
      branch = "^main$"
    }
  }
  substitutions = {
    _BASE_IMAGE   = var.base_image
    _CI_IMAGE     = var.ci_image
    _DOCKER_IMAGE = var.docker_image
    _GCLOUD_IMAGE = var.gcloud_image
    _IMAGE        = var.image
    _PRODUCTION   = var.project
    _STAGING      = var.staging_project
    _REGION       = var.region
    _SCANNER      = var.scanner_location
  }
}

resource "google_cloudbuild_trigger" "production" {
  count           = local.is_production ? 1 : 0
  name            = "mlops-assets-production"
  location        = var.region
  description     = "The image that passed in staging, once a person has approved."
  filename        = "deploy/cloudbuild-production.yaml"
  service_account = google_service_account.release[0].id
  # Never by a push: the build before starts it, with the image.
  repository_event_config {
    repository = var.code_repository
    push {
      branch = "^started-by-the-pipeline-only$"
    }
  }
  approval_config {
    approval_required = true
  }
  substitutions = {
    _CI_IMAGE       = var.ci_image
    _GCLOUD_IMAGE   = var.gcloud_image
    _PRODUCTION     = var.project
    _REGION         = var.region
    _RELEASES       = local.releases
    _RELEASE_IMAGE  = ""
    _CANARY_PERCENT = "10"
    _CANARY_SECONDS = "600"
  }
}
