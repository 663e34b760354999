"""Alerts: mails about what went wrong in the graph itself.

Belongs here: what is an alert, and what its mail says. Does not belong here: reading Dagster's event log (the
sensor), who is told (the environment's `alerts`), or broken deliveries (delivery_mail).

A failed check does not fail a run, so each has alerts of its own: one for a failed run, one for a failed check of
severity ERROR of a run. Their partitions name the run, so that reading an event again mails nothing twice.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mlops_assets.domain.reporting.formats import ABSENT, format_time
from mlops_assets.domain.reporting.mail import MailMessage
from mlops_assets.domain.reporting.public_text import mask_identifiers
from mlops_assets.domain.reporting.report_mail import MailBody, render_mail_body, render_mail_text
from mlops_assets.domain.reporting.tables import Cell, Code, Mark, make_table

RUN_REPORT, CHECK_REPORT = "alerts/failed_run", "alerts/failed_check"
ALERTING_SEVERITY = "ERROR"
SHOWN_LINES, MOST_CHARACTERS = 20, 600
_RUN_LENGTH, _MOST_TITLE = 8, 150
_RETRIES = (
    "A day that failed is asked for again by the sensor, later and later, four times in all; after that it waits for "
    "you."
)


@dataclass(frozen=True)
class FailedStep:
    """A step of a run that failed: its key, and the cause in one line."""

    key: str
    error: str


@dataclass(frozen=True)
class FailedRun:
    """A run that failed. `partition` is empty for runs without; `error` is what Dagster says of the run."""

    run_id: str
    job: str
    partition: str
    failed_at_utc: dt.datetime
    error: str
    steps: tuple[FailedStep, ...] = ()


@dataclass(frozen=True)
class EvaluatedCheck:
    """One evaluation of an asset check.

    Attributes:
        asset: key as `stage/name`.
        check: name of the check.
        partition: that was checked; empty without.
        run_id: run in which it was evaluated.
        evaluated_at_utc: when.
        is_passed: outcome.
        severity: `ERROR` or `WARN`.
        is_blocking: whether what follows is not built.
        facts: what the check says, by label.
    """

    asset: str
    check: str
    partition: str
    run_id: str
    evaluated_at_utc: dt.datetime
    is_passed: bool
    severity: str
    is_blocking: bool
    facts: Mapping[str, str] = field(default_factory=dict)


def is_alert(check: EvaluatedCheck) -> bool:
    """Whether somebody is told: a warning is in the reports of the day, an error is not to wait for them."""
    return not check.is_passed and check.severity == ALERTING_SEVERITY


def make_alert_messages(
    runs: Sequence[FailedRun], checks: Sequence[EvaluatedCheck], recipients: Sequence[str]
) -> Iterator[MailMessage]:
    """Yield a mail for every failed run and for every failed check of severity ERROR.

    Args:
        runs: failed runs.
        checks: evaluations of any outcome.
        recipients: who is told; without any there are no mails.
    """
    if not recipients:
        return
    for run in runs:
        yield _message(RUN_REPORT, run.run_id, _run_body(run), recipients)
    for check in filter(is_alert, checks):
        where = "/".join(filter(None, (check.asset, check.check, check.partition)))
        yield _message(CHECK_REPORT, f"{where}/{check.run_id[:_RUN_LENGTH]}", _check_body(check), recipients)


def _message(report: str, partition: str, body: MailBody, recipients: Sequence[str]) -> MailMessage:
    return MailMessage(
        report=report,
        partition=partition,
        subject=body.title,
        html=render_mail_body(body, data_day=None),
        text=render_mail_text(body, data_day=None),
        recipients=tuple(recipients),
    )


def _run_body(run: FailedRun) -> MailBody:
    facts: list[tuple[Cell, Cell]] = [
        ("Job", run.job),
        ("Partition", run.partition or ABSENT),
        ("Run", Code(run.run_id)),
        ("Failed at", format_time(run.failed_at_utc)),
        ("Dagster says", _shorten(run.error) or ABSENT),
    ]
    steps = [(Code(step.key), _shorten(step.error)) for step in run.steps[:SHOWN_LINES]]
    rest = len(run.steps) - len(steps)
    title = f"Failed steps; {rest} more are not shown" if rest else "Failed steps"
    return MailBody(
        title=_title("Failed run", run.job, run.partition),
        verdict=Mark("A run failed", "bad"),
        tables=[make_table("The run", ["What", "Which"], facts), make_table(title, ["Step", "Cause"], steps)],
        notes=["What the run had not built by then is missing.", _RETRIES],
        commands=[("mlops run", "after the cause is mended: build everything that is due")],
    )


def _check_body(check: EvaluatedCheck) -> MailBody:
    effect = "what follows it is not built" if check.is_blocking else "what follows it is built all the same"
    facts: list[tuple[Cell, Cell]] = [
        ("Check", check.check),
        ("Asset", check.asset),
        ("Partition", check.partition or ABSENT),
        ("Severity", Mark(check.severity, "bad")),
        ("Run", Code(check.run_id)),
        ("Evaluated at", format_time(check.evaluated_at_utc)),
    ]
    said = [
        (label.replace("_", " "), _shorten(line.removeprefix("- ")))
        for label, text in check.facts.items()
        for line in text.splitlines()
    ]
    rest = len(said) - SHOWN_LINES
    title = f"What it says; {rest} more lines are not shown" if rest > 0 else "What it says"
    return MailBody(
        title=_title("Failed check", f"{check.check} of {check.asset}", check.partition),
        verdict=Mark(f"Failed, severity {check.severity}: {effect}", "bad"),
        tables=[
            make_table("The check", ["What", "Which"], facts),
            make_table(title, ["What", "Which"], said[:SHOWN_LINES]),
        ],
        notes=["docs/checks.md says what each check asks, and what it stops."],
        commands=[("mlops feeds list", "the health of every delivery")]
        if check.asset.startswith("feeds/")
        else [],
    )


def _title(what: str, of: str, partition: str) -> str:
    return f"{what}: {mask_identifiers(', '.join(filter(None, (of, partition))))[:_MOST_TITLE]}"


def _shorten(text: str) -> str:
    """Return the text on one line and bounded, without what reads like a subscriber's number."""
    line = mask_identifiers(" ".join(text.split()))
    return line if len(line) <= MOST_CHARACTERS else f"{line[: MOST_CHARACTERS - 1]}\N{HORIZONTAL ELLIPSIS}"
