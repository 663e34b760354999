"""Protocols that resources implement and that assets and domain services ask for.

Belongs here: the interfaces to the outside world and the plain records that cross them. Does not belong
here: any implementation (package `resources`) or any Dagster type.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mlops_assets.domain.ask_together import Store

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, order=True)
class PartitionId:
    """One partition of one table. `day` is None for tables without days (snapshots, corpora)."""

    table: str
    segment: str
    day: dt.date | None = None

    def __str__(self) -> str:
        """Show as table[segment day], the form that messages use."""
        return f"{self.table}[{self.segment}{f' {self.day}' if self.day else ''}]"


@dataclass(frozen=True)
class Manifest:
    """What a published partition holds.

    Attributes:
        build_key: hex hash of everything the content depends on.
        row_count: rows of the data file.
        files: role (`data`, `quarantine`, ...) to file name beside the manifest.
        inputs: str(PartitionId) of each input to its build key.
        facts: small JSON values worth keeping (counts by reason, day coverage, ...).
    """

    build_key: str
    row_count: int
    files: Mapping[str, str]
    inputs: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


class PartitionWriter(Protocol):
    """Collects the files of one partition; nothing is visible before `commit`."""

    def file(self, role: str, suffix: str = ".parquet") -> Path:
        """Return the temporary path where the file of this role is to be written."""
        ...

    def scratch(self, suffix: str = ".parquet") -> Path:
        """Return a temporary path for intermediate rows; the file is deleted with the end of the block."""
        ...

    def drop(self, role: str) -> None:
        """Take back a role: its file is not published."""
        ...

    def commit(
        self,
        *,
        row_count: int,
        inputs: Mapping[str, str] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Manifest:
        """Publish all files at once; fsync, rename, then replace the manifest."""
        ...


class Lake(Store, Protocol):
    """Versioned partitions of tables."""

    def manifest(self, partition: PartitionId) -> Manifest | None:
        """Return what is published, or None. Raises StorageError if the manifest cannot be read."""
        ...

    def path(self, partition: PartitionId, role: str = "data") -> Path:
        """Return the published file of this role; TableInputError if there is none."""
        ...

    def write(self, partition: PartitionId, build_key: str) -> AbstractContextManager[PartitionWriter]:
        """Open a writer; leaving the block without commit leaves the old partition as it was."""
        ...

    def days(self, table: str, segment: str) -> list[dt.date]:
        """Return the published days in order."""
        ...

    def remove(self, partition: PartitionId) -> None:
        """Unpublish a partition (its input was withdrawn)."""
        ...


class TableEngine(Protocol):
    """Runs compiled table expressions over Parquet or CSV files.

    `dialect` is the Ibis backend name by which statements for it are compiled.
    """

    @property
    def dialect(self) -> str:
        """Return `duckdb`, `pyspark` or another name that `table_sql.compile_sql` takes."""
        ...

    def write_parquet(
        self, sql: str, views: Mapping[str, ViewSource], target: Path, *, row_group_rows: int = 122_880
    ) -> int:
        """Run `sql` over the named views, write one Parquet file, return its rows."""
        ...

    def fetch(self, sql: str, views: Mapping[str, ViewSource]) -> pa.Table:
        """Run `sql` and return the (small) result."""
        ...

    def batches(
        self, sql: str, views: Mapping[str, ViewSource], rows_per_batch: int = 65_536
    ) -> Iterator[pa.RecordBatch]:
        """Run `sql` and stream the result, for matrices that would not fit twice in memory."""
        ...


@dataclass(frozen=True)
class ViewSource:
    """Where a named view takes its rows from: files of one format, or one small in-memory table.

    `text_columns` are the columns of a CSV, all read as text.
    `file_days` (same length as `files`) adds a DATE column `file_day` per file. `row_number_column`, if
    named, holds the number of each row in its file, from 1.
    """

    files: Sequence[Path] = ()
    format: str = "parquet"
    table: pa.Table | None = None
    delimiter: str = ","
    text_columns: Sequence[str] = ()
    file_days: Sequence[dt.date] = ()
    row_number_column: str = ""


@dataclass(frozen=True)
class LandedFile:
    """A file as the operator delivered it."""

    path: Path
    size_bytes: int
    modified_ns: int


class LandingZone(Protocol):
    """The folder (or bucket) into which the operator drops feed files."""

    def find(self, geography: str, file_name: str) -> LandedFile | None:
        """Return the delivered file, or None."""
        ...

    def list(self, geography: str) -> list[LandedFile]:
        """Return all delivered files of a geography."""
        ...


@dataclass(frozen=True)
class RegisteredVersion:
    """A model version in the registry."""

    name: str
    version: str
    run_id: str
    bundle_sha256: str
    tags: Mapping[str, str] = field(default_factory=dict)


class RunLogger(Protocol):
    """One tracked run (a leaderboard entry or its parent)."""

    run_id: str

    def params(self, values: Mapping[str, Any]) -> None:
        """Record hyperparameters."""
        ...

    def metrics(self, values: Mapping[str, float]) -> None:
        """Record finite metric values; non-finite ones are refused with LearningError."""
        ...

    def folder(self, local: Path, artifact_path: str) -> None:
        """Upload a folder of files."""
        ...


@dataclass(frozen=True)
class FinishedRun:
    """A run that is over when it is tracked, one of many.

    Attributes:
        name: shown in the registry's pages.
        params: hyperparameters and other settings.
        metrics: finite values.
        tags: texts.
        is_failed: it is marked FAILED.
        folder: files to upload, or None.
        artifact_path: where the folder goes.
    """

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    is_failed: bool = False
    folder: Path | None = None
    artifact_path: str = ""


class ModelRegistry(Protocol):
    """Tracked runs and registered model versions (MLflow)."""

    def run(
        self, experiment: str, run_name: str, tags: Mapping[str, str], parent_run_id: str | None = None
    ) -> AbstractContextManager[RunLogger]:
        """Open a run, nested under `parent_run_id` if given; failed blocks mark it FAILED."""
        ...

    def track_children(self, experiment: str, parent_run_id: str, runs: Sequence[FinishedRun]) -> list[str]:
        """Track many finished runs under one parent at once and return their ids, in order.

        All of them or, if it fails, none. Metrics that are not finite are refused with LearningError.
        """
        ...

    def register(
        self, name: str, run_id: str, artifact_path: str, bundle_sha256: str, tags: Mapping[str, str]
    ) -> RegisteredVersion:
        """Register the bundle logged at `artifact_path` of a run; idempotent per (name, bundle_sha256, run_id)."""
        ...

    def version(self, name: str, version: str) -> RegisteredVersion:
        """Return a version; RegistryError if unknown."""
        ...

    def download(self, version: RegisteredVersion, target: Path) -> Path:
        """Copy the bundle folder to `target` and return it. Hashes are verified by the bundle's reader."""
        ...

    def project_aliases(self, name: str, champion: str | None, challenger: str | None) -> None:
        """Make the aliases say what the ledger says."""
        ...

    def aliases(self, name: str) -> Mapping[str, str]:
        """Return alias to version of a registered model."""
        ...

    def open(self) -> None:
        """Create or upgrade the store; to be called once before several processes use it."""
        ...

    def run_url(self, run_id: str) -> str:
        """Return a link or URI a person can open."""
        ...


@dataclass(frozen=True)
class ModelSlot:
    """Where a champion lives: one per use case, model and segment."""

    use_case: str
    model: str
    segment: str

    @property
    def registered_name(self) -> str:
        """Name of the registered model."""
        return f"{self.use_case}.{self.model}.{self.segment}"


# Every outcome of a decision. A challenger that passed the gate may be `pending` until a person decides; what nobody
# decides in time is `expired`; `rolled_back` makes an earlier champion the champion again.
OUTCOMES = ("promoted", "rejected", "pending", "expired", "rolled_back")
# Those that make their version the champion.
CHAMPION_OUTCOMES = ("promoted", "rolled_back")


@dataclass(frozen=True)
class LedgerEntry:
    """One decision about one slot. `version` and `previous_version` are registry versions.

    `outcome` is one of OUTCOMES; those in CHAMPION_OUTCOMES move the pointer. `as_of_day` is the last day that the
    decision leaves to an earlier champion; None for models that know no days.
    """

    decision_id: str
    slot: ModelSlot
    outcome: str
    version: str
    bundle_sha256: str
    previous_version: str | None
    decided_by: str
    decided_at_utc: dt.datetime
    as_of_day: dt.date | None
    evidence_sha256: str
    reasons: tuple[str, ...]
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def makes_champion(self) -> bool:
        """Whether this decision moves the pointer."""
        return self.outcome in CHAMPION_OUTCOMES


@dataclass(frozen=True)
class RecordedBatch:
    """Decisions that were recorded together, and those whose champion was another one by then."""

    recorded: tuple[LedgerEntry, ...]
    stale: tuple[LedgerEntry, ...] = ()


class PromotionLedger(Protocol):
    """Append-only record of decisions; the only source of who is champion."""

    def champion(self, slot: ModelSlot) -> LedgerEntry | None:
        """Return the entry that made the current champion, or None."""
        ...

    def record(self, entry: LedgerEntry) -> LedgerEntry:
        """Append a decision; one that makes a champion compares `previous_version` with the pointer and swaps it.

        Idempotent on `decision_id`. Raises StaleChampionError if the champion is another one by now.
        """
        ...

    def record_many(self, entries: Sequence[LedgerEntry]) -> RecordedBatch:
        """Append decisions in one transaction, each by the rules of `record`; a stale one is left out alone."""
        ...

    def history(self, slot: ModelSlot) -> list[LedgerEntry]:
        """Return all decisions of a slot, oldest first."""
        ...

    def histories(self, use_case: str, model: str) -> dict[str, list[LedgerEntry]]:
        """Return the decisions of every slot of a model by segment, oldest first, in one read."""
        ...

    def slots(self) -> list[ModelSlot]:
        """Return every slot that has a decision."""
        ...

    def verify(self) -> int:
        """Read and check everything that is recorded, and return the number of decisions; StorageError if damaged."""
        ...


@dataclass(frozen=True)
class Person:
    """Somebody as a repository names them."""

    name: str
    email: str

    def __str__(self) -> str:
        """Show as Name <address>."""
        return f"{self.name} <{self.email}>" if self.email else self.name


class CodeProvenance(Protocol):
    """Where the running code comes from."""

    def stamps(self) -> Mapping[str, Any]:
        """Return git_commit, is_git_dirty and environment_lock_sha256; `unknown` where there is no repository."""
        ...

    def last_author(self, file: Path) -> Person | None:
        """Return who committed the file's present content; None if the repository does not know."""
        ...

    def user(self) -> Person | None:
        """Return who is at work here, as the repository's settings name them; None if they do not."""
        ...
