"""Small simulated operators, a churn use case that is ready within days, and what is compared between two lakes."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import yaml

from mlops_assets.commands.sandbox import sandbox_arguments
from mlops_assets.commands.workspace import Workspace
from mlops_assets.config.loader import PROJECT_CONFIGS, load_project
from mlops_assets.config.models import ProjectConfig
from mlops_assets.domain.ports import ModelSlot
from mlops_assets.sandbox.parameters import BehaviourParameters, ChurnParameters
from mlops_assets.sandbox.simulation import init_sandbox
from resources.file_lock import exclusive_lock

if TYPE_CHECKING:
    import pytest

FIRST_DAY = dt.date(2026, 8, 3)
GEOGRAPHIES = ("cl", "pe")
# Some 3 % leave on a day instead of 0.15 %, and one can see them coming: two days of a thousand people hold
# enough of them to learn from and to judge by.
RESTLESS = BehaviourParameters(
    churn=ChurnParameters(onset_per_day=0.03, decline_days_min=3, decline_days_span=4, leaves_share=1.0)
)
# Trainable once the oldest train as-of has three days of history: 3 + 2 (second train as-of) + 2 x 2 (gaps) + 2.
READY_DAY = FIRST_DAY + dt.timedelta(days=11)
_ALGORITHMS = {
    "hist_gradient_boosting": {"hyperparameters": {"iterations": 20, "max_leaves": 7}},
    "linear": {},
    "dummy": {},
}
# Columns of MLflow's SQLite store that hold addresses of files.
_ADDRESSES = {
    "experiments": ["artifact_location"],
    "runs": ["artifact_uri"],
    "model_versions": ["source", "storage_location"],
}


def day_number(number: int) -> dt.date:
    """Return a day counted from the first one (0)."""
    return FIRST_DAY + dt.timedelta(days=number)


def slot_in(geography: str) -> ModelSlot:
    """Return the slot of the churn model in a geography."""
    return ModelSlot("churn", "churn_risk", geography)


def copy_configs(folder: Path) -> Path:
    """Copy the project's configs to a folder that a test may change, with churn as the only use case."""
    configs = Path(shutil.copytree(PROJECT_CONFIGS, folder))
    for path in (configs / "use_cases").glob("*.yaml"):
        if path.stem not in {"_defaults", "churn"}:
            path.unlink()
    geographies = configs / "geographies.yaml"
    geographies.write_text(re.sub(r"use_cases: \[.*\]", "use_cases: [churn]", geographies.read_text()))
    return configs


def churn_project() -> ProjectConfig:
    """Return the project with churn as the only use case: most of the platform is the same for all of them."""
    config = load_project()
    return config.model_copy(update={"use_cases": {"churn": config.use_cases["churn"]}})


def shorten_churn(configs: Path) -> None:
    """Give the churn use case a horizon of two days, a short split, three cheap algorithms and a weak gate."""
    path = configs / "use_cases" / "churn.yaml"
    settings: dict[str, Any] = yaml.safe_load(path.read_text())
    settings["corpus"]["min_history_days"] = 3
    settings["corpus"]["split"] = {
        "kind": "time",
        "as_of_every_days": 2,
        "train_as_ofs": 2,
        "train_as_ofs_min": 2,
        "validation_as_ofs": 1,
        "holdout_as_ofs": 1,
    }
    model = settings["models"]["churn_risk"]
    model["label"]["horizon_days"] = 2
    model["algorithms"] = _ALGORITHMS
    model["gate"] = {"floor": 0.5, "min_holdout_rows": 100, "min_holdout_positives": 5, "max_regret": 1.0}
    path.write_text(yaml.safe_dump(settings, sort_keys=False))


def deliver(home: Path, configs: Path, *, subscribers: int, days: int, **more: Any) -> None:
    """Let the operators of all configured geographies live and drop the files of their first days."""
    workspace = Workspace(home, load_project([configs], "local"))
    arguments = {"first_day": FIRST_DAY, "seed": 11, "events": [], **more}
    init_sandbox(**sandbox_arguments(workspace), subscribers=subscribers, days=days, **arguments)


def build_once(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], None]) -> Path:
    """Return a folder that the first test process to ask fills for all of them; nobody may change it."""
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    base = factory.getbasetemp().parent if is_worker else factory.getbasetemp()
    folder, done = base / name, base / f"{name}.done"
    with exclusive_lock(base / f"{name}.lock", timeout_s=600):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            build(folder)
            done.touch()
    return folder


def copy_home(home: Path, target: Path) -> Path:
    """Copy a data root, without its Dagster instance; its registry then names the copied files."""
    shutil.copytree(home, target, ignore=shutil.ignore_patterns("dagster_home"))
    database = target / "mlflow" / "mlflow.db"
    if database.exists():
        with closing(sqlite3.connect(database)) as connection, connection:
            for table, columns in _ADDRESSES.items():
                changes = ", ".join(f"{column} = replace({column}, ?, ?)" for column in columns)
                values = [str(home), str(target)] * len(columns)
                connection.execute(f"UPDATE {table} SET {changes}", values)  # noqa: S608 - names of our own
    return target


def lake_content(home: Path) -> dict[str, tuple[str, int, str]]:
    """Return build key, row count and rows (as sorted text) of every published partition, by its folder.

    Two builds may store the same rows in another order, so files are not compared byte by byte.
    """
    content = {}
    for path in sorted((home / "lake").rglob("manifest.json")):
        manifest = json.loads(path.read_text())
        rows: list[str] = []
        if data := manifest["files"].get("data"):
            rows = sorted(map(str, pq.read_table(path.parent / data).to_pylist()))
        where = path.parent.relative_to(home / "lake").as_posix()
        digest = sha256("\n".join(rows).encode()).hexdigest()
        content[where] = (manifest["build_key"], manifest["row_count"], digest)
    return content
