"""What logged decisions say about the gain of one policy over another, or over whoever took them.

Only decisions that chance took are asked: where a person could not be contacted, or belongs to those who never are,
nothing else could have been done, whatever the policy. Rows without a propensity (the campaign did otherwise than
proposed) are left out too; too many of them are a refusal of their own. A decision's reward is the margin of its week
less discount and the contact's cost; what it does to later weeks is the simulator's to say.

Belongs here: which rows are asked, what the policies would have done there, the reward model. Does not belong here:
estimators and their refusals (off_policy.py), what follows from the figures (policy_gate.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.domain.offers.contact_cap import allow_actions
from mlops_assets.domain.offers.decision_data import NO_ACTION, Transitions
from mlops_assets.domain.offers.logged_decisions import LoggedDecisions
from mlops_assets.domain.offers.off_policy import PolicyComparison, compare_policies
from mlops_assets.domain.offers.offers_spec import OffersSpec
from mlops_assets.domain.offers.policies import DistilledPolicy, decide
from mlops_assets.domain.offers.policy_alignment import align_policy
from mlops_assets.domain.offers.policy_gate import OffPolicyFigures
from mlops_assets.domain.offers.reward_model import cross_fit_rewards
from mlops_assets.domain.offers.state_design import build_design, describe_actions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CAMPAIGNS, CHAMPION = "the campaigns that were logged", "the champion"
_CERTAIN = 1 - 1e-9
_UNKNOWN_SHARE_MAX = 0.2
_FOLDS = 3
_TREES = {"iterations": 80, "depth": 4, "learning_rate": 0.12}


@dataclass(frozen=True)
class LogQuestion:
    """What the log is asked.

    Attributes:
        challenger: the policy in question.
        champion: the one that it would replace; None compares with whoever took the decisions.
        since_week: number of the first week whose decisions a policy of ours took; None if there is none.
    """

    challenger: DistilledPolicy
    champion: DistilledPolicy | None
    since_week: int | None = None

    @property
    def is_own_log(self) -> bool:
        """Whether the decisions of our own policies are asked."""
        return self.champion is not None


def ask_log(data: Transitions, question: LogQuestion, spec: OffersSpec, threads: int = 1) -> OffPolicyFigures:
    """Estimate the gain of a policy on logged decisions; what forbids it is in the figures' refusals.

    Args:
        data: person-weeks of the log.
        question: which policies, whose decisions.
        spec: contact policy, cost of a contact, limits of the evaluation.
        threads: most threads a fit uses.

    Raises:
        PolicyError: a policy was learned on other states than those of the log.
    """
    rows, refusals = _choose_rows(data, question)
    baseline = CHAMPION if question.is_own_log else CAMPAIGNS
    if refusals:
        return OffPolicyFigures(question.is_own_log, baseline, data.rows, refusals=refusals)
    asked = data.take(rows)
    log = _as_decisions(asked, spec)
    target = _matrix(question.challenger, asked, spec, threads)
    other = None if question.champion is None else _matrix(question.champion, asked, spec, threads)
    rewards = _estimate_rewards(log, asked, spec, threads)
    comparison = compare_policies(log, target, other, spec.gate.off_policy, rewards)
    return _figures(comparison, question, baseline)


def _choose_rows(data: Transitions, question: LogQuestion) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Return bool [rows], the decisions to ask, and why none may be asked."""
    is_of_policy = np.ones(data.rows, dtype=np.bool_)
    if question.is_own_log:
        if question.since_week is None:
            return is_of_policy, ("no week of the log was decided by a policy of ours",)
        is_of_policy = data.weeks >= question.since_week
    known = np.isfinite(data.propensities)
    rows = is_of_policy & known & ~(data.propensities >= _CERTAIN)
    unknown = int((is_of_policy & ~known).sum())
    of = int(is_of_policy.sum())
    if of and unknown > _UNKNOWN_SHARE_MAX * of:
        return rows, (f"{unknown} of {of} logged decisions have no propensity",)
    if not rows.any():
        return rows, ("no logged decision was taken by chance",)
    return rows, ()


def _as_decisions(data: Transitions, spec: OffersSpec) -> LoggedDecisions:
    cost = spec.agent.contact_cost_usd * (data.actions != NO_ACTION)
    return LoggedDecisions(data.actions, data.margin_usd - cost, data.propensities, data.states.customers)


def _matrix(policy: DistilledPolicy, data: Transitions, spec: OffersSpec, threads: int) -> Floats:
    """Return what the policy would have done, float64 [rows x choices]; it leaves nothing to chance."""
    allowed = allow_actions(data.states, data.eligible, spec.catalogue.contact_policy)
    chosen = decide(align_policy(policy, data.choices), data.states, allowed, threads)
    return np.eye(len(data.choices))[chosen]


def _estimate_rewards(log: LoggedDecisions, data: Transitions, spec: OffersSpec, threads: int) -> Floats:
    from catboost import CatBoostRegressor

    def build_estimator() -> CatBoostRegressor:
        return CatBoostRegressor(
            **_TREES,
            random_seed=spec.agent.seed,
            thread_count=threads,
            verbose=False,
            allow_writing_files=False,
        )

    contexts = build_design(data.states).astype(np.float64)
    actions = describe_actions(data.choices).astype(np.float64)
    folds = min(_FOLDS, log.customer_count)
    if folds < 2:  # one customer: the refusal of too few customers speaks for itself
        return np.full((log.rows, len(data.choices)), float(log.rewards.mean()))
    return cross_fit_rewards(log, contexts, actions, build_estimator, folds=folds, seed=spec.agent.seed)


def _figures(comparison: PolicyComparison, question: LogQuestion, baseline: str) -> OffPolicyFigures:
    gain, target = comparison.gains.get("dr"), comparison.target
    return OffPolicyFigures(
        is_own_log=question.is_own_log,
        baseline=baseline,
        rows=target.rows,
        customers=target.customers,
        positives=target.positives,
        effective_rows=comparison.ess,
        gain=gain.value if gain else None,
        gain_low=gain.low if gain else None,
        gain_high=gain.high if gain else None,
        refusals=tuple(map(str, comparison.problems)),
    )
