"""Feature drift: histograms, distances, thresholds, false discoveries, the classifier."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.domain.errors import ConfigError, LearningError, TableInputError
from mlops_assets.domain.features.compile import compile_statements
from mlops_assets.domain.features.daily import DailyRecipe
from mlops_assets.domain.features.table import ColumnDoc, FeatureTable, TableInput, empty_arrow
from mlops_assets.domain.ports import PartitionId
from mlops_assets.domain.quality.feature_drift import (
    FeatureDrift,
    domain_classifier_auc,
    log_wasserstein,
    measure_distance,
    measure_drift,
    population_stability,
    reject_false_discoveries,
)
from mlops_assets.domain.quality.feature_histograms import (
    FeatureHistogram,
    bucket_values,
    feature_histograms,
    merge_histograms,
    read_histograms,
)
from mlops_assets.domain.quality.feature_sample import numeric_features, sample_features
from mlops_assets.domain.quality.spec import FeatureDriftSpec
from mlops_assets.domain.quality.watched_features import WATCHED_TABLES
from tests.unit.domain.features.feed_world import GEOGRAPHY, FeedWorld, day_number

DAY = day_number(10)
SMALL = FeatureTable(
    "etl/small", "test", "team:test", "snapshot", ("subscriber_id",),
    {
        "subscriber_id": ColumnDoc("integer", "key", role="key"),
        "usage_mb": ColumnDoc("decimal", "x", "MB"),
        "days": ColumnDoc("integer", "x", "day"),
        "plan": ColumnDoc("text", "x"),
        "is_4g": ColumnDoc("boolean", "x"),
        "since": ColumnDoc("date", "x"),
        "note": ColumnDoc("decimal", "x", role="info"),
    },
    DailyRecipe((TableInput("feeds/none", {"subscriber_id": "integer"}),), lambda tables: tables["none"]), "1",
)  # fmt: skip


def bucket_of(value: float) -> int:
    size = abs(value)
    return (
        0
        if size < 1e-6
        else int(math.copysign(math.floor(math.log(size / 1e-6) / math.log(1.02)) + 1, value))
    )


def histogram(values: Sequence[float | None]) -> FeatureHistogram:
    known = [value for value in values if value is not None]
    return FeatureHistogram(Counter(map(bucket_of, known)), {}, len(values) - len(known))


def categories(counts: Mapping[str, int], missing: int = 0) -> FeatureHistogram:
    return FeatureHistogram({}, counts, missing)


def usage(seed: int, rows: int = 4000, factor: float = 1.0, noise: float = 0.02) -> list[float | None]:
    """Return volumes of a day: log-normal, some zero; days differ a little from each other."""
    chance = np.random.default_rng(seed)
    level = chance.normal(5.0, noise)
    values = np.exp(chance.normal(level, 1.0, rows)) * factor
    values[chance.random(rows) < 0.1] = 0.0
    return [float(value) for value in values]


# ---------------------------------------------------------------- histograms


def publish(world: FeedWorld, day: dt.date, rows: list[dict[str, Any]]) -> None:
    schema = empty_arrow(SMALL.column_types).schema
    partition = PartitionId(SMALL.name, GEOGRAPHY, day)
    with world.lake.write(partition, f"{day:%Y%m%d}{len(rows):08d}") as writer:
        filled = [{name: row.get(name) for name in schema.names} for row in rows]
        pq.write_table(pa.Table.from_pylist(filled, schema=schema), writer.file("data"))
        writer.commit(row_count=len(rows))


def test_one_statement_counts_all_features(tmp_path: Path) -> None:
    world = FeedWorld(tmp_path)
    values = [None, math.nan, math.inf, 0.0, 1e-9, 2e-6, 1.0, 512.0, -512.0, 1e12]
    rows = [
        {
            "subscriber_id": i,
            "usage_mb": value,
            "days": i % 3,
            "plan": ["a", "b", None][i % 3],
            "is_4g": [True, False, None, None][i % 4],
            "since": DAY,
        }
        for i, value in enumerate(values)
    ]
    publish(world, DAY, rows)
    table = feature_histograms(SMALL)
    assert world.build(table, DAY).status == "built"
    found = read_histograms(pq.read_table(world.lake.path(PartitionId(table.name, GEOGRAPHY, DAY))))
    assert found["usage_mb"].missing == 3
    assert found["usage_mb"].numbers == Counter(bucket_of(value) for value in values[3:] if value is not None)
    assert found["days"].numbers == {0: 4, bucket_of(1): 3, bucket_of(2): 3}
    assert found["plan"] == categories({"a": 4, "b": 3}, 3)
    assert found["is_4g"].missing == 4
    assert set(found["is_4g"].categories.values()) == {3}
    assert {name: one.rows for name, one in found.items()} == dict.fromkeys(
        ("usage_mb", "days", "plan", "is_4g"), 10
    )


@pytest.mark.parametrize("value", [1e-6, 0.03, 1.0, 77.0, -77.0, 1e12])
def test_a_bucket_is_within_one_percent_of_its_values(value: float) -> None:
    assert bucket_values([bucket_of(value)])[0] == pytest.approx(value, rel=0.0101)
    assert bucket_values([0])[0] == 0.0


@pytest.mark.parametrize("dialect", ["duckdb", "bigquery"])
@pytest.mark.parametrize("watched", WATCHED_TABLES)
def test_histograms_of_watched_tables_compile(watched: str, dialect: str) -> None:
    table = WATCHED_TABLES[watched]
    (sql,) = compile_statements(table, dialect).values()
    assert sql.startswith(("SELECT", "WITH"))
    assert "subscriber_id" not in sql
    assert "one row" in table.description


def test_other_tables_are_refused() -> None:
    with pytest.raises(TableInputError, match="lacks"):
        read_histograms(pa.table({"feature": ["x"]}))
    row = {"feature": "x", "kind": "date", "bucket": 0, "category": "", "rows": 1}
    with pytest.raises(TableInputError, match="unknown kind 'date'"):
        read_histograms(pa.Table.from_pylist([row]))


small_histograms = st.builds(
    FeatureHistogram,
    st.dictionaries(st.integers(-900, 1500), st.integers(1, 50), min_size=1, max_size=8),
    st.just({}),
    st.integers(0, 5),
)


@given(small_histograms, small_histograms, small_histograms)
def test_histograms_add_up(one: FeatureHistogram, two: FeatureHistogram, three: FeatureHistogram) -> None:
    assert one.merge(two) == two.merge(one)
    assert one.merge(two).merge(three) == one.merge(two.merge(three))
    merged = merge_histograms([{"x": one}, {"x": two, "y": three}])
    assert merged["x"].rows == one.rows + two.rows
    assert merged["y"] == three


# ---------------------------------------------------------------- distances


@given(small_histograms, small_histograms)
def test_distances_are_zero_for_the_same_and_never_negative(
    one: FeatureHistogram, two: FeatureHistogram
) -> None:
    assert log_wasserstein(one, one) == 0.0
    assert population_stability(one, one) == 0.0
    assert log_wasserstein(one, two) >= 0.0
    assert population_stability(one, two) >= 0.0
    doubled = FeatureHistogram({b: 2 * n for b, n in two.numbers.items()}, {}, 2 * two.missing)
    assert log_wasserstein(one, doubled) == pytest.approx(log_wasserstein(one, two))
    assert population_stability(one, doubled) == pytest.approx(population_stability(one, two))


def test_wasserstein_equals_the_area_between_sorted_values() -> None:
    ours, theirs = usage(1, 500, 1.4), usage(2, 500)
    offset = 0.05 * np.mean(np.abs(bucket_values([bucket_of(v) for v in theirs if v is not None])))
    positions = [np.sort(np.log1p(np.array(side, float) / offset)) for side in (ours, theirs)]
    exact = float(np.mean(np.abs(positions[0] - positions[1])))
    assert log_wasserstein(histogram(ours), histogram(theirs)) == pytest.approx(exact, abs=0.01)


@pytest.mark.parametrize("factor", [0.5, 1.1, 1.6, 1024.0])
def test_wasserstein_of_a_rigid_shift_is_its_logarithm(factor: float) -> None:
    values = [100.0 * 1.013**i for i in range(300)]
    shifted = [value * factor for value in values]
    assert log_wasserstein(histogram(shifted), histogram(values)) == pytest.approx(
        abs(math.log(factor)), rel=0.2
    )


def test_stability_index_follows_its_formula() -> None:
    before, after = categories({"a": 60, "b": 40}), categories({"a": 30, "b": 60}, missing=10)
    expected = (
        (0.3 - 0.6) * math.log(0.3 / 0.6)
        + (0.6 - 0.4) * math.log(0.6 / 0.4)
        + (0.1 - 1e-4) * math.log(0.1 / 1e-4)
    )
    assert population_stability(after, before) == pytest.approx(expected)
    assert measure_distance(after, before) == pytest.approx(expected)
    gone = histogram([None] * 50 + usage(1, 50))
    assert population_stability(gone, histogram(usage(2, 100))) > 0.25
    assert population_stability(histogram(usage(3)), histogram(usage(4))) < 0.05


def test_what_has_no_numbers_has_no_distance() -> None:
    assert log_wasserstein(histogram([None]), histogram([1.0])) == 0.0
    assert log_wasserstein(histogram([0.0]), histogram([0.0])) == 0.0
    assert log_wasserstein(histogram([5.0]), histogram([0.0])) > 1.0


# ---------------------------------------------------------------- verdicts


def moved_in(drifts: Sequence[FeatureDrift]) -> list[str]:
    """Return the features that are called drifted, the most moved first."""
    return [one.feature for one in drifts if one.is_drifted]


def day_of(seed: int, factor: float = 1.0) -> dict[str, FeatureHistogram]:
    """Return a day with eight ordinary numeric features and one text; `usage_0` is moved by `factor`."""
    chance = np.random.default_rng(seed)
    plans = chance.multinomial(4000, [0.5, 0.3, 0.2])
    numbers = {
        f"usage_{i}": histogram(usage(seed * 100 + i, 1500, factor if i == 0 else 1.0)) for i in range(8)
    }
    return numbers | {"plan": categories(dict(zip("abc", map(int, plans), strict=True)))}


@pytest.fixture(scope="module")
def weekdays() -> list[dict[str, FeatureHistogram]]:
    return [day_of(seed) for seed in range(18)]


def distances_of(days: Sequence[Mapping[str, FeatureHistogram]]) -> dict[str, list[float]]:
    """Return by feature the distance of each day to the four before it."""
    distances: dict[str, list[float]] = {}
    for number in range(4, len(days)):
        for drift in measure_drift(days[number], merge_histograms(days[number - 4 : number]), {}):
            distances.setdefault(drift.feature, []).append(drift.distance)
    return distances


def test_ordinary_days_move_nothing_and_a_shift_is_found(weekdays: list[dict[str, FeatureHistogram]]) -> None:
    history, reference = distances_of(weekdays), merge_histograms(weekdays[-4:])
    assert {len(distances) for distances in history.values()} == {14}
    moved = [moved_in(measure_drift(day_of(100 + seed), reference, history)) for seed in range(20)]
    assert sum(map(bool, moved)) <= 1
    drifts = measure_drift(day_of(500, factor=1.6), reference, history)
    assert moved_in(drifts) == ["usage_0"]
    first = drifts[0]
    assert first.feature == "usage_0"
    assert first.threshold is not None
    assert first.p_value is not None
    assert first.distance > first.threshold
    assert first.p_value < 0.001
    assert first.psi > 0.1


def test_a_text_that_moves_is_found(weekdays: list[dict[str, FeatureHistogram]]) -> None:
    day = day_of(600) | {"plan": categories({"a": 500, "b": 3000, "d": 500})}
    drifts = measure_drift(day, merge_histograms(weekdays[-4:]), distances_of(weekdays))
    assert moved_in(drifts) == ["plan"]


def test_too_little_history_is_no_evidence(weekdays: list[dict[str, FeatureHistogram]]) -> None:
    reference = merge_histograms(weekdays[-4:])
    drifts = measure_drift(day_of(700, factor=50.0), reference, distances_of(weekdays[:9]))
    assert moved_in(drifts) == []
    assert {(drift.threshold, drift.p_value, drift.history_days) for drift in drifts} == {(None, None, 5)}
    assert max(drift.distance for drift in drifts) > 1.0


def test_a_certain_but_tiny_move_does_not_matter() -> None:
    """A million rows make a shift of 1 % certain; nobody needs to know."""
    history = {"x": [0.001, 0.0011, 0.0009, 0.001, 0.001, 0.0012, 0.001] * 2}
    values = [100.0 * 1.013**i for i in range(300)]
    drifts = measure_drift(
        {"x": histogram([value * 1.015 for value in values])}, {"x": histogram(values)}, history
    )
    assert drifts[0].p_value is not None
    assert drifts[0].p_value < 1e-6
    assert not drifts[0].is_drifted
    strict = FeatureDriftSpec(min_distance=0.001)
    drifts = measure_drift(
        {"x": histogram([v * 1.015 for v in values])}, {"x": histogram(values)}, history, strict
    )
    assert drifts[0].is_drifted


def test_features_of_one_side_only_are_left_out() -> None:
    assert measure_drift({"new": histogram([1.0])}, {"old": histogram([1.0])}, {}) == []
    assert measure_drift({"x": FeatureHistogram()}, {"x": histogram([1.0])}, {}) == []


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=20), st.floats(0.01, 0.5))
def test_false_discoveries_are_bounded_as_published(p_values: list[float | None], rate: float) -> None:
    """The rejected ones are the k smallest, k the largest with p_(k) <= k / m * rate (plain definition)."""
    rejected = reject_false_discoveries(p_values, rate)
    known = sorted(p for p in p_values if p is not None)
    k = max((i for i, p in enumerate(known, start=1) if p <= i / len(known) * rate), default=0)
    assert sum(rejected) >= k
    assert all(p is not None and p <= known[k - 1] for p, out in zip(p_values, rejected, strict=True) if out)
    kept = [p for p, out in zip(p_values, rejected, strict=True) if not out and p is not None]
    assert not k or all(p > known[k - 1] for p in kept)


# ---------------------------------------------------------------- classifier


def sides(shift: float, rows: int = 800) -> tuple[Any, Any, tuple[Any, Any]]:
    chance = np.random.default_rng(5)
    personal = chance.normal(size=(rows, 1)) * 3  # the same people on both sides
    before, after = (personal + chance.normal(size=(rows, 3)) for _ in range(2))
    after[:, 1] += shift
    before[::9, 2] = np.nan
    hashes = chance.integers(0, 2**63, rows).astype(np.uint64)
    return before, after, (hashes, hashes)


def test_the_classifier_tells_moved_days_apart_only() -> None:
    same, moved = domain_classifier_auc(*sides(0.0)), domain_classifier_auc(*sides(2.0))
    assert 0.42 < same < 0.58
    assert moved > 0.65
    assert moved == domain_classifier_auc(*sides(2.0))


def test_the_classifier_says_what_it_lacks() -> None:
    before, after, hashes = sides(0.0)
    with pytest.raises(LearningError, match="different features"):
        domain_classifier_auc(before, after[:, :2], hashes)
    even = np.zeros(len(before), np.uint64)
    with pytest.raises(LearningError, match="too few rows"):
        domain_classifier_auc(before, after, (even, even))


def test_a_sample_is_of_the_same_people_every_day(tmp_path: Path) -> None:
    world = FeedWorld(tmp_path)
    for number in range(2):
        rows = [
            {
                "subscriber_id": i,
                "usage_mb": None if i % 7 == 0 else i + number,
                "days": i,
                "is_4g": i % 2 == 0,
            }
            for i in range(300)
        ]
        publish(world, day_number(number), rows[:: -1 if number else 1])
    one, two = (
        sample_features(
            SMALL,
            PartitionId(SMALL.name, GEOGRAPHY, day_number(number)),
            lake=world.lake,
            engine=world.engine,
            max_rows=50,
        )
        for number in range(2)
    )
    assert one.features == ("usage_mb", "days", "is_4g") == tuple(numeric_features(SMALL))
    assert one.values.shape == (50, 3)
    assert np.array_equal(one.key_hashes, two.key_hashes)
    assert np.allclose(one.values[:, 0] + 1, two.values[:, 0], equal_nan=True)
    assert np.isnan(one.values).any()
    partition = PartitionId(SMALL.name, GEOGRAPHY, day_number(0))
    with pytest.raises(ConfigError, match="no numeric feature plan"):
        sample_features(SMALL, partition, lake=world.lake, engine=world.engine, features=["plan"])
