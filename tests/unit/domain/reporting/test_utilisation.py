"""What running costs: sums that close, cost, reuse, and what was not measured."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from pydantic import ValidationError

from mlops_assets.domain.reporting.formats import format_money
from mlops_assets.domain.reporting.utilisation import (
    Price,
    RunUsage,
    StepUsage,
    UtilisationReport,
    build_utilisation_report,
)
from mlops_assets.domain.reporting.utilisation_page import (
    make_key_figures,
    make_sentences,
    make_utilisation_tables,
    render_utilisation_csv,
    render_utilisation_html,
    render_utilisation_markdown,
)
from tests.unit.domain.reporting.page_checks import check_page

MONDAY = dt.date(2026, 8, 31)
SUNDAY = MONDAY + dt.timedelta(days=6)
STAGES = ("feeds", "etl", "model")
READERS = {"churn": ["etl/profile", "feeds/usage"], "offers": ["etl/profile"], "other": []}


def step(asset: str, cpu_seconds: float | None = 1.0, **changes: Any) -> StepUsage:
    values = {"day": MONDAY, "seconds": 2.0, "cpu_seconds": cpu_seconds, "row_count": 10, **changes}
    return StepUsage(asset=asset, **values)


def build(*steps: StepUsage, **changes: Any) -> UtilisationReport:
    values: dict[str, Any] = {
        "first_day": MONDAY,
        "last_day": SUNDAY,
        "price": Price(usd_per_cpu_hour=3.6, is_assumed=True),
        "readers": READERS,
        "stages": STAGES,
        **changes,
    }
    return build_utilisation_report(steps, values.pop("runs", ()), **values)


def test_stages_come_in_the_order_of_the_data_and_add_up() -> None:
    report = build(
        step("model/churn/churn_risk", 5.0, row_count=None),
        step("etl/profile", 2.0),
        step("etl/profile", 3.0, day=SUNDAY),
        step("feeds/usage", 1.0),
        step("zoo/x", 0.5),
    )
    assert [(one.stage, one.use_case, one.steps, one.cpu_seconds) for one in report.stages] == [
        ("feeds", "shared", 1, 1.0),
        ("etl", "shared", 2, 5.0),
        ("model", "churn", 1, 5.0),
        ("zoo", "shared", 1, 0.5),
    ]
    assert (report.total.steps, report.total.cpu_seconds, report.total.seconds) == (5, 11.5, 10.0)
    assert report.total.row_count == 40
    assert [(one.day, one.cpu_seconds) for one in report.days] == [(MONDAY, 8.5), (SUNDAY, 3.0)]
    assert report.assets[0].asset == "etl/profile"


def test_cost_is_cpu_time_and_its_price() -> None:
    report = build(step("etl/profile", 1000.0))
    assert report.cost_usd == pytest.approx(1.0)
    assert make_sentences(report)[0].startswith("1 step took 1,000 CPU seconds, which cost 1.00 USD")
    assert "an assumption" in " ".join(make_sentences(report))
    own = build(step("etl/profile"), price=Price(usd_per_cpu_hour=3.6, is_assumed=False))
    assert "assumption" not in " ".join(make_sentences(own))


def test_a_table_with_several_readers_is_saved_once_for_each_but_the_first() -> None:
    three = {"churn": ["etl/profile"], "offers": ["etl/profile"], "events": ["etl/profile", "feeds/usage"]}
    report = build(
        step("etl/profile", 4.0), step("feeds/usage", 2.0), step("model/churn/x", 6.0), readers=three
    )
    (shared,) = report.shared_tables
    assert (shared.table, shared.readers) == ("etl/profile", ("churn", "events", "offers"))
    assert report.saved_cpu_seconds == 8.0
    assert report.saved_share == pytest.approx(8 / (4 + 2 + 6 + 8))
    assert make_utilisation_tables(report)["shared_tables"].rows == (
        ("etl/profile", "Churn, Events, Offers", "4.00", "8.00", "0.0080"),
    )


@pytest.mark.parametrize(
    ("readers", "words"),
    [({"churn": ["etl/profile"]}, "There is one use case"), ({"a": ["etl/profile"], "b": []}, "No table")],
)
def test_nothing_shared_is_said_in_words(readers: dict[str, list[str]], words: str) -> None:
    report = build(step("etl/profile"), readers=readers)
    assert report.shared_tables == ()
    assert make_sentences(report)[1].startswith(words)
    assert make_key_figures(report)[3][1] == "\N{EN DASH}"


def test_what_was_not_measured_is_counted_and_in_no_cost() -> None:
    report = build(step("etl/profile", 1.0), step("etl/profile", None, is_failed=True), step("etl/x", None))
    assert (report.total.unmeasured, report.total.failed, report.total.cpu_seconds) == (2, 1, 1.0)
    assert report.total.seconds == 6.0
    sentence = make_sentences(report)[-1]
    assert sentence.startswith("Without measured CPU: 2 steps, 1 of them because they failed")


def test_steps_and_runs_of_other_days_do_not_count() -> None:
    outside = MONDAY - dt.timedelta(days=1)
    runs = [RunUsage(day=MONDAY, seconds=5.0), RunUsage(day=outside, seconds=7.0)]
    report = build(step("etl/profile"), step("etl/profile", day=outside), runs=runs)
    assert (report.total.steps, report.runs, report.run_seconds) == (1, 1, 5.0)
    assert "the run that is over took 5.00 s from start to end" in make_sentences(report)[0]


def test_parts_that_do_not_add_up_are_refused() -> None:
    report = build(step("etl/profile"))
    with pytest.raises(ValidationError, match="other steps than the total"):
        UtilisationReport(**{**report.model_dump(), "days": ()})


def test_the_csv_closes_with_the_total() -> None:
    lines = render_utilisation_csv(build(step("etl/profile", 1.5), step("model/churn/x", None))).splitlines()
    assert lines[0].startswith("Stage,Use case,Steps,Seconds,CPU seconds,Rows,Cost USD")
    assert lines[1:] == [
        "etl,shared,1,2.000,1.500,10,0.00150000,0,0",
        "model,churn,1,2.000,0.000,10,0.00000000,1,0",
        "Total,,2,4.000,1.500,20,0.00150000,1,0",
    ]


def test_the_page_is_sound_and_escapes() -> None:
    steps = [step("etl/profile", 3.0), step("etl/<b>x</b>", 1.0), step("model/churn/x", 2.0, day=SUNDAY)]
    page = render_utilisation_html(build(*steps))
    assert page == render_utilisation_html(build(*steps))
    assert "<b>x" not in page
    words = " ".join(check_page(page).text)
    assert "CPU by stage" in words
    assert "ETL 4.0 s; Model 2.0 s" in words
    assert "What reuse saved" in words


def test_a_week_without_a_step_is_a_page_all_the_same() -> None:
    report = build()
    check_page(render_utilisation_html(report))
    assert "0 steps" in render_utilisation_markdown(report)
    assert report.saved_share is None


@pytest.mark.parametrize(
    ("amount", "text"),
    [(None, "\N{EN DASH}"), (0.0, "0.00"), (214.3, "214.30"), (0.01, "0.01"), (0.00024, "0.00024"),
     (-0.0032, "\N{MINUS SIGN}0.0032"), (0.0099, "0.0099"), (2e-8, "< 0.000001")],
)  # fmt: skip
def test_small_amounts_are_not_shown_as_zero(amount: float | None, text: str) -> None:
    assert format_money(amount) == text
