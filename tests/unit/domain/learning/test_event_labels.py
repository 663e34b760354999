"""Labels of devices: severities, the time to an event, and devices that nobody heard of."""

from __future__ import annotations

from typing import Any

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from mlops_assets.domain.learning.corpus import CorpusRequest, build_corpus
from mlops_assets.domain.learning.corpus_reader import load_corpus
from mlops_assets.domain.learning.spec import CorpusSpec, ModelSpec
from tests.unit.domain.features.feed_world import FeedWorld, day_number

HORIZON, LAST = 3, 20
DEVICES = range(30)
AS_OFS = (5, 8, 11, 14, 17)
LABEL = {"kind": "event", "table": "feeds/device_telemetry", "horizon_days": HORIZON}
COLUMNS = {"device_id": "text", "event_severity_max": "integer"}


def severity_of(device: int, number: int) -> int | None:
    """Return a day's worst event; None if the device is silent that day."""
    if device % 10 == 7 or (device + number) % 4 == 3:
        return None
    return (device * 5 + number * 3) % 17 if (device * 5 + number * 3) % 17 <= 3 else 0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> FeedWorld:
    made = FeedWorld(tmp_path_factory.mktemp("devices"))
    for number in range(LAST + 1):
        day = day_number(number)
        inventory = {"device_group": "g", "region": "r", "firmware": "f", "installed_date": day_number(-9)}
        heard = [(f"d{one:02d}", severity_of(one, number)) for one in DEVICES]
        reports = [
            {"device_id": key, "event_severity_max": value} for key, value in heard if value is not None
        ]
        made.deliver("devices", day, [{"device_id": key, **inventory} for key, _ in heard])
        made.deliver("device_telemetry", day, reports)
        made.build_all(day, ["etl/device_7d", "etl/device_firmware", "etl/device_features"])
    return made


def ask(world: FeedWorld, name: str, task: str, metric: str, label: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a corpus with this label."""
    corpus = CorpusSpec.model_validate(
        {
            "table": "etl/device_features",
            "entity_key": "device_id",
            "min_history_days": 3,
            "split": {"kind": "time", "as_of_every_days": 3, "train_as_ofs": 3},
        }
    )
    model = {"task": task, "label": LABEL | label, "features": ["age_days"], "algorithms": {"dummy": {}}}
    spec = ModelSpec.model_validate(model | {"metric": metric})
    request = CorpusRequest("network_event", name, corpus, spec, "cl")
    outcome = build_corpus(
        request, as_of_day=day_number(LAST), first_day=day_number(0), lake=world.lake, engine=world.engine
    )
    parts = load_corpus(request.partition, world.lake, corpus, spec)
    assert sum(part.rows for part in parts.values()) == outcome.manifest.row_count
    rows: list[dict[str, Any]] = pq.read_table(world.lake.path(outcome.partition)).to_pylist()
    return rows


def ahead(row: dict[str, Any]) -> list[int | None]:
    """Return what happens on the days of the row's window, in plain Python."""
    number = (row["as_of_day"] - day_number(0)).days
    return [severity_of(int(row["device_id"][1:]), number + later) for later in range(1, HORIZON + 1)]


def test_an_event_counts_from_a_severity_on(world: FeedWorld) -> None:
    rows = ask(world, "grave", "binary", "roc_auc", {"where": {"event_severity_max": ["2", "3"]}})
    assert {row["label"] for row in rows} == {0, 1}
    assert all(row["label"] == int(any((one or 0) >= 2 for one in ahead(row))) for row in rows)
    assert len(rows) == len(DEVICES) * len(AS_OFS)


def test_severity_is_the_worst_of_the_window(world: FeedWorld) -> None:
    label = {"value": "event_severity_max", "reduce": "max"}
    rows = ask(world, "severity", "multiclass", "macro_f1", label)
    assert {row["label"] for row in rows} == {"0", "1", "2", "3"}
    assert all(row["label"] == str(max(one or 0 for one in ahead(row))) for row in rows)


def test_time_to_event_is_a_class_by_window(world: FeedWorld) -> None:
    label = {"where": {"event_severity_max": ["1", "2", "3"]}, "windows_days": [1, 3]}
    rows = ask(world, "when", "multiclass", "accuracy", label)

    def expected(row: dict[str, Any]) -> str:
        first = next((day for day, one in enumerate(ahead(row), 1) if one), None)
        return "none" if first is None else "within_1" if first == 1 else "within_3"

    assert {row["label"] for row in rows} == {"none", "within_1", "within_3"}
    assert all(row["label"] == expected(row) for row in rows)


@pytest.mark.parametrize("label", [{}, {"windows_days": [1, 3]}])
def test_a_device_that_was_silent_has_no_label(world: FeedWorld, label: dict[str, Any]) -> None:
    """A telemetry gap over the whole window: what happened is unknown, not nothing."""
    settings = {"where": {"event_severity_max": ["1", "2", "3"]}, "given": {}} | label
    task, metric = ("multiclass", "accuracy") if label else ("binary", "roc_auc")
    rows = ask(world, f"heard_{len(label)}", task, metric, settings)
    assert rows
    assert all(any(one is not None for one in ahead(row)) for row in rows)
    silent = len([one for one in DEVICES if one % 10 == 7])
    assert len(rows) == (len(DEVICES) - silent) * len(AS_OFS)
    none, some = ("none", {"within_1", "within_3"}) if label else (0, {1})
    assert all((row["label"] in some) == any(ahead(row)) for row in rows)
    assert all((row["label"] == none) != any(ahead(row)) for row in rows)


@pytest.mark.parametrize(
    ("label", "task", "message"),
    [
        ({"windows_days": [3, 1]}, "multiclass", "`windows_days` rise"),
        ({"windows_days": [1, 2]}, "multiclass", "end with `horizon_days`"),
        ({"windows_days": [3]}, "binary", "task multiclass, not binary"),
        ({"reduce": "max"}, "multiclass", "`reduce: max` needs a `value`"),
        ({"value": "event_severity_max"}, "multiclass", "task regression or quantile, not multiclass"),
    ],
)
def test_a_label_that_makes_no_sense_is_refused(label: dict[str, Any], task: str, message: str) -> None:
    spec = {"task": task, "label": LABEL | label, "features": ["age_days"], "algorithms": {"dummy": {}}}
    with pytest.raises(ValidationError, match=message):
        ModelSpec.model_validate(spec | {"metric": "accuracy"})
