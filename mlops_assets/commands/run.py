"""`mlops run` and `mlops train`.

Belongs here: arguments, progress lines and exit status. Does not belong here: the order of runs (replay).

Exit status: 0 everything is built; 1 a run failed; 3 built, but a geography lacked a feed.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Sequence
from typing import Any

import click

from mlops_assets.commands.completion import complete_segment, complete_use_case
from mlops_assets.commands.history import import_history
from mlops_assets.commands.known_names import require_known
from mlops_assets.commands.landing_ahead import open_landing_ahead
from mlops_assets.commands.models import put_models_in_order
from mlops_assets.commands.output import Output, with_json
from mlops_assets.commands.replay import DayResult, open_replay
from mlops_assets.commands.workspace import Workspace, open_workspace
from mlops_assets.config.run_plan import deliveries
from mlops_assets.domain.errors import FeedMissingError
from mlops_assets.domain.learning.slot_overview import entry_record

DAY = click.DateTime(["%Y-%m-%d"])
MAX_FINDINGS_SHOWN = 5


@click.command()
@click.option("--from", "first", type=DAY, help="First day; default: the first delivered day.")
@click.option("--to", "last", type=DAY, help="Last day; default: the last delivered day.")
@click.option(
    "--history",
    "is_history",
    is_flag=True,
    help="Import the days as the past: tables, ranges and verdicts, but no reports, scores, offers or trainings.",
)
@with_json
def run(first: dt.datetime | None, last: dt.datetime | None, *, is_history: bool, out: Output) -> None:
    """Build every due day from --from to --to, one line a day; what is up to date is skipped.

    An operator that joins brings weeks of files: import all but the last days with --history, then run the rest.

    Exit status: 0 everything is built, 1 a run failed, 3 built, but a geography lacked a feed; 130 interrupted, the
    same command goes on from there. With --json: one JSON object a day and line.

    Example: mlops run --from 2026-08-03 --to 2026-08-09
    """
    workspace = open_workspace()
    days = _day_range(workspace, first, last)
    put_models_in_order(workspace)
    results = (import_days if is_history else replay_days)(workspace, *days, out)
    statuses = {result.status for result in results}
    if not out.is_json:  # its lines, one a day, are all a program needs
        told = ", ".join(f"{_count(results, status)} {status}" for status in sorted(statuses))
        click.echo(f"{_count_days(results)}: {told}")
    sys.exit(1 if "failed" in statuses else 3 if "incomplete" in statuses else 0)


def _count_days(results: Sequence[DayResult]) -> str:
    days = len({result.day for result in results})
    return f"{days} days" if days == len(results) else f"{days} days in {len(results)} runs"


def _count(results: Sequence[DayResult], status: str) -> int:
    return sum(result.status == status for result in results)


def _day_range(
    workspace: Workspace, first: dt.datetime | None, last: dt.datetime | None
) -> tuple[dt.date, dt.date]:
    calendar = workspace.config.environment.calendar
    delivered = sorted(deliveries(workspace.config, workspace.platform.landing))
    found = [day for day in delivered if day >= calendar.first_day]
    if not found and not (first and last):
        raise FeedMissingError(
            "no feed file has been delivered",
            where=workspace.where(workspace.config.environment.storage.landing),
            expected="files named as in configs/feeds/*.yaml, in one folder per geography",
            remedy="`mlops sandbox init` simulates an operator",
        )
    days = (first.date() if first else found[0], last.date() if last else found[-1])
    if days[0] < calendar.first_day:
        raise click.BadParameter(
            f"{days[0]} is before calendar.first_day {calendar.first_day} of the environment",
            param_hint="--from",
        )
    if days[1] < days[0]:
        raise click.BadParameter(f"{days[1]} is before {days[0]}", param_hint="--to")
    return days


def replay_days(workspace: Workspace, first: dt.date, last: dt.date, out: Output) -> list[DayResult]:
    """Run the days and print one line each, with the time that is left."""
    show, workspace = DayPrinter(first, last, out), workspace.covering(last)
    with open_replay(workspace) as replay, replay.runner.keep_processes():
        return replay.run(first, last, show)


def import_days(workspace: Workspace, first: dt.date, last: dt.date, out: Output) -> list[DayResult]:
    """Import the days as history and print one line each, with the time that is left."""
    show, workspace = DayPrinter(first, last, out), workspace.covering(last)
    with open_replay(workspace) as replay, open_landing_ahead(replay):
        return import_history(replay, first, last, show)


class DayPrinter:
    """Tells one line a day, with an estimate of the time that is left."""

    def __init__(self, first: dt.date, last: dt.date, out: Output) -> None:
        self.first, self.last, self.out = first, last, out
        self._seconds = 0.0
        self._days_begun = 0

    def __call__(self, result: DayResult) -> None:
        """Print a day."""
        self._seconds += result.seconds
        number, total = (result.day - self.first).days + 1, (self.last - self.first).days + 1
        self._days_begun = max(self._days_begun, number)  # an earlier day may be built again
        left_s = self._seconds / self._days_begun * (total - self._days_begun)
        self.out.tell(day_record(result), day_line(result, number, total, left_s))


def day_record(result: DayResult) -> dict[str, Any]:
    """Return what a day brought, for programs."""
    return {**vars(result), "decisions": [entry_record(entry) for entry in result.decisions]}


def day_line(result: DayResult, number: int, total: int, left_s: float) -> str:
    """Return the line of one day, followed by its findings and decisions."""
    line = f"{result.day}  [{number:>3}/{total}]  {result.status:<10} {result.seconds:5.1f} s  {result.rows:>10,} rows"
    line += (
        f"  {result.quarantined_rows:>5,} quarantined  {result.scored_rows:>9,} scored  {left_s:4.0f} s left"
    )
    notes = [f"    ! {text}" for text in result.findings[:MAX_FINDINGS_SHOWN]]
    if len(result.findings) > MAX_FINDINGS_SHOWN:
        notes.append(f"    ! and {len(result.findings) - MAX_FINDINGS_SHOWN} more (see the run in Dagster)")
    notes += [
        f"    * {e.slot.registered_name} version {e.version} {e.outcome}: {'; '.join(e.reasons)}"
        for e in result.decisions
    ]
    return "\n".join([line, *notes])


@click.command()
@click.argument("use_case", shell_complete=complete_use_case)
@click.option("--segment", shell_complete=complete_segment, help="Only this segment; default: all.")
@click.option("--as-of", "as_of", type=DAY, help="Newest day to use; default: the last built day.")
@with_json
def train(use_case: str, segment: str | None, as_of: dt.datetime | None, *, out: Output) -> None:
    """Train the models of USE_CASE now and let the gate decide, whatever the sensors say.

    Exit status: 0 every training ended, whatever the gate decided; 1 one failed.

    Example: mlops train churn --segment cl
    """
    workspace = open_workspace()
    require_known(use_case, workspace.config.use_cases, "USE_CASE")
    segments = workspace.config.segments(use_case)
    if segment is not None:
        require_known(segment, segments, "--segment")
    with open_replay(workspace) as replay:
        outcomes = [
            replay.train(use_case, s, as_of.date() if as_of else None)
            for s in ([segment] if segment else segments)
        ]
    records = [
        {**vars(outcome), "decisions": [entry_record(entry) for entry in outcome.decisions]}
        for outcome in outcomes
    ]
    out.tell(records, "\n".join(outcome.text() for outcome in outcomes))
    sys.exit(0 if all(outcome.succeeded for outcome in outcomes) else 1)
