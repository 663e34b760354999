"""What a corpus file holds: its hash and its counts.

Belongs here: reading a finished Parquet file for evidence. Does not belong here: matrices (dataset.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

_ROWS_PER_BLOCK = 65_536


@dataclass(frozen=True)
class PartContent:
    """One part: rows, positives (None unless binary), distinct labels, as-of days in ISO form."""

    rows: int
    positives: int | None
    classes: int
    as_of_days: tuple[str, ...]

    def to_facts(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "rows": self.rows,
            "positives": self.positives,
            "classes": self.classes,
            "as_of_days": list(self.as_of_days),
        }

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> PartContent:
        """Return what `to_facts` wrote."""
        return cls(facts["rows"], facts["positives"], facts["classes"], tuple(facts["as_of_days"]))


def count_parts(path: Path, *, is_binary: bool) -> dict[str, PartContent]:
    """Count a corpus file's rows, positives and labels by part.

    Args:
        path: Parquet with `split`, `label` and `as_of_day`.
        is_binary: labels are 0 and 1, so that their sum counts positives.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["split", "label", "as_of_day"])
    parts = {}
    for part in sorted(pc.unique(table["split"]).to_pylist()):
        rows = table.filter(pc.equal(table["split"], part))
        days = sorted(str(day) for day in pc.unique(rows["as_of_day"]).to_pylist() if day is not None)
        positives = int(pc.sum(rows["label"]).as_py()) if is_binary else None
        parts[part] = PartContent(rows.num_rows, positives, len(pc.unique(rows["label"])), tuple(days))
    return parts


def content_sha256(path: Path) -> str:
    """Return the hash of a Parquet file's logical content: names, types, values in row order.

    Encodings, row groups, compression and library versions do not enter. Per column: name and type, then
    per block of 65,536 rows the validity bits and the values (text as lengths and UTF-8 bytes; what lies
    under a null counts as zero).
    """
    import pyarrow.parquet as pq

    digest = hashlib.sha256()
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        for name in names:
            column = file.read(columns=[name])[name]
            digest.update(f"{name}|{column.type}|{len(column)}\n".encode())
            for block in _blocks(column):
                for piece in _pieces(block):
                    digest.update(piece)
    return digest.hexdigest()


def _blocks(column: pa.ChunkedArray) -> Iterator[pa.Array]:
    for start in range(0, len(column), _ROWS_PER_BLOCK):
        yield column.slice(start, _ROWS_PER_BLOCK).combine_chunks()


def _pieces(block: pa.Array) -> Iterator[bytes]:
    import pyarrow as pa
    import pyarrow.compute as pc

    is_valid: NDArray[np.bool_] = block.is_valid().to_numpy(zero_copy_only=False)
    yield np.packbits(is_valid).tobytes()
    if pa.types.is_string(block.type) or pa.types.is_large_string(block.type):
        text = pc.fill_null(block, "").cast(pa.large_string())
        yield pc.binary_length(text).to_numpy(zero_copy_only=False).astype("<i8").tobytes()
        yield _utf8(text)
        return
    if pa.types.is_date(block.type):
        block = block.cast(pa.int32())
    elif pa.types.is_timestamp(block.type):
        block = block.cast(pa.int64())
    elif pa.types.is_boolean(block.type):
        block = block.cast(pa.int8())
    values = pc.fill_null(block, pa.scalar(0, block.type)).to_numpy(zero_copy_only=False)
    yield values.astype(values.dtype.newbyteorder("<")).tobytes()


def _utf8(text: pa.LargeStringArray) -> bytes:
    """Return the bytes of all values one after another, as Arrow keeps them. No value is null."""
    _, offsets_buffer, values_buffer = text.buffers()
    if values_buffer is None or not len(text):
        return b""
    offsets = np.frombuffer(offsets_buffer, "<i8")[text.offset : text.offset + len(text) + 1]
    return bytes(values_buffer.slice(offsets[0], offsets[-1] - offsets[0]))
