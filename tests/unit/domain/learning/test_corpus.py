"""Corpora: labels, splits, refusals, reproducible bytes."""

from __future__ import annotations

import datetime as dt
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from mlops_assets.domain.errors import ConfigError, CorpusError, LeakageError, TableInputError
from mlops_assets.domain.features.catalogue import FEATURE_TABLES
from mlops_assets.domain.features.table import empty_arrow
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.corpus import CorpusOutcome, CorpusRequest, build_corpus
from mlops_assets.domain.learning.corpus_content import content_sha256
from mlops_assets.domain.learning.corpus_reader import load_corpus
from mlops_assets.domain.learning.spec import CorpusSpec, ModelSpec
from mlops_assets.domain.ports import PartitionId
from mlops_assets.domain.quality.subscriber_tables import ANOMALIES, LIMITS
from tests.unit.domain.features.feed_world import FeedWorld, day_number

FEATURES = ["data_local_mb", "plan_family", "n_topups", "last_activity_days"]
LAST = 27
CORPUS = {
    "table": "etl/subscriber_features",
    "entity_key": "subscriber_id",
    "filter_equals": {"status": "active"},
    "min_history_days": 3,
    "split": {"kind": "time", "as_of_every_days": 5},
}
MODEL = {
    "task": "binary",
    "label": {"kind": "event", "table": "etl/churn_events", "horizon_days": 5},
    "features": FEATURES,
    "algorithms": {"dummy": {}},
    "metric": "roc_auc",
    "gate": {"segment_columns": ["region"]},
}
SNAPSHOT_COLUMNS = {"customer_id": "text", "tenure": "integer", "contract": "text", "churn": "text"}
SNAPSHOT_CORPUS = {"table": "feeds/telco", "entity_key": "customer_id", "split": {"kind": "hash"}}
SNAPSHOT_MODEL = MODEL | {
    "label": {"kind": "column", "column": "churn", "positive": "Yes"},
    "features": ["tenure", "contract"],
    "gate": {},
}


def request(corpus: dict[str, Any] | None = None, model: dict[str, Any] | None = None) -> CorpusRequest:
    return CorpusRequest(
        "churn",
        "churn",
        CorpusSpec.model_validate(CORPUS | (corpus or {})),
        ModelSpec.model_validate(MODEL | (model or {})),
        "cl",
    )


def snapshot_request(
    corpus: dict[str, Any] | None = None, model: dict[str, Any] | None = None
) -> CorpusRequest:
    return CorpusRequest(
        "telco",
        "churn",
        CorpusSpec.model_validate(SNAPSHOT_CORPUS | (corpus or {})),
        ModelSpec.model_validate(SNAPSHOT_MODEL | (model or {})),
        "cl",
    )


def build(world: FeedWorld, wanted: CorpusRequest) -> CorpusOutcome:
    has_days = wanted.corpus.split.kind == "time"
    return build_corpus(
        wanted,
        as_of_day=day_number(LAST) if has_days else None,
        first_day=day_number(0) if has_days else None,
        lake=world.lake,
        engine=world.engine,
    )


def publish(world: FeedWorld, table: str, number: int, rows: list[dict[str, Any]]) -> None:
    """Publish an etl partition directly."""
    import pyarrow as pa

    columns = FEATURE_TABLES[table].column_types
    partition = PartitionId(table, "cl", day_number(number))
    schema = empty_arrow(columns).schema
    with world.lake.write(partition, f"{abs(hash(str((number, len(rows))))):016x}") as writer:
        filled = [{name: row.get(name) for name in schema.names} for row in rows]
        pq.write_table(pa.Table.from_pylist(filled, schema=schema), writer.file("data"))
        writer.commit(row_count=len(rows))


def people(number: int) -> list[dict[str, Any]]:
    chance = random.Random(number)  # noqa: S311 - test data
    rows = [
        {
            "subscriber_id": i,
            "status": "prospect" if i % 5 == 0 else "active",
            "region": "north" if i % 2 else "south",
            "data_local_mb": chance.choice([None, chance.random()]),
            "plan_family": chance.choice(["data", "combo", None]),
            "n_topups": number,
            "last_activity_days": i % 7,
        }
        for i in range(1, 41)
    ]
    chance.shuffle(rows)
    return rows


def churners(number: int) -> set[int]:
    return {i for i in range(1, 41) if (i * 7 + number) % 61 == 0}


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with every snapshot and label partition; tests get copies."""
    folder = tmp_path_factory.mktemp("delivered")
    world = FeedWorld(folder)
    for number in range(LAST + 1):
        if number % 5 == (LAST - 5) % 5:
            publish(world, "etl/subscriber_features", number, people(number))
        if number > 6:
            publish(world, "etl/churn_events", number, [{"subscriber_id": i} for i in churners(number)])
    return folder


@pytest.fixture
def world(tmp_path: Path, delivered: Path) -> FeedWorld:
    shutil.copytree(delivered, tmp_path, dirs_exist_ok=True)
    return FeedWorld(tmp_path)


@pytest.fixture
def snapshot(tmp_path: Path) -> FeedWorld:
    world = FeedWorld(tmp_path)
    rows = [
        {
            "customer_id": f"{i * 7919 % 1000:04d}-X",
            "tenure": i % 72,
            "contract": ["monthly", "yearly"][i % 2],
            "churn": None if i == 3 else ["Yes", "No", "No"][i % 3],
        }
        for i in range(200)
    ]
    world.deliver("telco", None, rows, SNAPSHOT_COLUMNS)
    return world


def test_labels_and_parts_equal_plain_python(world: FeedWorld) -> None:
    outcome = build(world, request())
    rows = pq.read_table(world.lake.path(outcome.partition)).to_pylist()
    as_ofs = {7: "train", 12: "train", 17: "validation", 22: "holdout"}
    expected = [
        {
            "subscriber_id": person["subscriber_id"],
            "as_of_day": day_number(number),
            "split": part,
            "label": int(any(person["subscriber_id"] in churners(n) for n in range(number + 1, number + 6))),
            **{name: person[name] for name in (*FEATURES, "region")},
        }
        for number, part in sorted(as_ofs.items())
        for person in sorted(people(number), key=lambda person: person["subscriber_id"])
        if person["status"] == "active"
    ]
    assert rows == expected
    assert outcome.plan is not None
    assert outcome.plan.part_of(day_number(7)) == "train"
    assert {name: part.rows for name, part in outcome.parts.items()} == {
        "train": 64,
        "validation": 32,
        "holdout": 32,
    }
    positives = {part: sum(row["label"] for row in rows if row["split"] == part) for part in outcome.parts}
    assert {name: part.positives for name, part in outcome.parts.items()} == positives
    assert outcome.manifest.facts["left_out_rows"] == 4 * 8
    assert len(outcome.manifest.inputs) == 4 + 20


def test_same_inputs_are_reused_and_reproduced_to_the_byte(world: FeedWorld, tmp_path: Path) -> None:
    first = build(world, request())
    first_bytes = world.lake.path(first.partition).read_bytes()
    assert build(world, request()).status == "reused"
    assert build(world, request()).parts == first.parts
    world.lake.remove(first.partition)
    world.engine = FeedWorld(tmp_path, threads=1).engine
    second = build(world, request())
    assert second.status == "built"
    assert second.content_sha256 == first.content_sha256
    assert world.lake.path(second.partition).read_bytes() == first_bytes


def test_the_hash_follows_the_content_only(world: FeedWorld, tmp_path: Path) -> None:
    outcome = build(world, request())
    table = pq.read_table(world.lake.path(outcome.partition))
    other = tmp_path / "other.parquet"
    pq.write_table(table, other, row_group_size=7, compression="snappy", use_dictionary=False)
    assert content_sha256(other) == outcome.content_sha256
    pq.write_table(table.set_column(3, "label", table["label"].take([*range(1, 128), 0])), other)
    assert content_sha256(other) != outcome.content_sha256


def as_of_numbers(outcome: CorpusOutcome) -> list[int]:
    """Return the as-of days of a corpus, counted from the first delivered day."""
    assert outcome.plan is not None
    return [(day - day_number(1)).days + 1 for day in outcome.plan.days]


@pytest.mark.parametrize(
    ("table", "lost", "kept"),
    [("etl/churn_events", 27, [7, 12, 17]), ("etl/subscriber_features", 12, [7, 17, 22])],
)
def test_a_day_that_was_lost_takes_no_part(world: FeedWorld, table: str, lost: int, kept: list[int]) -> None:
    """An as-of day without features, or with a hole in its label window, is passed over: no label is guessed."""
    assert as_of_numbers(build(world, request())) == [7, 12, 17, 22]
    world.withdraw(table, day_number(lost))
    assert as_of_numbers(build(world, request())) == kept


def test_too_many_lost_days_are_too_little_history(world: FeedWorld) -> None:
    built = build(world, request())
    for number in (12, 27):
        world.withdraw("etl/churn_events", day_number(number))
    with pytest.raises(CorpusError, match="too little history"):
        build(world, request())
    assert world.lake.manifest(built.partition) == built.manifest


@pytest.mark.parametrize(
    ("corpus", "model", "error", "message"),
    [
        ({}, {"features": ["data_local_mbs"]}, ConfigError, "did you mean 'data_local_mb'"),
        ({"entity_key": "subscriber"}, {}, ConfigError, "no column 'subscriber'"),
        ({"filter_equals": {"statu": "active"}}, {}, ConfigError, "did you mean 'status'"),
        ({"filter_equals": {"status": "actve"}}, {}, CorpusError, "no rows"),
        ({"table": "etl/subscriber_feature"}, {}, ConfigError, "did you mean 'etl/subscriber_features'"),
        ({"min_history_days": 400}, {}, CorpusError, "too little history"),
        ({"split": {"kind": "hash"}}, {}, ConfigError, "does not go with a label"),
        ({}, {"gate": {"segment_columns": ["regio"]}}, ConfigError, "did you mean 'region'"),
        (
            {"split": {"kind": "time", "as_of_every_days": 5, "holdout_as_ofs": 20}},
            {},
            CorpusError,
            "too little history",
        ),
    ],
)
def test_what_cannot_be_built_is_refused(
    world: FeedWorld, corpus: dict[str, Any], model: dict[str, Any], error: type[Exception], message: str
) -> None:
    wanted = request(corpus, model)
    with pytest.raises(error, match=message):
        build(world, wanted)
    assert world.lake.manifest(wanted.partition) is None


def test_one_class_is_refused(world: FeedWorld) -> None:
    for number in range(23, LAST + 1):
        publish(world, "etl/churn_events", number, [])
    with pytest.raises(CorpusError, match="holdout part have the same label"):
        build(world, request())


def test_sampling_keeps_the_same_entities_and_counts_the_others(world: FeedWorld) -> None:
    outcome = build(world, request({"max_rows_per_as_of": 28}))
    rows = pq.read_table(world.lake.path(outcome.partition)).to_pylist()
    kept = {
        day: {row["subscriber_id"] for row in rows if row["as_of_day"] == day}
        for day in {r["as_of_day"] for r in rows}
    }
    assert all(len(ids) == 28 for ids in kept.values())
    assert len({frozenset(ids) for ids in kept.values()}) == 1
    assert outcome.manifest.facts["left_out_rows"] == 4 * 12


def test_columns_that_changed_between_days_are_refused(world: FeedWorld) -> None:
    path = world.lake.path(PartitionId("etl/subscriber_features", "cl", day_number(12)))
    rows = pq.read_table(path)
    partition = PartitionId("etl/subscriber_features", "cl", day_number(12))
    with world.lake.write(partition, "abcdefabcdef") as writer:
        pq.write_table(rows.drop_columns(["n_topups"]), writer.file("data"))
        writer.commit(row_count=rows.num_rows)
    with pytest.raises(CorpusError, match="changed its columns"):
        build(world, request())


def test_load_gives_a_dataset_per_part(world: FeedWorld) -> None:
    outcome = build(world, request())
    parts = load_corpus(outcome.partition, world.lake, request().corpus, request().model, is_verified=True)
    assert {name: data.rows for name, data in parts.items()} == {"train": 64, "validation": 32, "holdout": 32}
    train = parts["train"]
    assert train.features == tuple(FEATURES)
    assert train.categorical == ("plan_family",)
    assert train.numbers.dtype == np.float32
    assert train.as_of is not None
    assert set(train.as_of.tolist()) == {day_number(7), day_number(12)}
    assert set(train.segment_values["region"]) == {"north", "south"}
    assert parts["holdout"].y.sum() == outcome.parts["holdout"].positives


def test_a_tampered_corpus_is_not_loaded(world: FeedWorld) -> None:
    outcome = build(world, request())
    path = world.lake.path(outcome.partition)
    table = pq.read_table(path)
    with world.lake.write(outcome.partition, "abcdefabcdef") as writer:
        pq.write_table(table.slice(1), writer.file("data"))
        writer.commit(row_count=table.num_rows - 1, facts=outcome.manifest.facts)
    with pytest.raises(CorpusError, match="recorded hash"):
        load_corpus(outcome.partition, world.lake, request().corpus, request().model, is_verified=True)


def test_an_unpublished_corpus_is_not_loaded(world: FeedWorld) -> None:
    with pytest.raises(TableInputError):
        load_corpus(request().partition, world.lake, request().corpus, request().model)


def test_snapshot_is_split_by_hash_within_each_class(snapshot: FeedWorld) -> None:
    wanted = snapshot_request()
    outcome = build(snapshot, wanted)
    assert outcome.plan is None
    assert {name: (part.rows, part.positives) for name, part in outcome.parts.items()} == {
        "train": (129, 43),
        "validation": (30, 10),
        "holdout": (40, 13),
    }
    assert outcome.manifest.facts["left_out_rows"] == 1
    parts = load_corpus(outcome.partition, snapshot.lake, wanted.corpus, wanted.model)
    assert parts["holdout"].as_of is None
    assert parts["holdout"].categorical == ("contract",)
    assert list(parts["train"].keys) == sorted(parts["train"].keys)


def test_snapshot_label_is_no_feature(snapshot: FeedWorld) -> None:
    with pytest.raises(LeakageError, match="churn"):
        build(snapshot, snapshot_request(model={"features": ["tenure", "churn"]}))


def test_snapshot_with_unknown_feature_or_absent_table(snapshot: FeedWorld) -> None:
    with pytest.raises(ConfigError, match="did you mean 'tenure'"):
        build(snapshot, snapshot_request(model={"features": ["tenur"]}))
    with pytest.raises(CorpusError, match=r"feeds/telc\[cl\] is not published"):
        build(snapshot, snapshot_request(corpus={"table": "feeds/telc"}))


def test_multiclass_and_regression_snapshots(snapshot: FeedWorld) -> None:
    multiclass = {"task": "multiclass", "label": {"kind": "column", "column": "churn"}}
    wanted = snapshot_request(model=multiclass)
    outcome = build(snapshot, wanted)
    parts = load_corpus(outcome.partition, snapshot.lake, wanted.corpus, wanted.model)
    assert parts["train"].classes == ("No", "Yes")
    regression = {
        "task": "regression",
        "label": {"kind": "column", "column": "tenure"},
        "features": ["contract"],
    }
    wanted = snapshot_request(model=regression)
    outcome = build(snapshot, wanted)
    assert outcome.parts["train"].positives is None
    assert load_corpus(outcome.partition, snapshot.lake, wanted.corpus, wanted.model)["train"].y.max() == 71.0


def test_no_delivered_day(world: FeedWorld) -> None:
    with pytest.raises(CorpusError, match="no day is delivered"):
        build_corpus(request(), as_of_day=None, first_day=None, lake=world.lake, engine=world.engine)


def test_labels_reach_no_further_than_the_horizon(world: FeedWorld) -> None:
    """An event on the day after the window, or on the as-of day itself, is no label."""
    for number in range(7, LAST + 1):
        publish(
            world,
            "etl/churn_events",
            number,
            [{"subscriber_id": 1}] if number in {7, 13} else [{"subscriber_id": 2}],
        )
    with pytest.raises(CorpusError):  # one class in validation: nobody else churns and 2 always does
        build(world, request({"filter_equals": {"status": "active", "subscriber_id": "1"}}))
    outcome = build(world, request())
    rows = pq.read_table(world.lake.path(outcome.partition)).to_pylist()
    labels = {(row["as_of_day"], row["subscriber_id"]): row["label"] for row in rows}
    assert [labels[day_number(n), 1] for n in (7, 12, 17, 22)] == [0, 1, 0, 0]
    assert isinstance(rows[0]["as_of_day"], dt.date)


def judge(
    world: FeedWorld, number: int, removed: dict[int, str], kept: tuple[int, ...] = (), limits: int = 3
) -> None:
    """Publish a day's anomalies: those removed with their reason, and those only outside their range."""
    import pyarrow as pa

    partition = PartitionId(ANOMALIES, "cl", day_number(number))
    rows = [{"subscriber_id": i, "reason": reason, "is_removed": True} for i, reason in removed.items()]
    rows += [{"subscriber_id": i, "reason": "above", "is_removed": False} for i in kept]
    schema = empty_arrow({"subscriber_id": "integer", "reason": "text", "is_removed": "boolean"}).schema
    with world.lake.write(partition, stable_hash([number, rows])) as writer:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), writer.file("data"))
        writer.commit(row_count=len(rows))
    with world.lake.write(replace(partition, table=LIMITS), stable_hash([number, limits])) as writer:
        writer.commit(row_count=limits)


def test_an_anomalous_day_of_a_subscriber_never_enters(world: FeedWorld) -> None:
    """The subscriber stays on other days, and values outside the published range only stay too."""
    whole = pq.read_table(world.lake.path(build(world, request()).partition)).to_pylist()
    judge(world, 12, {1: "far_above", 2: "far_above", 5: "far_below"}, kept=(3,))  # 5 is a prospect
    judge(world, 17, {1: "far_below"})
    judge(world, 13, {4: "far_above"})  # no as-of day
    outcome = build(world, request())
    rows = pq.read_table(world.lake.path(outcome.partition)).to_pylist()
    gone = {(day_number(12), 1), (day_number(12), 2), (day_number(17), 1)}
    assert rows == [row for row in whole if (row["as_of_day"], row["subscriber_id"]) not in gone]
    assert outcome.manifest.facts["anomalies_removed"] == {"far_above": 2, "far_below": 1}
    assert outcome.manifest.facts["anomaly_days_judged"] == 2
    assert outcome.manifest.facts["left_out_rows"] == 4 * 8 + 3
    assert f"{ANOMALIES}[cl {day_number(12)}]" in outcome.manifest.inputs
    assert len(outcome.manifest.inputs) == 4 + 20 + 2


def test_days_that_were_not_judged_lose_nothing_and_say_so(world: FeedWorld) -> None:
    outcome = build(world, request())
    assert outcome.manifest.facts["anomalies_removed"] == {}
    assert outcome.manifest.facts["anomaly_days_judged"] == 0
    judge(world, 11, {}, limits=0)  # the first days have no limits to judge by
    judge(world, 12, {})
    judged = build(world, request())
    assert judged.status == "built"
    assert judged.content_sha256 == outcome.content_sha256
    assert judged.manifest.facts["anomaly_days_judged"] == 1
    assert build(world, request()).status == "reused"


def test_new_anomalies_make_a_new_corpus_and_the_same_ones_the_same(world: FeedWorld) -> None:
    first = build(world, request())
    judge(world, 22, {1: "far_above"})
    second = build(world, request())
    assert second.content_sha256 != first.content_sha256
    second_bytes = world.lake.path(second.partition).read_bytes()
    world.lake.remove(PartitionId(ANOMALIES, "cl", day_number(22)))
    assert build(world, request()).content_sha256 == first.content_sha256
    judge(world, 22, {1: "far_above"})
    assert build(world, request()).content_sha256 == second.content_sha256
    assert world.lake.path(second.partition).read_bytes() == second_bytes


def test_anomalies_are_left_out_before_entities_are_sampled(world: FeedWorld) -> None:
    judge(world, 12, dict.fromkeys(range(1, 5), "far_above"))
    outcome = build(world, request({"max_rows_per_as_of": 28}))
    rows = pq.read_table(world.lake.path(outcome.partition)).to_pylist()
    assert [sum(row["as_of_day"] == day_number(number) for row in rows) for number in (7, 12, 17, 22)] == [
        28
    ] * 4
    assert not {1, 2, 3, 4} & {row["subscriber_id"] for row in rows if row["as_of_day"] == day_number(12)}


def topups_on(number: int) -> list[dict[str, Any]]:
    """Up to two top-ups a person and day, through two channels."""
    return [
        {"subscriber_id": i, "amount_usd_cents": 100 * (1 + (i + number) % 5), "channel": channel}
        for i in range(1, 41)
        for channel in ("app", "shop")
        if (i * 3 + number * (2 if channel == "app" else 5)) % 11 == 0
    ]


def publish_topups(world: FeedWorld) -> None:
    import pyarrow as pa

    schema = pa.schema({"subscriber_id": pa.int64(), "amount_usd_cents": pa.int64(), "channel": pa.string()})
    for number in range(LAST + 1):
        with world.lake.write(
            PartitionId("feeds/topups", "cl", day_number(number)), f"{number:016x}"
        ) as writer:
            rows = topups_on(number)
            pq.write_table(pa.Table.from_pylist(rows, schema=schema), writer.file("data"))
            writer.commit(row_count=len(rows))


@pytest.mark.parametrize("channels", [[], ["app"], ["app", "shop"]])
@pytest.mark.parametrize("value", [None, "amount_usd_cents"])
def test_a_label_may_count_some_rows_and_may_be_a_sum(
    world: FeedWorld, channels: list[str], value: str | None
) -> None:
    publish_topups(world)
    where = {"channel": channels} if channels else {}
    label = {"kind": "event", "table": "feeds/topups", "horizon_days": 5, "where": where, "value": value}
    task = {"task": "regression", "metric": "rmse"} if value else {}
    outcome = build(world, request(model={"label": label} | task))
    rows = pq.read_table(world.lake.path(outcome.partition)).to_pylist()
    assert {row["as_of_day"] for row in rows} == {day_number(number) for number in (7, 12, 17, 22)}
    for row in rows:
        number = (row["as_of_day"] - day_number(0)).days
        found = [
            one["amount_usd_cents"]
            for later in range(number + 1, number + 6)
            for one in topups_on(later)
            if one["subscriber_id"] == row["subscriber_id"]
            and one["channel"] in (channels or ["app", "shop"])
        ]
        assert row["label"] == (sum(found) if value else int(bool(found)))


@pytest.mark.parametrize(
    ("label", "task", "message"),
    [
        ({"value": "amount_usd_cents"}, "binary", "task regression or quantile, not binary"),
        ({}, "regression", "task binary, not regression"),
        ({"where": {"channel": []}}, "binary", "`where` names no value of channel"),
    ],
)
def test_a_label_that_does_not_fit_its_task_is_refused(
    label: dict[str, Any], task: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        request(model={"label": MODEL["label"] | label, "task": task})  # type: ignore[operator]


def test_a_label_of_an_unknown_column_is_refused(world: FeedWorld) -> None:
    publish_topups(world)
    label = {"kind": "event", "table": "feeds/topups", "horizon_days": 5, "where": {"chanel": ["app"]}}
    with pytest.raises(ConfigError, match="no column 'chanel'"):
        build(world, request(model={"label": label}))
