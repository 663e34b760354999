"""From an environment file to the resources of the graph.

Belongs here: which adapter stands for which port, and where its data lie. Does not belong here: the adapters.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mlops_assets.config.models import Environment
from mlops_assets.domain.ports import (
    CodeProvenance,
    Lake,
    LandingZone,
    ModelRegistry,
    PromotionLedger,
    ReportStore,
    TableEngine,
)
from resources.duckdb_engine import DuckDbEngine
from resources.lake import LocalLake
from resources.landing_zone import LocalLandingZone
from resources.mlflow_registry import MlflowRegistry
from resources.promotion_ledger import SqlitePromotionLedger
from resources.provenance import GitProvenance
from resources.report_store import LocalReportStore


@dataclass(frozen=True)
class Platform:
    """The resources of one environment, by port."""

    landing: LandingZone
    lake: Lake
    engine: TableEngine
    registry: ModelRegistry
    ledger: PromotionLedger
    reports: ReportStore
    provenance: CodeProvenance

    def as_resources(self) -> dict[str, object]:
        """Return the resources under the names that assets and sensors ask for."""
        return dict(vars(self))


def data_root() -> Path:
    """Return the folder that holds all data: MLOPS_HOME, by default `var` below the working folder."""
    return Path(os.environ.get("MLOPS_HOME", "var")).resolve()


def open_platform(environment: Environment, home: Path) -> Platform:
    """Build the resources of an environment; nothing is opened before it is used."""
    storage, engine = environment.storage, environment.engine
    return Platform(
        landing=LocalLandingZone(home / storage.landing),
        lake=LocalLake(home / storage.lake),
        engine=DuckDbEngine(
            threads=environment.executor.threads_per_step,
            memory_limit=engine.memory_limit,
            temp_directory=home / storage.temporary,
            allowed_directories=[home / storage.landing, home / storage.lake],
        ),
        registry=MlflowRegistry(
            tracking_uri=f"sqlite:///{home / environment.registry.database}",
            artifact_root=home / environment.registry.artifacts,
        ),
        ledger=SqlitePromotionLedger(home / environment.ledger.database),
        reports=LocalReportStore(home / storage.reports),
        provenance=GitProvenance(),
    )
