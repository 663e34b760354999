"""A fleet's days on the graph: from the scores to the alert list, from later feeds to precision, recall and report."""

import datetime as dt
from collections.abc import Iterator, Mapping
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.assets.fleet_days import build_fleet_day_assets
from mlops_assets.assets.fleet_reports import build_fleet_training_reports, build_fleet_week_reports
from mlops_assets.config import names
from mlops_assets.config.loader import load_project
from mlops_assets.config.models import ProjectConfig
from mlops_assets.definitions import build_defs
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.fleet_scoring import FleetDay, score_fleet_day
from mlops_assets.domain.learning.spec import ModelSpec
from mlops_assets.domain.ports import PartitionId
from resources.duckdb_engine import DuckDbEngine
from tests.fakes.mail import FakeOutbox
from tests.fakes.report_store import FakeReportStore
from tests.unit.domain.learning.fleet_world import (
    DECIDED,
    SLOT,
    FleetWorld,
    by_cold,
    by_heat,
    make_request,
    make_rows,
)

pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning", "ignore::dagster.PreviewWarning")
DAY = DECIDED.date() + dt.timedelta(days=1)
NEXT = DAY + dt.timedelta(days=1)
DAYS = dg.DailyPartitionsDefinition(start_date="2026-03-01")
FOLDER = "network_event/fleet/failure.cl"


def spec_with_alerts() -> ModelSpec:
    document = make_request().model.model_dump(mode="json")
    alerts = {"missed_event_usd": 200, "false_alarm_usd": 200, "capacity_per_day": 3}
    return ModelSpec.model_validate(document | {"alerts": alerts, "calibrate": True})


def project() -> ProjectConfig:
    """Return the project with the fleet of `FleetWorld` as its only use case."""
    config = load_project()
    settings = config.use_cases["network_event"]["cl"].model_copy(
        update={"corpus": make_request().corpus, "models": {"failure": spec_with_alerts()}}
    )
    return config.model_copy(update={"use_cases": {"network_event": {"cl": settings}}})


class Days:
    """A trained fleet, and its assets over one lake."""

    def __init__(self, root: Path) -> None:
        self.world = FleetWorld(root)
        alike = [make_rows("arda", by_heat), make_rows("boreal", by_heat, seed=1)]
        self.world.publish(alike)
        self.world.train_pooled()
        self.world.publish([*alike, make_rows("delta", by_cold, devices=60)])
        self.world.train()
        self.reports, self.outbox = FakeReportStore(), FakeOutbox()
        self.engine = DuckDbEngine(1, "300MB", root / "spill", [root])
        config = project()
        self.assets = [
            *build_fleet_day_assets(config, DAYS),
            *build_fleet_week_reports(config, DAYS),
            *build_fleet_training_reports(config),
        ]

    def put(self, table: str, day: dt.date, columns: Mapping[str, list[object]]) -> None:
        rows = pa.table(dict(columns))
        with self.world.lake.write(
            PartitionId(table, "cl", day), stable_hash([str(rows.to_pydict())])
        ) as writer:
            pq.write_table(rows, writer.file("data"))
            writer.commit(row_count=rows.num_rows)

    def score(self, day: dt.date, heat: list[float]) -> None:
        """Publish and score a day of devices of arda."""
        count = len(heat)
        same = {"load": [0.0] * count, "age": [0.0] * count, "firmware": ["f1"] * count}
        keys = [f"d{number}" for number in range(count)]
        columns: dict[str, list[object]] = {"device_id": [*keys], "heat": [*heat]}
        columns |= {name: [*values] for name, values in same.items()}
        self.put("etl/device_features", day, columns | {"device_group": ["arda"] * count})
        fleet = FleetDay(SLOT, make_request().corpus, spec_with_alerts(), day)
        stores = {"lake": self.world.lake, "registry": self.world.registry, "ledger": self.world.ledger}
        score_fleet_day(fleet, engine=self.engine, **stores)

    def run(self, key: list[str], partition: str) -> dg.ExecuteInProcessResult:
        """Materialise one asset."""
        asset = next(one for one in self.assets if one.key == dg.AssetKey(key))
        ports = {
            "lake": self.world.lake,
            "engine": self.engine,
            "registry": self.world.registry,
            "ledger": self.world.ledger,
            "reports": self.reports,
            "outbox": self.outbox,
        }
        with dg.DagsterInstance.ephemeral() as instance:
            return dg.materialize([asset], partition_key=partition, resources=ports, instance=instance)

    def match(self, day: dt.date) -> dict[str, dg.AssetCheckEvaluation]:
        """Materialise the matching of a day and return its checks."""
        result = self.run(names.fleet_matched_key("network_event", "failure"), day.isoformat())
        return {one.check_name: one for one in result.get_asset_check_evaluations()}


@pytest.fixture
def days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Days]:
    monkeypatch.setattr("mlops_assets.domain.learning.bundle._kept", {})
    made = Days(tmp_path)
    yield made
    made.engine.close()


def test_the_alert_list_is_saved_and_mailed_once(days: Days) -> None:
    days.score(DAY, [-1.0, 3.0, -1.0, 2.0, -1.0, -1.0])
    for _ in range(2):
        days.run(names.fleet_alerts_key("network_event", "failure"), DAY.isoformat())
    lines = days.reports.saved[f"network_event/alerts/failure.cl/{DAY}.csv"].decode().splitlines()
    assert [line.split(",")[:3] for line in lines[1:]] == [["1", "d1", "arda"], ["2", "d3", "arda"]]
    assert "heat 3 (usual -1)" in lines[1]
    (mail,) = days.outbox.entries()
    assert (mail.key.partition, mail.key.recipient) == (f"cl/{DAY}", "network-operations@operator.example")
    assert b"network_event/alerts" in days.reports.saved["index.html"]


def test_a_day_without_scores_has_no_mail(days: Days) -> None:
    assert days.run(names.fleet_alerts_key("network_event", "failure"), DAY.isoformat()).success
    assert days.outbox.entries() == []


def test_a_missing_feed_is_a_warning_until_it_comes(days: Days) -> None:
    days.score(DAY, [-1.0, 3.0])
    waiting = days.match(NEXT)[names.CHECK_MATCHED]
    assert not waiting.passed
    assert f"feeds/device_telemetry[cl {NEXT}]" in (waiting.description or "")
    days.run(names.fleet_report_key("network_event", "failure"), NEXT.isoformat())
    assert (
        f"wait for feeds/device_telemetry[cl {NEXT}]".encode()
        in days.reports.saved[f"{FOLDER}/week-2026-03-15.html"]
    )
    days.put("feeds/device_telemetry", NEXT, {"device_id": ["d0", "d1"], "event_severity_max": [0, 3]})
    checks = days.match(NEXT + dt.timedelta(days=3))
    assert checks[names.CHECK_MATCHED].passed
    assert checks[names.CHECK_RECALL].passed
    counted = pq.read_table(days.world.lake.path(PartitionId("matched/network_event/failure", "cl", DAY)))
    assert counted.select(["group", "events", "alert_events"]).to_pylist() == [
        {"group": "arda", "events": 1, "alert_events": 1}
    ]


def test_the_training_has_a_page_and_the_index_names_it(days: Days) -> None:
    days.run(names.fleet_training_report_key("network_event", "failure"), "cl")
    (page,) = (
        path for path in days.reports.saved if path.startswith(f"{FOLDER}/trained-") and path[-4:] == "html"
    )
    assert b"delta" in days.reports.saved[page]
    assert page.encode() in days.reports.saved["index.html"]


def test_a_fleet_is_in_the_daily_graph_and_its_training_job() -> None:
    definitions = build_defs(load_project())
    graph = definitions.resolve_asset_graph()
    made = ("network_event", "device_failure")
    daily = definitions.resolve_job_def(names.DAILY_JOB).asset_layer.executable_asset_keys
    for key in (names.fleet_alerts_key(*made), names.fleet_matched_key(*made), names.fleet_report_key(*made)):
        assert dg.AssetKey(key) in daily
        assert dg.AssetKey(key) in graph.get(dg.AssetKey(["reports", "day_log"])).parent_keys
    training = definitions.resolve_job_def(
        names.training_job("network_event")
    ).asset_layer.executable_asset_keys
    assert dg.AssetKey(names.fleet_training_report_key(*made)) in training
