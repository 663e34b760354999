"""From a delivered file to a published partition `feeds/<feed>`, or to a reason why not.

Belongs here: the order of validation, homologation, acceptance and publication, and its outcome. Does not
belong here: how rows are translated (homologation), where files lie (ports).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Literal

from mlops_assets.domain.errors import EngineError, FeedMissingError
from mlops_assets.domain.feeds.contract import FeedContract, Geography
from mlops_assets.domain.feeds.file_homologation import RefusedRowsError, RowCounts, homologate_file
from mlops_assets.domain.feeds.homologation import homologation_key
from mlops_assets.domain.feeds.metadata import FeedFindingsError, Finding, MetadataReport, validate_metadata
from mlops_assets.domain.hashing import file_sha256, stable_hash
from mlops_assets.domain.ports import Lake, LandedFile, LandingZone, Manifest, PartitionId, TableEngine
from mlops_assets.domain.published import find_current, read_manifest

Status = Literal["landed", "reused", "refused", "missing"]
_DELIVERY_FAULTS = {"truncated_file", "ragged_row", "encoding", "csv"}


@dataclass(frozen=True)
class FeedOutcome:
    """What became of a delivery.

    Attributes:
        status: `landed` and `reused` leave a valid partition, `refused` and `missing` what was there before.
        partition: the partition concerned.
        build_key: what the partition's content depends on; empty if no file was there.
        raw_sha256: hash of the delivered bytes; empty if no file was there.
        counts: of this delivery (for `reused` as recorded).
        findings: one line each: file, row or column, expectation, remedy.
        manifest: what is published now, whatever the status.
    """

    status: Status
    partition: PartitionId
    build_key: str = ""
    raw_sha256: str = ""
    counts: RowCounts = field(default_factory=RowCounts)
    findings: tuple[str, ...] = ()
    manifest: Manifest | None = None


def land_feed(
    contract: FeedContract,
    geography: Geography,
    geography_chain: list[str],
    day: dt.date | None,
    *,
    landing: LandingZone,
    lake: Lake,
    engine: TableEngine,
) -> FeedOutcome:
    """Validate, homologate and publish one delivery; the same delivery again costs nothing.

    Args:
        contract: the feed, with the overrides of all geographies.
        geography: where it was delivered.
        geography_chain: the geography's code and those it is like, nearest first.
        day: business day; None for snapshots.
        landing: where the operator delivers.
        lake: where the partition is published.
        engine: what runs the statements.

    Returns:
        The outcome; a bad delivery is `refused` with its findings and leaves what was published before.

    Raises:
        ConfigError: the contract cannot be applied.
        StorageError, EngineError: the platform, not the delivery, is at fault; run again.
    """
    delivery = _Delivery(contract.for_geography(geography_chain), geography, day, lake, engine)
    file = landing.find(geography.code, delivery.contract.file_name(day))
    if file is None:
        return delivery.missing()
    return delivery.land(file)


@dataclass(frozen=True)
class _Delivery:
    """One file on its way."""

    contract: FeedContract
    geography: Geography
    day: dt.date | None
    lake: Lake
    engine: TableEngine

    @property
    def partition(self) -> PartitionId:
        return PartitionId(f"feeds/{self.contract.name}", self.geography.code, self.day)

    def missing(self) -> FeedOutcome:
        try:
            validate_metadata(self.contract, self.geography, self.day, None)
        except FeedMissingError as error:
            finding = str(error)
        published = read_manifest(self.lake, self.partition)
        return FeedOutcome("missing", self.partition, findings=(finding,), manifest=published)

    def land(self, file: LandedFile) -> FeedOutcome:
        sha256 = file_sha256(file.path)
        key = stable_hash([sha256, homologation_key(self.contract, self.geography)])
        if current := find_current(self.lake, self.partition, key):
            return FeedOutcome("reused", self.partition, key, sha256, _recorded(current), manifest=current)
        counts, findings = RowCounts(), []
        try:
            report = validate_metadata(self.contract, self.geography, self.day, file)
            manifest, counts = self._publish(report, key, sha256)
        except FeedFindingsError as error:
            findings = list(error.findings)
        except RefusedRowsError as error:
            counts, findings = error.counts, error.findings
        except EngineError as error:
            if error.kind not in _DELIVERY_FAULTS:
                raise
            findings = [_engine_finding(file, error)]
        if findings:
            texts = tuple(str(finding) for finding in findings)
            published = read_manifest(self.lake, self.partition)
            return FeedOutcome("refused", self.partition, key, sha256, counts, texts, published)
        return FeedOutcome("landed", self.partition, key, sha256, counts, manifest=manifest)

    def _publish(self, report: MetadataReport, key: str, sha256: str) -> tuple[Manifest, RowCounts]:
        with self.lake.write(self.partition, key) as writer:
            row_count, counts = homologate_file(
                self.contract, self.geography, self.day, report, engine=self.engine, writer=writer
            )
            facts = {
                "raw_file": report.file.path.name,
                "raw_sha256": sha256,
                "delivered": counts.delivered,
                "good": counts.good,
                "duplicates": counts.duplicates,
                "late": counts.late,
                "quarantined": dict(counts.quarantined),
            }
            manifest = writer.commit(
                row_count=row_count, inputs={f"raw/{report.file.path.name}": sha256}, facts=facts
            )
        return manifest, counts


def _recorded(manifest: Manifest) -> RowCounts:
    names = ("delivered", "good", "duplicates", "late", "quarantined")
    return RowCounts(**{name: manifest.facts[name] for name in names})


def _engine_finding(file: LandedFile, error: EngineError) -> Finding:
    line = f", line {error.line}" if error.line else ""
    return Finding(
        f"{file.path.name}{line}", error.what, "", error.expected, error.remedy or "have it delivered again"
    )
