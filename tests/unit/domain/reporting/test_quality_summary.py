"""The daily and the weekly quality summary."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from mlops_assets.domain.reporting.quality_summary import (
    FeedCell,
    HeldFeed,
    QualitySummary,
    build_daily_summary,
    build_weekly_summary,
)
from mlops_assets.domain.reporting.quality_summary_page import (
    SHOWN_REASONS,
    list_commands,
    make_key_figures,
    make_summary_tables,
    make_verdict,
    render_summary_csv,
    render_summary_html,
    render_summary_mail,
    render_summary_markdown,
)
from mlops_assets.domain.weeks import WEEK_DAYS
from tests.unit.domain.reporting.page_checks import check_page
from tests.unit.domain.reporting.sample_anomalies import DAY

FEEDS = ("usage", "topups")
NEXT_DAY = DAY + dt.timedelta(days=1)
HELD = HeldFeed(feed="topups", geography="cl", day=DAY, age_days=4, reason="x 1000", is_escalated=True)


def make_cell(feed: str, is_anomaly: bool | None, reason: str = "why") -> FeedCell:
    return FeedCell(feed=feed, is_anomaly=is_anomaly, reason="" if is_anomaly is False else reason)


CELLS = {
    "cl": [make_cell("usage", False), make_cell("topups", True, "amount is 1000 times what it was")],
    "pe": [make_cell("usage", False)],
}


def make_daily(
    cells: Mapping[str, list[FeedCell]] = CELLS, *, day: dt.date = DAY, **changes: Any
) -> QualitySummary:
    options = {
        "feeds": FEEDS,
        "geographies": ("cl", "pe"),
        "exec_date": day + dt.timedelta(days=1),
        **changes,
    }
    return build_daily_summary(cells, file_date=day, **options)


def make_weekly(**changes: Any) -> QualitySummary:
    """Return a week in which two days were judged; `changes` are those of its last day."""
    judged = {DAY - dt.timedelta(days=2)}
    earlier = [DAY - dt.timedelta(days=back) for back in range(1, WEEK_DAYS)]
    dailies = [make_daily(CELLS if one in judged else {}, day=one) for one in earlier]
    return build_weekly_summary([make_daily(**changes), *dailies])


def test_the_csv_has_the_operators_form() -> None:
    assert render_summary_csv(make_daily()) == (
        "Exec_Date,File_Date,Geography,usage,topups\n"
        "2024-02-15,2024-02-14,cl,False,True\n"
        "2024-02-15,2024-02-14,pe,False,None\n"
    )


def test_a_feed_that_nobody_judged_is_none_and_says_so() -> None:
    summary = make_daily({})
    assert [cell.is_anomaly for _, cell in summary.cells] == [None] * 4
    assert {cell.reason for _, cell in summary.cells} == {"this feed was not checked"}
    assert str(make_verdict(summary)) == "○ Not executed: no check could be made"
    assert make_key_figures(summary)[0] == ("Anomalies", "0", "\N{EN DASH} of the executed checks")


def test_none_needs_a_reason() -> None:
    with pytest.raises(ValidationError, match="nothing says why"):
        FeedCell(feed="usage", is_anomaly=None)


@pytest.mark.parametrize(
    ("cells", "verdict"),
    [
        (CELLS, "✖ 1 anomaly in 3 checks, 1 not executed"),
        ({"cl": [make_cell(feed, False) for feed in FEEDS]}, "○ No anomaly in 2 checks, 2 not executed"),
        (
            {place: [make_cell(feed, False) for feed in FEEDS] for place in ("cl", "pe")},
            "✔ No anomaly in 4 checks",
        ),
    ],
)
def test_the_verdict_is_good_only_if_everything_was_checked(
    cells: dict[str, list[FeedCell]], verdict: str
) -> None:
    assert str(make_verdict(make_daily(cells))) == verdict


@pytest.mark.parametrize(
    "cells",
    [
        {"xx": []},
        {"cl": [make_cell("unheard", False)]},
        {"cl": [make_cell("usage", False), make_cell("usage", True)]},
    ],
)
def test_what_is_not_configured_or_doubled_is_refused(cells: dict[str, list[FeedCell]]) -> None:
    with pytest.raises(ValueError, match=r"not configured|at most once"):
        make_daily(cells)


def test_the_execution_cannot_be_before_the_day() -> None:
    with pytest.raises(ValidationError, match="before"):
        make_daily(exec_date=DAY - dt.timedelta(days=1))


def test_the_week_has_its_days_in_order_and_counts_what_was_not_checked() -> None:
    week = make_weekly()
    assert (week.first_day, week.last_day) == (DAY - dt.timedelta(days=6), DAY)
    assert len(week.rows) == 14
    tallies = {(one.geography, one.feed): one for one in week.tallies}
    topups = tallies["cl", "topups"]
    assert (topups.anomaly_days, topups.normal_days, topups.unexecuted_days) == (2, 0, 5)
    assert topups.anomaly_share == 1.0
    assert tallies["pe", "topups"].anomaly_share is None
    rows = list(csv.reader(io.StringIO(render_summary_csv(week))))
    assert [row[1] for row in rows[1::2]] == [f"2024-02-{day:02d}" for day in range(8, 15)]


def test_the_same_reason_on_several_days_is_one_row() -> None:
    rows = make_summary_tables(make_weekly())["reasons"].rows
    assert [str(row[2]) for row in rows] == ["✖ True", "○ None", "○ None", "○ None", "○ None"]
    assert [str(cell) for cell in rows[1]] == [
        "usage",
        "cl",
        "○ None",
        "5",
        "2024-02-08 to 2024-02-13",
        "this feed was not checked",
    ]


@pytest.mark.parametrize("other", [make_daily(), make_daily({}, day=NEXT_DAY, feeds=("devices",))])
def test_days_that_do_not_go_together_are_no_week(other: QualitySummary) -> None:
    with pytest.raises(ValidationError, match=r"a day twice|not exactly one cell"):
        build_weekly_summary([make_daily(), other])


def test_held_deliveries_are_listed_oldest_first_with_their_escalation() -> None:
    younger = HELD.model_copy(update={"age_days": 1, "is_escalated": False, "geography": "pe"})
    week = make_weekly(held=[younger, HELD])
    rows = make_summary_tables(week)["held"].rows
    assert [(row[1], str(row[3]), str(row[4])) for row in rows] == [
        ("cl", "4", "✖ escalated"),
        ("pe", "1", "○ waiting"),
    ]
    assert ("Held deliveries", "2", "1 of them escalated") in make_key_figures(week)
    release = next(command for command, _ in list_commands(week) if "release" in command)
    assert release == 'mlops feeds release FEED GEOGRAPHY DAY --by YOUR_NAME --note "WHY IT IS RIGHT"'
    assert len(list_commands(make_daily())) == 1


@pytest.mark.parametrize("summary", [make_daily(held=[HELD]), make_weekly(), make_daily({})])
def test_page_mail_and_markdown_say_the_same(summary: QualitySummary) -> None:
    page = render_summary_html(summary)
    outline = check_page(page)
    assert f'content="{summary.last_day}"' in page
    assert f"<title>{summary.title}</title>" in page
    markdown = render_summary_markdown(summary)
    mail = render_summary_mail(summary)
    for table in make_summary_tables(summary).values():
        assert f"## {table.title}" in markdown
        assert table.title in mail
        assert table.title in outline.text
    for text in (markdown, mail, page):
        assert str(make_verdict(summary)) in text
        assert "○ None" in text


def test_states_are_told_apart_without_colour() -> None:
    states = [str(cell) for row in make_summary_tables(make_daily())["summary"].rows for cell in row[3:]]
    assert states == ["✔ False", "✖ True", "✔ False", "○ None"]


def test_a_mail_loads_nothing_and_needs_no_style_sheet() -> None:
    mail = render_summary_mail(make_daily())
    for forbidden in ("<style", "<script", "<svg", "<img", "href=", "src=", "var(--"):
        assert forbidden not in mail


def test_values_are_escaped_everywhere() -> None:
    nasty = "<script>alert(1)</script>"
    summary = make_daily({nasty: [make_cell("usage", True, f"{nasty}|x")]}, geographies=(nasty,))
    for text in (
        render_summary_html(summary),
        render_summary_mail(summary),
        render_summary_markdown(summary),
    ):
        assert nasty not in text
    assert "'=cmd" in render_summary_csv(make_daily({"=cmd": []}, geographies=("=cmd",)))


def test_a_long_list_of_reasons_is_cut_and_counted() -> None:
    places = tuple(f"g{number}" for number in range(SHOWN_REASONS))
    summary = make_daily({}, geographies=places)
    assert len(make_summary_tables(summary)["reasons"].rows) == SHOWN_REASONS
    assert "200 more are not shown" in make_summary_tables(summary)["reasons"].title
    assert "100 more rows are in the report" in render_summary_mail(summary)


def test_no_number_of_a_subscriber_gets_through() -> None:
    cells = {"cl": [make_cell("usage", True, "row of 56912345678 is wrong")]}
    assert "56912345678" not in render_summary_html(make_daily(cells))


def test_a_summary_survives_its_json() -> None:
    summary = make_daily(held=[HELD])
    assert QualitySummary.model_validate_json(summary.model_dump_json()) == summary
