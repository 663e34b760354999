"""Errors that every table engine raises in the same words.

Belongs here: an EngineError for each thing that can befall a file or a statement of any engine. Does not belong
here: how an engine's own exceptions are told apart (duckdb_engine, spark_engine).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from mlops_assets.domain.errors import EngineError
from mlops_assets.domain.ports import ViewSource

# To the last quote: a value may hold quotes itself, or a line end before the closing one.
_VALUES = re.compile(r"""'.*'|'.*|value ".*|\d{5,}""")


def damaged_file(where: str, views: Mapping[str, ViewSource]) -> EngineError:
    """Return the error for a Parquet file that cannot be read to its end; without `where`, the views' first files."""
    return EngineError(
        "a Parquet file is truncated or damaged",
        kind="truncated_file",
        where=where or ", ".join(str(file) for view in views.values() for file in view.files[:3]),
        expected="a complete Parquet file with its footer",
        remedy="have the file delivered again",
    )


def missing_file(where: str) -> EngineError:
    """Return the error for a file or folder that is not there."""
    return EngineError(
        "a file or folder that a statement names is not there",
        kind="missing_file",
        where=where,
        expected="the file, or the folder to write to, under this name",
        remedy="build the partition again that it belongs to, then run again",
    )


def refused_statement(text: str, kind: str = "statement", remedy: str = "") -> EngineError:
    """Return the error for a statement; values of rows are left out, they may identify subscribers."""
    shown = _VALUES.sub("...", text.splitlines()[0]) if text else ""
    return EngineError(f"the engine refused a statement: {shown}", kind=kind, remedy=remedy)


def require_within(paths: Iterable[Path], folders: Iterable[Path]) -> None:
    """Refuse files outside of the folders that an engine may use. Raises EngineError (`forbidden_path`)."""
    allowed = [folder.resolve() for folder in folders]
    for path in paths:
        if not any(path.resolve().is_relative_to(folder) for folder in allowed):
            raise refused_statement(
                f"{path} is in none of its folders",
                "forbidden_path",
                "add the folder to the engine's allowed directories",
            )
