# Yours: who may do what. A member is "group:...@...", "user:...@..." or "serviceAccount:...".

variable "operators" {
  type        = list(string)
  description = "Open Dagster and MLflow, and start, stop and approve there."
  validation {
    condition     = alltrue([for member in var.operators : can(regex("^(group|user):[^*]+@", member))])
    error_message = "A group or a person, never everybody."
  }
}

variable "readers" {
  type        = list(string)
  description = "Open the read-only pages."
  validation {
    condition     = alltrue([for member in var.readers : can(regex("^(group|user|domain):[^*]+", member))])
    error_message = "A group, a person or a domain, never everybody."
  }
}

variable "scoring_clients" {
  type        = list(string)
  description = "Service accounts of the operator's systems that ask for scores."
  validation {
    condition     = alltrue([for member in var.scoring_clients : can(regex("^serviceAccount:[^*]+@", member))])
    error_message = "Service accounts only."
  }
}

variable "feed_writers" {
  type        = list(string)
  description = "Service accounts of the operator's systems that deliver feeds."
  validation {
    condition     = alltrue([for member in var.feed_writers : can(regex("^serviceAccount:[^*]+@", member))])
    error_message = "Service accounts only."
  }
}
