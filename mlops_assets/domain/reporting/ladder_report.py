"""The report on a policy's decision: the ladder it comes from, the worlds it was judged in, what the log says.

Belongs here: the typed content and what follows from its own fields. Does not belong here: collecting it
(domain.offers.ladder_review) or how it looks (ladder_report_page).

It holds aggregates only: policies, plans and counts, never a subscriber.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from pydantic import Field

from mlops_assets.domain.model_base import Record
from mlops_assets.domain.reporting.model_card import DecisionNote
from mlops_assets.domain.reporting.retraining_report import ShiftNote


class LadderRung(Record):
    """One policy in the judging simulator; money in USD a customer over the horizon.

    `gain_usd` is over making no offers, paired by customer, with its interval; `refusal` says why the simulator
    cannot judge it.
    """

    kind: str
    is_chosen: bool = False
    value_usd: float | None = None
    gain_usd: float | None = None
    gain_low_usd: float | None = None
    gain_high_usd: float | None = None
    contacts_per_week: float | None = None
    acceptance: float | None = None
    refusal: str = ""


class WorldFigure(Record):
    """A figure of a simulator beside what happened in the held-out weeks."""

    simulator: str
    name: str
    predicted: float | None
    observed: float | None
    allowed_error: float | None
    holds: bool


class LogNote(Record):
    """The decision log that policies were learned from."""

    first_day: dt.date
    last_day: dt.date
    weeks: int = Field(ge=0)
    person_weeks: int = Field(ge=0)
    contacts: int = Field(ge=0)
    left_out: tuple[str, ...] = ()


class OffPolicyNote(Record):
    """What logged decisions say about the gain, USD a decision."""

    baseline: str
    is_own_log: bool
    rows: int
    effective_rows: float
    gain_usd: float | None = None
    gain_low_usd: float | None = None
    gain_high_usd: float | None = None
    refusals: tuple[str, ...] = ()


class OfferedPlanNote(Record):
    """What became of a plan's offers of the week before; money in USD."""

    plan_code: str
    proposed: int
    sent: int
    accepted: int
    expected_accepted: float
    margin_usd: float
    expected_margin_usd: float


class OfferWeekNote(Record):
    """The week of offers before the training, which the decision follows up."""

    first_day: dt.date
    last_day: dt.date
    days: int
    plans: tuple[OfferedPlanNote, ...] = ()
    verdict: str = ""


class LadderReport(Record):
    """Everything about one decision on a newly learned policy.

    Attributes:
        use_case, agent, segment: the slot.
        reason: why it was learned.
        data_day: newest day whose data were used.
        decision: outcome, checks and reasons.
        version, kind: of the challenger.
        choice: why this policy of the ladder.
        champion_version, champion_kind: what it was compared with; None without one.
        value_usd, gain_usd, gain_low_usd, gain_high_usd: over the champion, or over making no offers.
        judged_people, horizon_weeks: in the judging simulator.
        rungs: the ladder, from the simplest.
        worlds: both simulators beside the held-out weeks.
        log: what was learned from.
        off_policy: None if the log was not asked.
        week: None before there were offers.
        shift: None unless a fall or a shift was the reason.
        inputs: input model -> version of its champion.
    """

    use_case: str
    agent: str
    segment: str
    reason: str
    data_day: dt.date | None
    decision: DecisionNote
    version: str
    kind: str
    choice: str = ""
    champion_version: str | None = None
    champion_kind: str | None = None
    value_usd: float | None = None
    gain_usd: float | None = None
    gain_low_usd: float | None = None
    gain_high_usd: float | None = None
    judged_people: int = Field(0, ge=0)
    horizon_weeks: int = Field(0, ge=0)
    rungs: tuple[LadderRung, ...] = ()
    worlds: tuple[WorldFigure, ...] = ()
    log: LogNote | None = None
    off_policy: OffPolicyNote | None = None
    week: OfferWeekNote | None = None
    shift: ShiftNote | None = None
    inputs: dict[str, Any] = {}

    @property
    def title(self) -> str:
        """Heading, subject of the mail, entry in the index."""
        return (
            f"Policy of {self.use_case} {self.agent}, {self.segment}: version {self.version} "
            f"({self.kind.replace('_', ' ')}) {self.decision.outcome}"
        )
