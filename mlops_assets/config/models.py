"""The shape of the files under configs/.

Belongs here: one model per kind of file. Does not belong here: types that the domain works with by itself
(contracts, corpus, model and gate specifications live in mlops_assets.domain and are embedded here).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from mlops_assets.config.engine_config import EngineConfig
from mlops_assets.config.run_models import LogForm, RunsConfig
from mlops_assets.config.store_models import (
    DatabaseConfig,
    LedgerConfig,
    RegistryConfig,
    RelativePath,
    StorageConfig,
    VariableName,
    is_loopback,
)
from mlops_assets.domain.feeds.contract import (
    CountryCode,
    CurrencyCode,
    FeedContract,
    Geography,
    GeographyCode,
    Name,
    Owner,
    TimeZone,
)
from mlops_assets.domain.learning.approval import ApprovalSpec
from mlops_assets.domain.learning.spec import CorpusSpec, ModelSpec, RetrainingSpec
from mlops_assets.domain.mail_address import MailAddress
from mlops_assets.domain.model_base import Record
from mlops_assets.domain.offers.offers_spec import OffersSpec
from mlops_assets.domain.quality.spec import MonitorSpec


class UseCase(Record):
    """A use case: whose it is, what it learns from, and its models.

    `segment_by: geography` trains one model per geography that lists the use case, `none` a single one
    (segment `all`). `score_daily` lets the champion score every active row of each day. `approval` says who makes a
    challenger the champion once it has passed the gate. `offers` is for use cases that decide about offers.

    Attributes:
        name: of the use case; its file has the same name.
        description: what the predictions are for.
        owner: team or mail address that answers for it; reviews its file.
        recipients: mail addresses that get its reports.
        corpus: rows that are learned from.
        retraining: when drift trains it again.
        models: its models, by name.
    """

    name: Name
    description: str
    owner: Owner
    recipients: list[MailAddress] = []
    segment_by: Literal["geography", "none"] = "geography"
    score_daily: bool = True
    approval: ApprovalSpec = ApprovalSpec()
    corpus: CorpusSpec
    retraining: RetrainingSpec = RetrainingSpec()
    models: dict[Name, ModelSpec] = Field(min_length=1)
    offers: OffersSpec | None = None


class UseCaseDefaults(Record):
    """configs/use_cases/_defaults.yaml: what a use case and each of its models inherit.

    Attributes:
        use_case: keys of a use case, for all that do not give them.
        model: keys of a model, for all that do not give them.
    """

    use_case: dict[str, Any] = {}
    model: dict[str, Any] = {}


class GeographyEntry(Record):
    """One entry of configs/geographies.yaml; the code is its key.

    `like` names a geography whose plan codes, use cases and feed overrides it takes over where it gives none;
    where that one gives none either, those of the geography which it is like, and so on.
    `country` is the ISO 3166 code whose public holidays the forecasts know. `overrides` is laid over the use case
    of that name, for this geography only.

    Attributes:
        name: for people.
        timezone: an IANA name; days are local days.
        currency: ISO 4217 code of amounts in its feeds.
        usd_per_unit: by which amounts become US dollars.
        plan_codes: the operator's plan codes to ours.
        use_cases: that run here.
    """

    name: str
    timezone: TimeZone
    currency: CurrencyCode
    country: CountryCode = ""
    usd_per_unit: float = Field(gt=0.0)
    like: GeographyCode | None = None
    plan_codes: dict[str, Name] = {}
    use_cases: list[Name] = []
    overrides: dict[Name, dict[str, Any]] = {}


class GeographiesFile(Record):
    """configs/geographies.yaml.

    Attributes:
        geographies: by code, two to sixteen small letters and digits.
    """

    geographies: dict[GeographyCode, GeographyEntry] = Field(min_length=1)

    def chain(self, code: str) -> list[str]:
        """Return the geography and those it is `like`, nearest first."""
        return follow_like(code, {code: entry.like for code, entry in self.geographies.items()})


class MailConfig(Record):
    """How mails leave. `local` writes them into a folder, `smtp` gives them to a server.

    Attributes:
        kind: `local` or `smtp`.
        sender: address in From.
        outbox: file of the mails that wait or were sent, below MLOPS_HOME; unused with a `database` of kind
            `postgresql`.
        mailbox: folder of mails as files, below MLOPS_HOME.
        host: of the SMTP server.
        port: of the SMTP server; 587 for `starttls`, 465 for `implicit` as a rule.
        tls: `starttls` or `implicit`, both verified; `none` only to this machine.
        ca_file: certificates to trust beside those of the system, PEM, below MLOPS_HOME.
        username: for the log-in; empty for none.
        password_variable: name of the environment variable that holds the password, never the password.
        timeout_s: for each answer of the server, seconds.
    """

    kind: Literal["local", "smtp"] = "local"
    sender: MailAddress = "mlops-assets@localhost"
    outbox: RelativePath = "mail/outbox.db"
    mailbox: RelativePath = "mail/mailbox"
    host: str = Field("", pattern=r"^([A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?|::1)?$", max_length=253)
    port: int = Field(587, ge=1, le=65535)
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    ca_file: RelativePath | None = None
    username: str = ""
    password_variable: VariableName = ""
    timeout_s: float = Field(20.0, gt=0.0, le=40.0)  # a dozen answers, within the outbox's claim

    @model_validator(mode="after")
    def _reaches_a_server_safely(self) -> MailConfig:
        if self.kind == "smtp" and not self.host:
            raise ValueError("`host` is missing: kind `smtp` needs a server")
        if bool(self.username) != bool(self.password_variable):
            raise ValueError("`username` and `password_variable` go together")
        if self.kind == "smtp" and self.tls == "none" and not is_loopback(self.host):
            raise ValueError(
                f"`tls: none` would send mails in clear to {self.host}; use starttls or implicit"
            )
        return self


class AlertsConfig(Record):
    """Who is told of failed runs and of failed checks of severity ERROR; nobody by default.

    Attributes:
        recipients: mail addresses.
    """

    recipients: list[MailAddress] = []


class CalendarConfig(Record):
    """The days the platform knows: from the first day of data to some days after today.

    Partitions exist from `first_day` on; `days_ahead` admits files dated later than the machine's clock.
    """

    first_day: dt.date
    days_ahead: int = Field(1, ge=0, le=3650)


class ExecutorConfig(Record):
    """How a run executes its steps: in processes of their own, `max_concurrent` at once, or one after another.

    `cores` are the cores that one run may use; the steps that run at once share them.

    Attributes:
        kind: `multiprocess` (steps in processes of their own) or `in_process` (one after another).
    """

    kind: Literal["multiprocess", "in_process"] = "multiprocess"
    cores: int = Field(2, ge=1, le=256)
    max_concurrent: int = Field(2, ge=1, le=64)

    @property
    def threads_per_step(self) -> int:
        """Threads that a step's libraries may use; more than the cores in total would slow all of them."""
        return self.cores if self.kind == "in_process" else max(1, self.cores // self.max_concurrent)


class CostConfig(Record):
    """What computing costs, for the utilisation report; the default is an assumption, nobody's price list.

    Attributes:
        usd_per_cpu_hour: price of an hour of one CPU.
    """

    usd_per_cpu_hour: float = Field(0.05, ge=0.0)

    @property
    def is_assumed(self) -> bool:
        """Whether nobody configured the price."""
        return "usd_per_cpu_hour" not in self.model_fields_set


class Environment(Record):
    """configs/environments/<name>.yaml.

    `logs: json` writes one JSON object a line, as Cloud Logging reads them.

    Attributes:
        name: of the environment; its file has the same name.
        description: for people.
        calendar: the days there are.
        engine: what runs the tables.
        storage: where files are kept.
        database: where decisions, mails and runs are kept.
        registry: where models are kept.
        ledger: where it is written who is champion.
        mail: how mails leave.
        alerts: who is told of failures.
        executor: how a run executes its steps.
        runs: where runs are executed.
        cost: what computing costs.
    """

    name: Name
    description: str = ""
    calendar: CalendarConfig
    engine: EngineConfig = EngineConfig()
    storage: StorageConfig = StorageConfig()
    database: DatabaseConfig = DatabaseConfig()
    registry: RegistryConfig = RegistryConfig()
    ledger: LedgerConfig = LedgerConfig()
    mail: MailConfig = MailConfig()
    alerts: AlertsConfig = AlertsConfig()
    executor: ExecutorConfig = ExecutorConfig()
    runs: RunsConfig = RunsConfig()
    logs: LogForm = "text"
    cost: CostConfig = CostConfig()

    @model_validator(mode="after")
    def _fits_spark(self) -> Environment:
        if self.engine.kind == "spark" and self.executor.kind != "in_process":
            raise ValueError(
                "engine `spark` needs `executor: {kind: in_process}`: every step would start a Java of its own"
            )
        if self.engine.master and self.storage.kind == "gcs":
            raise ValueError(
                "a Spark cluster cannot read the copies of objects on this machine: give it `storage: {kind: local}` "
                "with MLOPS_HOME on a file system that all its machines mount, or leave `master` out"
            )
        return self


def follow_like(code: str, likes: Mapping[str, str | None]) -> list[str]:
    """Return a code and those it is like, nearest first; the walk ends at a code that is unknown or known already."""
    chain: list[str] = []
    current: str | None = code
    while current is not None and current in likes and current not in chain:
        chain.append(current)
        current = likes[current]
    return chain


class ProjectConfig(Record):
    """Everything under configs/, loaded and checked together.

    `use_cases[name][segment]` is the use case with defaults and the geography's overrides applied.
    """

    roots: tuple[Path, ...]
    environment: Environment
    feeds: dict[Name, FeedContract]
    geographies: dict[GeographyCode, Geography]
    use_cases: dict[Name, dict[str, UseCase]]
    monitors: dict[Name, MonitorSpec] = {}

    def with_environment(self, **sections: Record) -> ProjectConfig:
        """Return the same project in its environment with some sections of that replaced."""
        return self.model_copy(update={"environment": self.environment.model_copy(update=sections)})

    def geography_chain(self, code: str) -> list[str]:
        """Return the geography and those it is `like`, nearest first."""
        return follow_like(code, {code: geography.like for code, geography in self.geographies.items()})

    def segments(self, use_case: str) -> list[str]:
        """Return the segments of a use case in order."""
        return sorted(self.use_cases[use_case])

    def segments_by_model(self, use_case: str) -> dict[str, dict[str, UseCase]]:
        """Return every model of a use case with the segments that have it: an override may add one."""
        segments = sorted(self.use_cases[use_case].items())
        models = dict.fromkeys(model for _, settings in segments for model in settings.models)
        return {
            model: {segment: settings for segment, settings in segments if model in settings.models}
            for model in models
        }

    def fleets(self, use_case: str) -> dict[str, dict[str, UseCase]]:
        """Return the models that have a fleet in some segment, with all segments that have the model."""
        return {
            model: segments
            for model, segments in self.segments_by_model(use_case).items()
            if any(settings.models[model].fleet for settings in segments.values())
        }

    def daily_feeds(self) -> list[FeedContract]:
        """Return the feeds that come every day, by name."""
        return [self.feeds[name] for name in sorted(self.feeds) if self.feeds[name].cadence == "daily"]

    def daily_monitors(self) -> list[MonitorSpec]:
        """Return the monitors of daily tables, by name."""
        return [spec for _, spec in sorted(self.monitors.items()) if not spec.day_column]

    def snapshot_monitors(self) -> list[MonitorSpec]:
        """Return the monitors of snapshot feeds, by name."""
        return [spec for _, spec in sorted(self.monitors.items()) if spec.day_column]

    def snapshot_feeds(self) -> list[FeedContract]:
        """Return the feeds without days, by name."""
        return [self.feeds[name] for name in sorted(self.feeds) if self.feeds[name].cadence == "snapshot"]
