"""From an environment file to the resources of the graph.

Belongs here: which adapter stands for which port, and where its data lie. Does not belong here: the adapters.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

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
    ReportStore,
    TableEngine,
)
from mlops_assets.domain.quality.release_ports import FeedReleases
from resources.agents_store import LocalAgentsStore
from resources.deployment_store import LocalDeploymentStore
from resources.duckdb_engine import DuckDbEngine
from resources.feed_releases import SqliteFeedReleases
from resources.lake import LocalLake
from resources.landing_zone import LocalLandingZone
from resources.mail_outbox import SqliteOutbox
from resources.mailbox import LocalMailbox
from resources.mlflow_registry import MlflowRegistry
from resources.promotion_ledger import SqlitePromotionLedger
from resources.provenance import GitProvenance
from resources.report_store import LocalReportStore
from resources.smtp_transport import SmtpTransport

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
        releases=SqliteFeedReleases((home / environment.ledger.database).with_name(FEED_RELEASES_NAME)),
        reports=LocalReportStore(home / storage.reports),
        deployments=LocalDeploymentStore(home / storage.deployment),
        agents=LocalAgentsStore(offers_folder(environment, home)),
        provenance=GitProvenance(),
        outbox=SqliteOutbox(home / environment.mail.outbox, environment.mail.sender),
        mail=open_mail(environment.mail, home),
    )


def offers_folder(environment: Environment, home: Path) -> Path:
    """Return the folder of the agents' store, one folder a geography in it."""
    return home / environment.storage.deployment / OFFERS_FOLDER


def open_scratch(environment: Environment, home: Path, folder: Path) -> tuple[Lake, TableEngine]:
    """Return an empty lake in a folder of its own, and an engine that reads the environment's lake and writes there."""
    storage = environment.storage
    engine = DuckDbEngine(
        threads=environment.executor.threads_per_step,
        memory_limit=environment.engine.memory_limit,
        temp_directory=home / storage.temporary,
        allowed_directories=[home / storage.lake, folder],
    )
    return LocalLake(folder), engine


def open_mail(settings: MailConfig, home: Path) -> MailTransport:
    """Return the way out of mails; a password is read when a mail is sent, not here."""
    if settings.kind == "local":
        return LocalMailbox(home / settings.mailbox)
    return SmtpTransport(settings, ca_file=home / settings.ca_file if settings.ca_file else None)
