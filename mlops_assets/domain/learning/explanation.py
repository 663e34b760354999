"""What a model relies on.

Belongs here: normalising feature importances, and the few that matter. Does not belong here: computing them (each
algorithm's plug-in) or showing them (reporting).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from mlops_assets.domain.errors import LearningError

_IMPORTANT_SHARE = 0.9


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


def find_important(shares: Mapping[str, float]) -> frozenset[str]:
    """Return the fewest features that make up nine tenths of a model's importance (normalised shares)."""
    found: set[str] = set()
    total = 0.0
    for name, share in sorted(shares.items(), key=lambda item: (-item[1], item[0])):
        if total >= _IMPORTANT_SHARE or share <= 0:
            break
        found.add(name)
        total += share
    return frozenset(found)
