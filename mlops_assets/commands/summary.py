"""What a run left behind, for people: the summary page, the index of reports and a table in the terminal.

Belongs here: collecting from lake, ledger and reports. Does not belong here: rendering
(mlops_assets.domain.reporting).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal, cast

from mlops_assets.commands.list_pages import save_list_pages
from mlops_assets.commands.replay import DayResult
from mlops_assets.config.models import UseCase
from mlops_assets.config.run_plan import all_slots
from mlops_assets.domain.feeds.delivery_record import feed_partition
from mlops_assets.domain.learning.slot_overview import main_figure
from mlops_assets.domain.offers.policy_gate import METRIC
from mlops_assets.domain.ports import ModelSlot
from mlops_assets.domain.reporting.report_index import INDEX_NAME, SUMMARIES_FOLDER, save_report_index
from mlops_assets.domain.reporting.run_summary import (
    ChampionLine,
    DayLine,
    FaultyFile,
    FeedLine,
    FileState,
    Place,
    RunSummary,
    StoryLine,
    render_run_summary_html,
)

if TYPE_CHECKING:
    from mlops_assets.commands.workspace import Workspace


def save_summary(
    workspace: Workspace,
    results: Sequence[DayResult],
    elapsed_s: float,
    peak_memory_mb: float | None,
    story: Sequence[StoryLine] = (),
) -> tuple[RunSummary, PurePath]:
    """Save the summary page, the pages of decisions, mails and lineage, and the index of all reports.

    Returns:
        the summary and the path of the index.
    """
    summary = collect_summary(workspace, results, elapsed_s, peak_memory_mb)
    summary = summary.model_copy(update={"story": tuple(story)})
    reports = workspace.platform.reports
    save_list_pages(workspace, summary.last_day)
    reports.save(
        f"{SUMMARIES_FOLDER}/{summary.first_day}_{summary.last_day}.html", render_run_summary_html(summary)
    )
    return summary, save_report_index(reports)


def collect_summary(
    workspace: Workspace, results: Sequence[DayResult], elapsed_s: float, peak_memory_mb: float | None
) -> RunSummary:
    """Collect what the days of a run brought."""
    days = [result.day for result in results]
    return RunSummary(
        first_day=min(days),
        last_day=max(days),
        environment=workspace.config.environment.name,
        days=tuple(_day_line(result) for result in results),
        feeds=tuple(_feed_lines(workspace, sorted(set(days)))),
        faulty_files=tuple(find_faulty_files(results)),
        champions=tuple(_champions(workspace)),
        places=tuple(_places(workspace)),
        elapsed_seconds=elapsed_s,
        peak_memory_mb=peak_memory_mb,
    )


def _day_line(result: DayResult) -> DayLine:
    outcomes: dict[str, Literal["built", "unchanged", "failed"]] = {
        "unchanged": "unchanged",
        "failed": "failed",
    }
    outcome = outcomes.get(result.status, "built")
    notes = [*result.findings, *(f"{e.slot.registered_name} {e.outcome}" for e in result.decisions)]
    return DayLine(
        day=result.day,
        outcome=outcome,
        row_count=result.rows,
        seconds=result.seconds,
        note="; ".join(notes)[:300],
    )


def _feed_lines(workspace: Workspace, days: Sequence[dt.date]) -> Iterator[FeedLine]:
    lake = workspace.platform.lake
    for feed in workspace.config.daily_feeds():
        for geography in sorted(workspace.config.geographies):
            partitions = (feed_partition(feed.name, geography, day) for day in days)
            found = [m for one in partitions if (m := lake.manifest(one))]
            yield FeedLine(
                feed=feed.name,
                geography=geography,
                day_count=len(found),
                row_count=sum(m.row_count for m in found),
                quarantined_count=sum(sum(m.facts["quarantined"].values()) for m in found),
            )


def find_faulty_files(results: Sequence[DayResult]) -> list[FaultyFile]:
    """Return the files that a run could not use, each once, as the last run of its day left it.

    Args:
        results: runs of days in order; a day may be run several times.
    """
    found: dict[tuple[dt.date, str, str], FaultyFile] = {}
    unsettled: set[tuple[dt.date, str, str]] = set()
    for result in results:
        now = {(result.day, one.feed, one.geography): one for one in reversed(result.refused)}
        if result.status in {"built", "incomplete"}:
            settled = {key for key in unsettled if key[0] == result.day and key not in now}
            found |= {key: _resolved(found[key]) for key in settled}
            unsettled -= settled
        for (day, feed, geography), one in now.items():
            found[day, feed, geography] = FaultyFile(
                feed=feed, geography=geography, day=day, state=cast("FileState", one.state), reason=one.reason
            )
        unsettled |= set(now)
    return sorted(found.values(), key=lambda one: (one.day, one.feed, one.geography))


def _resolved(file: FaultyFile) -> FaultyFile:
    """Return the file as a later run, which used a delivery of that day, leaves it."""
    if file.state == "missing":
        reason = "came after its day's run; a later run built the day with it"
        return file.model_copy(update={"state": "late", "reason": reason})
    return file.model_copy(update={"reason": f"{file.reason}; settled since: delivered again or released"})


def _champions(workspace: Workspace) -> Iterator[ChampionLine]:
    for slot in all_slots(workspace.config):
        metric = _metric(workspace.config.use_cases[slot.use_case][slot.segment], slot)
        history = workspace.platform.ledger.history(slot)
        champion = workspace.platform.ledger.champion(slot)
        if champion is None:
            note = "; ".join(history[-1].reasons) if history else "not enough history yet"
            yield ChampionLine(
                use_case=slot.use_case, model=slot.model, segment=slot.segment, metric=metric, note=note
            )
            continue
        yield ChampionLine(
            use_case=slot.use_case,
            model=slot.model,
            segment=slot.segment,
            version=champion.version,
            metric=metric,
            value=main_figure(champion)[1],
            algorithm=str(champion.evidence.get("algorithm", "")),
        )


def _metric(settings: UseCase, slot: ModelSlot) -> str:
    """Return the name of the metric that a slot is judged by."""
    return settings.models[slot.model].metric if slot.model in settings.models else METRIC


def _places(workspace: Workspace) -> Iterator[Place]:
    storage = workspace.config.environment.storage
    yield Place(
        title="Reports",
        location=f"{workspace.where(storage.reports)}/{INDEX_NAME}",
        what="this summary, every report and chart, mails, decisions, lineage",
    )
    yield Place(
        title="Dagster",
        location="make dev",
        what="lineage, runs, checks and previews on http://127.0.0.1:3000",
    )
    yield Place(
        title="MLflow",
        location="make mlflow",
        what="leaderboards and model versions on http://127.0.0.1:5000",
    )
    yield Place(
        title="Lake",
        location=workspace.where(storage.lake),
        what="feeds, feature tables, corpora and scores as Parquet",
    )
    yield Place(
        title="Landing zone",
        location=workspace.where(storage.landing),
        what="the files that the sandbox operator delivered",
    )
