"""The weekly offer performance report: offers proposed and sent, and what came of them.

Belongs here: the typed content in the operator's form, and what follows from its own fields. Does not belong here:
counting (domain.offers.reconciliation) or how it looks (offer_report_page).

A day that was not reconciled is None with its reason, never zero; totals say which days they lack. It holds
aggregates only, never a subscriber.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

from pydantic import Field, model_validator

from mlops_assets.domain.model_base import Record
from mlops_assets.domain.offers.reconciliation_day import (
    PlanFigures,
    ReconciledDay,
    UnexplainedRows,
    mismatch_share,
)
from mlops_assets.domain.weeks import WEEK_DAYS

UNEXPLAINED_LINES_MAX = 50
_NOT_RECONCILED = "proposals, campaign log or catalogue of this day are missing"
_Z95 = 1.959963984540054  # of the standard normal distribution, two-sided
_CENTS_PER_USD = 100

Count = Annotated[int, Field(ge=0)]


class OfferCounts(Record):
    """Offers of a day, or of all of them: RL offers = sent + no offer + different offer."""

    rl_offers: Count
    sent_offers: Count
    no_offer: Count
    different_offer: Count

    @model_validator(mode="after")
    def _sums_close(self) -> OfferCounts:
        if self.rl_offers != self.sent_offers + self.no_offer + self.different_offer:
            raise ValueError(
                f"{self.rl_offers} RL offers are not {self.sent_offers} sent + {self.no_offer} no offer + "
                f"{self.different_offer} different"
            )
        return self

    @property
    def mismatch(self) -> float | None:
        """Mismatch ratio as a share: (no offer + different offer) / RL offers; None without offers."""
        return mismatch_share(self.rl_offers, self.no_offer, self.different_offer)

    @property
    def sent_share(self) -> float | None:
        """Sent offers / RL offers; None without offers."""
        return self.sent_offers / self.rl_offers if self.rl_offers else None


class OfferDay(Record):
    """One geography and day; `counts` is None with a reason if the day was not reconciled."""

    day: dt.date
    geography: str
    counts: OfferCounts | None
    reason: str = ""

    @model_validator(mode="after")
    def _none_has_a_reason(self) -> OfferDay:
        if self.counts is None and not self.reason:
            raise ValueError(f"{self.geography}, {self.day}: not reconciled, but nothing says why")
        return self


class PlanResult(Record):
    """What the offers of a plan that were sent as proposed brought in a geography, beside what was expected.

    Expectations are None if some of these offers carried none: a part cannot be compared with the whole.
    """

    geography: str
    plan_code: str
    sent_offers: Count
    accepted: Count
    margin_usd: float
    expected_accepted: float | None = None
    expected_margin_usd: float | None = None

    @property
    def acceptance(self) -> float | None:
        """Accepted / sent; None without any sent."""
        return self.accepted / self.sent_offers if self.sent_offers else None

    @property
    def expected_acceptance(self) -> float | None:
        """Expected accepted / sent."""
        if self.expected_accepted is None or not self.sent_offers:
            return None
        return self.expected_accepted / self.sent_offers

    @property
    def acceptance_interval(self) -> tuple[float, float] | None:
        """95 % interval of the realised acceptance (Wilson 1927); None without any sent."""
        n, share = self.sent_offers, self.acceptance
        if share is None:
            return None
        centre = share + _Z95**2 / (2 * n)
        half = _Z95 * math.sqrt(share * (1 - share) / n + _Z95**2 / (4 * n * n))
        scale = 1 + _Z95**2 / n
        return max((centre - half) / scale, 0.0), min((centre + half) / scale, 1.0)

    @property
    def margin_difference_usd(self) -> float | None:
        """Realised less expected margin."""
        return None if self.expected_margin_usd is None else self.margin_usd - self.expected_margin_usd


class UnexplainedLine(UnexplainedRows):
    """Rows that nothing explains, of a geography and the whole period."""

    geography: str


class WeekOfOffers(Record):
    """A week, up to its `last_day`; `counts` is None if nothing of it was reconciled."""

    first_day: dt.date
    last_day: dt.date
    counts: OfferCounts | None


class OfferReport(Record):
    """Days in order of date and geography; each geography has every day once.

    Attributes:
        use_case: whose offers these are; empty for a report that stands alone.
        first_day, last_day: both included.
        geographies: in the order of the report.
        days: what was proposed and sent.
        plans: realised against expected.
        unexplained: the largest first, at most 50; `unexplained_more` rows are left out.
        model_versions: versions that proposed, the oldest first.
        weeks: mismatch over time, this week last; empty if only this week is known.
    """

    use_case: str = ""
    first_day: dt.date
    last_day: dt.date
    geographies: tuple[str, ...]
    days: tuple[OfferDay, ...]
    plans: tuple[PlanResult, ...] = ()
    unexplained: tuple[UnexplainedLine, ...] = ()
    unexplained_more: Count = 0
    model_versions: tuple[str, ...] = ()
    weeks: tuple[WeekOfOffers, ...] = ()

    @model_validator(mode="after")
    def _is_complete(self) -> OfferReport:
        expected = [(day, one) for day in self.dates for one in self.geographies]
        if not expected or [(one.day, one.geography) for one in self.days] != expected:
            raise ValueError("not exactly one entry for each day and geography, in their order")
        return self

    @property
    def dates(self) -> list[dt.date]:
        """Every day of the period."""
        length = (self.last_day - self.first_day).days + 1
        return [self.first_day + dt.timedelta(days=ahead) for ahead in range(length)]

    @property
    def title(self) -> str:
        """Heading, subject of the mail, entry in the index page."""
        return f"Offer performance: {self.first_day.isoformat()} to {self.last_day.isoformat()}"

    @property
    def total(self) -> OfferCounts:
        """Sum over everything that was reconciled."""
        return add_counts(self.days)

    @property
    def missing(self) -> list[OfferDay]:
        """Days and geographies that were not reconciled."""
        return [one for one in self.days if one.counts is None]

    def counts_of(self, day: dt.date) -> OfferCounts | None:
        """Return the sum over the geographies of a day that were reconciled; None if none was."""
        found = [one for one in self.days if one.day == day and one.counts is not None]
        return add_counts(found) if found else None


def add_counts(days: Iterable[OfferDay]) -> OfferCounts:
    """Return the sum of what was reconciled."""
    counts = [one.counts for one in days if one.counts is not None]
    return OfferCounts(
        rl_offers=sum(one.rl_offers for one in counts),
        sent_offers=sum(one.sent_offers for one in counts),
        no_offer=sum(one.no_offer for one in counts),
        different_offer=sum(one.different_offer for one in counts),
    )


def build_offer_report(
    reconciled: Iterable[ReconciledDay],
    *,
    last_day: dt.date,
    geographies: Sequence[str],
    reasons: Mapping[tuple[str, dt.date], str] | None = None,
    days: int = WEEK_DAYS,
    use_case: str = "",
) -> OfferReport:
    """Return the report of the days that end on `last_day`.

    Args:
        reconciled: days of any geographies; those outside the period are in `weeks` only.
        last_day: last day of the report.
        geographies: every geography where the use case runs, in the order of the report.
        reasons: why a geography has not been reconciled on a day, where that is known.
        days: length of the period.
        use_case: whose offers these are.
    """
    known_days = [one for one in reconciled if one.geography in geographies and one.day <= last_day]
    first_day = last_day - dt.timedelta(days=days - 1)
    found = {(one.day, one.geography): one for one in known_days if first_day <= one.day}
    period = [first_day + dt.timedelta(days=ahead) for ahead in range(days)]
    known = reasons or {}
    lines = _add_unexplained(found.values())
    return OfferReport(
        use_case=use_case,
        first_day=first_day,
        last_day=last_day,
        geographies=tuple(geographies),
        days=tuple(
            _offer_day(found.get((day, one)), day, one, known.get((one, day), _NOT_RECONCILED))
            for day in period
            for one in geographies
        ),
        plans=tuple(result for one in geographies for result in _plan_results(one, found.values())),
        unexplained=tuple(lines[:UNEXPLAINED_LINES_MAX]),
        unexplained_more=sum(one.rows for one in lines[UNEXPLAINED_LINES_MAX:])
        + sum(one.unexplained_more for one in found.values()),
        model_versions=_list_versions(found.values()),
        weeks=tuple(_weeks(known_days, first_day, last_day)),
    )


def _list_versions(days: Iterable[ReconciledDay]) -> tuple[str, ...]:
    """Return the versions that proposed, each once, 9 before 10."""
    found = {version for one in days for version in one.model_versions}
    return tuple(sorted(found, key=lambda version: (len(version), version)))


def _weeks(days: Sequence[ReconciledDay], first_day: dt.date, last_day: dt.date) -> list[WeekOfOffers]:
    """Return the weeks from the earliest known one to that of the report; none if there is no earlier one."""
    earliest = min((one.day for one in days), default=first_day)
    weeks = max(0, math.ceil((first_day - earliest).days / WEEK_DAYS))
    starts = [first_day - dt.timedelta(weeks=back) for back in reversed(range(weeks + 1))] if weeks else []
    ends = [min(start + dt.timedelta(days=WEEK_DAYS - 1), last_day) for start in starts]
    return [_week(days, start, end) for start, end in zip(starts, ends, strict=True)]


def _week(days: Sequence[ReconciledDay], first_day: dt.date, last_day: dt.date) -> WeekOfOffers:
    found = [_offer_day(one, one.day, one.geography, "") for one in days if first_day <= one.day <= last_day]
    return WeekOfOffers(first_day=first_day, last_day=last_day, counts=add_counts(found) if found else None)


def _offer_day(one: ReconciledDay | None, day: dt.date, geography: str, reason: str) -> OfferDay:
    if one is None:
        return OfferDay(day=day, geography=geography, counts=None, reason=reason)
    counts = OfferCounts(
        rl_offers=one.rl_offers,
        sent_offers=one.sent_offers,
        no_offer=one.no_offer,
        different_offer=one.different_offer,
    )
    return OfferDay(day=day, geography=geography, counts=counts)


def _plan_results(geography: str, days: Iterable[ReconciledDay]) -> list[PlanResult]:
    of_plan: dict[str, list[PlanFigures]] = defaultdict(list)
    for day in days:
        if day.geography == geography:
            for plan in day.plans:
                of_plan[plan.plan_code].append(plan)
    return [_plan_result(geography, code, of_plan[code]) for code in sorted(of_plan)]


def _plan_result(geography: str, code: str, figures: Sequence[PlanFigures]) -> PlanResult:
    sent = sum(one.sent_offers for one in figures)
    is_expected = sent > 0 and sum(one.with_expectation for one in figures) == sent
    expected_cents = sum(one.expected_margin_usd_cents for one in figures)
    return PlanResult(
        geography=geography,
        plan_code=code,
        sent_offers=sent,
        accepted=sum(one.accepted for one in figures),
        margin_usd=sum(one.margin_usd_cents for one in figures) / _CENTS_PER_USD,
        expected_accepted=sum(one.expected_accepted for one in figures) if is_expected else None,
        expected_margin_usd=expected_cents / _CENTS_PER_USD if is_expected else None,
    )


def _add_unexplained(days: Iterable[ReconciledDay]) -> list[UnexplainedLine]:
    sums: dict[tuple[str, str, str, str], int] = defaultdict(int)
    for day in days:
        for one in day.unexplained:
            sums[day.geography, one.kind, one.proposed_plan, one.sent_plan] += one.rows
    lines = [
        UnexplainedLine(geography=place, kind=kind, proposed_plan=proposed, sent_plan=sent, rows=rows)
        for (place, kind, proposed, sent), rows in sums.items()
    ]
    return sorted(
        lines, key=lambda one: (-one.rows, one.geography, one.kind, one.proposed_plan, one.sent_plan)
    )
