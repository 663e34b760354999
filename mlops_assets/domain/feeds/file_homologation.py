"""Run the compiled statements of a feed over one file, and decide whether its rows are acceptable.

Belongs here: the order of the statements, the counts, and the shares of bad rows. Does not belong here: the
statements (homologation) and the publication of what they write (landing).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlops_assets.domain.errors import PlatformError
from mlops_assets.domain.feeds.contract import FeedContract, Geography
from mlops_assets.domain.feeds.file_context import file_context
from mlops_assets.domain.feeds.homologation import (
    CONTEXT,
    GOOD,
    OTHER_DAY,
    QUARANTINED,
    RAW,
    ROW,
    SUPERSEDED,
    compile_feed,
)
from mlops_assets.domain.feeds.metadata import Finding, MetadataReport, row_count_finding
from mlops_assets.domain.ports import PartitionWriter, TableEngine, ViewSource

if TYPE_CHECKING:
    import pyarrow as pa

_REASONS_SQL = """
SELECT reason, CAST(COUNT(*) AS BIGINT) AS bad_rows, MIN(source_row) AS first_row FROM bad
GROUP BY reason ORDER BY reason
"""
_BAD_ROWS_SQL = f"SELECT source_row AS {ROW} FROM bad"  # noqa: S608 - a constant


@dataclass(frozen=True)
class RowCounts:
    """What became of the delivered rows. `good` are records before merging; `late` is among them.

    `quarantined` counts bad rows by reason; `delivered = good + duplicates + quarantined`.
    """

    delivered: int = 0
    good: int = 0
    duplicates: int = 0
    late: int = 0
    quarantined: Mapping[str, int] = field(default_factory=dict)

    @property
    def quarantined_total(self) -> int:
        """All bad rows."""
        return sum(self.quarantined.values())


class RefusedRowsError(Exception):
    """The rows of a file are not acceptable as a whole. Internal to this package."""

    def __init__(self, counts: RowCounts, findings: list[Finding]) -> None:
        self.counts, self.findings = counts, findings
        super().__init__("; ".join(map(str, findings)))


def homologate_file(
    contract: FeedContract,
    geography: Geography,
    day: dt.date | None,
    report: MetadataReport,
    *,
    engine: TableEngine,
    writer: PartitionWriter,
) -> tuple[int, RowCounts]:
    """Write good rows (role `data`) and bad rows (role `quarantine`, if there are any) of one file.

    Args:
        contract: contract of one geography (`for_geography` applied).
        geography: where the file was delivered.
        day: business day; None for snapshots.
        report: the file and its validated metadata.
        engine: runs the statements.
        writer: takes the files; it is not committed here.

    Returns:
        Rows of the written table, and what became of the delivered rows.

    Raises:
        RefusedRowsError: too few rows, or too many bad ones.
        EngineError: the file cannot be read to its end, or the engine failed.
    """
    return _FileHomologation(contract, geography, day, report, engine, writer).run()


class _FileHomologation:
    """The statements of one file, in order.

    Bad rows are rare: good rows are written first, and only if that leaves rows unaccounted for are the bad
    ones looked for, and the duplicates among the remaining rows anew.
    """

    def __init__(
        self,
        contract: FeedContract,
        geography: Geography,
        day: dt.date | None,
        report: MetadataReport,
        engine: TableEngine,
        writer: PartitionWriter,
    ) -> None:
        self.contract, self.report, self.engine, self.writer = contract, report, engine, writer
        self.feed = compile_feed(contract, geography, report.delivered.columns, engine.dialect)
        context = file_context(day, geography.timezone, contract.late_days_max)
        self.views = {CONTEXT: ViewSource(table=context.as_table())}

    def run(self) -> tuple[int, RowCounts]:
        delivered = self._open_raw()
        if delivered < self.contract.min_rows:
            finding = row_count_finding(self.contract, self.report.file.path.name, delivered)
            raise RefusedRowsError(RowCounts(delivered), [finding])
        superseded = self._superseded_rows(_row_numbers([]))
        row_count, good, late = self._write_good(superseded)
        quarantined: dict[str, int] = {}
        if good + superseded.num_rows != delivered:
            quarantined, bad_rows = self._write_bad(RowCounts(delivered, good, superseded.num_rows, late))
            again = self._superseded_rows(bad_rows)
            if not again.equals(superseded):
                superseded = again
                row_count, good, late = self._write_good(superseded)
        counts = RowCounts(delivered, good, superseded.num_rows, late, quarantined)
        self._require_accounted(counts)
        self._refuse_too_many(counts, {})
        return row_count, counts

    def _open_raw(self) -> int:
        """Make the raw file readable as a numbered view and return its exact row count."""
        path, delivered = self.report.file.path, self.report.delivered
        if self.contract.format == "parquet":
            self.views[RAW] = ViewSource(files=[path], row_number_column=ROW)
            return delivered.row_count
        # Parsed once, strictly, and then read as often as needed.
        staged = self.writer.scratch()
        source = ViewSource([path], "csv", None, self.contract.delimiter, list(delivered.columns), (), ROW)
        row_count = self.engine.write_parquet("SELECT * FROM delivered", {"delivered": source}, staged)
        self.views[RAW] = ViewSource(files=[staged])
        return row_count

    def _superseded_rows(self, quarantined: pa.Table) -> pa.Table:
        views = {**self.views, QUARANTINED: ViewSource(table=quarantined)}
        return self.engine.fetch(self.feed.superseded_sql, views).sort_by(ROW)

    def _write_good(self, superseded: pa.Table) -> tuple[int, int, int]:
        """Return rows written, records in them, and late records among these."""
        target = self.writer.file("data")
        views = {**self.views, SUPERSEDED: ViewSource(table=superseded)}
        row_count = self.engine.write_parquet(self.feed.good_sql, views, target)
        if not self.feed.summary_sql:
            return row_count, row_count, 0
        summary = self.engine.fetch(self.feed.summary_sql, {GOOD: ViewSource(files=[target])}).to_pylist()[0]
        return row_count, summary["records"], summary["late"]

    def _write_bad(self, counts: RowCounts) -> tuple[dict[str, int], pa.Table]:
        """Write the quarantine; return the bad rows by reason, and their numbers.

        Raises:
            RefusedRowsError: there are too many of them.
        """
        target = self.writer.file("quarantine")
        if not self.engine.write_parquet(self.feed.bad_sql, self.views, target):
            self.writer.drop("quarantine")
            return {}, _row_numbers([])
        views = {"bad": ViewSource(files=[target])}
        by_reason = self.engine.fetch(_REASONS_SQL, views).to_pylist()
        quarantined = {row["reason"]: row["bad_rows"] for row in by_reason}
        first_rows = {row["reason"]: row["first_row"] for row in by_reason}
        self._refuse_too_many(
            RowCounts(counts.delivered, counts.good, counts.duplicates, counts.late, quarantined), first_rows
        )
        return quarantined, self.engine.fetch(_BAD_ROWS_SQL, views)

    def _refuse_too_many(self, counts: RowCounts, first_rows: Mapping[str, int]) -> None:
        """Refuse a file that is mostly bad, or mostly of other days."""
        contract, delivered = self.contract, max(counts.delivered, 1)
        findings = []
        other_day = counts.quarantined.get(OTHER_DAY, 0)
        bad = counts.quarantined_total - other_day
        if bad > contract.quarantine_share_max * delivered:
            findings += self._reason_findings(counts, first_rows)
        if contract.day_column and other_day + counts.late > contract.off_day_share_max * delivered:
            findings.append(self._other_day_finding(counts, other_day))
        if findings:
            raise RefusedRowsError(counts, findings)

    def _reason_findings(self, counts: RowCounts, first_rows: Mapping[str, int]) -> list[Finding]:
        share = f"at most {self.contract.quarantine_share_max:.1%} bad rows; "
        remedy = "have it delivered correctly, or adapt the column in the feed's YAML"
        return [
            Finding(
                self._file(first_rows.get(reason)),
                f"{count} of {counts.delivered} rows are refused: {reason}",
                expected=share + self.feed.expectations.get(reason, ""),
                remedy=remedy,
            )
            for reason, count in sorted(counts.quarantined.items(), key=lambda item: -item[1])
            if reason != OTHER_DAY
        ]

    def _other_day_finding(self, counts: RowCounts, other_day: int) -> Finding:
        column = self.contract.column(str(self.contract.day_column)).source
        return Finding(
            self.report.file.path.name,
            f"of {counts.delivered} rows, {other_day} are of days not accepted and {counts.late} are late",
            column,
            f"at most {self.contract.off_day_share_max:.1%} of other days than the name says",
            "deliver the file of this day; check `timezone` and `off_day_share_max` in the feed's YAML",
        )

    def _file(self, row: int | None) -> str:
        """Name the file and, if known, the first row concerned (data rows from 1, the header not counted)."""
        name = self.report.file.path.name
        return f"{name}, first at row {row}" if row else name

    def _require_accounted(self, counts: RowCounts) -> None:
        accounted = counts.good + counts.duplicates + counts.quarantined_total
        if accounted != counts.delivered:
            raise PlatformError(
                f"{counts.delivered} rows were delivered, but {accounted} are accounted for",
                where=self.report.file.path.name,
                expected="good + duplicates + quarantined = delivered",
                remedy="run again (was the file replaced meanwhile?); if it persists, report a defect",
            )


def _row_numbers(rows: list[int]) -> pa.Table:
    import pyarrow as pa

    return pa.table({ROW: pa.array(rows, pa.int64())})
