"""A monitor's days over a small lake: ranges, verdicts, drift, faults of the feed, reports and mails."""

from __future__ import annotations

import datetime as dt
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.domain.feeds.contract import FeedContract
from mlops_assets.domain.ports import PartitionId
from mlops_assets.domain.quality.monitor_day import MonitorDay
from mlops_assets.domain.quality.monitor_tables import ANOMALIES, DRIFT, KERNEL, monitor_table, read_rows
from mlops_assets.domain.quality.spec import MonitorSpec
from mlops_assets.domain.reporting.monitor_reports import (
    make_anomaly_messages,
    make_summary_messages,
    render_monitor_day,
    render_summary_day,
)
from resources.duckdb_engine import DuckDbEngine
from resources.lake import LocalLake

FIRST = dt.date(2026, 6, 1)
PLANS = ("base", "combo_m", "data_l", "data_m", "data_s", "voice_s")
SPEC = MonitorSpec(
    name="plan_usage",
    description="volume by plan",
    owner="team:data-platform",
    recipients=["quality@operator.example"],
    table="etl/plan_usage_daily",
    series_by=["plan_code"],
    value="data_kb",
    unit="KB",
)
Factor = Callable[[int, str], float]


def day_number(number: int) -> dt.date:
    return FIRST + dt.timedelta(days=number)


class Operator:
    """Writes the plan totals and the feed manifests of days, and lets the monitor run on each."""

    def __init__(self, root: Path) -> None:
        self.lake = LocalLake(root / "lake")
        self.engine = DuckDbEngine(1, "500MB", root / "tmp", [root / "lake"])
        self.random = np.random.default_rng(7)

    def monitored(self, number: int) -> MonitorDay:
        return MonitorDay(SPEC, ("usage",), "cl", day_number(number), self.lake, self.engine)

    def live(
        self, numbers: Iterator[int] | range, factor: Factor = lambda *_: 1.0, state: str = "healthy"
    ) -> None:
        for number in numbers:
            self.deliver(number, factor, state)
            monitored = self.monitored(number)
            monitored.judge()
            monitored.decide()
            monitored.build_kernel()

    def deliver(self, number: int, factor: Factor, state: str) -> None:
        day = day_number(number)
        if state != "missing":
            table = "held/usage" if state == "held" else "feeds/usage"
            health = {"status": "broken" if state == "held" else "healthy"}
            self.write(PartitionId(table, "cl", day), {}, {"raw_sha256": "0" * 64, "health": health})
        if state == "healthy":
            weekday = 1.0 + 0.15 * math.sin(2 * math.pi * day.weekday() / 7)
            noise = np.exp(self.random.normal(0.0, 0.04, len(PLANS)))
            kb = [
                int(5e6 * (place + 1) * weekday * one * factor(number, plan))
                for place, (plan, one) in enumerate(zip(PLANS, noise, strict=True))
            ]
            self.write(
                PartitionId("etl/plan_usage_daily", "cl", day), {"plan_code": list(PLANS), "data_kb": kb}, {}
            )

    def write(self, partition: PartitionId, rows: dict[str, list[object]], facts: dict[str, object]) -> None:
        with self.lake.write(partition, f"{abs(hash(str(partition))):016x}") as writer:
            if rows:
                pq.write_table(pa.table(rows), writer.file("data"))
            writer.commit(row_count=len(PLANS), facts=facts)

    def verdict(self, number: int) -> str:
        manifest = self.lake.manifest(self.monitored(number).partition(DRIFT))
        assert manifest is not None
        return str(manifest.facts["verdict"]["kind"])

    def facts(self, result: str, number: int) -> dict[str, object]:
        manifest = self.lake.manifest(self.monitored(number).partition(result))
        assert manifest is not None
        return dict(manifest.facts)


@pytest.fixture(scope="module")
def seven_weeks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with seven ordinary weeks; tests copy it."""
    root = tmp_path_factory.mktemp("operator")
    Operator(root).live(range(50))
    return root


@pytest.fixture
def operator(seven_weeks: Path, tmp_path: Path) -> Operator:
    """An operator with seven ordinary weeks behind it."""
    shutil.copytree(seven_weeks / "lake", tmp_path / "lake")
    return Operator(tmp_path)


def test_drift_is_judged_by_ranges_that_reach_the_day(operator: Operator) -> None:
    """A kernel of two weeks before says nothing of a day where ranges reach ten days ahead."""
    near = SPEC.model_copy(
        update={"name": "near", "forecast": SPEC.forecast.model_copy(update={"horizon_days": 10})}
    )
    for number in range(34, 49):
        replace(operator.monitored(number), spec=near).build_kernel()
    evidence = replace(operator.monitored(49), spec=near).gather_evidence()
    assert set(evidence.series) == set(PLANS)


def test_ranges_come_with_enough_history_and_hold_ordinary_days(operator: Operator) -> None:
    assert operator.facts(KERNEL, 10)["series_with_range"] == 0
    assert operator.facts(KERNEL, 49)["series_with_range"] == len(PLANS)
    rows = read_rows(operator.lake, monitor_table("plan_usage", KERNEL), "cl", [day_number(49)])
    assert {row["target_day"] for row in rows} == {day_number(n) for n in range(50, 80)}
    operator.live(range(50, 64))
    shares = [operator.facts(ANOMALIES, n)["outside_share"] for n in range(50, 64)]
    assert sum(share > 0.2 for share in shares) <= 2  # type: ignore[operator]
    assert "behaviour_shift" not in {operator.verdict(n) for n in range(40, 64)}


def test_a_lasting_shift_is_one_and_a_festival_is_none(operator: Operator) -> None:
    operator.live(range(50, 51), lambda *_: 2.5)
    assert operator.facts(ANOMALIES, 50)["outside_share"] == 1.0
    operator.live(range(51, 60))
    assert "behaviour_shift" not in {operator.verdict(n) for n in range(50, 60)}
    operator.live(range(60, 68), lambda *_: 1.8)
    found = [n for n in range(60, 68) if operator.verdict(n) == "behaviour_shift"]
    assert found
    assert found[0] <= 66
    assert found == list(range(found[0], 68)), "it is called a shift as long as it lasts"


@pytest.mark.parametrize(("state", "kind"), [("held", "broken_feed"), ("missing", "no_evidence")])
def test_a_day_without_a_sound_feed_is_no_evidence(operator: Operator, state: str, kind: str) -> None:
    operator.live(range(50, 56), state=state)
    assert {operator.verdict(n) for n in range(50, 56)} == {kind}
    assert operator.facts(ANOMALIES, 50)["checked"] == 0
    assert operator.monitored(50).build_kernel().status == "missing_input"


def test_the_same_day_again_changes_nothing(operator: Operator) -> None:
    monitored = operator.monitored(49)
    assert [act().status for act in (monitored.judge, monitored.decide, monitored.build_kernel)] == [
        "reused"
    ] * 3


def test_one_plan_far_outside_is_reported_and_mailed(operator: Operator) -> None:
    operator.live(range(50, 51), lambda _, plan: 3.0 if plan == "data_s" else 1.0)
    rendered = render_monitor_day(operator.monitored(50))
    assert "Anomaly! => (" in rendered.markdown
    assert "data\\_s" in rendered.markdown
    assert operator.facts(ANOMALIES, 50)["removed"] == 1
    (message,) = make_anomaly_messages(operator.monitored(50), rendered)
    assert message.recipients == ("quality@operator.example",)
    kernel = next(text for path, text in rendered.files.items() if path.endswith(".csv"))
    lines = str(kernel).splitlines()
    assert lines[0] == "Plan,Date,Day,Forecast_Low (mb),Forecast_High (mb)"
    assert len(lines) == 1 + 30 * len(PLANS)
    assert (
        list(make_anomaly_messages(operator.monitored(49), render_monitor_day(operator.monitored(49)))) == []
    )


@pytest.mark.parametrize(("state", "word"), [("healthy", "False"), ("held", "True"), ("missing", "None")])
def test_the_summary_says_true_false_or_none(operator: Operator, state: str, word: str) -> None:
    operator.live(range(50, 51), state=state)
    usage = FeedContract.model_validate(
        {
            "name": "usage", "description": "d", "owner": "team:data-platform", "file_pattern": "u_{day}.csv",
            "format": "csv", "key": ["id"],
            "columns": [{"name": "id", "source": "ID", "type": "integer", "description": "d"}],
        }
    )  # fmt: skip
    day = day_number(50)
    rendered = render_summary_day([usage], ["cl"], [SPEC], day, day, operator.lake)
    table = next(str(text) for path, text in rendered.files.items() if path.endswith(f"{day}.csv"))
    assert table.splitlines() == ["Exec_Date,File_Date,Geography,usage", f"{day},{day},cl,{word}"]
    (mail,) = make_summary_messages(rendered, day, ["a@b.example"])
    assert (mail.report, mail.partition) == ("quality/daily_summary", str(day))


def test_the_week_is_mailed_on_its_last_day(operator: Operator) -> None:
    """Day 48 is Sunday, 2026-07-19; the mail of the week has another partition than that of the day."""
    operator.live(range(42, 49))
    usage = FeedContract.model_validate(
        {
            "name": "usage", "description": "d", "owner": "team:data-platform", "file_pattern": "u_{day}.csv",
            "format": "csv", "key": ["id"],
            "columns": [{"name": "id", "source": "ID", "type": "integer", "description": "d"}],
        }
    )  # fmt: skip
    mails = {}
    for number in range(42, 49):
        day = day_number(number)
        rendered = render_summary_day([usage], ["cl"], [SPEC], day, day, operator.lake)
        mails[day] = list(make_summary_messages(rendered, day, ["a@b.example"]))
    sunday = dt.date(2026, 7, 19)
    assert [day for day, found in mails.items() if len(found) > 1] == [sunday]
    daily, weekly = mails[sunday]
    assert (daily.partition, weekly.partition) == ("2026-07-19", "2026-W29")
    assert weekly.report == "quality/weekly_summary"
    assert weekly.subject == "Weekly quality summary: 2026-07-13 to 2026-07-19"
    assert all(str(day) in weekly.text and str(day) in weekly.html for day in mails)
