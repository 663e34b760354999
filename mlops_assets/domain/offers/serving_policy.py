"""The policy that serves a day, in the numbering of the day's catalogue.

Belongs here: what daily offers ask of a policy, and matching its choices with those of the catalogue. Does not belong
here: how policies are learned or stored (policies.py, policy_bundle.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mlops_assets.domain.offers.decision_data import NO_ACTION, OfferAction, OfferStates
from mlops_assets.domain.ports import LedgerEntry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_SAME_DISCOUNT = 1e-6
_UNKNOWN = -1


class OfferPolicy(Protocol):
    """What scores people; `policies.DistilledPolicy` is one."""

    @property
    def choices(self) -> tuple[OfferAction, ...]:
        """Return what it knows, `no_offer` first."""
        ...

    def advantages(self, states: OfferStates, threads: int = 1) -> Floats:
        """Return the worth over no offer in US dollars, float64 [people x choices]."""
        ...

    def explain(self, states: OfferStates, actions: Ints) -> tuple[tuple[str, ...], Floats]:
        """Return names of inputs and what each added to the action's worth, float64 [people x inputs]."""
        ...


class AcceptanceModel(Protocol):
    """What expects an answer; a learned simulator is one."""

    @property
    def choices(self) -> tuple[OfferAction, ...]:
        """Return what it knows, `no_offer` first."""
        ...

    def acceptance(self, states: OfferStates, actions: Ints) -> Floats:
        """Return the chance that each person accepts the action, float64 [people]."""
        ...


@dataclass(frozen=True, eq=False)
class LoadedPolicy:
    """A champion, verified and loaded; without `acceptance` its offers carry no expectation."""

    policy: OfferPolicy
    acceptance: AcceptanceModel | None = None


# From the ledger's entry of a champion to what it stands for; raises ModelIntegrityError or RegistryError.
PolicyLoader = Callable[[LedgerEntry], LoadedPolicy]


@dataclass(frozen=True, eq=False)
class ServingPolicy:
    """A loaded policy asked about the choices of a day.

    Attributes:
        loaded: policy and acceptance.
        choices: of the day's catalogue.
    """

    loaded: LoadedPolicy
    choices: tuple[OfferAction, ...]

    def unknown_choices(self) -> list[str]:
        """Return the offers of the catalogue that the policy has not learned; only chance proposes them."""
        numbers = match_choices(self.choices, self.loaded.policy.choices)
        return [one.name for one, number in zip(self.choices, numbers, strict=True) if number == _UNKNOWN]

    def scores(
        self, states: OfferStates, allowed: NDArray[np.bool_], threads: int = 1
    ) -> NDArray[np.float32]:
        """Return what each choice is worth, float32 [people x choices]; -inf where it is not allowed or unknown."""
        numbers = match_choices(self.choices, self.loaded.policy.choices)
        scores = np.full(allowed.shape, -np.inf, dtype=np.float32)
        known = np.flatnonzero(numbers != _UNKNOWN)
        asked = np.flatnonzero(allowed[:, NO_ACTION + 1 :].any(axis=1))
        if len(asked):
            worth = self.loaded.policy.advantages(states.take(asked), threads)
            scores[np.ix_(asked, known)] = worth[:, numbers[known]]
        scores[~allowed] = -np.inf
        scores[:, NO_ACTION] = 0.0
        return scores

    def acceptances(self, states: OfferStates, actions: NDArray[Any]) -> Floats:
        """Return the expected acceptance of each offer, float64 [people]; NaN without an offer or an expectation."""
        expected = np.full(states.rows, np.nan)
        model = self.loaded.acceptance
        if model is None:
            return expected
        numbers = match_choices(self.choices, model.choices)[actions]
        rows = np.flatnonzero((actions != NO_ACTION) & (numbers != _UNKNOWN))
        if len(rows):
            expected[rows] = model.acceptance(states.take(rows), numbers[rows])
        return expected

    def explain(self, states: OfferStates, actions: NDArray[Any]) -> tuple[tuple[str, ...], Floats]:
        """Return names of inputs and what they added to each offer's worth; every offer must be known."""
        numbers = match_choices(self.choices, self.loaded.policy.choices)[actions]
        return self.loaded.policy.explain(states, numbers)


def match_choices(wanted: Sequence[OfferAction], known: Sequence[OfferAction]) -> Ints:
    """Return for each choice its position among others, int64 [wanted]; -1 if plan and discount are not there."""
    positions = np.full(len(wanted), _UNKNOWN, dtype=np.int64)
    for place, one in enumerate(wanted):
        for position, other in enumerate(known):
            is_same = abs(one.discount_share - other.discount_share) <= _SAME_DISCOUNT
            if one.plan_code == other.plan_code and is_same:
                positions[place] = position
                break
    return positions
