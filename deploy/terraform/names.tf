# Rendered by `make deploy-render` into ../ENVIRONMENT/terraform.tfvars.json: change configs/environments and
# deploy/cloud_run/roles.py, never a value here.

variable "environment" {
  type        = string
  description = "Name of the environment's file."
}

variable "project" {
  type        = string
  description = "Id of the project."
}

variable "region" {
  type        = string
  description = "Of everything."
}

variable "network" {
  type        = string
  description = "Name of the private network and of its one subnetwork."
}

variable "repository" {
  type        = string
  description = "Artifact Registry's repository of the image."
}

variable "instance" {
  type        = string
  description = "Cloud SQL instance."
}

variable "databases" {
  type        = list(string)
  description = "On the instance."
}

variable "bucket" {
  type        = string
  description = "Lake, models, reports, deployments, output of steps."
}

variable "landing_bucket" {
  type        = string
  description = "Into which the operator delivers."
}

variable "domain" {
  type        = string
  description = "Below which the pages' host names are."
}

variable "pages" {
  type        = map(string)
  description = "First label of the host name of each service that people open, by service."
}

variable "run_jobs" {
  type        = list(string)
  description = "Jobs that the daemon starts."
}

variable "secrets" {
  type        = list(string)
  description = "Names of secrets; their values never pass through Terraform."
}

variable "accounts" {
  description = "What each service account may do."
  type = map(object({
    description  = string
    bucket       = string
    landing      = string
    runs         = string
    has_database = bool
    secrets      = list(string)
  }))
  validation {
    condition     = alltrue([for account in var.accounts : contains(["none", "read", "write"], account.bucket)])
    error_message = "Access to the bucket is none, read or write."
  }
  validation {
    condition     = alltrue([for account in var.accounts : contains(["none", "read"], account.landing)])
    error_message = "The platform only reads deliveries."
  }
  validation {
    condition     = alltrue([for account in var.accounts : contains(["none", "stop", "launch"], account.runs)])
    error_message = "Rights on runs are none, stop or launch."
  }
}
