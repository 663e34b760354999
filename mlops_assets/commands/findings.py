"""What `mlops doctor` finds: one line each, with a remedy.

Belongs here: a finding, and how a check that cannot look becomes one. Does not belong here: any check.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from mlops_assets.domain.errors import PlatformError

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """What was found when one thing was looked at.

    Attributes:
        level: ok, warning (it works, but look at it) or problem (something does not work, or will not).
        part: what was looked at.
        found: what was found, in words.
        remedy: what to do, as a rule a command; empty if nothing.
    """

    level: Level
    part: str
    found: str
    remedy: str = ""

    @property
    def line(self) -> str:
        """The finding as a person reads it."""
        remedy = f"; remedy: {self.remedy}" if self.remedy else ""
        return f"{self.level:<8} {self.part}: {self.found}{remedy}"


def ok(part: str, found: str) -> Finding:
    """Return that something is as it should be."""
    return Finding("ok", part, found)


def warning(part: str, found: str, remedy: str) -> Finding:
    """Return that something works, but should be looked at."""
    return Finding("warning", part, found, remedy)


def problem(part: str, found: str, remedy: str) -> Finding:
    """Return that something does not work."""
    return Finding("problem", part, found, remedy)


def look(part: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield what a check finds; one that cannot look is a problem itself, and keeps no other from looking."""
    from dagster import DagsterError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield from check()
    except PlatformError as error:
        where = f" ({error.where})" if error.where else ""
        yield problem(
            part, f"{error.what}{where}", error.remedy or "see what was expected: " + error.expected
        )
    except (OSError, SQLAlchemyError, sqlite3.Error, DagsterError, ValueError) as error:
        said = (str(error).strip().splitlines() or [""])[0][:300]
        yield problem(
            part, f"cannot be looked at: {type(error).__name__}: {said}", "mend what it says, then look again"
        )
