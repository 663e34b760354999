"""The utilisation report as a page, as Markdown and as CSV.

Belongs here: how it is laid out. Does not belong here: its content (utilisation).
"""

from __future__ import annotations

from collections.abc import Iterator

from mlops_assets.domain.reporting.charts import draw_amounts
from mlops_assets.domain.reporting.csv_text import write_csv
from mlops_assets.domain.reporting.formats import (
    ABSENT,
    format_count,
    format_counted,
    format_day,
    format_money,
    format_name,
    format_number,
    format_share,
)
from mlops_assets.domain.reporting.markdown_blocks import join_blocks, make_bullets
from mlops_assets.domain.reporting.pages import render_page
from mlops_assets.domain.reporting.tables import Table, escape_markdown, make_table, to_markdown
from mlops_assets.domain.reporting.utilisation import Price, UsageSum, UtilisationReport

_TOTAL = "Total"
_SUMS = ("#Steps", "#Time, s", "#CPU, s", "#Rows", "#Cost, USD")
_CSV = ("Stage", "Use case", "Steps", "Seconds", "CPU seconds", "Rows", "Cost USD", "Without CPU", "Failed")
NOTES = {
    "stages": (
        "Rows: of what the steps published, also where it was already current. Time: sum over the steps, of which "
        "several may run at once. Shared: feeds, feature tables, monitors and operation, which no use case has alone."
    ),
    "shared_tables": (
        "Computed once, and read by every use case named, directly or through other tables. Saved: the measured CPU of "
        "the table, once for each reader but the first."
    ),
}


def render_utilisation_html(report: UtilisationReport) -> str:
    """Return the report as one self-contained page."""
    return render_page(
        "utilisation.html.j2",
        title=report.title,
        data_day=report.last_day,
        report=report,
        sentences=make_sentences(report),
        figures=make_key_figures(report),
        tables=make_utilisation_tables(report),
        notes=NOTES,
        charts=_draw(report) if report.total.cpu_seconds else {},
    )


def _draw(report: UtilisationReport) -> dict[str, tuple[str, str]]:
    """Return caption and drawing by the table that they belong to."""
    stages = [(format_name(stage), seconds) for stage, seconds in report.sum_by_stage().items()]
    days = [(format_day(one.day), one.cpu_seconds) for one in report.days]
    return {
        "stages": (
            "CPU seconds by stage.",
            draw_amounts(stages, unit="s", title="CPU by stage", name="chart-stages"),
        ),
        "days": (
            "CPU seconds by day of the data.",
            draw_amounts(days, unit="s", title="CPU by day", name="chart-days"),
        ),
    }


def render_utilisation_markdown(report: UtilisationReport) -> str:
    """Return the report as Markdown."""
    return join_blocks(_markdown_blocks(report))


def render_utilisation_csv(report: UtilisationReport) -> str:
    """Return a line for each stage and use case, and the total."""
    rows = [(one.stage, one.use_case, *_csv_sums(report, one)) for one in report.stages]
    return write_csv(_CSV, [*rows, (_TOTAL, "", *_csv_sums(report, report.total))])


def _csv_sums(report: UtilisationReport, one: UsageSum) -> tuple[str, ...]:
    return (
        str(one.steps),
        f"{one.seconds:.3f}",
        f"{one.cpu_seconds:.3f}",
        str(one.row_count),
        f"{report.price.cost_usd(one.cpu_seconds):.8f}",
        str(one.unmeasured),
        str(one.failed),
    )


def make_sentences(report: UtilisationReport) -> list[str]:
    """Return what was spent, what reuse saved, what the cost rests on, and what is not in it."""
    spent = (
        f"{format_counted(report.total.steps, 'step')} took {format_number(report.total.cpu_seconds)} CPU seconds, "
        f"which cost {format_money(report.cost_usd)} USD; {_describe_runs(report)}."
    )
    return [
        spent,
        _describe_reuse(report),
        _describe_price(report.price),
        *_describe_gaps(report.total),
    ]


def _describe_runs(report: UtilisationReport) -> str:
    if not report.runs:
        return "no run of theirs is over yet"
    runs = (
        "the run that is over" if report.runs == 1 else f"the {format_count(report.runs)} runs that are over"
    )
    return (
        f"{runs} took {format_number(report.run_seconds)} s from start to end, all steps together "
        f"{format_number(report.total.seconds)} s"
    )


def _describe_price(price: Price) -> str:
    source = (
        "an assumption: set cost.usd_per_cpu_hour in the environment's file to your own price"
        if price.is_assumed
        else "as the environment's file says"
    )
    return (
        f"Cost is CPU time at {price.usd_per_cpu_hour:g} USD per CPU hour, {source}. Storage, network and waiting "
        "between the steps are not in it."
    )


def _describe_reuse(report: UtilisationReport) -> str:
    if not report.shared_tables:
        several = len(report.use_cases) > 1
        return (
            "No table that was computed is read by more than one use case."
            if several
            else "There is one use case: nothing could be shared."
        )
    saved = report.saved_cpu_seconds
    return (
        f"{format_count(len(report.shared_tables))} tables are read by more than one of {len(report.use_cases)} use "
        f"cases and were computed once. Had each use case computed its own, it would have been "
        f"{format_number(saved)} CPU seconds ({format_money(report.price.cost_usd(saved))} USD) more: reuse saved "
        f"{format_share(report.saved_share)} of that total."
    )


def _describe_gaps(total: UsageSum) -> Iterator[str]:
    if total.unmeasured:
        failed = (
            f", {format_count(total.failed)} of them because they failed or were repeated"
            if total.failed
            else ""
        )
        yield (
            f"Without measured CPU: {format_counted(total.unmeasured, 'step')}{failed}; the time is in the table, "
            "CPU and cost are not."
        )


def make_key_figures(report: UtilisationReport) -> list[tuple[str, str, str]]:
    """Return label, figure and what it is about."""
    return [
        ("CPU", f"{format_number(report.total.cpu_seconds)} s", format_counted(report.total.steps, "step")),
        ("Rows", format_count(report.total.row_count), "published"),
        (
            "Cost, USD",
            format_money(report.cost_usd),
            "assumed price" if report.price.is_assumed else "CPU time",
        ),
        _reuse_figure(report),
    ]


def _reuse_figure(report: UtilisationReport) -> tuple[str, str, str]:
    if not report.shared_tables:
        return "Saved by reuse", ABSENT, "no table has several readers"
    saved = f"{format_number(report.saved_cpu_seconds)} CPU s not spent"
    return "Saved by reuse", format_share(report.saved_share), saved


def make_utilisation_tables(report: UtilisationReport) -> dict[str, Table]:
    """Return the tables by name; those without rows are left out, but for the stages."""
    tables = {
        "stages": _stages_table(report),
        "use_cases": _use_cases_table(report),
        "shared_tables": _shared_table(report),
        "days": _days_table(report),
        "assets": _assets_table(report),
    }
    return {name: table for name, table in tables.items() if table.rows or name == "stages"}


def _sums(report: UtilisationReport, one: UsageSum) -> tuple[str, ...]:
    return (
        format_count(one.steps),
        format_number(one.seconds),
        format_number(one.cpu_seconds),
        format_count(one.row_count),
        format_money(report.price.cost_usd(one.cpu_seconds)),
    )


def _stages_table(report: UtilisationReport) -> Table:
    rows = [(format_name(one.stage), format_name(one.use_case), *_sums(report, one)) for one in report.stages]
    total = (_TOTAL, "All", *_sums(report, report.total))
    headings = ["Stage", "Use case", *_SUMS]
    return make_table("By stage and use case", headings, [*rows, total] if rows else [], has_total=bool(rows))


def _use_cases_table(report: UtilisationReport) -> Table:
    of: dict[str, list[UsageSum]] = {}
    for line in report.stages:
        of.setdefault(line.use_case, []).append(line)
    rows = [(format_name(name), *_sums(report, add_sums(lines))) for name, lines in sorted(of.items())]
    return make_table("By use case", ["Use case", *_SUMS], rows)


def add_sums(parts: list[UsageSum]) -> UsageSum:
    """Return the sum of sums."""
    return UsageSum(**{name: sum(getattr(one, name) for one in parts) for name in UsageSum.model_fields})


def _shared_table(report: UtilisationReport) -> Table:
    rows = [
        (
            one.table,
            ", ".join(format_name(name) for name in one.readers),
            format_number(one.cpu_seconds),
            format_number(one.saved_cpu_seconds),
            format_money(report.price.cost_usd(one.saved_cpu_seconds)),
        )
        for one in report.shared_tables
    ]
    return make_table(
        "What reuse saved", ["Table", "Read by", "#CPU, s", "#Saved CPU, s", "#Saved, USD"], rows
    )


def _days_table(report: UtilisationReport) -> Table:
    rows = [(format_day(one.day), *_sums(report, one)) for one in report.days]
    return make_table("By day of the data", ["Day", *_SUMS], rows)


def _assets_table(report: UtilisationReport) -> Table:
    rows = [(one.asset, *_sums(report, one)) for one in report.assets]
    return make_table("Costliest assets", ["Asset", *_SUMS], rows)


def _markdown_blocks(report: UtilisationReport) -> Iterator[str]:
    """Yield the blocks in the order of the page."""
    yield f"# {escape_markdown(report.title)}"
    yield make_bullets(make_sentences(report))
    for name, table in make_utilisation_tables(report).items():
        yield f"## {escape_markdown(table.title)}"
        yield to_markdown(table)
        yield NOTES.get(name, "")
