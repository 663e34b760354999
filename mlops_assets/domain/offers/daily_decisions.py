"""A day's decisions for everybody: targets within the budget, then chance.

Belongs here: from scores and what is allowed to choices and their chances, in chunks. Does not belong here: where
scores come from (daily_offers.py), rows (proposal_rows.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.domain.offers.budget import Allocation, Capacity, allocate_budget
from mlops_assets.domain.offers.decision_data import NO_ACTION
from mlops_assets.domain.offers.exploration import (
    POLICY,
    DrawKey,
    assign_strata,
    decision_chances,
    draw_decisions,
    limit_contact_share,
)
from mlops_assets.domain.offers.offers_spec import ExplorationSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ROWS_PER_CHUNK = 131_072
_ROUNDS_MAX = 6


@dataclass(frozen=True, eq=False)
class DayDecisions:
    """What is decided for everybody on a day.

    Attributes:
        targets: int16 [people], the policy's choice within the budget; `no_offer` outside the policy's stratum.
        actions: int16 [people], what is proposed.
        strata: int8 [people], positions in `exploration.STRATA`.
        contact_share: chance of a random contact on this day.
        used: what the proposals use of each limited resource.
        limits: of each resource.
        taken_back: random offers that the limits did not leave room for.
        gap: share of the best possible value that the division of the budget may miss.
    """

    targets: NDArray[np.int16]
    actions: NDArray[np.int16]
    strata: NDArray[np.int8]
    contact_share: float
    used: dict[str, float] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)
    taken_back: int = 0
    gap: float = 0.0


def decide_day(
    scores: NDArray[np.float32],
    allowed: NDArray[np.bool_],
    customers: NDArray[np.int64],
    capacities: Sequence[Capacity],
    spec: ExplorationSpec,
    key: DrawKey,
) -> DayDecisions:
    """Choose for everybody; no limit is ever exceeded, random offers included.

    The limits are divided among the policy's targets less what random offers are expected to use. If what is drawn
    exceeds a limit all the same, less is left to the targets, and they are divided and drawn again.

    Args:
        scores: float32 [people x choices], worth over no offer; -inf where not allowed. Changed: those outside the
            policy's stratum lose theirs.
        allowed: bool [people x choices].
        customers: int64 [people], keys.
        capacities: limits of the day with usage by choice.
        spec: shares of the strata and of chance.
        key: whose draws.
    """
    strata = assign_strata(spec, key.use_case, key.segment, customers)
    share = limit_contact_share(spec, allowed, strata, capacities)
    scores[strata != POLICY, NO_ACTION + 1 :] = -np.inf
    day = _Draw(allowed, customers, strata, spec, key, share)
    # Whole units only: a ten thousandth of a contact kept for chance would cost a whole one.
    reserve = np.floor(day.expected_use(np.zeros(len(customers), dtype=np.int16), capacities))
    for _ in range(_ROUNDS_MAX):
        left = [
            Capacity(one.name, max(one.limit - kept, 0.0), one.usage)
            for one, kept in zip(capacities, reserve, strict=True)
        ]
        found = _allocate(scores, left)
        actions = day.draw(found.actions)
        over = usage_of(actions, capacities) - np.array([one.limit for one in capacities])
        if (over <= 0).all():
            break
        reserve = reserve + np.maximum(over, 0.0)
    taken_back = _take_back(actions, found.actions, capacities)
    used = usage_of(actions, capacities)
    return DayDecisions(
        targets=found.actions,
        actions=actions,
        strata=strata,
        contact_share=share,
        used={one.name: float(value) for one, value in zip(capacities, used, strict=True)},
        limits={one.name: one.limit for one in capacities},
        taken_back=taken_back,
        gap=found.gap,
    )


def _allocate(scores: NDArray[np.float32], capacities: Sequence[Capacity]) -> Allocation:
    """Divide the limits among those for whom some offer is worth more than none: with a contact cap, a part of all."""
    asked = np.flatnonzero((scores[:, NO_ACTION + 1 :] > 0).any(axis=1))
    found = allocate_budget(scores[asked], capacities)
    actions = np.zeros(len(scores), dtype=np.int16)
    actions[asked] = found.actions
    return replace(found, actions=actions)


@dataclass(frozen=True, eq=False)
class _Draw:
    allowed: NDArray[np.bool_]
    customers: NDArray[np.int64]
    strata: NDArray[np.int8]
    spec: ExplorationSpec
    key: DrawKey
    contact_share: float

    def chunks(self) -> Iterator[slice]:
        for start in range(0, len(self.customers), ROWS_PER_CHUNK):
            yield slice(start, start + ROWS_PER_CHUNK)

    def chances(self, targets: NDArray[np.int16], rows: slice) -> Floats:
        return decision_chances(
            self.spec, targets[rows], self.allowed[rows], self.strata[rows], self.contact_share
        )

    def draw(self, targets: NDArray[np.int16]) -> NDArray[np.int16]:
        actions = np.empty(len(self.customers), dtype=np.int16)
        for rows in self.chunks():
            actions[rows] = draw_decisions(self.chances(targets, rows), self.customers[rows], self.key)
        return actions

    def expected_use(self, targets: NDArray[np.int16], capacities: Sequence[Capacity]) -> Floats:
        """Return what these targets and chance are expected to use of each resource."""
        total = np.zeros(self.allowed.shape[1])
        for rows in self.chunks():
            total += self.chances(targets, rows).sum(axis=0)
        return np.array([total @ np.asarray(one.usage) for one in capacities], dtype=np.float64)


def chances_of(
    decisions: DayDecisions, allowed: NDArray[np.bool_], spec: ExplorationSpec, rows: slice
) -> Floats:
    """Return the chance that each choice had for some of the people, float64 [rows x choices]."""
    return decision_chances(
        spec, decisions.targets[rows], allowed, decisions.strata[rows], decisions.contact_share
    )


def usage_of(actions: NDArray[np.integer[Any]], capacities: Sequence[Capacity]) -> Floats:
    """Return what choices use of each resource, float64 [resources]."""
    if not capacities:
        return np.zeros(0)
    counts = np.bincount(actions, minlength=len(np.asarray(capacities[0].usage)))
    return np.array([counts @ np.asarray(one.usage) for one in capacities], dtype=np.float64)


def _take_back(actions: NDArray[np.int16], targets: NDArray[np.int16], capacities: Sequence[Capacity]) -> int:
    """Take random offers back that use what has run out, in the order of the rows; return how many."""
    taken = 0
    used = usage_of(actions, capacities)
    limits = np.array([one.limit for one in capacities])
    at_random = np.flatnonzero((actions != targets) & (actions != NO_ACTION))
    for row in at_random.tolist():
        is_over = used > limits
        if not is_over.any():
            break
        of_row = np.array([np.asarray(one.usage)[actions[row]] for one in capacities])
        if (of_row[is_over] > 0).any():
            used -= of_row
            actions[row] = NO_ACTION
            taken += 1
    return taken
