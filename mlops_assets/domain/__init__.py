"""Pure computation: no Dagster, MLflow, cloud client, environment variable or clock in here."""
