"""What a run measured beside what is recorded: figures that moved in the wrong direction.

Belongs here: the comparison and its words. Does not belong here: goals (each benchmark's own) or files (recording).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

TOLERANCE = 0.15  # of the recorded figure; ratios of two sides of one run vary by less on a quiet machine


@dataclass(frozen=True)
class Regression:
    """A figure that is worse than the recorded one by more than the tolerance."""

    name: str
    part: str
    of: str
    recorded: float
    measured: float

    @property
    def change(self) -> float:
        """Relative change; infinite where nothing was recorded as 0."""
        return (self.measured - self.recorded) / abs(self.recorded) if self.recorded else float("inf")

    def __str__(self) -> str:
        title = " ".join(filter(None, (self.name, self.part)))
        return f"{title}: {self.of} {self.measured:g}, {self.recorded:g} is recorded ({self.change:+.0%})"


def find_regressions(
    recorded: Iterable[Mapping[str, Any]], measured: Iterable[Mapping[str, Any]]
) -> Iterator[Regression]:
    """Yield a regression for each measured line that is worse than the recorded one of the same kind and sizes.

    Args:
        recorded: lines of results.json.
        measured: lines of a run; one that was never recorded, or at other sizes, is compared with nothing.
    """
    known = {_key(line): line for line in recorded}
    for line in measured:
        before = known.get(_key(line))
        if before is None:
            continue
        of, _, direction = line["goal"].partition(" ")
        if (
            of in line
            and of in before
            and _is_worse(before[of], line[of], is_at_most=direction.startswith("<="))
        ):
            yield Regression(line["name"], line.get("part", ""), of, before[of], line[of])


def _is_worse(recorded: float, measured: float, *, is_at_most: bool) -> bool:
    loss = measured - recorded if is_at_most else recorded - measured
    return loss > TOLERANCE * abs(recorded)


def _key(line: Mapping[str, Any]) -> tuple[str, str, bool, str]:
    return (
        line["name"],
        line.get("part", ""),
        bool(line.get("quick")),
        str(sorted(line.get("sizes", {}).items())),
    )
