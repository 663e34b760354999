"""Gathers what a decision about a policy rests on: both policies judged in one simulator, and what the log says.

Belongs here: following the policies, pairing them, asking the log. Does not belong here: thresholds and the decision
(policy_gate.py). Figures that were stored when a policy was learned are never read: they come from another world.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.domain.learning.algorithms.protocol import FIT_ERRORS
from mlops_assets.domain.offers.decision_data import OfferStates, Transitions
from mlops_assets.domain.offers.offers_spec import OffersSpec
from mlops_assets.domain.offers.policies import DistilledPolicy, PolicyKind, build_constant_policy
from mlops_assets.domain.offers.policy_alignment import align_policy
from mlops_assets.domain.offers.policy_gate import PolicyEvidence, PolicyFigures
from mlops_assets.domain.offers.policy_log_evidence import LogQuestion, ask_log
from mlops_assets.domain.offers.policy_value import Horizon, SimulatedValue, simulate_policy
from mlops_assets.domain.offers.simulator import Simulator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NO_OFFER_KIND: PolicyKind = "no_offer"


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
        find_refusal: says why the simulators cannot judge what a policy does; empty if they can.
        start: customers to follow.
        log: person-weeks.
        own_since_week: first week of the log that a policy of ours decided; None if none did.
        holdout_first_day, holdout_last_day: weeks of the checks, ISO days.
    """

    simulator: Simulator
    simulator_sha256: str
    failures: tuple[str, ...] | None
    find_refusal: Callable[[SimulatedValue], str]
    start: OfferStates
    log: Transitions
    own_since_week: int | None
    holdout_first_day: str
    holdout_last_day: str


@dataclass(frozen=True)
class PairedGain:
    """Mean difference of two policies over the same customers, with its interval."""

    mean: float
    low: float
    high: float


def pair_gain(ours: Floats, theirs: Floats, confidence: float) -> PairedGain:
    """Return the mean of differences float64 [people] with the normal interval of paired samples."""
    differences = ours - theirs
    mean = float(differences.mean())
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else float("nan")
    margin = NormalDist().inv_cdf((1 + confidence) / 2) * spread / float(np.sqrt(len(differences)))
    return PairedGain(mean, mean - margin, mean + margin)


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
    evidence = PolicyEvidence(
        challenger_sha256=challenger.bundle_sha256,
        champion_sha256=champion.bundle_sha256 if champion else None,
        simulator_sha256=court.simulator_sha256,
        judged_people=court.start.rows,
        horizon_weeks=spec.agent.horizon_weeks,
        holdout_first_day=court.holdout_first_day,
        holdout_last_day=court.holdout_last_day,
        simulator_failures=court.failures,
    )
    if court.start.rows == 0:
        return replace(evidence, problems=("there is nobody to follow in the simulator",))
    try:
        evidence = _compare(evidence, challenger, champion, court, spec)
        question = LogQuestion(challenger.policy, champion.policy if champion else None, court.own_since_week)
        return replace(evidence, off_policy=ask_log(court.log, question, spec, threads))
    except FIT_ERRORS as error:
        return replace(evidence, problems=(f"{type(error).__name__}: {error}",))


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
    gain = pair_gain(ours.totals_usd, theirs.totals_usd, confidence)
    over_idle = pair_gain(ours.totals_usd, idle.totals_usd, confidence)
    refusal = court.find_refusal(ours)
    return replace(
        evidence,
        challenger=_figures(challenger.policy.kind, ours),
        baseline=_figures(champion.policy.kind if champion else NO_OFFER_KIND, theirs),
        gain=gain.mean,
        gain_low=gain.low,
        gain_high=gain.high,
        no_offer_gain=over_idle.mean,
        no_offer_gain_low=over_idle.low,
        support_refusals=(refusal,) if refusal else (),
    )


def follow_policy(
    policy: DistilledPolicy, simulator: Simulator, start: OfferStates, spec: OffersSpec
) -> SimulatedValue:
    """Follow a policy in a simulator as the settings say, with the chance that every policy meets."""
    agent = spec.agent
    horizon = Horizon(agent.horizon_weeks, agent.weekly_discount, agent.contact_cost_usd, agent.seed)
    aligned = align_policy(policy, simulator.choices)
    return simulate_policy(simulator, aligned, start, spec.catalogue.contact_policy, horizon)


def _no_offers(simulator: Simulator) -> DistilledPolicy:
    nothing = [0.0] * len(simulator.choices)
    return build_constant_policy(NO_OFFER_KIND, simulator.choices, simulator.layout.columns, nothing)


def _figures(kind: str, value: SimulatedValue) -> PolicyFigures:
    return PolicyFigures(kind, value.mean_usd, value.contact_rate)
