"""What a model relies on, and how that changed.

Belongs here: normalising and comparing feature importances. Does not belong here: computing them (each
algorithm's plug-in) or showing them (reporting).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mlops_assets.domain.errors import LearningError


@dataclass(frozen=True)
class ImportanceChange:
    """Share of one feature before and after; 0 where a model does not have it."""

    feature: str
    before: float
    after: float


@dataclass(frozen=True)
class ImportanceComparison:
    """How the features of a new model differ from the former one's, largest first.

    Attributes:
        added: features that only the new model has.
        dropped: features that only the former model had.
        changed: features of both whose share moved by at least the asked amount.
    """

    added: tuple[ImportanceChange, ...]
    dropped: tuple[ImportanceChange, ...]
    changed: tuple[ImportanceChange, ...]


def normalise_importances(raw: Mapping[str, float]) -> dict[str, float]:
    """Return shares that sum to 1, largest first; all 0 if nothing has weight.

    Raises:
        LearningError: a weight is negative or not finite.
    """
    wrong = sorted(name for name, value in raw.items() if not math.isfinite(value) or value < 0)
    if wrong:
        raise LearningError(f"importances of {wrong} are unusable", expected="finite numbers of at least 0")
    whole = sum(raw.values())
    shares = {name: value / whole if whole > 0 else 0.0 for name, value in raw.items()}
    return dict(sorted(shares.items(), key=lambda item: (-item[1], item[0])))


def find_important(shares: Mapping[str, float], together: float = 0.9) -> frozenset[str]:
    """Return the fewest features that make up the given part of a model's importance, the largest first.

    Args:
        shares: normalised importances.
        together: their sum, 0 to 1.
    """
    found: set[str] = set()
    total = 0.0
    for name, share in sorted(shares.items(), key=lambda item: (-item[1], item[0])):
        if total >= together or share <= 0:
            break
        found.add(name)
        total += share
    return frozenset(found)


def compare_importances(
    before: Mapping[str, float], after: Mapping[str, float], min_change: float = 0.01
) -> ImportanceComparison:
    """Compare two models' importances.

    Args:
        before: weight per feature of the former model.
        after: weight per feature of the new model.
        min_change: smallest move of a share, 0 to 1, that counts as changed.
    """
    old, new = normalise_importances(before), normalise_importances(after)
    moves = [ImportanceChange(name, old.get(name, 0.0), new.get(name, 0.0)) for name in {**old, **new}]
    moves.sort(key=lambda move: (-abs(move.after - move.before), move.feature))
    return ImportanceComparison(
        added=tuple(move for move in moves if move.feature not in old),
        dropped=tuple(move for move in moves if move.feature not in new),
        changed=tuple(
            move
            for move in moves
            if move.feature in old and move.feature in new and abs(move.after - move.before) >= min_change
        ),
    )
