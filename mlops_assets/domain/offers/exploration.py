"""How decisions of a day are drawn at random around what the policy wants, and with which exact chances.

Each customer belongs for good to a stratum, by a keyed hash of the number. With m offers allowed (rules, contact policy
and quiet days already applied) and the day's target of the policy:

| stratum | target | no offer | each allowed offer |
|---|---|---|---|
| any | m = 0 | 1 | |
| control | | 1 | 0 |
| random | | 1 - r | r / m |
| policy | an offer | e / (m + 1) | e / (m + 1), the target 1 - e more |
| policy | no offer | 1 - e r | e r / m |

r is `random_contact_share` and e `epsilon`. The target is that of the day's division of the budget, so the chances are
those of the random layer given this division; one person's draw moves it by a cent at most. Where limits are so
tight that random contacts alone would use more than half of one, r is lowered for the day, for everybody alike.

Belongs here: strata, chances, draws. Does not belong here: targets (daily_offers.py, budget.py).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.domain.offers.budget import Capacity
from mlops_assets.domain.offers.decision_data import NO_ACTION
from mlops_assets.domain.offers.offers_spec import ExplorationSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

STRATA = ("control", "random", "policy")
CONTROL, RANDOM, POLICY = range(len(STRATA))
# Random contacts may be expected to use this share of a limit at most.
BUDGET_SHARE_MAX = 0.5
_UNIT = 2.0**-53


@dataclass(frozen=True)
class DrawKey:
    """Whose decisions are drawn: draws are a function of this and of the customer's number.

    Attributes:
        use_case: name.
        segment: geography.
        day: of the offers.
    """

    use_case: str
    segment: str
    day: dt.date


def draw_uniforms(customers: NDArray[np.int64], *key: object) -> Floats:
    """Return a number in [0, 1) per customer that is the same for the same key on every machine.

    The customer's number and 64 bits of the key's SHA-256 are mixed by the finaliser of SplitMix64 (Steele, Lea and
    Flood 2014), twice.
    """
    digest = sha256("|".join(map(str, key)).encode()).digest()
    mixed = customers.astype(np.uint64)
    for start in (0, 8):
        mixed = _mix(mixed ^ np.uint64(int.from_bytes(digest[start : start + 8], "big")))
    return (mixed >> np.uint64(11)).astype(np.float64) * _UNIT


def _mix(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def assign_strata(
    spec: ExplorationSpec, use_case: str, segment: str, customers: NDArray[np.int64]
) -> NDArray[np.int8]:
    """Return everybody's stratum, position in STRATA, int8 [people]; the day plays no part in it."""
    drawn = draw_uniforms(customers, use_case, segment, "stratum")
    bounds = np.array([spec.control_share, spec.control_share + spec.random_share])
    return np.searchsorted(bounds, drawn, side="right").astype(np.int8)


def decision_chances(
    spec: ExplorationSpec,
    targets: NDArray[np.integer[Any]],
    allowed: NDArray[np.bool_],
    strata: NDArray[np.int8],
    contact_share: float,
) -> Floats:
    """Return the chance of every choice, float64 [people x choices]; each row sums to 1.

    Args:
        spec: shares.
        targets: [people], choice of the policy within the budget.
        allowed: bool [people x choices]; `no_offer` is always allowed, whatever its column says.
        strata: int8 [people].
        contact_share: r of the day.
    """
    offers = allowed.copy()
    offers[:, NO_ACTION] = False
    count = offers.sum(axis=1)
    has_target = (strata == POLICY) & (targets != NO_ACTION)
    # Chance that somebody is contacted at random, then of each of the offers.
    at_random = np.select(
        [count == 0, strata == CONTROL, strata == RANDOM, has_target],
        [0.0, 0.0, contact_share, spec.epsilon * count / (count + 1)],
        default=spec.epsilon * contact_share,
    )
    chances: Floats = offers * (at_random / np.maximum(count, 1))[:, None]
    rows = np.flatnonzero(has_target)
    chances[rows, targets[rows]] += 1 - spec.epsilon
    chances[:, NO_ACTION] = 0.0
    # Rounded, twenty times a twentieth is more than 1.
    chances[:, NO_ACTION] = np.maximum(1.0 - chances.sum(axis=1), 0.0)
    return chances


def draw_decisions(chances: Floats, customers: NDArray[np.int64], key: DrawKey) -> NDArray[np.int16]:
    """Return the choice that each person gets, int16 [people]; always the same for the same chances and key."""
    drawn = draw_uniforms(customers, key.use_case, key.segment, key.day, "decision")
    # From the last choice backwards, so that no rounding of a sum can make an offer of chance 0.
    above = chances[:, ::-1].cumsum(axis=1)
    passed = (above <= drawn[:, None]).sum(axis=1)
    drawn_choices: NDArray[np.int16] = np.maximum(chances.shape[1] - 1 - passed, NO_ACTION).astype(np.int16)
    return drawn_choices


def limit_contact_share(
    spec: ExplorationSpec,
    allowed: NDArray[np.bool_],
    strata: NDArray[np.int8],
    capacities: Sequence[Capacity],
) -> float:
    """Return r of a day: `random_contact_share`, or less where that is expected to use half of a limit."""
    offers = allowed[:, NO_ACTION + 1 :]
    count = offers.sum(axis=1)
    asked = np.select([strata == RANDOM, strata == POLICY], [1.0, spec.epsilon], default=0.0)
    weight = np.divide(asked, count, out=np.zeros(len(count)), where=count > 0)
    by_offer = weight @ offers if len(count) else np.zeros(offers.shape[1])
    share = spec.random_contact_share
    for one in capacities:
        expected = spec.random_contact_share * float(by_offer @ np.asarray(one.usage)[NO_ACTION + 1 :])
        if expected > BUDGET_SHARE_MAX * one.limit:
            share = min(share, spec.random_contact_share * BUDGET_SHARE_MAX * one.limit / expected)
    return share
