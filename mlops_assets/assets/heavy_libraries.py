"""Libraries that take seconds to import: a process that runs many steps loads them before the first.

Belongs here: which they are. Does not belong here: which processes load them (mlops_assets.preload,
mlops_assets.commands.job_runs).
"""

import importlib

HEAVY_MODULES = (
    "ibis.backends.sql.compilers",
    "duckdb",
    "pyarrow.parquet",
    "pandas",
    "pandera.pandas",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "catboost",
    "mlflow",
)


def import_heavy_libraries() -> None:
    """Import them."""
    for module in HEAVY_MODULES:
        importlib.import_module(module)
