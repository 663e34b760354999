"""The fleet report as a page, as Markdown and as CSV; the alert list as a mail."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from typing import Any

import pytest

from mlops_assets.domain.reporting.fleet_alert_list import AlertList, make_alert_message, render_alert_csv
from mlops_assets.domain.reporting.fleet_report import (
    FaultLine,
    FleetReport,
    GainLine,
    GroupLine,
    LiveLine,
    TrainingLine,
)
from mlops_assets.domain.reporting.fleet_report_page import (
    make_sentences,
    make_verdict,
    render_fleet_csv,
    render_fleet_html,
    render_fleet_markdown,
)
from mlops_assets.domain.reporting.mail import MailRefusedError
from mlops_assets.domain.reporting.report_index import make_index_entry
from tests.unit.domain.reporting.page_checks import check_page

DAY = dt.date(2026, 5, 10)
HOSTILE = '<script>alert("x")</script>'


def group(name: str, **changes: Any) -> GroupLine:
    figures = {"devices": 10, "served": "own", "version": "3", "algorithm": "linear", "outcome": "promoted"}
    return GroupLine.model_validate(
        {"group": name, "gain": 0.02, "gain_low": 0.01, "gain_high": 0.03} | figures | changes
    )


def live(day: dt.date, **changes: Any) -> LiveLine:
    figures = {
        "observed": 100,
        "events": 10,
        "expected_events": 9.5,
        "alerts": 8,
        "precision": 0.5,
        "capacity_precision": 0.4,
        "recall": 0.7,
        "alert_recall": 0.4,
    }
    return LiveLine.model_validate({"day": day} | figures | changes)


def training(back: int, devices: int, cpu_seconds: float) -> TrainingLine:
    day = DAY - dt.timedelta(days=back)
    return TrainingLine(day=day, groups=3, devices=devices, train_rows=900, cpu_seconds=cpu_seconds)


def report(*groups: GroupLine, **changes: Any) -> FleetReport:
    values: dict[str, Any] = {
        "use_case": "network_event",
        "model": "device_failure",
        "segment": "cl",
        "data_day": DAY,
        "group_column": "device_group",
        "metric": "log_loss",
        "pooled_version": "2",
        "scored_day": DAY,
        "groups": groups or (group("arda"), group("boreal", served="pooled", outcome="not_better")),
        "gains": (
            GainLine(
                against="one model for all", gain=0.01, low=0.005, high=0.015, groups=9, rows=900, note="n"
            ),
        ),
        "live": (live(DAY - dt.timedelta(days=4)), live(DAY - dt.timedelta(days=3), recall=None)),
        "live_total": live(DAY),
        "trainings": (training(30, 100, 2.0), training(2, 1000, 21.0)),
    }
    return FleetReport.model_validate(values | changes)


def group_names(page: str) -> list[str]:
    return re.findall(r'data-label="Group" data-value="([^"]*)"', page)


def test_the_page_is_whole_and_allows_its_own_script_only() -> None:
    page = render_fleet_html(
        report(group(HOSTILE, detail=HOSTILE), faults=(FaultLine(group="g", what="a", error=HOSTILE),))
    )
    outline = check_page(page)
    assert HOSTILE in " ".join(outline.text), "shown as text"
    entry = make_index_entry("network_event/fleet/device_failure.cl/week-2026-05-10.html", page.encode())
    assert (entry.title, entry.data_day) == ("Fleet of network_event/device_failure, cl, 2026-05-10", DAY)


def test_cells_sort_by_number_and_unknown_ones_have_nothing_to_sort_by() -> None:
    page = render_fleet_html(report(group("arda", devices=12_345, recall=None, drift="too few events")))
    assert 'data-label="Devices" data-value="12345" class="number"' in page
    assert 'data-label="Recall" data-value="" class="number"' in page
    assert "12,345" in page


def test_a_thousand_groups_fit_a_page_and_the_markdown_stays_short() -> None:
    many = report(*(group(f"g{number}", devices=number) for number in range(1000)))
    page = render_fleet_html(many)
    assert page.count('data-label="Group"') == 1000
    assert len(page.encode()) < 4_000_000
    assert group_names(page) == [f"g{number}" for number in reversed(range(1000))], "most devices first"
    assert "950 more are on the page" in render_fleet_markdown(many)


@pytest.mark.parametrize(
    ("lines", "words", "tone"),
    [
        ([group("a")], "All 1 group are served", "good"),
        ([group("a"), group("b", drift="fallen")], "1 group catching fewer events than before", "bad"),
        ([group("a", outcome="failed", served="pooled")], "1 group failed to train", "bad"),
        ([group("a", served="nobody"), group("b", served="nobody")], "2 groups served by nobody", "bad"),
    ],
)
def test_the_verdict_names_what_needs_somebody(lines: list[GroupLine], words: str, tone: str) -> None:
    verdict = make_verdict(report(*lines))
    assert (verdict.text, verdict.tone) == (words, tone)


def test_sentences_say_coverage_growth_and_what_is_missing() -> None:
    text = " ".join(
        make_sentences(report(missing=("feeds/x[cl 2026-05-09]",), caveat="the data have no dates"))
    )
    assert "1 group served by a model of their own, 1 by the pooled model (version 2), 0 by nobody" in text
    assert "With 10.00 times the devices a training took 10.50 times the CPU, 1.05 times" in text
    assert "wait for feeds/x[cl 2026-05-09]" in text
    assert "The data have no dates." in text
    assert "Without a model of their own: 1 not better." in text
    same = report(trainings=(training(9, 100, 2.0), training(2, 100, 9.0)))
    assert "times the devices" not in " ".join(make_sentences(same))


def test_who_needs_somebody_comes_first() -> None:
    lines = [group("large", devices=99), group("fallen", drift="fallen"), group("failed", outcome="failed")]
    page = render_fleet_html(report(*lines, group("alone", served="nobody", devices=1)))
    assert group_names(page) == ["alone", "failed", "fallen", "large"]


def test_a_tiny_loss_is_a_number_in_the_csv() -> None:
    """Python writes -0.00005 as -5e-05, which would pass for a formula and get an apostrophe."""
    (row,) = csv.DictReader(io.StringIO(render_fleet_csv(report(group("a", gain=-5e-05, gain_high=2.5e-7)))))
    assert (row["gain"], row["gain_high"]) == ("-0.00005", "0.00000025")


def test_the_file_has_a_line_a_group_and_no_formula() -> None:
    rows = list(csv.DictReader(io.StringIO(render_fleet_csv(report(group("=1+1"), group("b", gain=None))))))
    assert [row["group"] for row in rows] == ["'=1+1", "b"]
    assert (rows[0]["gain"], rows[1]["gain"]) == ("0.02", "")


def alert_list(**changes: Any) -> AlertList:
    reasons = [{"feature": "errors_per_day", "value": "41", "usual": "3", "score_drop": 0.221}]
    rows = [
        {"alert_rank": 1, "key": "BTS-7", "group": "arda", "score": 0.81, "saving_usd": 312.6,
         "model_segment": "cl.arda", "model_version": "4", "reasons": reasons},
        {"alert_rank": 2, "key": "=BTS-8", "group": None, "score": 0.4, "saving_usd": 10.0,
         "model_segment": "cl", "model_version": "2", "reasons": []},
    ]  # fmt: skip
    values: dict[str, Any] = {
        "use_case": "network_event",
        "model": "device_failure",
        "segment": "cl",
        "day": DAY,
        "entity": "device_id",
        "rows": rows,
        "scored": 500,
        "worth": 5,
        "capacity_per_day": 2,
    }
    return AlertList.model_validate(values | changes)


def test_the_mail_says_whom_to_look_at_why_and_who_is_left_out() -> None:
    message = make_alert_message(alert_list(not_loadable=("cl.delta",)), ["noc@operator.example"])
    assert (message.report, message.partition) == (
        "fleet/network_event/device_failure/alerts",
        "cl/2026-05-10",
    )
    for part in (message.html, message.text):
        assert "errors per day 41 (usual 3): 22.1 points" in part
        assert "no single value explains it" in part
        assert "expected to save 322.60 USD" in part
        assert "3 more are beyond the capacity of 2 a day" in part
        assert "could not be loaded: cl.delta" in part
        assert "Aggregates only" not in part
    (attached,) = message.attachments
    lines = attached.content.decode("utf-8-sig").splitlines()
    assert lines[0].startswith("rank,device_id,group,probability")
    assert lines[2].startswith("2,'=BTS-8,,0.4,"), "no spreadsheet computes it"
    assert render_alert_csv(alert_list()).splitlines() == lines


def test_a_calm_day_is_said_to_be_calm() -> None:
    message = make_alert_message(alert_list(rows=[], worth=0), ["noc@operator.example"])
    assert "No device is worth an alert" in message.text
    assert "beyond the capacity" not in message.text


def test_people_are_never_mailed() -> None:
    with pytest.raises(MailRefusedError, match="identifies persons"):
        make_alert_message(alert_list(entity="subscriber_id"), ["noc@operator.example"])
