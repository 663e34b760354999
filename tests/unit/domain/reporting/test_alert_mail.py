"""Alerts: what is one, and what its mail says."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from mlops_assets.domain.reporting.alert_mail import (
    EvaluatedCheck,
    FailedRun,
    FailedStep,
    is_alert,
    make_alert_messages,
)

AT = dt.datetime(2026, 9, 2, 6, 30, tzinfo=dt.UTC)
RUN = FailedRun(
    "0a1b2c3d-run",
    "daily_graph",
    "2026-09-01",
    AT,
    "Execution of run failed. Steps failed: ['feeds__usage'].",
    (FailedStep("feeds__usage", "no geography delivered an acceptable usage"),),
)
CHECK = EvaluatedCheck(
    asset="feeds/usage",
    check="delivery",
    partition="2026-09-01",
    run_id="0a1b2c3d-run",
    evaluated_at_utc=AT,
    is_passed=False,
    severity="ERROR",
    is_blocking=True,
    facts={"findings": "- cl: usage_20260901.parquet is missing\n- pe: consumo_20260901.parquet is missing"},
)
TOLD = ["on-call@operator.example", "data@operator.example"]


@pytest.mark.parametrize(
    ("changes", "is_told"),
    [({}, True), ({"severity": "WARN"}, False), ({"is_passed": True}, False), ({"is_blocking": False}, True)],
)
def test_errors_are_alerts_and_warnings_are_not(changes: dict[str, object], *, is_told: bool) -> None:
    check = dataclasses.replace(CHECK, **changes)  # type: ignore[arg-type]
    assert is_alert(check) is is_told
    assert len(list(make_alert_messages([], [check], TOLD))) == is_told


def test_a_failed_run_names_its_steps_and_what_to_do() -> None:
    (mail,) = make_alert_messages([RUN], [], TOLD)
    assert (mail.report, mail.partition) == ("alerts/failed_run", "0a1b2c3d-run")
    assert mail.subject == "Failed run: daily_graph, 2026-09-01"
    for expected in (
        "2026-09-02 06:30 UTC",
        "feeds__usage",
        "no geography delivered an acceptable usage",
        "mlops run",
    ):
        assert expected in mail.html
        assert expected in mail.text


def test_a_failed_check_says_what_it_stops() -> None:
    (mail,) = make_alert_messages([], [CHECK], TOLD)
    assert (mail.report, mail.partition) == (
        "alerts/failed_check",
        "feeds/usage/delivery/2026-09-01/0a1b2c3d",
    )
    assert mail.subject == "Failed check: delivery of feeds/usage, 2026-09-01"
    assert "what follows it is not built" in mail.html
    assert "consumo_20260901.parquet is missing" in mail.text
    (harmless,) = make_alert_messages([], [dataclasses.replace(CHECK, is_blocking=False)], TOLD)
    assert "what follows it is built all the same" in harmless.text


def test_subscribers_numbers_and_endless_texts_stay_here() -> None:
    number = "56912345678"
    step = FailedStep("etl__usage", f"could not convert {number} " + "x" * 5000)
    run = dataclasses.replace(RUN, error=f"at {number}", steps=(step,) * 30)
    check = dataclasses.replace(CHECK, facts={"violations": f"value {number}"})
    for mail in make_alert_messages([run], [check], TOLD):
        assert number not in mail.html + mail.text + mail.subject
        assert len(mail.text) < 20_000
    assert "10 more are not shown" in next(make_alert_messages([run], [], TOLD)).text


def test_markup_in_an_error_is_text() -> None:
    run = dataclasses.replace(RUN, error="<script>alert(1)</script>")
    (mail,) = make_alert_messages([run], [], TOLD)
    assert "<script>" not in mail.html


def test_without_recipients_there_are_no_mails() -> None:
    assert list(make_alert_messages([RUN], [CHECK], [])) == []


def test_each_recipient_is_told_once() -> None:
    mails = list(make_alert_messages([RUN], [CHECK], TOLD))
    keys = [key for mail in mails for key in mail.mail_keys()]
    assert len(keys) == len(set(keys)) == 4
