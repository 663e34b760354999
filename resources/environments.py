"""From an environment file to the resources of the graph.

Belongs here: which adapter stands for which port, and where its data lie. Does not belong here: the adapters.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.config.models import Environment, MailConfig
from mlops_assets.domain.deployment_ports import DeploymentStore
from mlops_assets.domain.mail_ports import MailTransport, Outbox
from mlops_assets.domain.offers.delivery_ports import AgentsStore
from mlops_assets.domain.ports import (
    CodeProvenance,
    Lake,
    LandingZone,
    ModelRegistry,
    PromotionLedger,
    TableEngine,
)
from mlops_assets.domain.quality.release_ports import FeedReleases
from mlops_assets.domain.reporting.report_ports import ReportStore
from resources.agents_store import LocalAgentsStore
from resources.database_address import make_address
from resources.deployment_store import LocalDeploymentStore
from resources.duckdb_engine import DuckDbEngine
from resources.feed_releases import SqliteFeedReleases
from resources.file_cache import FileCache
from resources.gcs_agents import GcsAgentsStore
from resources.gcs_lake import GcsLake
from resources.gcs_stores import GcsDeploymentStore, GcsLandingZone, GcsReportStore
from resources.lake import LocalLake
from resources.landing_zone import LocalLandingZone
from resources.mail_outbox import SqliteOutbox
from resources.mailbox import LocalMailbox
from resources.mlflow_registry import MlflowRegistry
from resources.object_store import ObjectStore
from resources.postgres_stores import PostgresFeedReleases, PostgresOutbox, PostgresPromotionLedger
from resources.promotion_ledger import SqlitePromotionLedger
from resources.provenance import GitProvenance
from resources.report_store import LocalReportStore
from resources.smtp_transport import SmtpTransport
from resources.spark_engine import SparkEngine
from resources.spark_session import require_spark

if TYPE_CHECKING:
    from sqlalchemy import URL

OFFERS_FOLDER = "offers"  # in the deployment's folder: what the operator's systems read
FEED_RELEASES_NAME = "feed_releases.db"  # beside the promotion ledger: both are decisions to be kept


@dataclass(frozen=True)
class Platform:
    """The resources of one environment, by port."""

    landing: LandingZone
    lake: Lake
    engine: TableEngine
    registry: ModelRegistry
    ledger: PromotionLedger
    releases: FeedReleases
    reports: ReportStore
    deployments: DeploymentStore
    agents: AgentsStore
    provenance: CodeProvenance
    outbox: Outbox
    mail: MailTransport

    def as_resources(self) -> dict[str, object]:
        """Return the resources under the names that assets and sensors ask for."""
        return dict(vars(self))


def data_root() -> Path:
    """Return the folder that holds all data: MLOPS_HOME, by default `var` below the working folder."""
    return Path(os.environ.get("MLOPS_HOME", "var")).resolve()


@dataclass(frozen=True)
class _Files:
    """What keeps files, and the local folders that the engine may read and write."""

    landing: LandingZone
    lake: Lake
    reports: ReportStore
    deployments: DeploymentStore
    agents: AgentsStore
    folders: tuple[Path, Path]
    artifact_root: str | Path


@dataclass(frozen=True)
class _Records:
    """What keeps records."""

    registry_address: str | Callable[[], URL]
    ledger: PromotionLedger
    releases: FeedReleases
    outbox: Outbox


def open_platform(environment: Environment, home: Path) -> Platform:
    """Build the resources of an environment; nothing is opened, and no secret read, before it is used."""
    files = (_gcs_files if environment.storage.kind == "gcs" else _local_files)(environment, home)
    is_server = environment.database.kind == "postgresql"
    records = (_postgres_records if is_server else _sqlite_records)(environment, home)
    return Platform(
        landing=files.landing,
        lake=files.lake,
        engine=_open_engine(environment, home, files.folders),
        registry=MlflowRegistry(
            records.registry_address, files.artifact_root, environment.registry.pages_url or None
        ),
        ledger=records.ledger,
        releases=records.releases,
        reports=files.reports,
        deployments=files.deployments,
        agents=files.agents,
        provenance=GitProvenance(),
        outbox=records.outbox,
        mail=open_mail(environment.mail, home),
    )


def check_engine(environment: Environment) -> None:
    """Raise ConfigError if this machine lacks what the environment's engine needs."""
    if environment.engine.kind == "spark":
        require_spark()


def _open_engine(environment: Environment, home: Path, folders: tuple[Path, ...]) -> TableEngine:
    settings, temporary = environment.engine, home / environment.storage.temporary
    threads = environment.executor.threads_per_step
    if settings.kind == "duckdb":
        return DuckDbEngine(threads, settings.memory_limit, temporary, folders)
    return SparkEngine(
        settings.master,
        threads,
        settings.memory_limit,
        temporary,
        folders,
        csv_engine=DuckDbEngine(threads, settings.memory_limit, temporary, (*folders, temporary)),
        settings=settings.spark_settings,
    )


def _local_files(environment: Environment, home: Path) -> _Files:
    storage = environment.storage
    landing, lake = home / storage.landing, home / storage.lake
    return _Files(
        landing=LocalLandingZone(landing),
        lake=LocalLake(lake),
        reports=LocalReportStore(home / storage.reports),
        deployments=LocalDeploymentStore(home / storage.deployment),
        agents=LocalAgentsStore(offers_folder(environment, home)),
        folders=(landing, lake),
        artifact_root=home / environment.registry.artifacts,
    )


def _gcs_files(environment: Environment, home: Path) -> _Files:
    storage = environment.storage
    folder, limit_bytes = home / storage.cache, round(storage.cache_gb * 1e9)
    landing = FileCache(folder / storage.landing, limit_bytes)
    lake = FileCache(folder / storage.lake, limit_bytes)
    return _Files(
        landing=GcsLandingZone(
            ObjectStore(storage.landing_bucket or storage.bucket, storage.landing), landing
        ),
        lake=GcsLake(ObjectStore(storage.bucket, storage.lake), lake),
        reports=GcsReportStore(ObjectStore(storage.bucket, storage.reports)),
        deployments=GcsDeploymentStore(
            ObjectStore(storage.bucket, storage.deployment), folder / storage.deployment
        ),
        agents=GcsAgentsStore(
            ObjectStore(storage.bucket, f"{storage.deployment}/{OFFERS_FOLDER}"),
            FileCache(folder / OFFERS_FOLDER, limit_bytes),
        ),
        folders=(landing.folder, lake.folder),
        artifact_root=f"gs://{storage.bucket}/{environment.registry.artifacts}",
    )


def _sqlite_records(environment: Environment, home: Path) -> _Records:
    ledger = home / environment.ledger.database
    return _Records(
        registry_address=f"sqlite:///{home / environment.registry.database}",
        ledger=SqlitePromotionLedger(ledger),
        releases=SqliteFeedReleases(ledger.with_name(FEED_RELEASES_NAME)),
        outbox=SqliteOutbox(home / environment.mail.outbox, environment.mail.sender),
    )


def _postgres_records(environment: Environment, _: Path) -> _Records:
    settings = environment.database
    address = make_address(settings, settings.platform)
    return _Records(
        registry_address=make_address(settings, settings.mlflow),
        ledger=PostgresPromotionLedger(address),
        releases=PostgresFeedReleases(address),
        outbox=PostgresOutbox(address, environment.mail.sender),
    )


def offers_folder(environment: Environment, home: Path) -> Path:
    """Return the folder of the agents' store, one folder a geography in it."""
    return home / environment.storage.deployment / OFFERS_FOLDER


def open_scratch(environment: Environment, home: Path, folder: Path) -> tuple[Lake, TableEngine]:
    """Return an empty lake in a folder of its own, and an engine that reads the environment's lake and writes there."""
    storage = environment.storage
    lake = home / storage.cache / storage.lake if storage.kind == "gcs" else home / storage.lake
    return LocalLake(folder), _open_engine(environment, home, (lake, folder))


def open_mail(settings: MailConfig, home: Path) -> MailTransport:
    """Return the way out of mails; a password is read when a mail is sent, not here."""
    if settings.kind == "local":
        return LocalMailbox(home / settings.mailbox)
    return SmtpTransport(settings, ca_file=home / settings.ca_file if settings.ca_file else None)
