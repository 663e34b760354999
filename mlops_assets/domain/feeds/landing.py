"""From a delivered file to a published partition `feeds/<feed>`, or to a reason why not.

Belongs here: the order of validation, homologation, acceptance and publication, and its outcome. Does not
belong here: how rows are translated (homologation), what looks broken (quality.feed_gate), where files lie
(ports).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Literal

from mlops_assets.domain.errors import EngineError, FeedMissingError
from mlops_assets.domain.feeds.contract import FeedContract, Geography
from mlops_assets.domain.feeds.delivery_record import (
    delivery_facts,
    feed_partition,
    held_partition,
    read_counts,
    read_health,
    read_history,
    read_profile_of,
)
from mlops_assets.domain.feeds.file_homologation import RefusedRowsError, RowCounts, homologate_file
from mlops_assets.domain.feeds.homologation import homologation_key
from mlops_assets.domain.feeds.metadata import FeedFindingsError, Finding, MetadataReport, validate_metadata
from mlops_assets.domain.hashing import file_sha256, stable_hash
from mlops_assets.domain.ports import (
    Lake,
    LandedFile,
    LandingZone,
    Manifest,
    PartitionId,
    PartitionWriter,
    TableEngine,
)
from mlops_assets.domain.published import find_current, read_manifest
from mlops_assets.domain.quality.feed_gate import FeedHealth, judge_delivery
from mlops_assets.domain.quality.feed_profile import FeedProfile, read_profile
from mlops_assets.domain.quality.release_ports import FeedReleases

Status = Literal["landed", "reused", "refused", "missing", "held"]
_DELIVERY_FAULTS = {"truncated_file", "ragged_row", "encoding", "csv"}


@dataclass(frozen=True)
class FeedOutcome:
    """What became of a delivery.

    Attributes:
        status: `landed` and `reused` leave a valid partition, `refused`, `missing` and `held` what was there
            before. A held delivery satisfies its contract, but its history says that it is broken.
        partition: the partition concerned.
        build_key: what the partition's content depends on; empty if no file was there.
        raw_sha256: hash of the delivered bytes; empty if no file was there.
        counts: of this delivery (for `reused` as recorded).
        findings: one line each: file, row or column, expectation, remedy.
        manifest: what is published now, whatever the status.
        health: the feed gate's verdict; None for what it does not judge (snapshots, refused files).
    """

    status: Status
    partition: PartitionId
    build_key: str = ""
    raw_sha256: str = ""
    counts: RowCounts = field(default_factory=RowCounts)
    findings: tuple[str, ...] = ()
    manifest: Manifest | None = None
    health: FeedHealth | None = None


def land_feed(
    contract: FeedContract,
    geography: Geography,
    geography_chain: list[str],
    day: dt.date | None,
    *,
    landing: LandingZone,
    lake: Lake,
    engine: TableEngine,
    releases: FeedReleases | None = None,
) -> FeedOutcome:
    """Validate, homologate, judge and publish one delivery; the same delivery again costs nothing.

    Args:
        contract: the feed, with the overrides of all geographies.
        geography: where it was delivered.
        geography_chain: the geography's code and those it is like, nearest first.
        day: business day; None for snapshots.
        landing: where the operator delivers.
        lake: where the partition is published.
        engine: what runs the statements.
        releases: held deliveries that a person has released; None knows of none.

    Returns:
        The outcome; a bad delivery is `refused` or `held` with its findings and leaves what was published
        before.

    Raises:
        ConfigError: the contract cannot be applied.
        StorageError, EngineError: the platform, not the delivery, is at fault; run again.
    """
    delivery = _Delivery(contract.for_geography(geography_chain), geography, day, lake, engine, releases)
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
    releases: FeedReleases | None

    @property
    def partition(self) -> PartitionId:
        return feed_partition(self.contract.name, self.geography.code, self.day)

    @property
    def held_partition(self) -> PartitionId:
        return held_partition(self.contract.name, self.geography.code, self.day)

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
        return self._reused(key, sha256) or self._still_held(key, sha256) or self._judged(file, key, sha256)

    def _reused(self, key: str, sha256: str) -> FeedOutcome | None:
        current = find_current(self.lake, self.partition, key)
        if current is None:
            return None
        self._clear_held()  # a run that was killed may have left it
        counts, health = read_counts(current), read_health(current)
        return FeedOutcome("reused", self.partition, key, sha256, counts, manifest=current, health=health)

    def _still_held(self, key: str, sha256: str) -> FeedOutcome | None:
        """Judge a held delivery anew by its stored profile: earlier days may have been corrected since."""
        held = read_manifest(self.lake, self.held_partition)
        profile = read_profile_of(held) if held is not None and held.build_key == key else None
        if held is None or profile is None:
            return None
        health = self._health(profile, sha256)
        if health is None or health.status != "broken":
            return None
        return self._held_outcome(held, health, sha256)

    def _judged(self, file: LandedFile, key: str, sha256: str) -> FeedOutcome:
        counts, findings = RowCounts(), []
        try:
            report = validate_metadata(self.contract, self.geography, self.day, file)
            return self._publish(report, key, sha256)
        except FeedFindingsError as error:
            findings = list(error.findings)
        except RefusedRowsError as error:
            counts, findings = error.counts, error.findings
        except EngineError as error:
            if error.kind not in _DELIVERY_FAULTS:
                raise
            findings = [_engine_finding(file, error)]
        texts = tuple(str(finding) for finding in findings)
        published = read_manifest(self.lake, self.partition)
        return FeedOutcome("refused", self.partition, key, sha256, counts, texts, published)

    def _publish(self, report: MetadataReport, key: str, sha256: str) -> FeedOutcome:
        raw_file = report.file.path.name
        with self.lake.write(self.partition, key) as writer:
            row_count, counts = homologate_file(
                self.contract, self.geography, self.day, report, engine=self.engine, writer=writer
            )
            profile = self._profile(writer, row_count, counts)
            health = self._health(profile, sha256)
            facts = delivery_facts(raw_file, sha256, counts, profile, health)
            inputs = {f"raw/{raw_file}": sha256}
            if health is not None and health.status == "broken":
                held = self._hold(writer, key, Manifest(key, row_count, {}, inputs, facts))
                return self._held_outcome(held, health, sha256)
            manifest = writer.commit(row_count=row_count, inputs=inputs, facts=facts)
        self._clear_held()
        return FeedOutcome("landed", self.partition, key, sha256, counts, manifest=manifest, health=health)

    def _profile(self, writer: PartitionWriter, row_count: int, counts: RowCounts) -> FeedProfile | None:
        """Profile what was written, if it is to be judged; a snapshot has no history to be compared with."""
        if self.day is None or not self.contract.gate.is_enabled:
            return None
        return read_profile(self.contract, writer.file("data"), row_count, counts, self.engine)

    def _health(self, profile: FeedProfile | None, sha256: str) -> FeedHealth | None:
        if self.day is None or profile is None:
            return None
        contract, code = self.contract, self.geography.code
        history = read_history(self.lake, contract.name, code, self.day, contract.gate)
        health = judge_delivery(contract, self.day, profile, history)
        if health.status != "broken" or self.releases is None:
            return health
        release = self.releases.find(contract.name, code, self.day, sha256)
        if release is None:
            return health
        note = f"released on {release.released_at_utc:%Y-%m-%d %H:%M} UTC: {release.note}"
        return health.model_copy(
            update={"status": "healthy", "note": note, "released_by": release.released_by}
        )

    def _hold(self, writer: PartitionWriter, key: str, content: Manifest) -> Manifest:
        """Publish what was written for the feed's partition under `held/` instead."""
        with self.lake.write(self.held_partition, key) as held:
            for role in ("data", "quarantine") if content.facts["quarantined"] else ("data",):
                writer.file(role).replace(held.file(role))
            return held.commit(row_count=content.row_count, inputs=content.inputs, facts=content.facts)

    def _held_outcome(self, held: Manifest, health: FeedHealth, sha256: str) -> FeedOutcome:
        published = read_manifest(self.lake, self.partition)
        findings = tuple(self._held_finding(held, finding.text) for finding in health.findings)
        counts, key = read_counts(held), held.build_key
        return FeedOutcome("held", self.partition, key, sha256, counts, findings, published, health)

    def _held_finding(self, held: Manifest, text: str) -> str:
        where = f"{self.contract.name} {self.geography.code} {self.day}"
        remedy = f"have it delivered again or, if it is right, `mlops feeds release {where}`"
        return f"{held.facts['raw_file']}: held: {text}; remedy: {remedy}"

    def _clear_held(self) -> None:
        """Remove what is held of this day: what is published now has taken its place."""
        if read_manifest(self.lake, self.held_partition) is not None:
            self.lake.remove(self.held_partition)


def _engine_finding(file: LandedFile, error: EngineError) -> Finding:
    line = f", line {error.line}" if error.line else ""
    return Finding(
        f"{file.path.name}{line}", error.what, "", error.expected, error.remedy or "have it delivered again"
    )
