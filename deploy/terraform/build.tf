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

variable "build_images" {
  description = "What the pipeline builds from and works in, by digest: base, the Python image of ours (deploy/Dockerfile); ci, with Python 3.11, make and git, for the tests; docker, Cloud Build's builder; gcloud, Google's CLI."
  type = object({
    base   = string
    ci     = string
    docker = string
    gcloud = string
  })
  validation {
    condition     = alltrue([for image in values(var.build_images) : can(regex("@sha256:[0-9a-f]{64}$", image))])
    error_message = "Name every image by its digest, with the host that keeps it: python:3.11-slim-bookworm@sha256:..."
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
  # In its own project it is named by the resource, so that it is there before anything is granted to it.
  release = local.is_production ? google_service_account.release[0].member : "serviceAccount:mlops-release@${var.release_project}.iam.gserviceaccount.com"
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
  # The repository is named, since it may be of another project; the account comes with Cloud Run's API.
  depends_on = [google_artifact_registry_repository.images, google_project_service.used]
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
    _BASE_IMAGE   = var.build_images.base
    _CI_IMAGE     = var.build_images.ci
    _DOCKER_IMAGE = var.build_images.docker
    _GCLOUD_IMAGE = var.build_images.gcloud
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
    _CI_IMAGE       = var.build_images.ci
    _GCLOUD_IMAGE   = var.build_images.gcloud
    _PRODUCTION     = var.project
    _REGION         = var.region
    _RELEASES       = local.releases
    _RELEASE_IMAGE  = ""
    _CANARY_PERCENT = "10"
    _CANARY_SECONDS = "600"
  }
}
