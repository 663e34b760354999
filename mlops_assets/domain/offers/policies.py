"""Policies that say what an offer is worth to a person beyond no offer.

Belongs here: the policy as everything that scores people meets it, and the choice it makes. Does not belong here: how
a policy is learned (ladder.py, agent.py), files (policy_bundle.py), budgets (budget.py).

| policy | advantage of an offer |
|---|---|
| `no_offer` | none, always |
| `best_single` | that of the one offer which earns most on average, for everybody |
| `acceptance_margin` | P(accepted) x margin less discount, less the contact's cost |
| `incremental_margin` | the week's margin with the offer less that without it, less the contact's cost |
| `agent` | the same over the whole horizon, with what the contact does to later weeks |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from mlops_assets.domain.errors import PlatformError
from mlops_assets.domain.offers.decision_data import NO_ACTION, OfferAction, OfferStates
from mlops_assets.domain.offers.reconciliation import NO_OFFER
from mlops_assets.domain.offers.state_design import build_design, design_columns
from mlops_assets.domain.offers.tree_models import TreeModel, constant_model, hold_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]

# From the simplest to the least simple; a simpler one is kept unless a less simple one is proven better.
PolicyKind = Literal["no_offer", "best_single", "acceptance_margin", "incremental_margin", "agent"]
LADDER: tuple[PolicyKind, ...] = get_args(PolicyKind)


class PolicyError(PlatformError):
    """A policy does not fit the states, choices or masks it is asked about."""


@dataclass(frozen=True, eq=False)
class DistilledPolicy:
    """Advantage over no offer, one small model a choice.

    Attributes:
        kind: rung of the ladder.
        choices: `no_offer` first.
        columns: of the state layout it was learned on.
        models: one a choice, in US dollars; the first is the constant 0.

    Raises:
        PolicyError: models and choices do not fit together.
    """

    kind: PolicyKind
    choices: tuple[OfferAction, ...]
    columns: tuple[str, ...]
    models: tuple[TreeModel, ...]

    def __post_init__(self) -> None:
        if not self.choices or self.choices[0].plan_code != NO_OFFER or len(self.models) != len(self.choices):
            raise PolicyError(
                "models and choices of a policy do not fit",
                where=f"{len(self.models)} models, {len(self.choices)} choices",
                expected="one model a choice, `no_offer` first",
            )

    @property
    def is_constant(self) -> bool:
        """Whether everybody is told the same."""
        return all(model.booster is None for model in self.models)

    def advantages(self, states: OfferStates, threads: int = 1) -> Floats:
        """Return float64 [people x choices] in US dollars; the column of `no_offer` is 0.

        Raises:
            PolicyError: the states have other columns than those it was learned on.
        """
        self._require_columns(states)
        design = (
            np.empty((states.rows, 0), np.float32) if self.is_constant else hold_rows(build_design(states))
        )
        found = np.zeros((states.rows, len(self.choices)))
        for position, model in enumerate(self.models):
            if position != NO_ACTION:
                found[:, position] = model.predict(design, threads)
        return found

    def explain(self, states: OfferStates, actions: NDArray[np.int64]) -> tuple[tuple[str, ...], Floats]:
        """Say what made each person's action worth what it is.

        Args:
            states: of the people.
            actions: int64 [people], positions in `choices`.

        Returns:
            Names of the design's columns, and their SHAP values float64 [people x columns] in US dollars (Lundberg
            and Lee 2017); zeros where there is no offer or a constant advantage.
        """
        import catboost

        self._require_columns(states)
        design = build_design(states)
        shares = np.zeros(design.shape)
        for position in np.unique(actions):
            model, rows = self.models[position], np.flatnonzero(actions == position)
            if model.booster is None:
                continue
            raw = model.booster.get_feature_importance(
                catboost.Pool(design[rows], thread_count=1), type="ShapValues", thread_count=1
            )
            shares[rows] = np.asarray(raw)[:, :-1] * model.scale[0]
        return design_columns(states.layout), shares

    def _require_columns(self, states: OfferStates) -> None:
        if states.layout.columns != self.columns:
            raise PolicyError(
                "the states have other columns than the policy was learned on",
                where=", ".join(sorted({*states.layout.columns} ^ {*self.columns})) or "their order",
                remedy="score with states of the same use case, or train the policy again",
            )


def decide(
    policy: DistilledPolicy, states: OfferStates, allowed: Mask, threads: int = 1
) -> NDArray[np.int64]:
    """Choose the allowed offer of the highest advantage where that is above 0, else no offer.

    Args:
        policy: any.
        states: of the people.
        allowed: bool [people x choices]; the column of `no_offer` is not looked at, it is always allowed.
        threads: at most so many.

    Returns:
        int64 [people], positions in the policy's `choices`.

    Raises:
        PolicyError: `allowed` has another shape, or the states other columns.
    """
    if allowed.shape != (states.rows, len(policy.choices)):
        raise PolicyError(
            "the mask does not fit",
            where=str(allowed.shape),
            expected=f"{states.rows} x {len(policy.choices)}",
        )
    chosen = np.full(states.rows, NO_ACTION, dtype=np.int64)
    asked = np.flatnonzero(allowed[:, 1:].any(axis=1))
    if len(asked) == 0 or policy.kind == "no_offer":
        return chosen
    found = policy.advantages(states.take(asked), threads)
    found[~allowed[asked]] = -np.inf
    found[:, NO_ACTION] = 0.0
    chosen[asked] = found.argmax(axis=1)  # the first of equals, so `no_offer` unless something is above 0
    return chosen


def build_constant_policy(
    kind: PolicyKind, choices: tuple[OfferAction, ...], columns: tuple[str, ...], advantages: Any
) -> DistilledPolicy:
    """Return a policy that tells everybody the same; `advantages` float64 [choices] in US dollars."""
    models = tuple(constant_model("mean", [float(value)]) for value in advantages)
    return DistilledPolicy(kind, choices, columns, models)
