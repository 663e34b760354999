"""The page that lists all reports: title, link, day of the data.

Belongs here: reading a report's title and data day, and the index page. Does not belong here: walking a
folder (the report store) or what the reports say.
"""

from __future__ import annotations

import datetime as dt
import html
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePath, PurePosixPath

from mlops_assets.domain.ask_together import ask_together
from mlops_assets.domain.model_base import Record
from mlops_assets.domain.reporting.formats import format_day, format_name
from mlops_assets.domain.reporting.pages import render_page
from mlops_assets.domain.reporting.report_ports import ReportStore
from mlops_assets.domain.reporting.tables import Link, Table, make_table

INDEX_NAME = "index.html"
SUMMARIES_FOLDER = "run_summaries"
_HEAD_BYTES = 4096
_TITLE = re.compile(r"<title>(.*?)</title>", re.DOTALL | re.IGNORECASE)
_DATA_DAY = re.compile(r'<meta name="data-day" content="(\d{4}-\d{2}-\d{2})">')


class IndexEntry(Record):
    """One report: where it is below the report folder, what it is called, how new its data are."""

    path: str
    title: str
    data_day: dt.date | None = None

    @property
    def folder(self) -> str:
        """First folder of the path, which is the use case for most reports; empty for what one looks at first."""
        parts = PurePosixPath(self.path).parts
        return parts[0] if len(parts) > 1 and parts[0] != SUMMARIES_FOLDER else ""

    @property
    def kind(self) -> str:
        """File type as a reader knows it."""
        return PurePosixPath(self.path).suffix.removeprefix(".").upper() or "file"


def build_report_index(documents: Iterable[tuple[str, bytes]]) -> str:
    """Return the index page over all reports.

    Args:
        documents: relative path and content of each report (its beginning is enough); the index is skipped.
    """
    entries = [make_index_entry(path, content) for path, content in documents if path != INDEX_NAME]
    newest = max((entry.data_day for entry in entries if entry.data_day), default=None)
    return render_page("report_index.html.j2", title="Reports", data_day=newest, groups=_group(entries))


def save_report_index(reports: ReportStore) -> PurePath:
    """Write the index page over all reports that are there, and return its path."""
    paths = [path for path in reports.list() if path != INDEX_NAME]
    heads = ask_together(reports, lambda path: _read_head(reports, path), paths)
    return reports.save(INDEX_NAME, build_report_index(zip(paths, heads, strict=True)))


def _read_head(reports: ReportStore, path: str) -> bytes:
    """Return the beginning of a page; any other file goes by its name and need not be read."""
    return reports.read(path, _HEAD_BYTES) if _is_page(path) else b""


def _is_page(path: str) -> bool:
    return PurePosixPath(path).suffix == ".html"


def make_index_entry(path: str, content: bytes) -> IndexEntry:
    """Return the entry of a report: a page names itself, any other file goes by its name."""
    if not _is_page(path):
        return IndexEntry(path=path, title=PurePosixPath(path).name)
    head = content[:_HEAD_BYTES].decode("utf-8", errors="replace")
    title = _TITLE.search(head)
    day = _DATA_DAY.search(head)
    return IndexEntry(
        path=path,
        title=" ".join(html.unescape(title.group(1)).split()) if title else PurePosixPath(path).name,
        data_day=dt.date.fromisoformat(day.group(1)) if day else None,
    )


def _group(entries: Sequence[IndexEntry]) -> list[Table]:
    """Return a table a folder, top level first, newest data first in each."""
    ordered = sorted(entries, key=lambda entry: (_highest_number_first(entry.title), entry.path))
    ordered.sort(key=lambda entry: entry.data_day or dt.date.min, reverse=True)
    by_folder: dict[str, list[IndexEntry]] = {}
    for entry in ordered:
        by_folder.setdefault(entry.folder, []).append(entry)
    return [
        make_table(
            format_name(folder) if folder else "Start here",
            ["Report", "Type", "Data up to"],
            [(Link(one.title, one.path), one.kind, format_day(one.data_day)) for one in found],
        )
        for folder, found in sorted(by_folder.items())
    ]


def _highest_number_first(title: str) -> list[tuple[str, int]]:
    """Return a sort key: by the words, and at equal words version 10 before version 9."""
    pieces = re.findall(r"(\D*)(\d*)", title)
    return [(words, -int(digits or 0)) for words, digits in pieces]
