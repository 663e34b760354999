"""The gate of policies: evidence in, decision and reasons out.

The judging simulator has not been seen by what it judges: policies are learned in a simulator of other customers. In
its support, and once its check has passed, it decides. What the log of decisions adds depends on whose log it is:

- *No policy of ours has ever been champion*: the log is that of the operator's campaigns. It can only veto: a policy
  whose gain over them is surely negative, decision by decision, is refused. A log too thin to say so says nothing.
- *A policy of ours was champion*: its own randomised log exists and has to speak. Too small an effective sample is a
  refusal; the doubly robust lower bound of the gain has to reach `off_policy_min_gain_usd`.

It fails closed: a figure that is absent or not finite, or that was never measured, is a failed check.

Belongs here: the shape of the evidence and the pure decision. Does not belong here: gathering evidence
(policy_evidence.py) or recording decisions (policy_promotion.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from mlops_assets.domain.learning.gate import (
    Check,
    GateDecision,
    above,
    at_least,
    finite_or_none,
    hash_figures,
    show_figure,
    without_non_finite,
)
from mlops_assets.domain.offers.offers_spec import PolicyGateSpec

METRIC = "value_usd"
_LEAST_PEOPLE = 200  # fewer give no interval worth its name


@dataclass(frozen=True)
class PolicyFigures:
    """What a policy is worth in the judging simulator.

    Attributes:
        kind: of the policy, as in the ladder.
        metric: value a customer over the horizon, USD.
        contacts_per_week: of a customer; None where it was not measured.
    """

    kind: str
    metric: float
    contacts_per_week: float | None = None


@dataclass(frozen=True)
class OffPolicyFigures:
    """What logged decisions say about the gain over a baseline, in USD a decision.

    Attributes:
        is_own_log: the decisions are those of a policy of ours, with its randomisation.
        baseline: `the campaigns that were logged` or `the champion`.
        rows, customers, positives: of the log; rows with a reward above zero.
        effective_rows: of the policy that has fewer.
        gain, gain_low, gain_high: doubly robust, interval over customers; None where none can be computed.
        refusals: reasons not to rely on them.
    """

    is_own_log: bool
    baseline: str
    rows: int
    customers: int = 0
    positives: int = 0
    effective_rows: float = 0.0
    gain: float | None = None
    gain_low: float | None = None
    gain_high: float | None = None
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True)
class PolicyEvidence:
    """Everything that a decision about a policy rests on.

    Attributes:
        challenger_sha256, champion_sha256: bundles; None for a first champion.
        simulator_sha256: of the judging simulator.
        judged_people: customers who were followed.
        horizon_weeks: for how long.
        holdout_first_day, holdout_last_day: weeks that the simulator was checked against, ISO days.
        challenger, baseline: figures of the challenger, and of the champion or of making no offers.
        gain, gain_low, gain_high: value over the baseline, paired by customer, USD.
        no_offer_gain, no_offer_gain_low: value over making no offers.
        simulator_failures: what the check of either simulator found wrong; None if there was no check.
        unfit_champion: why the champion is no baseline; empty if it is one, or if there is none.
        support_refusals: why the simulators cannot judge the challenger.
        off_policy: what the log says; None if it was not asked.
        problems: what went wrong while gathering; any of them means rejection.
    """

    challenger_sha256: str
    champion_sha256: str | None
    simulator_sha256: str
    judged_people: int = 0
    horizon_weeks: int = 0
    holdout_first_day: str | None = None
    holdout_last_day: str | None = None
    challenger: PolicyFigures | None = None
    baseline: PolicyFigures | None = None
    gain: float | None = None
    gain_low: float | None = None
    gain_high: float | None = None
    no_offer_gain: float | None = None
    no_offer_gain_low: float | None = None
    simulator_failures: tuple[str, ...] | None = None
    unfit_champion: str = ""
    support_refusals: tuple[str, ...] = ()
    off_policy: OffPolicyFigures | None = None
    problems: tuple[str, ...] = ()

    @property
    def has_champion(self) -> bool:
        """Whether the baseline is a champion rather than making no offers."""
        return self.champion_sha256 is not None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values in the form that decisions about models have, so that the same commands show them."""
        shared = {"metric": METRIC, "is_higher_better": True, "segments": []}
        cleaned: dict[str, Any] = without_non_finite({**shared, **asdict(self)})
        return cleaned

    @property
    def evidence_sha256(self) -> str:
        """Identity of the evidence: same policies, simulator, people and log, same hash."""
        return hash_figures(self.to_dict())


def decide_policy(evidence: PolicyEvidence, gate: PolicyGateSpec) -> GateDecision:
    """Promote only if every check passes."""
    checks = tuple(_run_checks(evidence, gate))
    failed = tuple(check.detail for check in checks if not check.is_passed)
    if failed:
        return GateDecision("rejected", failed, checks)
    return GateDecision("promoted", (_summarise(evidence), _say_off_policy(evidence)), checks)


def _run_checks(evidence: PolicyEvidence, gate: PolicyGateSpec) -> Iterator[Check]:
    yield _in_words("judged", evidence.problems, "both policies were judged")
    if evidence.unfit_champion:
        # Who cannot serve is no baseline: what the challenger would replace is making no offers.
        yield Check("champion_cannot_serve", True, None, None, evidence.unfit_champion)
    yield _check_simulator(evidence)
    yield _in_words(
        "support", evidence.support_refusals, "the simulators have seen such contacts as the policy makes"
    )
    yield at_least("judged_people", evidence.judged_people, _LEAST_PEOPLE, "customers in the simulator")
    yield from _check_gain(evidence, gate)
    yield from _check_log(evidence, gate)


def _in_words(name: str, faults: tuple[str, ...], otherwise: str) -> Check:
    return Check(name, not faults, None, None, "; ".join(faults) or otherwise)


def _check_simulator(evidence: PolicyEvidence) -> Check:
    if evidence.simulator_failures is None:
        return _in_words("simulator_holds", ("the simulators were not checked against held-out weeks",), "")
    days = f"{evidence.holdout_first_day} to {evidence.holdout_last_day}"
    return _in_words(
        "simulator_holds", evidence.simulator_failures, f"the simulators describe the weeks of {days}"
    )


def _check_gain(evidence: PolicyEvidence, gate: PolicyGateSpec) -> Iterator[Check]:
    value = evidence.challenger.metric if evidence.challenger else None
    is_finite = finite_or_none(value) is not None
    name = "value of the challenger a customer"
    yield Check(
        "value",
        is_finite,
        finite_or_none(value),
        None,
        f"{name}: {show_figure(value)} USD" if is_finite else f"{name} is not a finite number",
    )
    against = "the champion" if evidence.has_champion else "making no offers"
    what = f"lower bound of the gain a customer over {against}, USD"
    yield above("gain_lower_bound", evidence.gain_low, gate.min_gain_usd, what)
    if evidence.has_champion:
        what = "lower bound of the gain a customer over making no offers, USD"
        yield at_least("no_worse_than_no_offers", evidence.no_offer_gain_low, 0.0, what)


def _check_log(evidence: PolicyEvidence, gate: PolicyGateSpec) -> Iterator[Check]:
    found = evidence.off_policy
    if found is None:
        yield _in_words("off_policy", ("the logged decisions were not asked",), "")
    elif found.is_own_log:
        yield _in_words("off_policy", found.refusals, f"{found.rows} logged decisions are evidence enough")
        what = f"lower bound of the gain a logged decision over {found.baseline}, USD"
        yield at_least("off_policy_gain", found.gain_low, gate.off_policy_min_gain_usd, what)
    else:
        yield _check_veto(found)


def _check_veto(found: OffPolicyFigures) -> Check:
    if found.refusals:
        words = f"the log of {found.baseline} cannot speak for or against it: {'; '.join(found.refusals)}"
        return Check("off_policy_veto", True, None, 0.0, words)
    what = f"upper bound of the gain a logged decision over {found.baseline}, USD"
    return at_least("off_policy_veto", found.gain_high, 0.0, what)


def _summarise(evidence: PolicyEvidence) -> str:
    against = "the champion" if evidence.has_champion else "making no offers"
    figures = evidence.challenger or PolicyFigures("", math.nan)
    return (
        f"{figures.kind}: {show_figure(figures.metric)} USD a customer over {evidence.horizon_weeks} weeks, gain "
        f"{show_figure(evidence.gain)} over {against} (interval {show_figure(evidence.gain_low)} to "
        f"{show_figure(evidence.gain_high)}; {evidence.judged_people} customers in the judging simulator)"
    )


def _say_off_policy(evidence: PolicyEvidence) -> str:
    found = evidence.off_policy
    if found is None or found.refusals:
        return f"logged decisions: no estimate ({'; '.join(found.refusals) if found else 'not asked'})"
    return (
        f"logged decisions: gain {show_figure(found.gain)} USD over {found.baseline} (interval "
        f"{show_figure(found.gain_low)} to {show_figure(found.gain_high)}, {found.effective_rows:.0f} effective rows "
        f"of {found.rows})"
    )
