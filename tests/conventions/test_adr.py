"""House rules about architecture decision records."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conventions.repository import project_files, text

_RECORDS = [path for path in project_files() if path.parent == Path("docs/adr") and path.name[0].isdigit()]


def test_numbers_have_no_gap() -> None:
    assert [int(path.name[:4]) for path in _RECORDS] == list(range(1, len(_RECORDS) + 1))
    assert _RECORDS


@pytest.mark.parametrize("record", _RECORDS, ids=lambda path: path.stem)
def test_record_is_complete(record: Path) -> None:
    content = text(record)
    assert re.search(r"^- Status: (proposed|accepted|superseded by \d{4})$", content, re.MULTILINE)
    assert re.search(r"^- Date: \d{4}-\d{2}-\d{2}$", content, re.MULTILINE)
    for heading in ("## Context", "## Options", "## Decision", "## Consequences"):
        assert heading in content
