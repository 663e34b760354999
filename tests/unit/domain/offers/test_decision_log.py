"""The decision log that a training freezes: what is enough, what is kept, what is read again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import pytest

from mlops_assets.domain.errors import TableInputError
from mlops_assets.domain.offers.decision_log import FrozenLog, freeze_log, log_partition, read_log
from mlops_assets.domain.offers.state_scores import NotReady, OfferSetting
from tests.unit.domain.offers.loop_world import LAST, LoopWorld, make_setting

START = LAST - dt.timedelta(days=21)
EASY = {"simulator_check": {"min_contacts": 1, "min_acceptances": 1}}
ACCEPTED = {
    "subscriber_id": 2,
    "plan_code": "data_m",
    "propensity": 0.01,
    "is_accepted": True,
    "discount_usd_cents": 0,
}


def day(number: int) -> dt.date:
    return START + dt.timedelta(days=number)


@pytest.fixture
def weeks(loop: LoopWorld) -> LoopWorld:
    """Four people in whose three weeks nothing happens, and champions of the input models."""
    people = [
        {"subscriber_id": number, "status": "active", "balance_main_acc": 1.0, "tenure_days": 90}
        for number in range(1, 5)
    ]
    for number in range(-6, 22):
        loop.live(day(number), people if number >= 0 and number % 7 == 0 else ())
    loop.crown_all(make_setting())
    return loop


def freeze(world: LoopWorld, setting: OfferSetting, last_day: dt.date | None = LAST) -> FrozenLog | NotReady:
    return freeze_log(setting, last_day, engine=world.engine, **world.ports)


def contact_in(world: LoopWorld, number: int, contact: Mapping[str, Any] = ACCEPTED) -> None:
    world.live(day(number), contacts=[contact])


def test_too_few_contacts_are_a_matter_of_time_and_nothing_is_kept(weeks: LoopWorld) -> None:
    contact_in(weeks, 3)
    found = freeze(weeks, make_setting(EASY))
    assert isinstance(found, NotReady)
    assert found.status == "no_history"
    assert found.detail.endswith("0 contacts and 0 acceptances in the held-out weeks, 1 and 1 are needed")
    with pytest.raises(TableInputError, match="no decision log"):
        read_log(make_setting().slot, weeks.lake)


def test_log_is_kept_with_what_it_was_made_of(weeks: LoopWorld) -> None:
    contact_in(weeks, 17)
    found = freeze(weeks, make_setting(EASY))
    assert isinstance(found, FrozenLog), found
    assert (found.as_of_days, found.last_day) == ((day(0), day(7), day(14)), LAST)
    assert found.holdout_first_day == day(14)
    assert (found.learned.rows, found.held_out.rows) == (8, 4)
    assert found.held_out.is_accepted.sum() == 1
    facts = found.manifest.facts
    assert facts["input_champions"] == {"personalized_offer/topup": "1", "churn/risk": "1"}
    assert (facts["people"], facts["counts"]["contacted"]) == (4, 1)


def test_the_same_log_is_read_not_built(weeks: LoopWorld) -> None:
    contact_in(weeks, 17)
    setting = make_setting(EASY)
    first = freeze(weeks, setting)
    path = weeks.lake.path(log_partition(setting.slot))
    again = freeze(weeks, setting)
    assert isinstance(first, FrozenLog)
    assert isinstance(again, FrozenLog)
    assert weeks.lake.path(log_partition(setting.slot)) == path
    assert again.sha256 == first.sha256
    weeks.crown(setting.scores[0].slot, version="2")
    other = freeze(weeks, setting)
    assert isinstance(other, FrozenLog)
    assert other.manifest.facts["input_champions"]["personalized_offer/topup"] == "2"
    assert other.sha256 != first.sha256, "scores of another champion are another language"


def test_weeks_that_are_missing_are_named(weeks: LoopWorld) -> None:
    setting = make_setting(
        {**EASY, "agent": {"history_weeks": 6, "people_max": 500, "state_days_min": 7, "holdout_weeks": 2}}
    )
    found = freeze(weeks, setting)
    assert isinstance(found, NotReady)
    assert "3 weeks of 4" in found.detail
    assert f"week after {day(-7)}" in found.detail


def test_an_input_without_champion_or_day_is_named(loop: LoopWorld) -> None:
    found = freeze(loop, make_setting(EASY))
    assert isinstance(found, NotReady)
    assert found.status == "no_champion"
    assert freeze(loop, make_setting(EASY), None) == NotReady(
        "no_history", f"{make_setting().segment}: etl/subscriber_features has no day yet"
    )
