# One PostgreSQL server: decisions, mails and feed releases; Dagster; MLflow. A database each, since the latter two both
# keep their migrations in a table of the same name.

variable "database_tier" {
  type        = string
  description = "Machine of the instance; docs/cloud.md says what the sizes cost."
  default     = "db-custom-1-3840"
}

variable "database_availability" {
  type        = string
  description = "REGIONAL keeps a stand-by in another zone; ZONAL is half the price."
  default     = "REGIONAL"
  validation {
    condition     = contains(["REGIONAL", "ZONAL"], var.database_availability)
    error_message = "REGIONAL or ZONAL."
  }
}

resource "google_sql_database_instance" "platform" {
  name                = var.instance
  region              = var.region
  database_version    = "POSTGRES_17"
  deletion_protection = true
  settings {
    edition                     = "ENTERPRISE"
    tier                        = var.database_tier
    availability_type           = var.database_availability
    disk_type                   = "PD_SSD"
    disk_size                   = 20
    disk_autoresize             = true
    disk_autoresize_limit       = 200
    deletion_protection_enabled = true
    # Only through Cloud SQL's own connectors: with a certificate and an identity that IAM knows.
    connector_enforcement = "REQUIRED"
    ip_configuration {
      ipv4_enabled    = false
      private_network = google_compute_network.platform.id
      ssl_mode        = "TRUSTED_CLIENT_CERTIFICATE_REQUIRED"
    }
    backup_configuration {
      enabled                        = true
      start_time                     = "03:00"
      point_in_time_recovery_enabled = true
      transaction_log_retention_days = 7
      backup_retention_settings {
        retained_backups = 30
        retention_unit   = "COUNT"
      }
    }
    maintenance_window {
      day          = 7
      hour         = 4
      update_track = "stable"
    }
    insights_config {
      query_insights_enabled = true
    }
    database_flags {
      name  = "log_lock_waits"
      value = "on"
    }
    # Each process of the platform holds few connections, each only as long as it works.
    database_flags {
      name  = "max_connections"
      value = "200"
    }
  }
  lifecycle {
    prevent_destroy = true
    ignore_changes  = [settings[0].disk_size]
  }
  depends_on = [google_service_networking_connection.services]
}

resource "google_sql_database" "platform" {
  for_each        = toset(var.databases)
  name            = each.value
  instance        = google_sql_database_instance.platform.name
  deletion_policy = "ABANDON"
}

# The user is made by hand, with the password that goes into the secret (docs/cloud.md): what Terraform sets, its state
# file holds.
