"""Series that are no ordinary series, from the stored values to the words of the report."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.domain.ports import PartitionId
from mlops_assets.domain.quality.monitor_day import MonitorDay
from mlops_assets.domain.quality.monitor_tables import ANOMALIES, KERNEL, monitor_table, read_rows
from mlops_assets.domain.quality.spec import MonitorSpec
from mlops_assets.domain.reporting.monitor_reports import RenderedReport, render_monitor_day
from mlops_assets.domain.reporting.series_words import find_word
from resources.duckdb_engine import DuckDbEngine
from resources.lake import LocalLake

FIRST, DAYS = dt.date(2026, 6, 1), 50
SPEC = MonitorSpec(
    name="plan_usage",
    description="volume by plan",
    owner="team:data-platform",
    table="etl/plan_usage_daily",
    series_by=["plan_code"],
    value="data_kb",
    unit="KB",
    gap="unknown",
)
# Series -> status that its kernel has, whether it has a range, reason on the judged day.
SPECIAL = {
    "short": ("short_history", False, "short_history"),
    "silent": ("silent", False, "silent"),
    "constant": ("constant", True, ""),
    "gappy": ("gaps", True, ""),
    "negative": ("negative", True, ""),
    "mostly_negative": ("negative", False, "negative"),
    "gigantic": ("gigantic_value", True, ""),
    "ended": ("ended", False, "ended"),
    "thousandfold_today": ("ok", True, "gigantic_value"),
    "negative_today": ("ok", True, "negative"),
    "absent_today": ("ok", True, "missing_value"),
    "summer_time": ("ok", True, ""),
}
PLANS = ("plan_a", "plan_b", "plan_c", "plan_d", "plan_e", "plan_f")


def day_number(number: int) -> dt.date:
    return FIRST + dt.timedelta(days=number)


def special_value(series: str, number: int, ordinary: int) -> int | None:
    """Return what a special series had on a day; None without a row."""
    is_judged_day = number == DAYS
    odd: dict[str, int | None] = {
        "short": ordinary if number >= DAYS - 10 else None,
        "silent": 0,
        "constant": 7_000_000,
        "gappy": None if number % 9 == 4 else ordinary,
        "negative": -ordinary if number == 30 else ordinary,
        "mostly_negative": -ordinary if number % 2 else ordinary,
        "gigantic": 1024 * ordinary if number == 30 else ordinary,
        "ended": ordinary if number < DAYS - 12 else None,
        "thousandfold_today": 1000 * ordinary if is_judged_day else ordinary,
        "negative_today": -ordinary if is_judged_day else ordinary,
        "absent_today": None if is_judged_day else ordinary,
        "summer_time": ordinary,
    }
    return odd[series]


def values_of(number: int, random: np.random.Generator) -> Mapping[str, int | None]:
    weekday = 1.0 + 0.15 * math.sin(2 * math.pi * day_number(number).weekday() / 7)
    noise = np.exp(random.normal(0.0, 0.04, len(PLANS) + len(SPECIAL)))
    ordinary = [int(5e6 * weekday * one) for one in noise]
    values: dict[str, int | None] = dict(zip(PLANS, ordinary, strict=False))
    for series, value in zip(SPECIAL, ordinary[len(PLANS) :], strict=True):
        values[series] = special_value(series, number, value)
    if number == DAYS:  # an hour more than usual, and nothing else
        values["summer_time"] = int(5e6 * weekday * 25 / 24)
    if number == DAYS:
        values["new_plan"] = 5_000_000
    return values


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> MonitorDay:
    """The day after the history, judged by the kernel of the day before."""
    root = tmp_path_factory.mktemp("bad_series")
    lake = LocalLake(root / "lake")
    engine = DuckDbEngine(1, "500MB", root / "tmp", [root / "lake"])
    random = np.random.default_rng(3)
    for number in range(DAYS + 1):
        deliver(lake, number, values_of(number, random))
    MonitorDay(SPEC, ("usage",), "cl", day_number(DAYS - 1), lake, engine).build_kernel()
    monitored = MonitorDay(SPEC, ("usage",), "cl", day_number(DAYS), lake, engine)
    for act in (monitored.judge, monitored.decide, monitored.build_kernel):
        act()
    return monitored


def deliver(lake: LocalLake, number: int, values: Mapping[str, int | None]) -> None:
    rows = {plan: kb for plan, kb in values.items() if kb is not None}
    day = day_number(number)
    facts = {"raw_sha256": "0" * 64, "health": {"status": "healthy"}}
    with lake.write(PartitionId("feeds/usage", "cl", day), f"{number:016x}") as writer:
        writer.commit(row_count=len(rows), facts=facts)
    with lake.write(PartitionId("etl/plan_usage_daily", "cl", day), f"{number:016x}") as writer:
        pq.write_table(
            pa.table({"plan_code": list(rows), "data_kb": list(rows.values())}), writer.file("data")
        )
        writer.commit(row_count=len(rows))


@pytest.fixture(scope="module")
def rendered(judged: MonitorDay) -> RenderedReport:
    """The report of the judged day."""
    return render_monitor_day(judged)


@pytest.mark.parametrize("series", SPECIAL)
def test_the_kernel_names_what_is_special_and_gives_a_range_or_none(judged: MonitorDay, series: str) -> None:
    status, has_range, _ = SPECIAL[series]
    kernel = read_rows(
        judged.lake, monitor_table("plan_usage", KERNEL), "cl", [judged.day - dt.timedelta(days=1)]
    )
    rows = [row for row in kernel if row["series"] == series]
    assert {row["status"] for row in rows} == {status}
    assert {row["low_mb"] is not None for row in rows} == {has_range}
    if has_range:  # what was unusable has not blown up the range
        assert all(0 <= row["low_mb"] <= row["high_mb"] < 10 * 7e6 / 1024 for row in rows)


@pytest.mark.parametrize("series", [*SPECIAL, "new_plan"])
def test_the_day_is_judged_or_says_why_not(judged: MonitorDay, series: str) -> None:
    reason = SPECIAL[series][2] if series in SPECIAL else "new"
    verdicts = read_rows(judged.lake, monitor_table("plan_usage", ANOMALIES), "cl", [judged.day])
    (verdict,) = [row for row in verdicts if row["series"] == series]
    assert verdict["reason"] == reason
    outside = {"thousandfold_today": True, "": False}.get(series if reason else "")
    assert verdict["is_outside"] is outside


@pytest.mark.parametrize(
    "word",
    [
        "short_history", "silent", "constant", "gaps", "negative", "gigantic_value", "ended", "new", "missing_value",
    ],
)  # fmt: skip
def test_the_report_has_a_word_for_it(rendered: RenderedReport, word: str) -> None:
    label, sentence = find_word(word)
    page = next(str(text) for path, text in rendered.files.items() if path.endswith(".html"))
    assert label in page
    assert sentence.split(":")[0] in page
    assert label in rendered.markdown


def test_a_day_of_25_hours_is_no_anomaly(judged: MonitorDay) -> None:
    verdicts = read_rows(judged.lake, monitor_table("plan_usage", ANOMALIES), "cl", [judged.day])
    (verdict,) = [row for row in verdicts if row["series"] == "summer_time"]
    assert verdict["is_outside"] is False


@pytest.mark.parametrize(("table", "word"), [("held/usage", "unusable_feed"), ("", "missing_feed")])
def test_a_day_without_its_feed_says_which_way_it_is_absent(
    judged: MonitorDay, table: str, word: str
) -> None:
    """Neither an anomaly nor an all-clear, and the report says why."""
    day = judged.day + dt.timedelta(days=1 if table else 2)
    if table:
        facts = {"raw_sha256": "0" * 64, "health": {"status": "broken"}}
        with judged.lake.write(PartitionId(table, "cl", day), "0" * 16) as writer:
            writer.commit(row_count=1, facts=facts)
    monitored = MonitorDay(SPEC, ("usage",), "cl", day, judged.lake, judged.engine)
    outcome = monitored.judge()
    assert outcome.manifest is not None
    assert outcome.manifest.facts["outside_share"] is None
    monitored.decide()
    rendered = render_monitor_day(monitored)
    page = next(str(text) for path, text in rendered.files.items() if path.endswith(".html"))
    assert find_word(word).label in page
    assert find_word("no_range").label not in page
    assert "Anomaly!" not in rendered.markdown
