"""Whether offers bring what was expected of them when they were proposed: a verdict a week.

Every proposal carries its chance of being accepted and the margin that this is worth. Summed over a week's offers
that were sent as proposed, acceptances differ from that by chance with a variance of at most
A (1 - A / n) for n offers with A acceptances expected (Poisson binomial; Hoeffding 1956), the margin with the same
times the square of what a sale brings. A week has *fallen* if acceptance or margin lies below its expectation by more
than chance and by a share that matters; enough of the newest weeks of the present policy make a verdict of its own,
which retrains the use case's segment.

Belongs here: the figures of a week and the pure verdict. Does not belong here: the lake (performance_record.py), what
follows from a verdict (domain.learning.retraining).
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from mlops_assets.domain.offers.decision_data import STEP_DAYS
from mlops_assets.domain.offers.performance_spec import PerformanceSpec
from mlops_assets.domain.offers.reconciliation_day import PlanFigures, ReconciledDay

# What retraining plans and reports call it; monitors of `configs/quality` have names of their own.
PERFORMANCE_MONITOR = "offer_performance"
VerdictKind = Literal["as_expected", "fall", "performance_fall", "no_evidence"]
_CENTS_PER_USD = 100.0


@dataclass(frozen=True)
class Comparison:
    """A sum beside its expectation: `sigma` is the standard deviation of chance at most."""

    actual: float
    expected: float
    sigma: float

    def low(self, confidence: float) -> float:
        """Return the least that chance leaves, one-sided."""
        return self.expected - NormalDist().inv_cdf(confidence) * self.sigma

    def is_fallen(self, spec: PerformanceSpec) -> bool:
        """Whether it lies below what chance and tolerance leave; never of an expectation of nothing."""
        bound = min(self.low(spec.confidence), (1 - spec.min_fall_share) * self.expected)
        return self.expected > 0 and self.actual < bound


@dataclass(frozen=True)
class WeekFigures:
    """Offers of a week that were sent as proposed and carried an expectation.

    Attributes:
        first_day, last_day: of the week.
        days: reconciled days among them.
        offers: count.
        left_out: offers sent on days and of plans of which not all carried an expectation.
        acceptances: count.
        margin_usd: less discounts.
        plans: by plan proposed, all offers.
        model_versions: of the policies that proposed on these days.
    """

    first_day: dt.date
    last_day: dt.date
    days: int
    offers: int
    left_out: int
    acceptances: Comparison
    margin_usd: Comparison
    plans: tuple[PlanFigures, ...] = ()
    model_versions: tuple[str, ...] = ()


@dataclass(frozen=True)
class PerformanceVerdict:
    """What the newest weeks say.

    Attributes:
        day: last day of the newest week.
        kind: `as_expected`; `fall` of this week alone; `performance_fall`: of enough weeks; `no_evidence`.
        reasons: sentences for people.
        first_marked_day: first day of the first week that counts for the fall.
        since_day: weeks that began earlier do not count: another policy, or none, decided then.
        week: figures of the newest week.
    """

    day: dt.date
    kind: VerdictKind
    reasons: tuple[str, ...]
    first_marked_day: dt.date | None = None
    since_day: dt.date | None = None
    week: WeekFigures | None = None

    @property
    def is_retraining_due(self) -> bool:
        """Whether the offers have brought less than expected for long enough."""
        return self.kind == "performance_fall"


def summarise_week(last_day: dt.date, found: Iterable[ReconciledDay]) -> WeekFigures:
    """Return the figures of the week that ends on a day; days outside it are left aside."""
    first_day = last_day - dt.timedelta(days=STEP_DAYS - 1)
    days = [one for one in found if first_day <= one.day <= last_day]
    every = [plan for day in days for plan in day.plans if plan.sent_offers]
    counted = [plan for plan in every if plan.with_expectation == plan.sent_offers]
    return WeekFigures(
        first_day=first_day,
        last_day=last_day,
        days=len(days),
        offers=sum(plan.sent_offers for plan in counted),
        left_out=sum(plan.sent_offers for plan in every) - sum(plan.sent_offers for plan in counted),
        acceptances=_compare(counted, [1.0] * len(counted), sum(plan.accepted for plan in counted)),
        margin_usd=_compare(
            counted,
            [_usd_per_sale(plan) for plan in counted],
            sum(plan.margin_usd_cents for plan in counted) / _CENTS_PER_USD,
        ),
        plans=merge_plans(plan for day in days for plan in day.plans),
        model_versions=tuple(sorted({version for day in days for version in day.model_versions})),
    )


def _usd_per_sale(plan: PlanFigures) -> float:
    if plan.expected_accepted <= 0:
        return 0.0
    return plan.expected_margin_usd_cents / _CENTS_PER_USD / plan.expected_accepted


def _compare(plans: Sequence[PlanFigures], worth: Sequence[float], actual: float) -> Comparison:
    expected = variance = 0.0
    for plan, usd in zip(plans, worth, strict=True):
        sales, share = plan.expected_accepted, plan.expected_accepted / plan.sent_offers
        expected += usd * sales
        variance += usd * usd * sales * max(0.0, 1 - share)
    return Comparison(float(actual), expected, math.sqrt(variance))


def merge_plans(found: Iterable[PlanFigures]) -> tuple[PlanFigures, ...]:
    """Return the sums of several days by plan, in the order of their codes."""
    sums: dict[str, dict[str, float]] = {}
    for one in found:
        values = one.model_dump(exclude={"plan_code"})
        known = sums.setdefault(one.plan_code, dict.fromkeys(values, 0))
        for name, value in values.items():
            known[name] += value
    return tuple(PlanFigures.model_validate({"plan_code": code, **sums[code]}) for code in sorted(sums))


def judge_performance(
    weeks: Sequence[WeekFigures], spec: PerformanceSpec, since_day: dt.date | None, version: str
) -> PerformanceVerdict:
    """Judge the newest of some weeks, in view of those before it.

    Args:
        weeks: oldest first, the newest is judged; at least one.
        spec: when a fall counts.
        since_day: first day on which the present policy may have decided; None if there is none.
        version: of the present policy. Weeks in which another one proposed do not count: after a late approval or a
            rollback it was not the present one that decided, whatever the ledger says of these days by now.
    """
    newest = weeks[-1]
    if since_day is None or newest.first_day < since_day:
        policy = f"the present policy decides since {since_day}" if since_day else "no policy is champion"
        return PerformanceVerdict(newest.last_day, "no_evidence", (policy,), None, since_day, newest)
    if others := _other_versions(newest, version):
        words = (
            f"{newest.first_day} to {newest.last_day}: not only version {version} proposed, but {others}, too"
        )
        return PerformanceVerdict(newest.last_day, "no_evidence", (words,), None, since_day, newest)
    if not _is_evidence(newest, spec):
        return PerformanceVerdict(
            newest.last_day, "no_evidence", (_too_few(newest),), None, since_day, newest
        )
    own = [
        one
        for one in weeks
        if one.first_day >= since_day and not _other_versions(one, version) and _is_evidence(one, spec)
    ][-spec.weeks :]
    fallen = [one for one in own if _falls(one, spec)]
    reasons = tuple(sentence for one in fallen for sentence in _falls(one, spec))
    if newest not in fallen:
        return PerformanceVerdict(
            newest.last_day, "as_expected", (_describe(newest),), None, since_day, newest
        )
    kind: VerdictKind = "performance_fall" if len(fallen) >= spec.fallen_weeks else "fall"
    return PerformanceVerdict(newest.last_day, kind, reasons, fallen[0].first_day, since_day, newest)


def _other_versions(week: WeekFigures, version: str) -> str:
    return ", ".join(one for one in week.model_versions if one != version)


def _is_evidence(week: WeekFigures, spec: PerformanceSpec) -> bool:
    return week.acceptances.expected >= spec.min_expected_acceptances


def _too_few(week: WeekFigures) -> str:
    return (
        f"{week.first_day} to {week.last_day}: {week.offers} offers sent with {week.acceptances.expected:.0f} "
        f"acceptances expected on {week.days} reconciled days are too few to judge"
    )


def _falls(week: WeekFigures, spec: PerformanceSpec) -> list[str]:
    named = {"acceptances": week.acceptances, "USD margin": week.margin_usd}
    return [
        f"{week.first_day} to {week.last_day}: {one.actual:.0f} {name} of {one.expected:.0f} expected "
        f"({one.actual / one.expected - 1:+.0%}), chance leaves {one.low(spec.confidence):.0f} at least"
        for name, one in named.items()
        if one.is_fallen(spec)
    ]


def _describe(week: WeekFigures) -> str:
    return (
        f"{week.first_day} to {week.last_day}: {week.acceptances.actual:.0f} acceptances, "
        f"{week.acceptances.expected:.0f} expected; {week.margin_usd.actual:.0f} USD margin, "
        f"{week.margin_usd.expected:.0f} expected"
    )
