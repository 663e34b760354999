"""The summary of a run."""

from __future__ import annotations

import datetime as dt

import pytest
from pydantic import ValidationError

from mlops_assets.domain.reporting.run_summary import (
    make_key_figures,
    make_summary_tables,
    make_verdict,
    render_run_summary_html,
)
from tests.unit.domain.reporting.page_checks import check_page
from tests.unit.domain.reporting.sample_summaries import FIRST_DAY, make_summary


def test_the_page_names_what_was_built_refused_and_where_to_look() -> None:
    summary = make_summary()
    page = render_run_summary_html(summary)
    text = " ".join(check_page(page).text)
    for expected in (
        "2024-01-01 to 2024-01-08",
        "888,982",
        "column amount is missing",
        "var/reports/index.html",
        "0.8124",
    ):
        assert expected in text
    assert 'content="2024-01-08"' in page


def test_terminal_and_page_show_the_same_tables() -> None:
    summary = make_summary()
    tables = make_summary_tables(summary)
    assert list(tables) == ["places", "champions", "faulty_files", "feeds", "days"]
    text = check_page(render_run_summary_html(summary)).text
    for table in tables.values():
        assert table.title in text
    first = [str(cell) for cell in tables["champions"].rows[0]]
    assert first == ["churn", "churn_risk", "cl", "✔ 4", "Catboost", "ROC AUC", "0.8124", "\N{EN DASH}"]


def test_empty_tables_are_left_out() -> None:
    summary = make_summary(faulty_files=(), champions=(), places=())
    assert list(make_summary_tables(summary)) == ["feeds", "days"]
    check_page(render_run_summary_html(summary))


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "○ Complete; feed files: 1 refused"),
        ({"faulty_files": ()}, "✔ Complete"),
        (
            {"days": [{"day": FIRST_DAY, "outcome": "failed", "row_count": 0, "seconds": 0.1}]},
            "✖ 1 of 1 day failed",
        ),
    ],
)
def test_the_verdict_counts_failures_first(changes: dict[str, object], verdict: str) -> None:
    assert str(make_verdict(make_summary(**changes))) == verdict


def test_figures_count_days_rows_and_champions() -> None:
    figures = {label: (figure, note) for label, figure, note in make_key_figures(make_summary())}
    assert figures["Days"] == ("8", "1 of them were current already")
    assert figures["Rows homologated"] == ("888,982", "102 quarantined beside them")
    assert figures["Champions"][0] == "1 of 2"
    assert figures["Time"] == ("93 s", "peak memory 812.0 MB")


def test_days_are_counted_once_however_often_they_are_run() -> None:
    """Two days, one of which failed and was then built with its late file: three runs, two days, none failed."""
    lines = [
        {"day": FIRST_DAY, "outcome": "failed", "row_count": 0, "seconds": 0.1},
        {"day": FIRST_DAY + dt.timedelta(days=1), "outcome": "unchanged", "row_count": 9, "seconds": 0.1},
        {"day": FIRST_DAY, "outcome": "built", "row_count": 9, "seconds": 0.1},
    ]
    summary = make_summary(days=lines, faulty_files=())
    figures = {label: (figure, note) for label, figure, note in make_key_figures(summary)}
    assert figures["Days"] == (
        "2",
        "1 of them were current already; 1 run more for days that were built again",
    )
    assert str(make_verdict(summary)) == "✔ Complete"
    assert len(make_summary_tables(summary)["days"].rows) == 3


def test_a_late_file_is_not_called_refused() -> None:
    late = {"feed": "topups", "geography": "cl", "day": FIRST_DAY, "state": "late", "reason": "came later"}
    summary = make_summary(faulty_files=[late, {**late, "state": "missing", "geography": "pe"}])
    assert str(make_verdict(summary)) == "○ Complete; feed files: 1 missing, 1 late"
    figures = {label: (figure, note) for label, figure, note in make_key_figures(summary)}
    assert figures["Feed files at fault"] == ("2", "1 missing, 1 late")
    assert "refused" not in render_run_summary_html(summary).lower()


def test_days_have_to_be_in_order() -> None:
    with pytest.raises(ValidationError):
        make_summary(last_day=FIRST_DAY - dt.timedelta(days=1))
