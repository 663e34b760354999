"""From the reconciled days of a week to its report, files and mail.

Belongs here: which days a week's report rests on, why a day is missing, and which files and mail it becomes. Does not
belong here: the report (offer_report, offer_report_page), counting (domain.offers.reconciliation), saving or sending.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mlops_assets.domain.features.table import FeatureTable, TableInput
from mlops_assets.domain.feeds.delivery_record import held_partition
from mlops_assets.domain.offers.reconciliation_day import ReconciledDay, ReconciliationError, read_day
from mlops_assets.domain.ports import Lake, PartitionId, TableEngine
from mlops_assets.domain.reporting.mail import MailMessage
from mlops_assets.domain.reporting.offer_report import OfferReport, build_offer_report
from mlops_assets.domain.reporting.offer_report_page import (
    make_offer_message,
    render_offer_csv,
    render_offer_html,
    render_offer_markdown,
)
from mlops_assets.domain.weeks import WEEK_DAYS, sunday_of

EARLIER_WEEKS = 7  # shown beside the week of the report
_FEEDS = "feeds/"
_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class OfferWeekSource:
    """Where the offers of a use case are.

    Attributes:
        use_case: whose offers.
        table: its reconciliation (`reconciliation_table`).
        geographies: where it makes offers, in the order of the report.
        lake, engine: of the reconciliation.
    """

    use_case: str
    table: FeatureTable
    geographies: tuple[str, ...]
    lake: Lake
    engine: TableEngine


@dataclass(frozen=True)
class RenderedOfferWeek:
    """A week's report in its forms; `is_complete` once its Sunday is in."""

    report: OfferReport
    files: dict[str, str | bytes]
    markdown: str
    is_complete: bool


def render_offer_week(source: OfferWeekSource, day: dt.date) -> RenderedOfferWeek | None:
    """Return the report of a day's week as far as it has come; None if nothing has been proposed in it.

    The report reaches to `day`, or to a later day of the week that is reconciled already (a late delivery builds an
    earlier day again).

    Raises:
        EngineError: a partition cannot be read.
    """
    sunday = sunday_of(day)
    week = [sunday - back * _DAY for back in reversed(range(WEEK_DAYS))]
    if not any(_was_proposed(source, geography, one) for geography in source.geographies for one in week):
        return None
    last_day = max([day, *(one for one in _published_days(source) if one in week)])
    report = _read_report(source, week[0], last_day)
    path = f"{source.use_case}/offer_performance/week-{sunday}"
    files: dict[str, str | bytes] = {
        f"{path}.html": render_offer_html(report),
        f"{path}.csv": render_offer_csv(report),
        f"{path}.parquet": write_offer_parquet(report),
    }
    return RenderedOfferWeek(report, files, render_offer_markdown(report), last_day == sunday)


def make_week_messages(rendered: RenderedOfferWeek, recipients: Sequence[str]) -> Iterator[MailMessage]:
    """Yield the mail of a complete week; one that is not over sends none."""
    if rendered.is_complete and recipients:
        yield make_offer_message(rendered.report, recipients)


def write_offer_parquet(report: OfferReport) -> bytes:
    """Return a row for each day and geography as Parquet; a day that was not reconciled has nulls and a reason."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    counts = [one.counts.model_dump() if one.counts else {} for one in report.days]
    names = ("rl_offers", "sent_offers", "no_offer", "different_offer")
    columns: dict[str, pa.Array] = {
        "day": pa.array([one.day for one in report.days], pa.date32()),
        "geography": pa.array([one.geography for one in report.days], pa.string()),
        **{name: pa.array([one.get(name) for one in counts], pa.int64()) for name in names},
        "mismatch_ratio": pa.array(
            [one.counts.mismatch if one.counts else None for one in report.days], pa.float64()
        ),
        "reason": pa.array([one.reason for one in report.days], pa.string()),
    }
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def _proposals(source: OfferWeekSource) -> TableInput:
    return next(one for one in source.table.inputs if not one.table.startswith(_FEEDS))


def _was_proposed(source: OfferWeekSource, geography: str, day: dt.date) -> bool:
    proposals = PartitionId(_proposals(source).table, geography, day)
    reconciled = PartitionId(source.table.name, geography, day)
    return any(source.lake.manifest(one) is not None for one in (proposals, reconciled))


def _published_days(source: OfferWeekSource) -> Iterator[dt.date]:
    for geography in source.geographies:
        yield from source.lake.days(source.table.name, geography)


def _read_report(source: OfferWeekSource, first_day: dt.date, last_day: dt.date) -> OfferReport:
    earliest = first_day - EARLIER_WEEKS * WEEK_DAYS * _DAY
    length = (last_day - earliest).days + 1
    found: list[ReconciledDay] = []
    reasons: dict[tuple[str, dt.date], str] = {}
    for geography in source.geographies:
        for day in (earliest + ahead * _DAY for ahead in range(length)):
            one = _read(source, geography, day)
            if isinstance(one, ReconciledDay):
                found.append(one)
            elif day >= first_day:
                reasons[geography, day] = one
    return build_offer_report(
        found,
        last_day=last_day,
        geographies=source.geographies,
        reasons=reasons,
        days=(last_day - first_day).days + 1,
        use_case=source.use_case,
    )


def _read(source: OfferWeekSource, geography: str, day: dt.date) -> ReconciledDay | str:
    """Return a day, or why it is missing; counts that do not close are none."""
    try:
        found = read_day(source.table, geography, day, lake=source.lake, engine=source.engine)
    except ReconciliationError as error:
        return f"its counts do not add up: {error}"
    return found or _explain(source, geography, day)


def _explain(source: OfferWeekSource, geography: str, day: dt.date) -> str:
    """Return which inputs of the reconciliation are not there."""
    missing = [
        one for one in source.table.inputs if one.is_required and not _is_there(source, one, geography, day)
    ]
    if not missing:
        return "all inputs are there, but it has not been reconciled"
    return "; ".join(_describe(source, one, geography, day) for one in missing)


def _is_there(source: OfferWeekSource, one: TableInput, geography: str, day: dt.date) -> bool:
    return source.lake.manifest(PartitionId(one.table, geography, day)) is not None


def _describe(source: OfferWeekSource, one: TableInput, geography: str, day: dt.date) -> str:
    if not one.table.startswith(_FEEDS):
        return "nothing was proposed"
    held = held_partition(one.table.removeprefix(_FEEDS), geography, day)
    is_held = source.lake.manifest(held) is not None
    return (
        f"{one.table} is held: it looks broken" if is_held else f"{one.table} was not delivered, or refused"
    )
