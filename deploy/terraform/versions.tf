# What has to be there before the first release, one project an environment:
#
#   terraform init -backend-config bucket=YOUR-STATE-BUCKET -backend-config prefix=gcp
#   terraform apply -var-file ../gcp/terraform.tfvars.json -var-file yours.tfvars
#
# Names and rights come from ../ENVIRONMENT/terraform.tfvars.json, which `make deploy-render` writes; people, images and
# the repository of the code are yours (people.tf, build.tf). Services, jobs and the worker pool are not here: a release
# applies them, and their roll-out is the pipeline's.
terraform {
  required_version = ">= 1.9"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.20, < 8"
    }
    google-beta = {
      source  = "hashicorp/google-beta"
      version = ">= 6.20, < 8"
    }
  }
  backend "gcs" {}
}

locals {
  labels = { app = "mlops-assets", environment = var.environment }
}

provider "google" {
  project        = var.project
  region         = var.region
  default_labels = local.labels
}

provider "google-beta" {
  project        = var.project
  region         = var.region
  default_labels = local.labels
}

data "google_project" "this" {}

resource "google_project_service" "used" {
  for_each = toset([
    "artifactregistry.googleapis.com",
    "cloudbuild.googleapis.com",
    "cloudscheduler.googleapis.com",
    "compute.googleapis.com",
    "iam.googleapis.com",
    "iap.googleapis.com",
    "monitoring.googleapis.com",
    "ondemandscanning.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    "servicenetworking.googleapis.com",
    "sqladmin.googleapis.com",
    "storage.googleapis.com",
  ])
  service            = each.value
  disable_on_destroy = false
}
