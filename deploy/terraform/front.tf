# The one way in for people: a load balancer that asks Google who they are (Identity-Aware Proxy) before a request reaches
# a service. Services take requests from it alone (ingress), and only those that the proxy signs (invoker).

variable "is_released" {
  type        = bool
  description = "Whether the first release was applied: rights on services and jobs need them to be there."
  default     = false
}

locals {
  people = {
    web          = var.operators
    web-readonly = var.readers
    mlflow       = var.operators
  }
  page_grants = merge([
    for page in keys(var.pages) : {
      for member in local.people[page] : "${page} ${member}" => { page = page, member = member }
    }
  ]...)
}

resource "google_project_service_identity" "iap" {
  provider   = google-beta
  service    = "iap.googleapis.com"
  depends_on = [google_project_service.used]
}

resource "google_compute_region_network_endpoint_group" "pages" {
  for_each              = var.pages
  name                  = each.key
  region                = var.region
  network_endpoint_type = "SERVERLESS"
  cloud_run {
    service = each.key
  }
}

resource "google_compute_backend_service" "pages" {
  for_each              = var.pages
  name                  = each.key
  load_balancing_scheme = "EXTERNAL_MANAGED"
  protocol              = "HTTPS"
  backend {
    group = google_compute_region_network_endpoint_group.pages[each.key].id
  }
  iap {
    enabled = true
  }
  log_config {
    enable = true
  }
}

resource "google_compute_url_map" "pages" {
  name = var.network
  # Unknown hosts get the pages on which nothing can be changed.
  default_service = google_compute_backend_service.pages["web-readonly"].id
  dynamic "host_rule" {
    for_each = var.pages
    content {
      hosts        = ["${host_rule.value}.${var.domain}"]
      path_matcher = host_rule.key
    }
  }
  dynamic "path_matcher" {
    for_each = var.pages
    content {
      name            = path_matcher.key
      default_service = google_compute_backend_service.pages[path_matcher.key].id
    }
  }
}

resource "google_compute_managed_ssl_certificate" "pages" {
  name = var.network
  managed {
    domains = [for label in values(var.pages) : "${label}.${var.domain}"]
  }
}

resource "google_compute_ssl_policy" "pages" {
  name            = var.network
  profile         = "MODERN"
  min_tls_version = "TLS_1_2"
}

resource "google_compute_target_https_proxy" "pages" {
  name             = var.network
  url_map          = google_compute_url_map.pages.id
  ssl_certificates = [google_compute_managed_ssl_certificate.pages.id]
  ssl_policy       = google_compute_ssl_policy.pages.id
}

resource "google_compute_global_address" "pages" {
  name       = "${var.network}-pages"
  depends_on = [google_project_service.used]
}

resource "google_compute_global_forwarding_rule" "pages" {
  name                  = var.network
  target                = google_compute_target_https_proxy.pages.id
  ip_address            = google_compute_global_address.pages.address
  port_range            = "443"
  load_balancing_scheme = "EXTERNAL_MANAGED"
}

resource "google_iap_web_backend_service_iam_member" "people" {
  for_each            = local.page_grants
  web_backend_service = google_compute_backend_service.pages[each.value.page].name
  role                = "roles/iap.httpsResourceAccessor"
  member              = each.value.member
}

resource "google_cloud_run_v2_service_iam_member" "pages" {
  for_each = var.is_released ? var.pages : {}
  name     = each.key
  location = var.region
  role     = "roles/run.invoker"
  member   = google_project_service_identity.iap.member
}

resource "google_cloud_run_v2_service_iam_member" "scoring" {
  for_each = var.is_released ? toset(var.scoring_clients) : []
  name     = "scoring"
  location = var.region
  role     = "roles/run.invoker"
  member   = each.value
}

output "address" {
  description = "What the pages' host names have to point to (A records)."
  value       = google_compute_global_address.pages.address
}
