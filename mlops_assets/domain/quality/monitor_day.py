"""A monitor's day: judge its values by the kernel of before, give the drift verdict, make the next kernel.

Belongs here: the order, what each result is made from, and publishing it. Does not belong here: the mathematics
(kernel, series_judgement, drift_verdict), or what readers see (mlops_assets.domain.reporting).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.ports import Lake, Manifest, PartitionId, TableEngine
from mlops_assets.domain.published import find_current, find_published
from mlops_assets.domain.quality.held_deliveries import DeliveryState, read_delivery_state
from mlops_assets.domain.quality.monitor_tables import (
    ANOMALIES,
    DRIFT,
    FEATURES,
    KERNEL,
    days_before,
    monitor_table,
    read_days,
    read_panel,
    window_days,
)
from mlops_assets.domain.quality.spec import MonitorSpec

if TYPE_CHECKING:
    import pyarrow as pa

    from mlops_assets.domain.quality.drift_evidence import DayEvidence, FeedEvidence, FeedStatus
    from mlops_assets.domain.quality.drift_verdict import DriftVerdict
    from mlops_assets.domain.quality.panel import Panel
    from mlops_assets.domain.quality.series_judgement import DayJudgement
    from mlops_assets.domain.quality.snapshot_series import SnapshotSeries
    from mlops_assets.domain.quality.stored_forecasts import DayForecast

# Raise it when the same values would give other results than before.
MONITOR_VERSION = "2"
EVIDENCE_DAYS = 90
_FEED_STATUS: dict[str, FeedStatus] = {
    "healthy": "healthy", "released": "healthy", "unjudged": "unknown", "held": "broken", "absent": "missing",
}  # fmt: skip


def code_versions(spec: MonitorSpec) -> tuple[str, ...]:
    """Return the versions of the code that makes a monitor's results: ours, and its forecasters'.

    Raises:
        ConfigError: a forecaster is unknown.
    """
    from mlops_assets.domain.quality.forecasters import FORECASTERS, find_forecaster

    kinds = (spec.forecast.largest.kind, spec.forecast.beyond.kind)
    return MONITOR_VERSION, *(f"{kind} {find_forecaster(kind, FORECASTERS).version}" for kind in kinds)


@dataclass(frozen=True)
class MonitorOutcome:
    """What became of one result of a monitor; `missing_input` leaves what was published before."""

    status: Literal["built", "reused", "missing_input"]
    partition: PartitionId
    manifest: Manifest | None
    detail: str


@dataclass(frozen=True)
class MonitorDay:
    """One monitor, segment and day.

    Attributes:
        spec: of the monitor.
        feeds: feeds that the monitored table is made of.
        segment: geography code.
        day: of the data.
        lake: where inputs are and results go.
        engine: sums the values.
        since_day: first day whose evidence of drift counts, after a retraining.
        snapshot: the values of a snapshot feed, read once for all its days; None for a daily table.
    """

    spec: MonitorSpec
    feeds: tuple[str, ...]
    segment: str
    day: dt.date
    lake: Lake
    engine: TableEngine
    since_day: dt.date | None = None
    snapshot: SnapshotSeries | None = None

    def partition(self, result: str) -> PartitionId:
        """Return the lake partition of a result of this day."""
        return PartitionId(monitor_table(self.spec.name, result), self.segment, self.day)

    def earlier(self, result: str, days: int) -> list[dt.date]:
        """Return the days before this one on which a result is published."""
        return days_before(self.lake, monitor_table(self.spec.name, result), self.segment, self.day, days)

    def manifests(self, result: str, days: int) -> dict[dt.date, Manifest]:
        """Return what is published of a result on the days before this one."""
        asked = [replace(self, day=day).partition(result) for day in self.earlier(result, days)]
        found = find_published(self.lake, asked)
        return {one.day: manifest for one, manifest in found.items() if one.day}

    # ------------------------------------------------------------ kernel

    def build_kernel(self) -> MonitorOutcome:
        """Publish the ranges of the coming days. Raises ConfigError for an unknown forecaster or parameter."""
        from mlops_assets.domain.quality.kernel import CALIBRATION_DAYS, build_kernel, history_days
        from mlops_assets.domain.quality.series_status import CONSTANT
        from mlops_assets.domain.quality.stored_forecasts import StoredForecasts

        days = history_days(self.spec.forecast)
        kernel_days = self.earlier(KERNEL, CALIBRATION_DAYS + self.spec.forecast.horizon_days)
        inputs = self._inputs(self.spec.table, days) | self._inputs_of(KERNEL, kernel_days)
        if str(PartitionId(self.spec.table, self.segment, self.day)) not in inputs:
            return self.missing(KERNEL, self.spec.table)
        key = self.key(KERNEL, inputs)
        if current := find_current(self.lake, self.partition(KERNEL), key):
            return MonitorOutcome("reused", self.partition(KERNEL), current, "the ranges are current")
        panel = self._panel(days)
        if panel is None:
            return self.missing(KERNEL, self.spec.table)
        stored = [one for day in kernel_days for one in self._forecasts_of(day)]
        kernel = build_kernel(panel, self.spec, StoredForecasts.of(stored))
        with_range = sum(
            bool(name) or word == CONSTANT
            for name, word in zip(kernel.forecaster, kernel.status, strict=True)
        )
        facts = {"series": len(panel.series), "series_with_range": with_range}
        return self.publish(KERNEL, key, kernel.to_arrow(), inputs, facts)

    def _panel(self, days: int) -> Panel | None:
        """Return the panel of the last days; None if this day is not published."""
        if self.snapshot is not None:
            return self.snapshot.rows.panel(self.day, days, self.spec.gap)
        return read_panel(self.spec, self.segment, self.day, days, lake=self.lake, engine=self.engine)

    def _forecasts_of(self, day: dt.date) -> tuple[DayForecast, ...]:
        """Return what an earlier day's kernel forecast; a replay reads every kernel once."""
        from mlops_assets.domain.quality.stored_forecasts import FORECAST_COLUMNS, StoredForecasts

        memory = {} if self.snapshot is None else self.snapshot.forecasts_by_day
        if day not in memory:
            table = monitor_table(self.spec.name, KERNEL)
            stored = read_days(self.lake, table, self.segment, [day], columns=FORECAST_COLUMNS)
            memory[day] = tuple(one for rows in stored for one in StoredForecasts.from_arrow(rows).forecasts)
        return memory[day]

    # ------------------------------------------------------------ judgement

    def judge(self) -> MonitorOutcome:
        """Publish the verdict on every series of the day, by the newest kernel made before it."""
        from mlops_assets.domain.quality.series_judgement import judge_day, read_day_ranges

        kernel_days = self.earlier(KERNEL, self.spec.forecast.horizon_days)[-1:]
        inputs = self._inputs(self.spec.table, 1) | self._inputs_of(KERNEL, kernel_days)
        feeds = self.feed_states()
        key = self.key(ANOMALIES, {**inputs, "feeds": stable_hash(feeds)})
        if current := find_current(self.lake, self.partition(ANOMALIES), key):
            return MonitorOutcome("reused", self.partition(ANOMALIES), current, "the verdicts are current")
        kernels = read_days(self.lake, monitor_table(self.spec.name, KERNEL), self.segment, kernel_days)
        ranges = [one for rows in kernels for one in read_day_ranges(rows, self.day)]
        judged = judge_day(self.day, ranges, self._values())
        return self.publish(ANOMALIES, key, judged.to_arrow(), inputs, _judgement_facts(judged))

    def _values(self) -> dict[str, float | None] | None:
        """Return the day's values by series; None if its table is not published."""
        panel = self._panel(1)
        return None if panel is None else dict(zip(panel.series, panel.values_mb[0].tolist(), strict=True))

    # ------------------------------------------------------------ drift

    def decide(self) -> MonitorOutcome:
        """Publish the day's evidence of drift and the verdict on it."""
        from mlops_assets.domain.quality.drift_evidence import DayEvidence
        from mlops_assets.domain.quality.drift_verdict import continue_shift, decide_drift

        manifests = self.manifests(DRIFT, EVIDENCE_DAYS)
        past = [DayEvidence.from_facts(found.facts["evidence"]) for found in manifests.values()]
        evidence, before = self.gather_evidence(), self._verdict_before(manifests)
        key = self.key(
            DRIFT,
            {
                "past": stable_hash([one.to_facts() for one in past]),
                "today": stable_hash(evidence.to_facts()),
                "before": before.kind if before else "",
                **({"since": str(self.since_day)} if self.since_day else {}),
            },
        )
        if current := find_current(self.lake, self.partition(DRIFT), key):
            kind = str(current.facts["verdict"]["kind"])
            return MonitorOutcome("reused", self.partition(DRIFT), current, kind)
        alone = decide_drift(
            [*past, evidence],
            day=self.day,
            segment=self.segment,
            spec=self.spec.drift,
            since_day=self.since_day,
        )
        verdict = continue_shift(alone, before, self.spec.drift)
        facts = {
            "evidence": evidence.to_facts(),
            "verdict": verdict.to_facts(),
            "since_day": self.since_day.isoformat() if self.since_day else None,
        }
        with self.lake.write(self.partition(DRIFT), key) as writer:
            manifest = writer.commit(row_count=len(evidence.series), inputs={}, facts=facts)
        return MonitorOutcome("built", self.partition(DRIFT), manifest, verdict.kind)

    def _verdict_before(self, manifests: Mapping[dt.date, Manifest]) -> DriftVerdict | None:
        """Return the verdict of the last day with evidence; None if evidence counted from another day then."""
        from mlops_assets.domain.quality.drift_record import read_verdict
        from mlops_assets.domain.quality.drift_verdict import DriftVerdict

        for day in sorted(manifests, reverse=True):
            facts = manifests[day].facts
            stored = read_verdict(day, facts)
            if stored.is_evidence:
                is_since = stored.since_day == self.since_day
                return DriftVerdict.from_facts(facts["verdict"]) if is_since else None
        return None

    def gather_evidence(self) -> DayEvidence:
        """Return the day's evidence: deviations from ranges that cannot know a shift yet, health of the feeds."""
        from mlops_assets.domain.quality.drift_evidence import (
            DayEvidence,
            choose_ranges_day,
            measure_deviations,
            read_moved_features,
        )

        features = self.lake.manifest(self.partition(FEATURES))
        reaching = self.earlier(KERNEL, self.spec.forecast.horizon_days)
        made_day = choose_ranges_day(reaching, self.day)
        values, rows = self._values(), []
        if made_day is not None and values is not None:
            table = monitor_table(self.spec.name, KERNEL)
            kernels = read_days(self.lake, table, self.segment, [made_day], target_day=self.day)
            rows = [
                {**row, "value_mb": values.get(row["series"])} for one in kernels for row in one.to_pylist()
            ]
        return DayEvidence(
            day=self.day,
            segment=self.segment,
            feeds=self.feed_states(),
            series=measure_deviations(rows),
            subscribers_outside_share=self._subscribers_outside_share(),
            moved_features=read_moved_features(
                features.facts if features else {}, self.spec.features.min_classifier_gain
            ),
        )

    def _subscribers_outside_share(self) -> float | None:
        from mlops_assets.domain.quality.subscriber_counts import count_subscribers

        if not self.spec.is_per_subscriber:
            return None
        counts = count_subscribers(self.segment, self.day, lake=self.lake, engine=self.engine)
        return counts.outside_share if counts else None

    def feed_states(self) -> tuple[FeedEvidence, ...]:
        """Return the health of every feed that the values are made of."""
        from mlops_assets.domain.quality.drift_evidence import FeedEvidence

        return tuple(
            FeedEvidence(
                feed=state.feed,
                status=_FEED_STATUS[state.state],
                findings=tuple(one.text for one in state.health.findings) if state.health else (),
            )
            for state in self.delivery_states()
        )

    def delivery_states(self) -> list[DeliveryState]:
        """Return what became of every feed that the values are made of; a published snapshot counts as healthy."""
        if self.snapshot is not None:
            return [DeliveryState(feed, self.segment, self.day, "healthy") for feed in self.feeds]
        return [read_delivery_state(self.lake, feed, self.segment, self.day) for feed in self.feeds]

    # ------------------------------------------------------------ publishing

    def _inputs(self, table: str, days: int) -> dict[str, str]:
        if self.snapshot is not None:
            found = window_days(self.snapshot.rows.known_days, self.day, days)
            return {
                str(PartitionId(table, self.segment, day)): self.snapshot.key_by_day[day] for day in found
            }
        return self._keys(table, window_days(self.lake.days(table, self.segment), self.day, days))

    def _inputs_of(self, result: str, days: Sequence[dt.date]) -> dict[str, str]:
        return self._keys(monitor_table(self.spec.name, result), days)

    def _keys(self, table: str, days: Sequence[dt.date]) -> dict[str, str]:
        partitions = [PartitionId(table, self.segment, day) for day in days]
        return {str(one): found.build_key for one, found in find_published(self.lake, partitions).items()}

    def key(self, result: str, inputs: Mapping[str, str]) -> str:
        """Return the build key of a result made from these inputs."""
        unused = {"description", "owner", "recipients", *(() if self.spec.day_column else ("day_column",))}
        spec = self.spec.model_dump(mode="json", exclude=unused)
        return stable_hash([result, self.segment, self.day, spec, code_versions(self.spec), inputs])

    def publish(
        self, result: str, key: str, rows: pa.Table, inputs: dict[str, str], facts: dict[str, Any]
    ) -> MonitorOutcome:
        """Publish rows as a result of this day."""
        import pyarrow.parquet as pq

        partition = self.partition(result)
        with self.lake.write(partition, key) as writer:
            pq.write_table(rows, writer.file("data"))
            manifest = writer.commit(row_count=rows.num_rows, inputs=inputs, facts=facts)
        return MonitorOutcome("built", partition, manifest, f"{rows.num_rows} rows")

    def missing(self, result: str, table: str) -> MonitorOutcome:
        """Return that a result cannot be made because a table of this day is not published."""
        partition = self.partition(result)
        detail = f"{table} of {self.day} is not published"
        return MonitorOutcome("missing_input", partition, self.lake.manifest(partition), detail)


def _judgement_facts(judged: DayJudgement) -> dict[str, Any]:
    checked = [one for one in judged.series if one.is_outside is not None]
    return {
        "series": len(judged.series),
        "checked": len(checked),
        "outside": sum(bool(one.is_outside) for one in checked),
        "removed": sum(one.is_removed for one in checked),
        "outside_share": judged.outside_share,
    }
