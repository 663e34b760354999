"""From a frozen log to worlds, to a registered policy, to a recorded decision."""

from __future__ import annotations

import dataclasses
import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlops_assets.domain.errors import LearningError, ModelIntegrityError, StaleChampionError, TableInputError
from mlops_assets.domain.learning.approval import ApprovalSpec, Verdict
from mlops_assets.domain.learning.decisions import decide_pending, roll_back
from mlops_assets.domain.learning.gate import hash_figures
from mlops_assets.domain.learning.slot_overview import describe_slots
from mlops_assets.domain.learning.training import Challenger, read_challenger
from mlops_assets.domain.offers.decision_data import NO_ACTION
from mlops_assets.domain.offers.decision_log import read_log
from mlops_assets.domain.offers.ladder_review import LadderSources, review_ladder
from mlops_assets.domain.offers.performance_record import find_first_policy_day
from mlops_assets.domain.offers.policy_court import choose_people, open_court
from mlops_assets.domain.offers.policy_promotion import judge_policy
from mlops_assets.domain.offers.policy_versions import load_policy_version, load_serving_policy
from mlops_assets.domain.offers.simulator_fit import split_customers
from mlops_assets.domain.offers.worlds import (
    JUDGING,
    TRAINING,
    find_refused_day,
    load_world,
    read_worlds,
    worlds_partition,
)
from mlops_assets.domain.ports import LedgerEntry
from mlops_assets.domain.reporting.ladder_report import LadderReport
from mlops_assets.domain.reporting.ladder_report_page import render_ladder_html
from resources.lake import LocalLake
from tests.fakes.promotion_ledger import FakePromotionLedger
from tests.unit.domain.offers.policy_lake import DECIDED, FIRST_DAY, SLOT, STAMPS, PolicyLake
from tests.unit.domain.offers.policy_world import ACCEPTANCE, make_log, make_spec

SMALL = make_spec(agent={"iterations": 4, "starting_states": 300})
# Nobody accepts anything any more, and purchases go on.
REFUSING = 0.02 * ACCEPTANCE


@pytest.fixture(scope="module")
def trained_root(tmp_path_factory: pytest.TempPathFactory) -> PolicyLake:
    """A policy that was learned once; tests work on copies of the registry and a ledger of their own."""
    world = PolicyLake(tmp_path_factory.mktemp("policies"), SMALL)
    world.freeze()
    world.build_worlds()
    world.train()
    return world


@pytest.fixture
def trained(trained_root: PolicyLake) -> PolicyLake:
    return replace(trained_root, ledger=FakePromotionLedger())


@pytest.fixture
def fresh(tmp_path: Path) -> PolicyLake:
    return PolicyLake(tmp_path, SMALL)


def challenger_of(world: PolicyLake) -> Challenger:
    return read_challenger(world.lake, SLOT)


def test_log_knows_its_weeks(fresh: PolicyLake) -> None:
    log = fresh.freeze()
    assert log.last_day == FIRST_DAY + dt.timedelta(days=28)
    assert (log.holdout_first_day, log.holdout_first_week) == (FIRST_DAY + dt.timedelta(days=21), 3)
    assert set(log.learned.weeks) == {0, 1, 2}
    assert set(log.held_out.weeks) == {3}
    second = FIRST_DAY + dt.timedelta(days=8)
    assert log.first_week_from(second) == 1, "the week that begins at the end of the day before"
    assert log.first_week_from(second + dt.timedelta(days=1)) == 2, "a contact of its first day came earlier"
    assert log.first_week_from(FIRST_DAY + dt.timedelta(days=60)) is None
    assert log.first_week_from(None) is None


def test_weeks_that_are_left_out_keep_their_numbers(fresh: PolicyLake) -> None:
    whole = make_log(weeks=5)
    log = fresh.freeze(whole.take(whole.weeks != 2))
    assert log.holdout_first_week == 4
    assert set(log.learned.weeks) == {0, 1, 3}
    assert log.first_week_from(FIRST_DAY + dt.timedelta(days=15)) == 3


def test_worlds_are_of_different_customers_and_come_back_verified(trained: PolicyLake) -> None:
    found = read_worlds(SLOT, trained.lake)
    assert found.holds, found.failures
    assert find_refused_day(SLOT, trained.lake) is None
    assert found.sha256[TRAINING] != found.sha256[JUDGING]
    assert (found.holdout_first_day, found.holdout_last_day) == ("2026-08-23", "2026-08-30")
    assert {row["simulator"] for row in found.figures} == {TRAINING, JUDGING}
    assert load_world(SLOT, JUDGING, trained.lake).layout == make_log(people=3).states.layout


def test_people_who_are_followed_were_not_learned_with(fresh: PolicyLake) -> None:
    log = fresh.freeze()
    learned_with, _ = split_customers(log.learned, SMALL.agent.seed)
    people = choose_people(log, SMALL)
    assert not np.isin(people.customers, learned_with.states.customers).any()
    assert 300 < people.rows <= SMALL.gate.judged_people
    newest = log.transitions.take(log.transitions.weeks == 3).states
    assert np.isin(people.customers, newest.customers).all()
    few = choose_people(log, make_spec(gate={"judged_people": 200}))
    assert few.rows == 200


def damage(lake: LocalLake, role: str) -> None:
    """Change a byte of the first file of an archive, which begins after its header of 512 bytes."""
    path = lake.path(worlds_partition(SLOT), role)
    content = bytearray(path.read_bytes())
    content[600] ^= 1
    path.write_bytes(bytes(content))


def test_damaged_world_is_not_loaded(fresh: PolicyLake) -> None:
    fresh.freeze()
    fresh.build_worlds()
    damage(fresh.lake, JUDGING)
    with pytest.raises(ModelIntegrityError):
        load_world(SLOT, JUDGING, fresh.lake)
    assert load_world(SLOT, TRAINING, fresh.lake)


def test_policy_is_registered_with_its_ladder_and_stamps(trained: PolicyLake) -> None:
    challenger = challenger_of(trained)
    assert challenger.as_of_day == FIRST_DAY + dt.timedelta(days=28)
    kinds = [row["kind"] for row in challenger.leaderboard]
    assert kinds == ["no_offer", "best_single", "acceptance_margin", "incremental_margin", "agent"]
    assert [row["kind"] for row in challenger.leaderboard if row["is_chosen"]] == [challenger.algorithm]
    assert challenger.algorithm != "no_offer", "an offer that is welcome is worth making"
    assert challenger.stamps["input_champions"] == "churn/churn_risk 2"
    assert challenger.stamps["git_commit"] == STAMPS["git_commit"]
    version = trained.registry.version(SLOT.registered_name, challenger.version)
    assert version.bundle_sha256 == challenger.bundle_sha256
    assert version.tags["simulator_sha256"] == read_worlds(SLOT, trained.lake).sha256[TRAINING]
    policy = load_policy_version(trained.registry, SLOT, challenger.version, challenger.bundle_sha256)
    assert policy.kind == challenger.algorithm


def test_every_rung_is_a_run_below_one_parent(trained: PolicyLake) -> None:
    parent = trained.registry.runs[challenger_of(trained).run_id]
    nested = [run for run in trained.registry.runs.values() if run.parent_run_id == parent.run_id]
    assert [run.logged_params["policy"] for run in nested] == [
        "no_offer", "best_single", "acceptance_margin", "incremental_margin", "agent"
    ]  # fmt: skip
    assert all(np.isfinite(run.logged_metrics["value_usd"]) for run in nested)
    assert nested[0].logged_metrics["contacts_per_week"] == 0.0
    assert nested[-1].run_name == "offer_agent cl agent"
    assert parent.logged_params["policy"] == challenger_of(trained).algorithm


def test_no_policy_is_learned_without_log_or_worlds(fresh: PolicyLake) -> None:
    with pytest.raises(TableInputError, match="no decision log"):
        fresh.train()
    fresh.freeze()
    with pytest.raises(TableInputError, match="no simulator"):
        fresh.train()


def test_no_policy_is_learned_in_a_world_that_does_not_hold(fresh: PolicyLake) -> None:
    log = make_log()
    # In the held-out week everybody wants what nobody wanted before.
    changed = (log.weeks == 3) & (log.actions > NO_ACTION)
    accepted = np.where(changed, log.actions == 2, log.is_accepted)
    fresh.freeze(dataclasses.replace(log, is_accepted=accepted))
    found = fresh.build_worlds()
    assert not found.holds
    assert any("acceptance" in words for words in found.failures)
    assert find_refused_day(SLOT, fresh.lake) == FIRST_DAY + dt.timedelta(days=28)
    with pytest.raises(LearningError, match="no policy may be learned in these simulators"):
        fresh.train()
    assert fresh.registry.runs == {}


def test_worlds_of_another_log_are_refused(fresh: PolicyLake) -> None:
    fresh.freeze()
    fresh.build_worlds()
    log = fresh.freeze(make_log(seed=4))
    with pytest.raises(LearningError, match="learned from another log"):
        fresh.train()
    court = open_court(SLOT, SMALL, (), lake=fresh.lake)
    assert court.failures == ("the simulators were learned from another log than the one that is kept",)
    assert log.sha256 != read_worlds(SLOT, fresh.lake).log_sha256


def test_first_policy_that_passes_is_champion(trained: PolicyLake) -> None:
    challenger = challenger_of(trained)
    entry = trained.judge(challenger)
    assert entry.outcome == "promoted", entry.reasons
    assert trained.ledger.champion(SLOT) == entry
    assert (entry.version, entry.as_of_day, entry.previous_version) == (
        challenger.version,
        challenger.as_of_day,
        None,
    )
    assert hash_figures(entry.evidence["figures"]) == entry.evidence_sha256
    assert entry.evidence["figures"]["holdout_first_day"] == "2026-08-23"
    assert trained.registry.aliases(SLOT.registered_name) == {
        "champion": entry.version,
        "challenger": entry.version,
    }
    assert trained.judge(challenger) == entry
    assert len(trained.ledger.history(SLOT)) == 1


def test_overviews_show_a_policy_as_any_model(trained: PolicyLake) -> None:
    entry = trained.judge(challenger_of(trained))
    (overview,) = describe_slots(trained.ledger, [SLOT], DECIDED)
    record = overview.to_record()
    assert (record["metric"], record["algorithm"]) == ("value_usd", entry.evidence["algorithm"])
    assert record["value"] == pytest.approx(entry.evidence["figures"]["challenger"]["metric"])


def test_a_person_approves_or_it_stays_pending(trained: PolicyLake) -> None:
    entry = trained.judge(challenger_of(trained), ApprovalSpec(mode="manual"))
    assert entry.outcome == "pending"
    assert trained.ledger.champion(SLOT) is None
    verdict = Verdict(entry.decision_id, True, "Ana", "looks right", DECIDED + dt.timedelta(hours=1))
    approved = decide_pending(
        verdict, ApprovalSpec(mode="manual"), None,
        lake=trained.lake, registry=trained.registry, ledger=trained.ledger,
    )  # fmt: skip
    assert approved.outcome == "promoted"
    assert trained.judge(challenger_of(trained), ApprovalSpec(mode="manual")) == approved


def with_another(world: PolicyLake, fresh: PolicyLake) -> tuple[Challenger, LedgerEntry]:
    """Make a policy of another training the champion that the module's challenger meets."""
    entry = world.judge(challenger_of(world))
    newer = replace(fresh, registry=world.registry, ledger=world.ledger)
    newer.freeze(make_log(seed=9, weeks=8))
    newer.build_worlds()
    return newer.train(), entry


def test_champion_stays_until_our_own_log_speaks(trained: PolicyLake, fresh: PolicyLake) -> None:
    challenger, champion = with_another(trained, fresh)
    judged = replace(fresh, registry=trained.registry, ledger=trained.ledger)
    entry = judged.judge(challenger)
    assert entry.outcome == "rejected"
    assert entry.previous_version == champion.version
    failed = {check["name"] for check in entry.evidence["checks"] if not check["is_passed"]}
    assert "gain_lower_bound" in failed, "it is as good as the champion, not better"
    log = entry.evidence["figures"]["off_policy"]
    assert log["is_own_log"]
    assert log["baseline"] == "the champion"
    since = find_first_policy_day(trained.ledger.history(SLOT))
    assert since == FIRST_DAY + dt.timedelta(days=30)
    # Of eight weeks, those whose contacts all came on day 30 or later: weeks 5, 6 and 7.
    assert log["rows"] < 3 * 800


def test_rolled_back_policy_stays_out(trained: PolicyLake, fresh: PolicyLake) -> None:
    first = trained.judge(challenger_of(trained))
    challenger, _ = with_another(trained, fresh)
    promoted = trained.ledger.record(
        replace(
            first, decision_id="second", version=challenger.version, bundle_sha256=challenger.bundle_sha256,
            previous_version=first.version, as_of_day=challenger.as_of_day,
        )
    )  # fmt: skip
    back = roll_back(
        SLOT, by="Ana", note="complaints", at_utc=DECIDED, registry=trained.registry, ledger=trained.ledger
    )
    assert (back.version, back.previous_version) == (first.version, promoted.version)
    again = replace(fresh, registry=trained.registry, ledger=trained.ledger).judge(challenger)
    assert again.outcome == "rejected"
    assert "rolled back by Ana" in again.reasons[0]


def test_champion_serves_with_the_world_that_judged_it(trained: PolicyLake) -> None:
    entry = trained.judge(challenger_of(trained))
    served = load_serving_policy(trained.registry, entry)
    states = make_log(people=9).states.take(np.arange(9))
    assert served.acceptance is not None
    expected = served.acceptance.acceptance(states, np.full(9, 1))
    judge = load_world(SLOT, JUDGING, trained.lake)
    np.testing.assert_array_equal(expected, judge.acceptance(states, np.full(9, 1)))
    assert 0.2 < expected.mean() < 0.5
    assert served.policy.advantages(states).shape == (9, 3)


def test_another_world_than_that_of_the_policy_is_refused(fresh: PolicyLake) -> None:
    fresh.freeze(make_log(seed=33))
    fresh.build_worlds()
    challenger = fresh.train()
    entry = fresh.judge(challenger)
    files = fresh.registry.runs[challenger.run_id].files
    for name in [name for name in files if name.startswith("world/")]:
        files[name] += b" "
    with pytest.raises(ModelIntegrityError):
        load_serving_policy(fresh.registry, entry)


def test_damaged_policy_is_neither_loaded_nor_promoted(fresh: PolicyLake) -> None:
    fresh.freeze(make_log(seed=21))
    fresh.build_worlds()
    challenger = fresh.train()
    files = fresh.registry.runs[challenger.run_id].files
    files["bundle/policy.json"] = files["bundle/policy.json"][:-1] + b" "
    with pytest.raises(ModelIntegrityError):
        fresh.judge(challenger)
    assert fresh.ledger.entries == []


class _BusyLedger(FakePromotionLedger):
    """Somebody else promotes between the reading of the champion and the recording of the decision."""

    def record(self, entry: LedgerEntry) -> LedgerEntry:
        super().record(replace(entry, decision_id="other", version="9", bundle_sha256="d" * 64))
        return super().record(entry)


def test_champion_that_moved_meanwhile_is_not_overwritten(trained: PolicyLake) -> None:
    busy = _BusyLedger()
    with pytest.raises(StaleChampionError):
        judge_policy(
            challenger_of(trained), SMALL, lake=trained.lake, registry=trained.registry, ledger=busy,
            decided_at_utc=DECIDED,
        )  # fmt: skip
    champion = busy.champion(SLOT)
    assert champion is not None
    assert champion.version == "9"


def test_where_offers_are_refused_no_offer_is_chosen_and_changes_nothing(fresh: PolicyLake) -> None:
    fresh.spec = make_spec(
        agent={"iterations": 4, "starting_states": 300, "contact_cost_usd": 0.5},
        simulator_check={"min_acceptances": 1},
    )
    fresh.freeze(make_log(acceptance=REFUSING))
    fresh.build_worlds()
    challenger = fresh.train()
    assert challenger.algorithm == "no_offer"
    entry = fresh.judge(challenger)
    assert entry.outcome == "rejected"
    assert any("over making no offers" in reason for reason in entry.reasons)


def review(world: PolicyLake, entry: LedgerEntry) -> LadderReport:
    log, worlds = read_log(SLOT, world.lake).manifest, read_worlds(SLOT, world.lake)
    return review_ladder(LadderSources("no policy yet", challenger_of(world), entry, log, worlds))


def test_report_is_made_of_what_the_training_left(trained: PolicyLake) -> None:
    entry = trained.judge(challenger_of(trained))
    report = review(trained, entry)
    assert report.kind == challenger_of(trained).algorithm
    assert report.gain_usd == entry.evidence["figures"]["gain"]
    assert report.log is not None
    assert report.log.left_out == ("3 person-weeks with an offer that the catalogue does not have",)
    assert report.off_policy is not None
    assert not report.off_policy.is_own_log
    assert report.inputs == {"churn/churn_risk": "2"}
    page = render_ladder_html(report)
    assert "version 2" in page
    assert "no_offer" not in page, "kinds are shown in words"


def test_a_champion_that_cannot_serve_is_not_named_as_what_was_compared_with(trained: PolicyLake) -> None:
    entry = replace(trained.judge(challenger_of(trained)), previous_version="77")
    report = review(trained, entry)
    assert (report.champion_version, report.champion_kind) == (None, None)
    assert "version 77" not in render_ladder_html(report)


def test_same_log_and_seed_give_the_same_ladder(trained: PolicyLake, fresh: PolicyLake) -> None:
    fresh.freeze()
    fresh.build_worlds()
    again = fresh.train()
    assert again.algorithm == challenger_of(trained).algorithm
    assert again.leaderboard == challenger_of(trained).leaderboard
