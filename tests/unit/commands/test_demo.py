"""The demo's story is coherent, its checks believe nothing but the stores, its progress ends with nothing left."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest

from mlops_assets.commands.demo import Teller
from mlops_assets.commands.demo_checks import CHECKS, MONITOR, ChapterOutcome, check_chapters
from mlops_assets.commands.demo_run import config_file, open_demo_workspace, write_lines
from mlops_assets.commands.demo_story import (
    ANSWER_NUMBER,
    APPROVAL_LINES,
    APPROVED_SLOT,
    CHAPTERS,
    MOVED,
    NEW,
    NEW_LINES,
    PERSON,
    SHIFT_NUMBER,
    STORY_DAYS,
    day_of,
    script,
    weight_of,
)
from mlops_assets.commands.replay import DayResult
from mlops_assets.commands.workspace import Workspace
from mlops_assets.domain.ports import ModelSlot, PartitionId
from mlops_assets.domain.quality.monitor_tables import DRIFT, monitor_table
from tests.unit.resources.ledger_writer import make_entry

LAST = day_of(STORY_DAYS - 1)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """The demo's workspace with all its lines, in which nothing has happened."""
    write_lines(tmp_path, APPROVAL_LINES + NEW_LINES)
    return open_demo_workspace(tmp_path)


def outcomes_of(workspace: Workspace) -> dict[str, ChapterOutcome]:
    return {one.chapter.key: one for one in check_chapters(workspace, LAST)}


def test_every_chapter_is_checked_and_within_the_story() -> None:
    keys = [chapter.key for chapter in CHAPTERS]
    assert sorted(keys) == sorted(CHECKS)
    assert max(chapter.day for chapter in CHAPTERS) <= LAST
    assert all(event.first_day <= LAST for event in script())


def test_lines_of_configuration_do_what_the_story_says(workspace: Workspace) -> None:
    config = workspace.config
    assert len(NEW_LINES.splitlines()) < 10
    assert set(config.use_cases["churn"]) == {"cl", MOVED, NEW}
    modes = {code: settings.approval.mode for code, settings in config.use_cases["churn"].items()}
    assert modes == {"cl": "auto", MOVED: "manual", NEW: "auto"}
    assert config.geographies[NEW].plan_codes == config.geographies[MOVED].plan_codes


def test_lines_of_a_later_chapter_are_not_taken_back(tmp_path: Path) -> None:
    write_lines(tmp_path, APPROVAL_LINES)
    assert NEW not in open_demo_workspace(tmp_path).config.geographies
    write_lines(tmp_path, APPROVAL_LINES + NEW_LINES)
    write_lines(tmp_path, APPROVAL_LINES)
    assert config_file(tmp_path).read_text() == APPROVAL_LINES + NEW_LINES
    assert NEW in open_demo_workspace(tmp_path).config.geographies


def test_nothing_came_true_where_nothing_happened(workspace: Workspace) -> None:
    outcomes = outcomes_of(workspace)
    assert len(outcomes) == len(CHAPTERS)
    assert [key for key, one in outcomes.items() if one.found.is_held] == []


def test_chapters_that_have_not_begun_are_not_judged(workspace: Workspace) -> None:
    assert [one.chapter.key for one in check_chapters(workspace, day_of(3))] == ["history"]


def record_shift(workspace: Workspace, day: dt.date) -> None:
    """Publish the verdict that behaviour in the geography of the story has moved."""
    verdict = {
        "is_retraining_due": True,
        "kind": "behaviour_shift",
        "figures": {"marked_days": []},
        "reasons": ["all series moved"],
    }
    partition = PartitionId(monitor_table(MONITOR, DRIFT), MOVED, day)
    with workspace.platform.lake.write(partition, "a" * 64) as writer:
        writer.file("data").write_bytes(b"no rows")
        writer.commit(row_count=0, facts={"verdict": verdict})


def test_approval_rejection_and_rollback_are_read_from_the_ledger(workspace: Workspace) -> None:
    ledger, as_of_day = workspace.platform.ledger, day_of(ANSWER_NUMBER)
    other = ModelSlot("personalized_offer", "topup_propensity", MOVED)
    first = make_entry("1", None, slot=APPROVED_SLOT, decided_by=PERSON)
    ledger.record(first)
    assert not outcomes_of(workspace)["approval"].found.is_held, "the first champion answers no shift"
    ledger.record(make_entry("1", None, slot=other))
    before = day_of(SHIFT_NUMBER - 1)
    ledger.record(make_entry("2", "1", slot=other, outcome="rejected", as_of_day=before))
    record_shift(workspace, day_of(SHIFT_NUMBER))
    assert not outcomes_of(workspace)["rejection"].found.is_held, "trained before anything had moved"
    ledger.record(make_entry("3", "1", slot=other, outcome="rejected", as_of_day=as_of_day))
    ledger.record(make_entry("2", "1", slot=APPROVED_SLOT, decided_by=PERSON, as_of_day=as_of_day))
    outcomes = outcomes_of(workspace)
    held = {key for key in ("retraining", "rejection", "approval", "rollback") if outcomes[key].found.is_held}
    assert held == {"retraining", "rejection", "approval"}
    assert other.registered_name in outcomes["rejection"].found.what
    back = replace(first, decision_id="back", outcome="rolled_back", previous_version="2")
    ledger.record(back)
    assert outcomes_of(workspace)["rollback"].found.is_held
    ledger.record(make_entry("3", "1", slot=APPROVED_SLOT))
    assert not outcomes_of(workspace)["rollback"].found.is_held, "somebody else is champion since"


def test_time_left_follows_what_the_days_weigh(capsys: pytest.CaptureFixture[str]) -> None:
    """A day of history says little about a day of training, so days are weighed."""
    teller = Teller(STORY_DAYS)
    total = sum(weight_of(number) for number in range(STORY_DAYS))
    for number in range(STORY_DAYS):
        teller.open_day(number)
        teller.tell_day(DayResult(day_of(number), "built", seconds=2.0 * weight_of(number)))
    teller.tell_day(DayResult(day_of(3), "built", seconds=1.0))  # an earlier day again
    told = capsys.readouterr().out
    left = [float(line.split(" s left")[0].split()[-1]) for line in told.splitlines() if " s left" in line]
    assert left[0] == pytest.approx(2.0 * (total - weight_of(0)), abs=1.0)
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0.0
    assert all(told.count(chapter.title) == 1 for chapter in CHAPTERS)


def test_many_decisions_are_cut_short(capsys: pytest.CaptureFixture[str]) -> None:
    decisions = tuple(make_entry(str(n), None) for n in range(5))
    Teller(STORY_DAYS).tell_day(DayResult(dt.date(2026, 8, 4), "built", decisions=decisions))
    told = capsys.readouterr().out
    assert told.count("promoted") == 3
    assert "and 2 more decisions" in told
