"""`mlops demo`: seven weeks of a simulated operator, from files to champions and back.

Belongs here: arguments, progress, and what is told at the end. Does not belong here: the story (demo_story), its days
(demo_run) or its proof (demo_checks).
"""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import replace

import click

from mlops_assets.commands.demo_checks import ChapterOutcome, check_chapters
from mlops_assets.commands.demo_run import CONFIG_FOLDER, DemoRun, Scale
from mlops_assets.commands.demo_story import (
    CHAPTERS,
    FIRST_DAY,
    NEW_NUMBER,
    STORY_DAYS,
    day_of,
    weight_of,
)
from mlops_assets.commands.output import Output, with_json
from mlops_assets.commands.replay import DayResult
from mlops_assets.commands.run import day_line
from mlops_assets.commands.summary import save_summary
from mlops_assets.config.loader import load_project
from mlops_assets.domain.reporting.list_pages import LEDGER_PAGE, MAILS_PAGE
from mlops_assets.domain.reporting.run_summary import RunSummary, StoryLine, make_summary_tables
from resources.environments import data_root

TABLE_WIDTH = 150  # paths and reasons stay on one line where the output goes to a file
SUBSCRIBERS, DEVICES, SEED = 5_000, 600, 20260803
_DECISIONS_SHOWN = 3


@click.command()
@click.option(
    "--subscribers",
    default=SUBSCRIBERS,
    show_default=True,
    type=click.IntRange(min=1000),
    help="Subscribers of each geography.",
)
@click.option(
    "--devices",
    default=DEVICES,
    show_default=True,
    type=click.IntRange(min=40),
    help="Network devices of each geography.",
)
@click.option(
    "--days",
    default=STORY_DAYS,
    show_default=True,
    type=click.IntRange(min=1, max=STORY_DAYS),
    help="Stop after so many days of the story.",
)
@click.option("--seed", default=SEED, show_default=True, help="The same seed gives the same world.")
@with_json
def demo(subscribers: int, devices: int, days: int, seed: int, *, out: Output) -> None:
    """Tell the whole story with a simulated operator, and prove from the stores that it came true.

    Five weeks of history are imported; two more weeks bring a unit error, a festival, a lasting shift, retrainings, an
    approval, a rollback, offers and a third country. Run again, it continues where it was interrupted. Exit status: 0
    everything came true, 1 something did not, or a day failed. Other sizes and seeds are other worlds: the gate may
    decide otherwise there.

    Example: mlops demo --subscribers 2000
    """
    started = time.monotonic()
    home = data_root()
    geographies = " and ".join(g.name for g in load_project().geographies.values())
    click.echo(f"{geographies}, {subscribers:,} subscribers each, {days} days; everything is kept in {home}")
    teller = Teller(days)
    run = DemoRun(
        home, Scale(subscribers, devices, seed, days), teller.tell_day, teller.tell_action, teller.open_day,
        teller.wait,
    )  # fmt: skip
    run.run()
    outcomes = check_chapters(run.workspace, day_of(days - 1))
    written = {*run.workspace.platform.reports.list(), LEDGER_PAGE, MAILS_PAGE}
    story = [_story_line(one, written) for one in outcomes]
    elapsed = time.monotonic() - started
    summary, index = save_summary(run.workspace, run.results, elapsed, _peak_memory_mb(), story)
    _tell(summary, str(index), str(home / CONFIG_FOLDER) if days > NEW_NUMBER else "")
    if out.is_json:  # all that was told so far went to standard error
        out.tell({**summary.model_dump(mode="json"), "index": index}, "")
    has_failed = any(result.status == "failed" for result in run.results)
    sys.exit(1 if has_failed or not all(one.found.is_held for one in outcomes) else 0)


class Teller:
    """Prints chapters, days and decisions as they come, with the time that is left."""

    def __init__(self, days: int) -> None:
        self.days = days
        self._seconds = self._weight = 0.0
        self._newest = 0
        self._told: set[str] = set()

    def open_day(self, number: int) -> None:
        """Print the chapters that begin on a day."""
        for chapter in CHAPTERS:
            if chapter.number <= number and chapter.key not in self._told and chapter.number < self.days:
                self._told.add(chapter.key)
                click.echo(f"\n── {chapter.day}: {chapter.title}")

    def wait(self, seconds: float) -> None:
        """Count time that was spent between days."""
        self._seconds += seconds

    def tell_day(self, result: DayResult) -> None:
        """Print a day: one line, what was found, the first decisions."""
        number = (result.day - FIRST_DAY).days
        self._seconds += result.seconds
        self._weight += weight_of(number)
        self._newest = max(self._newest, number)  # an earlier day may be built again
        left = self._seconds / self._weight * sum(weight_of(n) for n in range(self._newest + 1, self.days))
        line = day_line(shorten(result), number + 1, self.days, left)
        more = len(result.decisions) - _DECISIONS_SHOWN
        click.echo(f"{line}\n    * and {more} more decisions (reports/ledger.html)" if more > 0 else line)

    def tell_action(self, text: str) -> None:
        """Print what a person did."""
        click.echo("\n".join(f"    > {line}" for line in text.splitlines()))


def shorten(result: DayResult) -> DayResult:
    """Return a day with its first decisions only."""
    return replace(result, decisions=result.decisions[:_DECISIONS_SHOWN])


def _story_line(outcome: ChapterOutcome, written: set[str]) -> StoryLine:
    found, chapter = outcome.found, outcome.chapter
    return StoryLine(
        chapter=chapter.title,
        day=chapter.day,
        is_held=found.is_held,
        what=found.what,
        where=found.where,
        is_report=found.where in written,
    )


def _peak_memory_mb() -> float:
    # Linux counts in KiB, macOS in bytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def _tell(summary: RunSummary, index: str, folder: str) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.width = max(console.width, TABLE_WIDTH)
    for name in ("champions", "places", "story"):
        table = make_summary_tables(summary).get(name)
        if table is None:
            continue
        view = Table(title=table.title, title_justify="left")
        for column in table.columns:
            view.add_column(column.title, justify="right" if column.is_numeric else "left", overflow="fold")
        for row in table.rows:
            view.add_row(*(str(cell) for cell in row))
        console.print(view)
    missed = [line.chapter for line in summary.story if not line.is_held]
    for chapter in missed:
        click.echo(f"! did not come true: {chapter}")
    if folder:
        click.echo(f"Go on with all three countries: MLOPS_CONFIG_PATHS={folder} make dev")
    memory = f", peak memory {summary.peak_memory_mb:,.0f} MB" if summary.peak_memory_mb else ""
    held = f"{len(summary.story) - len(missed)} of {len(summary.story)} chapters came true"
    click.echo(f"{held} in {summary.elapsed_seconds:.0f} s{memory}. Start here: {index}")
