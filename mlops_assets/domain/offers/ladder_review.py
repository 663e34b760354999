"""The content of the report on a policy's decision, from what its training left behind.

Belongs here: collecting. Does not belong here: the decision, which is read from the ledger, or rendering
(domain.reporting.ladder_report_page).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlops_assets.domain.learning.card import describe_decision
from mlops_assets.domain.learning.training import Challenger
from mlops_assets.domain.offers.performance import WeekFigures
from mlops_assets.domain.offers.reconciliation_day import PlanFigures
from mlops_assets.domain.offers.worlds import WorldsOutcome
from mlops_assets.domain.ports import LedgerEntry, Manifest
from mlops_assets.domain.reporting.ladder_report import (
    LadderReport,
    LadderRung,
    LogNote,
    OfferedPlanNote,
    OfferWeekNote,
    OffPolicyNote,
    WorldFigure,
)
from mlops_assets.domain.reporting.retraining_report import ShiftNote

LADDER_REVIEW_VERSION = "2"  # to be raised when a report shows something else for the same decision
_CENTS_PER_USD = 100.0


@dataclass(frozen=True)
class LadderSources:
    """What a report is made from.

    Attributes:
        reason: why the policy was learned.
        challenger: as it was noted.
        entry: decision on it.
        log: manifest of the decision log.
        worlds: both simulators.
        week: the week of offers before; None if none was reconciled.
        week_verdict: on that week, in words; empty if there is none.
        shift: that made it due.
    """

    reason: str
    challenger: Challenger
    entry: LedgerEntry
    log: Manifest
    worlds: WorldsOutcome
    week: WeekFigures | None = None
    week_verdict: str = ""
    shift: ShiftNote | None = None


def review_ladder(sources: LadderSources) -> LadderReport:
    """Return the report on a decision."""
    entry, challenger = sources.entry, sources.challenger
    figures = entry.evidence["figures"]
    ours, theirs = (figures[side] or {} for side in ("challenger", "baseline"))
    # A champion that cannot serve was not compared with: the gain is then the one over making no offers.
    is_compared = figures["champion_sha256"] is not None
    return LadderReport(
        use_case=entry.slot.use_case,
        agent=entry.slot.model,
        segment=entry.slot.segment,
        reason=sources.reason,
        data_day=entry.as_of_day,
        decision=describe_decision(entry),
        version=entry.version,
        kind=challenger.algorithm,
        choice=challenger.reason,
        champion_version=entry.previous_version if is_compared else None,
        champion_kind=theirs.get("kind") if is_compared else None,
        value_usd=ours.get("metric"),
        gain_usd=figures["gain"],
        gain_low_usd=figures["gain_low"],
        gain_high_usd=figures["gain_high"],
        judged_people=figures["judged_people"],
        horizon_weeks=figures["horizon_weeks"],
        rungs=tuple(LadderRung.model_validate(dict(row)) for row in challenger.leaderboard),
        worlds=tuple(WorldFigure.model_validate(dict(row)) for row in sources.worlds.figures),
        log=_note_log(sources.log),
        off_policy=_note_off_policy(figures["off_policy"]),
        week=_note_week(sources.week, sources.week_verdict) if sources.week else None,
        shift=sources.shift,
        inputs=dict(sources.log.facts["input_champions"]),
    )


def _note_log(manifest: Manifest) -> LogNote:
    facts = manifest.facts
    return LogNote(
        first_day=dt.date.fromisoformat(facts["as_of_days"][0]),
        last_day=dt.date.fromisoformat(facts["last_day"]),
        weeks=len(facts["as_of_days"]),
        person_weeks=manifest.row_count,
        contacts=facts["counts"]["contacted"],
        left_out=tuple(_list_left_out(facts)),
    )


def _list_left_out(facts: Mapping[str, Any]) -> Iterator[str]:
    for day, why in facts["left_out_weeks"].items():
        yield f"the week after {day}: {why}"
    counts = facts["counts"]
    if counts["other_offer"]:
        yield f"{counts['other_offer']} person-weeks with an offer that the catalogue does not have"
    if counts["gone"]:
        yield f"{counts['gone']} person-weeks of people who were gone a week later without having churned"


def _note_off_policy(found: Mapping[str, Any] | None) -> OffPolicyNote | None:
    if found is None:
        return None
    return OffPolicyNote(
        baseline=found["baseline"],
        is_own_log=found["is_own_log"],
        rows=found["rows"],
        effective_rows=found["effective_rows"],
        gain_usd=found["gain"],
        gain_low_usd=found["gain_low"],
        gain_high_usd=found["gain_high"],
        refusals=tuple(found["refusals"]),
    )


def _note_week(week: WeekFigures, verdict: str) -> OfferWeekNote:
    return OfferWeekNote(
        first_day=week.first_day,
        last_day=week.last_day,
        days=week.days,
        plans=tuple(_note_plan(plan) for plan in week.plans),
        verdict=verdict,
    )


def _note_plan(plan: PlanFigures) -> OfferedPlanNote:
    return OfferedPlanNote(
        plan_code=plan.plan_code,
        proposed=plan.rl_offers,
        sent=plan.sent_offers,
        accepted=plan.accepted,
        expected_accepted=plan.expected_accepted,
        margin_usd=plan.margin_usd_cents / _CENTS_PER_USD,
        expected_margin_usd=plan.expected_margin_usd_cents / _CENTS_PER_USD,
    )
