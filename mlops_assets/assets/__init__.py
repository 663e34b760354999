"""Thin Dagster assets, one module per stage of the data flow, plus partitions, jobs and checks."""
