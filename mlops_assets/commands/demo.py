"""`mlops demo`: eight weeks of a simulated operator, from files to champions.

Belongs here: the order of the demo and what it tells. Does not belong here: any of its steps.
"""

from __future__ import annotations

import datetime as dt
import resource
import sys
import time

import click

from mlops_assets.commands.replay import DayResult, Replay
from mlops_assets.commands.run import DayPrinter
from mlops_assets.commands.sandbox import FIRST_DAY, sandbox_arguments, start_sandbox
from mlops_assets.commands.summary import save_summary
from mlops_assets.commands.workspace import Workspace, open_workspace
from mlops_assets.domain.reporting.run_summary import RunSummary, make_summary_tables
from mlops_assets.sandbox.sandbox_state import load_state
from mlops_assets.sandbox.simulation import advance

TABLE_WIDTH = 150  # paths and reasons stay on one line where the output goes to a file


@click.command()
@click.option(
    "--subscribers",
    default=20_000,
    show_default=True,
    type=click.IntRange(min=1000),
    help="Subscribers of each geography.",
)
@click.option("--days", default=56, show_default=True, type=click.IntRange(min=1))
@click.option("--seed", default=20260803, show_default=True)
def demo(subscribers: int, days: int, seed: int) -> None:
    """Simulate an operator day by day, run the main job on each day, and say what was built.

    Run again, it continues where it was interrupted; what is up to date is skipped.
    """
    started = time.monotonic()
    workspace = open_workspace().covering(FIRST_DAY.date() + dt.timedelta(days=days - 1))
    geographies = ", ".join(g.name for g in workspace.config.geographies.values())
    click.echo(
        f"Simulating {geographies} with {subscribers:,} subscribers each; everything is kept in {workspace.home}"
    )
    start_sandbox(
        workspace,
        subscribers=subscribers,
        first_day=FIRST_DAY.date(),
        days=0,
        seed=seed,
        devices=None,
        on_day=None,
    )
    results = _live_through(workspace, FIRST_DAY.date(), days)
    summary, index = save_summary(workspace, results, time.monotonic() - started, _peak_memory_mb())
    _tell(summary, len(results), index)
    sys.exit(1 if any(result.status == "failed" for result in results) else 0)


def _live_through(workspace: Workspace, first: dt.date, days: int) -> list[DayResult]:
    last = first + dt.timedelta(days=days - 1)
    show = DayPrinter(first, last)
    results: list[DayResult] = []
    with workspace.open_instance() as instance:
        replay = Replay(workspace, instance)
        for number in range(days):
            day = first + dt.timedelta(days=number)
            started = time.monotonic()
            _deliver(workspace, day)
            show.waited(time.monotonic() - started)
            results += replay.run(day, day, show, rebuild_from=first)
    return results


def _deliver(workspace: Workspace, day: dt.date) -> None:
    arguments = sandbox_arguments(workspace)
    if load_state(arguments["root"]).next_day <= day:
        advance(**arguments, days=1)


def _peak_memory_mb() -> float:
    # Linux counts in KiB, macOS in bytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def _tell(summary: RunSummary, runs: int, index: object) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.width = max(console.width, TABLE_WIDTH)
    for name in ("champions", "places"):
        table = make_summary_tables(summary)[name]
        view = Table(title=table.title, title_justify="left")
        for column in table.columns:
            view.add_column(column.title, justify="right" if column.is_numeric else "left")
        for row in table.rows:
            view.add_row(*(str(cell) for cell in row))
        console.print(view)
    memory = f", peak memory {summary.peak_memory_mb:,.0f} MB" if summary.peak_memory_mb else ""
    click.echo(f"{runs} day runs in {summary.elapsed_seconds:.0f} s{memory}. Start here: {index}")
