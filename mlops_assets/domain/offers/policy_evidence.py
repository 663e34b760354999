"""Gathers what a decision about a policy rests on: both policies judged in one simulator, and what the log says.

Belongs here: following the policies, pairing them, asking the log. Does not belong here: thresholds and the decision
(policy_gate.py). Figures that were stored when a policy was learned are never read: they come from another world.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from mlops_assets.domain.learning.algorithms.protocol import FIT_ERRORS
from mlops_assets.domain.offers.decision_data import OfferStates, Transitions
from mlops_assets.domain.offers.ladder import compare_values, make_horizon
from mlops_assets.domain.offers.offers_spec import OffersSpec
from mlops_assets.domain.offers.policies import DistilledPolicy, PolicyKind, build_constant_policy
from mlops_assets.domain.offers.policy_alignment import align_policy
from mlops_assets.domain.offers.policy_gate import PolicyEvidence, PolicyFigures
from mlops_assets.domain.offers.policy_log_evidence import LogQuestion, ask_log
from mlops_assets.domain.offers.policy_value import SimulatedValue, simulate_policy
from mlops_assets.domain.offers.simulator import Simulator

NO_OFFER_KIND: PolicyKind = "no_offer"
_ANOTHER_CHANCE = 1


@dataclass(frozen=True, eq=False)
class Contender:
    """A registered policy."""

    policy: DistilledPolicy
    bundle_sha256: str


@dataclass(frozen=True, eq=False)
class Court:
    """Where policies are judged.

    Attributes:
        simulator: has learned from customers that policies are not learned with.
        simulator_sha256: its identity.
        failures: what the checks of the simulators found wrong; None if they were not checked.
        find_refusals: says why the simulators cannot judge what a policy does; nothing if they can.
        start: customers to follow.
        log: person-weeks.
        own_since_week: first week of the log that a policy of ours decided; None if none did.
        holdout_first_day, holdout_last_day: weeks of the checks, ISO days.
    """

    simulator: Simulator
    simulator_sha256: str
    failures: tuple[str, ...] | None
    find_refusals: Callable[[SimulatedValue], tuple[str, ...]]
    start: OfferStates
    log: Transitions
    own_since_week: int | None
    holdout_first_day: str
    holdout_last_day: str


def gather_policy_evidence(
    challenger: Contender, champion: Contender | None, court: Court, spec: OffersSpec, *, threads: int = 1
) -> PolicyEvidence:
    """Judge a policy beside the champion, or beside making no offers.

    Never raises on account of data or policies: what goes wrong is recorded as a problem, and the gate rejects.

    Args:
        challenger: candidate.
        champion: of the slot; None for a first champion.
        court: simulator, people and log.
        spec: contact policy, horizon, thresholds.
        threads: most threads for scoring.
    """
    unfit = _find_unfitness(champion, court)
    champion = None if unfit else champion
    evidence = PolicyEvidence(
        challenger_sha256=challenger.bundle_sha256,
        champion_sha256=champion.bundle_sha256 if champion else None,
        simulator_sha256=court.simulator_sha256,
        judged_people=court.start.rows,
        horizon_weeks=spec.agent.horizon_weeks,
        holdout_first_day=court.holdout_first_day,
        holdout_last_day=court.holdout_last_day,
        simulator_failures=court.failures,
        unfit_champion=unfit,
    )
    if court.start.rows == 0:
        return replace(evidence, problems=("there is nobody to follow in the simulator",))
    try:
        evidence = _compare(evidence, challenger, champion, court, spec)
        question = LogQuestion(challenger.policy, champion.policy if champion else None, court.own_since_week)
        return replace(evidence, off_policy=ask_log(court.log, question, spec, threads))
    except FIT_ERRORS as error:
        return replace(evidence, problems=(f"{type(error).__name__}: {error}",))


def _find_unfitness(champion: Contender | None, court: Court) -> str:
    """Say why a champion cannot read the states of today; daily offers could not use it either."""
    columns = court.start.layout.columns
    if champion is None or champion.policy.columns == columns:
        return ""
    named = ", ".join(sorted({*columns} ^ {*champion.policy.columns})) or "their order"
    return (
        f"the champion was learned on other states ({named}) and cannot serve; judged beside making no offers"
    )


def _compare(
    evidence: PolicyEvidence,
    challenger: Contender,
    champion: Contender | None,
    court: Court,
    spec: OffersSpec,
) -> PolicyEvidence:
    ours = follow_policy(challenger.policy, court.simulator, court.start, spec)
    idle = follow_policy(_no_offers(court.simulator), court.simulator, court.start, spec)
    theirs = follow_policy(champion.policy, court.simulator, court.start, spec) if champion else idle
    confidence = spec.gate.confidence
    gain = compare_values(ours, theirs, confidence)
    over_idle = compare_values(ours, idle, confidence)
    # Making no offers is a world that every log has seen.
    is_idle = challenger.policy.kind == NO_OFFER_KIND
    return replace(
        evidence,
        challenger=_figures(challenger.policy.kind, ours),
        baseline=_figures(champion.policy.kind if champion else NO_OFFER_KIND, theirs),
        gain=gain.mean_usd,
        gain_low=gain.low_usd,
        gain_high=gain.high_usd,
        no_offer_gain=over_idle.mean_usd,
        no_offer_gain_low=over_idle.low_usd,
        support_refusals=() if is_idle else court.find_refusals(ours),
    )


def follow_policy(
    policy: DistilledPolicy, simulator: Simulator, start: OfferStates, spec: OffersSpec
) -> SimulatedValue:
    """Follow a policy in a simulator as the settings say, with the chance that every policy meets.

    It is another chance than the one by which the ladder chose: what was lucky there need not be so here.
    """
    aligned = align_policy(policy, simulator.choices)
    horizon = make_horizon(spec.agent, spec.agent.seed + _ANOTHER_CHANCE)
    return simulate_policy(simulator, aligned, start, spec.catalogue.contact_policy, horizon)


def _no_offers(simulator: Simulator) -> DistilledPolicy:
    nothing = [0.0] * len(simulator.choices)
    return build_constant_policy(NO_OFFER_KIND, simulator.choices, simulator.layout.columns, nothing)


def _figures(kind: str, value: SimulatedValue) -> PolicyFigures:
    return PolicyFigures(kind, value.mean_usd, value.contact_rate)
