"""Dagster sensors: glue only, the decisions are in mlops_assets.domain."""
