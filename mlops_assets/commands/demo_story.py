"""What happens in the demo, and when: seven weeks of an operator as data.

Belongs here: days, scripted events, chapters, the few lines of configuration. Does not belong here: carrying them out
(demo_run) or whether they came true (demo_checks).

Day numbers count from 0, a Monday. First champions need 36 days, network models and verdicts on drift 42, a policy of
offers 49; a shift is answered once a week of rows from after it has complete labels.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from mlops_assets.domain.ports import ModelSlot
from mlops_assets.sandbox.events import EventKind, ScriptedEvent

FIRST_DAY = dt.date(2026, 8, 3)
HISTORY_DAYS = 35
STORY_DAYS = 51
STEADY, MOVED, NEW = "cl", "pe", "co"
PERSON = "demo"

UNIT_ERROR_NUMBER, SHIFT_NUMBER, FESTIVAL_NUMBER = 36, 41, 42
NEW_NUMBER, POLICY_NUMBER, ANSWER_NUMBER, ROLLBACK_NUMBER = 46, 48, 48, 49
APPROVED_SLOT = ModelSlot("churn", "churn_risk", MOVED)

APPROVAL_LINES = f"""\
# Laid over configs/geographies.yaml.
geographies:
  {MOVED}:
    overrides:
      churn:
        approval: {{mode: manual}} # what passes the gate waits for a person
"""
NEW_LINES = f"""\
  {NEW}:
    name: Colombia
    timezone: America/Bogota
    currency: COP
    country: CO
    usd_per_unit: 0.00024
    like: {MOVED} # the same plan codes, use cases and deliveries
"""


@dataclass(frozen=True)
class Chapter:
    """A piece of the story.

    Attributes:
        key: names it, and what checks it.
        number: day on which it begins, from 0.
        title: what it is about, for people.
    """

    key: str
    number: int
    title: str

    @property
    def day(self) -> dt.date:
        """Return the day of the data."""
        return day_of(self.number)


CHAPTERS = (
    Chapter("history", 0, "An operator joins in two countries and brings five weeks of files"),
    Chapter("first_champions", 35, "The first models are trained, compared and judged"),
    Chapter("unit_error", UNIT_ERROR_NUMBER, "Chile's usage file comes in another unit"),
    Chapter("shift", SHIFT_NUMBER, "Peru's customers turn to HD video, for good"),
    Chapter("fleet", 41, "Network devices: one model a group, where that is proven to be better"),
    Chapter(
        "festival", FESTIVAL_NUMBER, "Chile celebrates: a day unlike the others, and no reason to retrain"
    ),
    Chapter("geography", NEW_NUMBER, "A third country joins by a few lines of YAML"),
    Chapter("policy", POLICY_NUMBER, "A policy of offers is learned; its offers reach the campaign system"),
    Chapter("retraining", ANSWER_NUMBER, "The shift is answered: Peru's models are trained again"),
    Chapter("rejection", ANSWER_NUMBER, "A challenger that is no better is rejected"),
    Chapter("approval", ANSWER_NUMBER, "A better one waits for a person, who approves"),
    Chapter("agents", ANSWER_NUMBER, "What serves follows the ledger"),
    Chapter("rollback", ROLLBACK_NUMBER, "Complaints: the champion before is champion again"),
)


def day_of(number: int) -> dt.date:
    """Return a day of the story."""
    return FIRST_DAY + dt.timedelta(days=number)


def script() -> list[ScriptedEvent]:
    """Return what happens to the operator."""
    return [
        _event("unit_error", STEADY, UNIT_ERROR_NUMBER),
        _event("festival", STEADY, FESTIVAL_NUMBER),
        _event("behaviour_shift", MOVED, SHIFT_NUMBER),
    ]


def _event(kind: EventKind, geography: str, number: int) -> ScriptedEvent:
    return ScriptedEvent(kind=kind, geography=geography, first_day=day_of(number))


# Seconds of a day relative to each other, for the time that is left: days of history, lived days, and what some days
# have beside: processes that start, trainings, files of weeks.
_HISTORY_WEIGHT, _DAY_WEIGHT = 1.0, 2.5
_EXTRA_WEIGHTS = {
    0: 6.0,
    HISTORY_DAYS: 8.0,
    41: 1.5,
    NEW_NUMBER: 4.0,
    POLICY_NUMBER: 30.0,
    ROLLBACK_NUMBER: 5.0,
}


def weight_of(number: int) -> float:
    """Return how long a day takes, beside the others."""
    usual = _HISTORY_WEIGHT if number < HISTORY_DAYS else _DAY_WEIGHT
    return usual + _EXTRA_WEIGHTS.get(number, 0.0)
