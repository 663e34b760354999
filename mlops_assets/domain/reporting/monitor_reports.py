"""From a monitor's stored results to the documents and mails of a day.

Belongs here: gathering what a report needs from the lake, and which files and mails it becomes. Does not belong
here: the reports themselves (anomaly_report, quality_summary, kernel_file) or saving and sending them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlops_assets.domain.feeds.contract import FeedContract
from mlops_assets.domain.ports import Lake, PartitionId
from mlops_assets.domain.quality.held_deliveries import (
    DeliveryState,
    find_escalations,
    find_held,
    read_delivery_state,
)
from mlops_assets.domain.quality.monitor_day import MonitorDay
from mlops_assets.domain.quality.monitor_tables import ANOMALIES, DRIFT, KERNEL, monitor_table, read_rows
from mlops_assets.domain.quality.spec import MonitorSpec
from mlops_assets.domain.quality.subscriber_counts import count_subscribers
from mlops_assets.domain.reporting.anomaly_report import (
    CHART_DAYS,
    AnomalyReport,
    DriftNote,
    FeedNote,
    FeedStatus,
    SubscriberTally,
    build_series_lines,
    build_tally,
)
from mlops_assets.domain.reporting.anomaly_report_page import (
    render_anomaly_html,
    render_anomaly_mail,
    render_anomaly_markdown,
)
from mlops_assets.domain.reporting.formats import format_share
from mlops_assets.domain.reporting.kernel_file import build_kernel_file, write_kernel_csv
from mlops_assets.domain.reporting.mail import MailAttachment, MailMessage
from mlops_assets.domain.reporting.pages import remove_script
from mlops_assets.domain.reporting.quality_summary import (
    FeedCell,
    HeldFeed,
    QualitySummary,
    build_daily_summary,
    build_weekly_summary,
)
from mlops_assets.domain.reporting.quality_summary_page import (
    render_summary_csv,
    render_summary_html,
    render_summary_mail,
    render_summary_markdown,
)
from mlops_assets.domain.reporting.report_rows import Rows
from mlops_assets.domain.weeks import WEEK_DAYS, sunday_of

if TYPE_CHECKING:
    from mlops_assets.domain.quality.drift_verdict import DriftVerdict

_DAY = dt.timedelta(days=1)
_STATUS: dict[str, FeedStatus] = {
    "healthy": "healthy", "released": "healthy", "unjudged": "unknown", "held": "held", "absent": "missing",
}  # fmt: skip
_CELL_REASON = {
    "absent": "the feed was not delivered, or refused",
    "unjudged": "too little history to compare with",
    "held": "the delivery is held: it looks broken",
}


@dataclass(frozen=True)
class RenderedReport:
    """A report in its forms: files by relative path, Markdown, the body of its mail.

    `weekly` is the summary of the week that goes with a day's; its files are among those of the day.
    """

    title: str
    files: dict[str, str | bytes]
    markdown: str
    mail_html: str
    is_news: bool = True
    attachments: tuple[MailAttachment, ...] = ()
    weekly: RenderedReport | None = None


def render_monitor_day(monitored: MonitorDay) -> RenderedReport:
    """Return a monitor's anomaly report and kernel file of one geography and day."""
    name, code, day = monitored.spec.name, monitored.segment, monitored.day
    kernel = read_rows(monitored.lake, monitor_table(name, KERNEL), code, [day])
    report = _read_report(monitored, kernel)
    folder = f"{name}/{code}/{day:%Y-%m}"
    page = render_anomaly_html(report)
    files: dict[str, str | bytes] = {f"{folder}/anomalies-{day}.html": page}
    if kernel:
        horizon_days = monitored.spec.forecast.horizon_days
        ranges = build_kernel_file(kernel, day=day, horizon_days=horizon_days)
        files[f"{folder}/kernel-{day}.csv"] = write_kernel_csv(ranges)
        files[f"{folder}/kernel-{day}.parquet"] = _as_parquet(ranges)
    is_news = bool(report.outside) or bool(report.drift and report.drift.is_retraining_due)
    is_news = is_news or any(feed.status == "held" for feed in report.feeds)
    attachment = MailAttachment(f"anomalies-{code}-{day}.html", "text/html", remove_script(page).encode())
    return RenderedReport(
        report.title,
        files,
        render_anomaly_markdown(report),
        render_anomaly_mail(report),
        is_news,
        (attachment,),
    )


def _as_parquet(table: object) -> bytes:
    import io

    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _read_report(monitored: MonitorDay, kernel: Rows) -> AnomalyReport:
    lake, segment, day = monitored.lake, monitored.segment, monitored.day
    table = monitor_table(monitored.spec.name, ANOMALIES)
    first = day - (CHART_DAYS - 1) * _DAY
    days = [one for one in lake.days(table, segment) if first <= one <= day]
    feeds = [_feed_note(state) for state in monitored.delivery_states()]
    return AnomalyReport(
        monitor=monitored.spec.name,
        geography=segment,
        day=day,
        series=build_series_lines(
            read_rows(lake, table, segment, days), day=day, kernel=kernel, feed_status=_worst(feeds)
        ),
        feeds=tuple(feeds),
        subscribers=_tally(monitored),
        drift=_drift_note(_read_verdict(monitored)),
        published_alpha=monitored.spec.ranges.published_alpha,
        is_snapshot=monitored.snapshot is not None,
    )


def _tally(monitored: MonitorDay) -> SubscriberTally | None:
    if not monitored.spec.is_per_subscriber:
        return None
    counts = count_subscribers(monitored.segment, monitored.day, lake=monitored.lake, engine=monitored.engine)
    return build_tally(counts)


def _feed_note(state: DeliveryState) -> FeedNote:
    findings = tuple(one.text for one in state.health.findings) if state.health else ()
    return FeedNote(feed=state.feed, status=_STATUS[state.state], findings=findings)


def _worst(feeds: Sequence[FeedNote]) -> FeedStatus:
    """Return the status that explains an absent value best: a missing feed, then a held one."""
    found = {feed.status for feed in feeds}
    return next((status for status in ("missing", "held", "unknown") if status in found), "healthy")


def _read_verdict(monitored: MonitorDay) -> DriftVerdict | None:
    from mlops_assets.domain.quality.drift_verdict import DriftVerdict

    manifest = monitored.lake.manifest(monitored.partition(DRIFT))
    return DriftVerdict.from_facts(manifest.facts["verdict"]) if manifest else None


def _drift_note(verdict: DriftVerdict | None) -> DriftNote | None:
    if verdict is None:
        return None
    return DriftNote(kind=verdict.kind, reasons=verdict.reasons, is_retraining_due=verdict.is_retraining_due)


def make_anomaly_messages(monitored: MonitorDay, rendered: RenderedReport) -> Iterator[MailMessage]:
    """Yield the mail of a report that has something to say; a quiet day sends none."""
    if rendered.is_news and monitored.spec.recipients:
        yield MailMessage(
            report=f"quality/{monitored.spec.name}",
            partition=f"{monitored.segment}/{monitored.day}",
            subject=rendered.title,
            html=rendered.mail_html,
            text=rendered.markdown,
            recipients=tuple(monitored.spec.recipients),
            attachments=rendered.attachments,
        )


# ---------------------------------------------------------------- the summary of a day


def render_summary_day(
    feeds: Sequence[FeedContract],
    geographies: Sequence[str],
    monitors: Sequence[MonitorSpec],
    day: dt.date,
    exec_date: dt.date,
    lake: Lake,
) -> RenderedReport:
    """Return the daily summary, on Sundays with that of the week.

    Args:
        feeds: daily feeds, in the order of the columns.
        geographies: in the order of the rows.
        monitors: panels whose anomalies count for the feeds they are made of.
        day: of the files.
        exec_date: day of the execution.
        lake: where verdicts are.
    """
    held = list(_list_held({feed.name: feed for feed in feeds}, geographies, day, lake))
    daily = _read_summary(feeds, geographies, monitors, day, exec_date, lake, held=held)
    rendered = _render_summary(daily, f"quality_summary/{day:%Y-%m}/{day}")
    if day != sunday_of(day):
        return rendered
    days = [day - back * _DAY for back in range(1, WEEK_DAYS)]
    earlier = [_read_summary(feeds, geographies, monitors, one, exec_date, lake) for one in days]
    weekly = _render_summary(
        build_weekly_summary([daily, *earlier]), f"quality_summary/{day:%Y-%m}/week-{day}"
    )
    return replace(rendered, files=rendered.files | weekly.files, weekly=weekly)


def _render_summary(summary: QualitySummary, path: str) -> RenderedReport:
    files: dict[str, str | bytes] = {
        f"{path}.html": render_summary_html(summary),
        f"{path}.csv": render_summary_csv(summary),
    }
    return RenderedReport(
        summary.title, files, render_summary_markdown(summary), render_summary_mail(summary)
    )


def make_summary_messages(
    rendered: RenderedReport, day: dt.date, recipients: Sequence[str]
) -> Iterator[MailMessage]:
    """Yield the mail of a day's summary, and on the week's last day that of the week (partition `2026-W36`)."""
    yield _summary_message("quality/daily_summary", day.isoformat(), rendered, recipients)
    if rendered.weekly is not None:
        week = day.isocalendar()
        partition = f"{week.year}-W{week.week:02d}"
        yield _summary_message("quality/weekly_summary", partition, rendered.weekly, recipients)


def _summary_message(
    report: str, partition: str, rendered: RenderedReport, recipients: Sequence[str]
) -> MailMessage:
    return MailMessage(
        report=report,
        partition=partition,
        subject=rendered.title,
        html=rendered.mail_html,
        text=rendered.markdown,
        recipients=tuple(recipients),
    )


def _read_summary(
    feeds: Sequence[FeedContract],
    geographies: Sequence[str],
    monitors: Sequence[MonitorSpec],
    day: dt.date,
    exec_date: dt.date,
    lake: Lake,
    *,
    held: Sequence[HeldFeed] = (),
) -> QualitySummary:
    cells: dict[str, list[FeedCell]] = {}
    for code in geographies:
        outside = _outside_shares(monitors, code, day, lake)
        cells[code] = [_cell(read_delivery_state(lake, feed.name, code, day), outside) for feed in feeds]
    return build_daily_summary(
        cells,
        exec_date=exec_date,
        file_date=day,
        feeds=[feed.name for feed in feeds],
        geographies=geographies,
        held=held,
    )


def _outside_shares(
    monitors: Sequence[MonitorSpec], segment: str, day: dt.date, lake: Lake
) -> Mapping[str, str]:
    """Return by feed why its values are anomalous; only feeds that a monitor's values are made of."""
    from mlops_assets.domain.features.catalogue import feeds_behind

    found: dict[str, str] = {}
    for spec in monitors:
        manifest = lake.manifest(PartitionId(monitor_table(spec.name, ANOMALIES), segment, day))
        share = manifest.facts["outside_share"] if manifest else None
        is_removed = bool(manifest and manifest.facts["removed"])
        if share is not None and (is_removed or share > spec.drift.anomaly_share):
            for feed in feeds_behind(spec.table)[:1]:
                found[feed] = f"{format_share(share)} of the series of {spec.name} are outside their range"
    return found


def _cell(state: DeliveryState, outside: Mapping[str, str]) -> FeedCell:
    is_anomaly = state.is_anomaly
    if is_anomaly is False and state.feed in outside:
        return FeedCell(feed=state.feed, is_anomaly=True, reason=outside[state.feed])
    return FeedCell(feed=state.feed, is_anomaly=is_anomaly, reason=_CELL_REASON.get(state.state, ""))


def _list_held(
    contracts: Mapping[str, FeedContract], geographies: Sequence[str], day: dt.date, lake: Lake
) -> Iterator[HeldFeed]:
    """Yield what is held of days up to `day`."""
    held = [state for state in find_held(lake, list(contracts), geographies) if state.day <= day]
    late = [one.delivery for one in find_escalations(held, contracts)]
    for state in held:
        findings = "; ".join(one.text for one in state.health.findings) if state.health else ""
        yield HeldFeed(
            feed=state.feed,
            geography=state.geography,
            day=state.day,
            age_days=state.age_days or 0,
            reason=findings or "no verdict is stored",
            is_escalated=state in late,
        )
