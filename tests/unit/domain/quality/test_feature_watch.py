"""Watched features from day to day: what is compared with what, what counts as a witness, what is kept."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.domain.features.catalogue import FEATURE_TABLES
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.ports import Manifest, PartitionId
from mlops_assets.domain.quality.drift_evidence import read_moved_features
from mlops_assets.domain.quality.feature_sample import numeric_features
from mlops_assets.domain.quality.feature_watch import compare_features
from mlops_assets.domain.quality.monitor_day import MonitorDay, MonitorOutcome
from mlops_assets.domain.quality.monitor_tables import FEATURES
from mlops_assets.domain.quality.spec import FeatureDriftSpec, MonitorSpec
from mlops_assets.domain.quality.watched_features import WATCHED_TABLES
from resources.duckdb_engine import DuckDbEngine
from resources.lake import LocalLake

FIRST = dt.date(2026, 6, 1)
WATCHED = "etl/subscriber_features"
SPEC = MonitorSpec(
    name="plan_usage", description="volume by plan", owner="team:data-platform", table="etl/plan_usage_daily",
    series_by=["plan_code"], value="data_kb", unit="KB", features=FeatureDriftSpec(tables=[WATCHED]),
)  # fmt: skip
NAMES = tuple(f"feature_{number}" for number in range(6))
ORDINARY_DAYS = 50


class Watch:
    """A lake with a day's histograms, made up, and the comparison of each day."""

    def __init__(self, root: Path) -> None:
        self.lake = LocalLake(root / "lake")
        self.engine = DuckDbEngine(1, "500MB", root / "tmp", [root / "lake"])

    def monitored(self, number: int) -> MonitorDay:
        day = FIRST + dt.timedelta(days=number)
        return MonitorDay(SPEC, ("usage",), "cl", day, self.lake, self.engine)

    def count(self, number: int, factor: float = 1.0, seed: int = 0) -> None:
        """Publish the histograms of a day; feature_0 is moved by `factor`, weekends differ."""
        chance, day = np.random.default_rng([seed + 4, number]), self.monitored(number).day
        rows: list[dict[str, object]] = []
        for name in NAMES:
            level = 4.0 + 0.5 * (day.weekday() >= 5) + chance.normal(0.0, 0.01)
            values = np.exp(chance.normal(level, 1.0, 3000)) * (factor if name == NAMES[0] else 1.0)
            buckets = np.floor(np.log(values / 1e-6) / np.log(1.02)).astype(int) + 1
            rows += [
                {"feature": name, "kind": "number", "bucket": int(b), "category": "", "rows": int(n)}
                for b, n in zip(*np.unique(buckets, return_counts=True), strict=True)
            ]
        self.publish(PartitionId(WATCHED_TABLES[WATCHED].name, "cl", day), pa.Table.from_pylist(rows))

    def publish(self, partition: PartitionId, rows: pa.Table) -> None:
        with self.lake.write(partition, stable_hash([str(partition), rows.to_pylist()])) as writer:
            pq.write_table(rows, writer.file("data"))
            writer.commit(row_count=rows.num_rows)

    def compare(self, number: int) -> MonitorOutcome:
        return compare_features(self.monitored(number))

    def moved(self, number: int) -> list[str]:
        manifest = self.lake.manifest(self.monitored(number).partition(FEATURES))
        return [one.name for one in read_moved_features(manifest.facts if manifest else {}, 0.02)]


@pytest.fixture(scope="module")
def ordinary_past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("watch")
    watch = Watch(root)
    for number in range(ORDINARY_DAYS):
        watch.count(number)
        watch.compare(number)
    return root


@pytest.fixture
def watch(ordinary_past: Path, tmp_path: Path) -> Watch:
    shutil.copytree(ordinary_past / "lake", tmp_path / "lake")
    return Watch(tmp_path)


def facts(outcome: MonitorOutcome) -> dict[str, object]:
    assert outcome.manifest is not None
    return dict(outcome.manifest.facts)


def test_ordinary_weeks_move_nothing_though_weekends_differ(watch: Watch) -> None:
    assert sum(bool(watch.moved(number)) for number in range(ORDINARY_DAYS)) <= 1


def test_the_first_weeks_say_that_they_cannot_compare(watch: Watch) -> None:
    early = watch.compare(10)
    assert (early.status, early.detail) == ("reused", "too few of the same weekdays before to compare with")
    assert facts(early)["distances"] == {WATCHED: {}}
    assert watch.compare(49).detail == "no feature moved"


def test_a_lasting_shift_stays_moved_day_after_day(watch: Watch) -> None:
    """Its own first days must not become the past that it is measured by."""
    days = range(ORDINARY_DAYS, ORDINARY_DAYS + 5)
    for number in days:
        watch.count(number, factor=1.5)
        assert watch.compare(number).status == "built"
    moved = [set(watch.moved(number)) for number in days]
    assert set.intersection(*moved) == {NAMES[0]}
    assert sum(map(len, moved)) <= 7  # a few false ones are part of the deal


def test_a_day_without_histograms_is_missing(watch: Watch) -> None:
    outcome = watch.compare(ORDINARY_DAYS)
    assert (outcome.status, outcome.manifest) == ("missing_input", None)
    assert "no watched table of 2026-07-21" in outcome.detail


def test_the_same_day_again_is_reused_and_another_count_is_not(watch: Watch) -> None:
    assert watch.compare(49).status == "reused"
    watch.count(49, seed=1)
    assert watch.compare(49).status == "built"


def publish_people(watch: Watch, number: int, shift: float, count: int = 600) -> None:
    """Publish the watched table itself: the same people every day, one feature moved by `shift`."""
    table, day = FEATURE_TABLES[WATCHED], watch.monitored(number).day
    people = np.random.default_rng(3).normal(size=(count, len(numeric_features(table))))
    values = people + np.random.default_rng(number).normal(0.0, 0.3, people.shape)
    values[:, 0] += shift
    columns = dict(zip(numeric_features(table), values.T, strict=True))
    watch.publish(PartitionId(WATCHED, "cl", day), pa.table({"subscriber_id": np.arange(count), **columns}))


@pytest.mark.parametrize(("shift", "is_witness"), [(0.0, False), (2.0, True)])
def test_a_classifier_confirms_or_doubts(watch: Watch, shift: float, is_witness: bool) -> None:
    number = ORDINARY_DAYS
    for back in (7, 14):
        publish_people(watch, number - back, 0.0)
    publish_people(watch, number, shift)
    watch.count(number, factor=1.5)
    outcome = watch.compare(number)
    assert f"moved: {NAMES[0]} of {WATCHED}" in outcome.detail
    assert bool(watch.moved(number)) == is_witness


def test_a_classifier_that_has_too_few_rows_says_nothing(watch: Watch) -> None:
    for back in (0, 7, 14):
        publish_people(watch, ORDINARY_DAYS - back, 0.0, count=1)
    watch.count(ORDINARY_DAYS, factor=1.5)
    outcome = watch.compare(ORDINARY_DAYS)
    assert facts(outcome)["classifier"] == {}
    assert NAMES[0] in watch.moved(ORDINARY_DAYS)


def test_features_reach_the_evidence_of_the_day(watch: Watch) -> None:
    watch.count(ORDINARY_DAYS, factor=1.5)
    watch.compare(ORDINARY_DAYS)
    evidence = watch.monitored(ORDINARY_DAYS).gather_evidence()
    assert evidence.moved_features[0].name == NAMES[0]
    assert evidence.moved_features[0].distance > evidence.moved_features[0].threshold
    assert evidence.subscribers_outside_share is None


def test_doubt_is_per_table() -> None:
    moved = [{"table": t, "feature": t[-1], "distance": 2.0, "threshold": 1.0} for t in ("a/a", "a/b")]
    classifier = {"a/b": {"roc_auc": 0.55, "ordinary_roc_auc": 0.54}}
    manifest = Manifest("key", 0, {}, facts={"moved": moved, "classifier": classifier})
    assert [one.name for one in read_moved_features(manifest.facts, 0.02)] == ["a"]
    assert [one.name for one in read_moved_features(manifest.facts, 0.0)] == ["a", "b"]
