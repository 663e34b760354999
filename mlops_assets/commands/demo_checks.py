"""What became of the demo's chapters, read back from the stores.

Belongs here: one function a chapter; it looks at lake, ledger, outbox, deployments, and says what it found. Does not
belong here: making it happen (demo_run). Nothing is claimed that is not found.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from mlops_assets.commands.demo_story import (
    ANSWER_NUMBER,
    APPROVED_SLOT,
    CHAPTERS,
    FESTIVAL_NUMBER,
    FIRST_DAY,
    HISTORY_DAYS,
    MOVED,
    NEW,
    NEW_NUMBER,
    PERSON,
    SHIFT_NUMBER,
    STEADY,
    UNIT_ERROR_NUMBER,
    Chapter,
    day_of,
)
from mlops_assets.commands.workspace import Workspace
from mlops_assets.config.policy_slots import policy_slots
from mlops_assets.config.run_plan import VERDICT_DAYS, all_slots, day_log_partition, slots
from mlops_assets.domain.features.catalogue import FEATURE_TABLES
from mlops_assets.domain.learning.approval import GATE
from mlops_assets.domain.learning.retraining import DayVerdict
from mlops_assets.domain.learning.slots import pooled_segment
from mlops_assets.domain.offers.delivery_ports import DeliveryId
from mlops_assets.domain.ports import LedgerEntry, ModelSlot
from mlops_assets.domain.quality.drift_record import read_verdicts
from mlops_assets.domain.quality.held_deliveries import read_delivery_state
from mlops_assets.domain.reporting.delivery_mail import HELD_REPORT
from mlops_assets.domain.reporting.list_pages import LEDGER_PAGE, MAILS_PAGE

MONITOR = "plan_usage"


@dataclass(frozen=True)
class Found:
    """What a chapter came to: whether it holds, in words, and where to read it (a report's path or a command)."""

    is_held: bool
    what: str
    where: str


@dataclass(frozen=True)
class ChapterOutcome:
    """A chapter and what was found of it."""

    chapter: Chapter
    found: Found


@dataclass(frozen=True)
class _Evidence:
    """A workspace after the demo, and the last day that was run."""

    workspace: Workspace
    last: dt.date

    def entries(self, chosen: Iterable[ModelSlot] | None = None) -> Iterator[LedgerEntry]:
        """Yield the decisions about slots, by default about all that are configured."""
        for slot in all_slots(self.workspace.config) if chosen is None else chosen:
            yield from self.workspace.platform.ledger.history(slot)

    def verdicts(self, segment: str) -> dict[dt.date, DayVerdict]:
        """Return the drift verdicts of a geography by day."""
        found = read_verdicts(self.workspace.platform.lake, MONITOR, segment, VERDICT_DAYS)
        return {one.day: one for one in found}

    def answers(self, segment: str) -> list[LedgerEntry]:
        """Return the decisions about challengers that were trained since a shift was due, people's left out.

        What was trained before is no answer: after a rejected first challenger a use case is trained again.
        """
        due = [day for day, verdict in self.verdicts(segment).items() if verdict.is_shift]
        watched = [slot for slot in slots(self.workspace.config) if slot.segment == segment]
        return [
            one
            for one in self.entries(watched)
            if one.previous_version and one.decided_by == GATE and one.outcome != "rolled_back"
            if due and one.as_of_day and one.as_of_day >= min(due)
        ]


def check_chapters(workspace: Workspace, last: dt.date) -> list[ChapterOutcome]:
    """Return what became of every chapter that begins until `last`."""
    evidence = _Evidence(workspace, last)
    return [ChapterOutcome(one, CHECKS[one.key](evidence)) for one in CHAPTERS if one.day <= last]


def _find_history(evidence: _Evidence) -> Found:
    lake = evidence.workspace.platform.lake
    days = [FIRST_DAY + dt.timedelta(days=n) for n in range((evidence.last - FIRST_DAY).days + 1)][
        :HISTORY_DAYS
    ]
    built = [day for day in days if lake.manifest(day_log_partition(day))]
    what = f"{len(built)} of {len(days)} days of history imported: tables, ranges and verdicts, no reports"
    return Found(len(built) == len(days), what, "make dev")


def _find_first_champions(evidence: _Evidence) -> Found:
    ledger = evidence.workspace.platform.ledger
    every = [slot for slot in slots(evidence.workspace.config) if slot.segment in {STEADY, MOVED}]
    champions = [slot for slot in every if ledger.champion(slot)]
    wanted = {(name, code) for name in ("churn", "personalized_offer") for code in (STEADY, MOVED)}
    missing = wanted - {(slot.use_case, slot.segment) for slot in champions}
    decided = [one for one in evidence.entries(every) if one.previous_version is None]
    rejected = sum(one.outcome == "rejected" for one in decided)
    what = (
        f"{len(champions)} of {len(every)} models have a champion; {rejected} first challengers were rejected"
    )
    return Found(not missing, what, LEDGER_PAGE)


def _find_unit_error(evidence: _Evidence) -> Found:
    platform, day = evidence.workspace.platform, day_of(UNIT_ERROR_NUMBER)
    state = read_delivery_state(platform.lake, "usage", STEADY, day)
    about = f"usage/{STEADY}/{day}/"
    mails = [one for one in platform.outbox.entries() if one.key.report == HELD_REPORT]
    sent = [one for one in mails if one.key.partition.startswith(about) and one.state == "sent"]
    findings = state.health.findings if state.health else ()
    reason = findings[0].text if findings else "no finding"
    what = f"the file is {state.state}, {len(sent)} mail(s) sent, nothing was built from it: {reason}"
    return Found(state.state == "held" and bool(sent), what, MAILS_PAGE)


def _find_festival(evidence: _Evidence) -> Found:
    day = day_of(FESTIVAL_NUMBER)
    verdict = evidence.verdicts(STEADY).get(day)
    trained = evidence.answers(STEADY)
    kind = verdict.kind.replace("_", " ") if verdict else "no verdict"
    what = f"verdict: {kind}; {len(trained)} models of {STEADY} were trained because of drift"
    page = f"{MONITOR}/{STEADY}/{day:%Y-%m}/anomalies-{day}.html"
    return Found(kind == "one off event" and not trained, what, page)


def _find_shift(evidence: _Evidence) -> Found:
    shifts = [one for one in evidence.verdicts(MOVED).values() if one.is_shift]
    if not shifts:
        return Found(False, f"no behaviour shift was recognised in {MOVED}", LEDGER_PAGE)
    first = min(shifts, key=lambda one: one.day)
    what = f"behaviour shift recognised on {first.day}, since {first.first_marked_day}: {first.reasons[0]}"
    page = f"{MONITOR}/{MOVED}/{first.day:%Y-%m}/anomalies-{first.day}.html"
    return Found(first.day >= day_of(SHIFT_NUMBER), what, page)


def _find_fleet(evidence: _Evidence) -> Found:
    fleets = [
        slot
        for slot in slots(evidence.workspace.config)
        if evidence.workspace.config.use_cases[slot.use_case][slot.segment].models[slot.model].fleet
    ]
    ledger = evidence.workspace.platform.ledger
    champions = [slot.segment for slot in fleets if ledger.champion(slot)]
    groups = sum(
        any(one.makes_champion for one in history)
        for use_case, model in {(slot.use_case, slot.model) for slot in fleets}
        for segment, history in ledger.histories(use_case, model).items()
        if pooled_segment(segment) != segment
    )
    pooled = ", ".join(champions) or "no geography"
    what = f"pooled champion in {pooled}; {groups} device groups with a model of their own"
    return Found(bool(champions), what, LEDGER_PAGE)


def _find_retraining(evidence: _Evidence) -> Found:
    answers = evidence.answers(MOVED)
    what = f"{len(answers)} models of {MOVED} were trained again on data until {day_of(ANSWER_NUMBER)}"
    days = {one.as_of_day for one in answers}
    return Found(
        day_of(ANSWER_NUMBER) in days, what, _retraining_page(answers[0]) if answers else LEDGER_PAGE
    )


def _find_rejection(evidence: _Evidence) -> Found:
    rejected = [one for one in evidence.answers(MOVED) if one.outcome == "rejected"]
    if not rejected:
        return Found(False, "the gate rejected no challenger", LEDGER_PAGE)
    what = f"{len(rejected)} rejected by the gate, {_tell(rejected[0])}"
    return Found(True, what, _retraining_page(rejected[0]))


def _find_approval(evidence: _Evidence) -> Found:
    mine = [
        one
        for one in evidence.entries([APPROVED_SLOT])
        if one.decided_by == PERSON and one.outcome == "promoted" and one.previous_version
    ]
    if not mine:
        return Found(False, f"no challenger of {APPROVED_SLOT.registered_name} was approved", LEDGER_PAGE)
    return Found(True, _tell(mine[-1]), _retraining_page(mine[-1]))


def _find_agents(evidence: _Evidence) -> Found:
    platform = evidence.workspace.platform
    found = [(slot, platform.ledger.champion(slot)) for slot in slots(evidence.workspace.config)]
    champions = [(slot, champion) for slot, champion in found if champion]
    current = [
        slot
        for slot, champion in champions
        if (at := platform.deployments.pointer(slot))
        and at.serving
        and at.serving.decision_id == champion.decision_id
    ]
    what = f"{len(current)} of {len(champions)} champions are what serves"
    return Found(bool(champions) and len(current) == len(champions), what, "mlops deploy show")


def _find_rollback(evidence: _Evidence) -> Found:
    back = [one for one in evidence.entries([APPROVED_SLOT]) if one.outcome == "rolled_back"]
    champion = evidence.workspace.platform.ledger.champion(APPROVED_SLOT)
    if not back or champion is None:
        return Found(False, f"{APPROVED_SLOT.registered_name} was not rolled back", LEDGER_PAGE)
    return Found(champion.decision_id == back[-1].decision_id, _tell(back[-1]), LEDGER_PAGE)


def _find_policy(evidence: _Evidence) -> Found:
    platform = evidence.workspace.platform
    chosen = list(policy_slots(evidence.workspace.config))
    champions = [slot for slot in chosen if platform.ledger.champion(slot)]
    tomorrow = evidence.last + dt.timedelta(days=1)
    delivered = [
        slot.segment
        for slot in champions
        if platform.agents.find(DeliveryId(slot.use_case, slot.segment, tomorrow))
    ]
    decided_in = ", ".join(slot.segment for slot in champions) or "no geography"
    what = f"policy in {decided_in}; offers of {tomorrow} delivered in {', '.join(delivered) or 'none'}"
    decided = list(evidence.entries(chosen))
    page = (
        f"policies/{decided[0].slot.registered_name}/version-{decided[0].version}.html"
        if decided
        else LEDGER_PAGE
    )
    return Found(bool(champions) and bool(delivered), what, page)


def _find_geography(evidence: _Evidence) -> Found:
    lake, first = evidence.workspace.platform.lake, day_of(NEW_NUMBER)
    wanted = (evidence.last - first).days + 1
    complete = [name for name in FEATURE_TABLES if len(lake.days(name, NEW)) == wanted]
    what = f"{len(complete)} of {len(FEATURE_TABLES)} tables built for {NEW} on each of its {wanted} days"
    is_held = NEW in evidence.workspace.config.geographies and len(complete) == len(FEATURE_TABLES)
    return Found(is_held, what, "demo_configs/geographies.yaml")


CHECKS: Mapping[str, Callable[[_Evidence], Found]] = {
    "history": _find_history,
    "first_champions": _find_first_champions,
    "unit_error": _find_unit_error,
    "festival": _find_festival,
    "shift": _find_shift,
    "fleet": _find_fleet,
    "retraining": _find_retraining,
    "rejection": _find_rejection,
    "approval": _find_approval,
    "agents": _find_agents,
    "rollback": _find_rollback,
    "policy": _find_policy,
    "geography": _find_geography,
}


def _tell(entry: LedgerEntry) -> str:
    return f"{entry.slot.registered_name} version {entry.version}: {'; '.join(entry.reasons)}"


def _retraining_page(entry: LedgerEntry) -> str:
    return f"retraining/{entry.slot.registered_name}/version-{entry.version}.html"
