"""Looks for subscribers' numbers in a folder: in text, in binary numbers, in databases, archives, tables and mails.

Belongs here: the search. Does not belong here: where numbers may be (the tests).
"""

from __future__ import annotations

import io
import re
import sqlite3
import zipfile
from collections.abc import Collection, Iterator
from contextlib import closing
from email import message_from_bytes
from pathlib import Path
from typing import Any

import numpy as np

_SQLITE = b"SQLite format 3\0"


class IdentifierSearch:
    """Finds any of the given numbers.

    Args:
        identifiers: whole numbers of nine digits or more.
    """

    def __init__(self, identifiers: Collection[int]) -> None:
        self._numbers = np.array(sorted(identifiers), dtype=np.int64)
        self._known = frozenset(identifiers)
        self._texts = {str(number).encode() for number in identifiers}
        self._lengths = sorted({len(text) for text in self._texts})
        self._runs = re.compile(rb"\d{%d,}" % self._lengths[0])

    def in_folder(self, folder: Path, allowed: Collection[str] = ()) -> list[str]:
        """Return where numbers were found: file, and table or part; files below `allowed` are passed over."""
        found = []
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and not name.startswith(tuple(f"{one}/" for one in allowed)):
                found += [f"{name}{place}" for place in self.in_content(path.read_bytes(), path)]
        return found

    def in_content(self, content: bytes, path: Path) -> Iterator[str]:
        """Yield the places within a file's content; an empty text for the file itself."""
        if self._in_bytes(content):
            yield ""
        if content.startswith(_SQLITE):
            yield from self._in_database(path)
        elif content.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                for name in archive.namelist():
                    yield from (f"!{name}{place}" for place in self.in_content(archive.read(name), path))
        elif content.startswith(b"PAR1"):
            yield from self._in_table(content)
        elif path.suffix == ".eml":
            parts = enumerate(part.get_payload(decode=True) for part in message_from_bytes(content).walk())
            yield from (f"!part {n}" for n, part in parts if isinstance(part, bytes) and self._in_bytes(part))

    def _in_bytes(self, content: bytes) -> bool:
        return self._in_text(content) or self._in_numbers(content)

    def _in_text(self, content: bytes) -> bool:
        return any(
            run[at : at + length] in self._texts
            for run in self._runs.findall(content)
            for length in self._lengths
            for at in range(len(run) - length + 1)
        )

    def _in_numbers(self, content: bytes) -> bool:
        """Whether eight bytes anywhere are one of the numbers, as an integer or as a float."""
        low, high = self._numbers[0], self._numbers[-1]
        for offset in range(8):
            size = (len(content) - offset) // 8
            for kind in ("<i8", ">i8", "<f8") if size > 0 else ():
                numbers = np.frombuffer(content, dtype=kind, count=size, offset=offset)
                near = numbers[(numbers >= low) & (numbers <= high)]
                if near.size and np.isin(near, self._numbers).any():
                    return True
        return False

    def _is_one(self, value: Any) -> bool:
        if isinstance(value, int | float):
            return value in self._known
        if isinstance(value, str):
            return self._in_text(value.encode("utf-8", "replace"))
        return isinstance(value, bytes) and self._in_bytes(value)

    def _in_database(self, path: Path) -> Iterator[str]:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            names = [
                row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            ]
            for name in names:
                rows = connection.execute(f'SELECT * FROM "{name}"')  # noqa: S608 - a name from the database itself
                if any(self._is_one(value) for row in rows for value in row):
                    yield f"!{name}"

    def _in_table(self, content: bytes) -> Iterator[str]:
        import pyarrow.parquet as pq

        table = pq.read_table(io.BytesIO(content))
        for name in table.column_names:
            if any(self._is_one(value) for value in table.column(name).unique().to_pylist()):
                yield f"!{name}"
