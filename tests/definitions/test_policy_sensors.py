"""Sensors about policies: the first one, and training again when offers bring less than expected."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.commands.sensor_ticks import learning_sensors
from mlops_assets.commands.workspace import Workspace
from mlops_assets.config import names
from mlops_assets.config.loader import load_project
from mlops_assets.config.policy_slots import find_offer_setting, follow_up_keys, is_policy_slot
from mlops_assets.config.run_plan import all_slots, slots
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.lake_tables import performance_table
from mlops_assets.domain.offers.performance import PerformanceVerdict, VerdictKind
from mlops_assets.domain.offers.performance_record import to_facts
from mlops_assets.domain.ports import LedgerEntry, ModelSlot, PartitionId
from mlops_assets.domain.quality.drift_verdict import DriftVerdict
from mlops_assets.domain.quality.drift_window import DriftFigures
from sensors.approvals import build_approval_sensors
from sensors.drift import build_drift_sensors
from sensors.first_champion import build_first_champion_sensors

USE_CASE, FEATURES = "personalized_offer", "etl/subscriber_features"
MONDAY = dt.date(2026, 8, 3)
SLOT = ModelSlot(USE_CASE, "offer_agent", "cl")
POLICY_READY = 27 + 7 * 3
SHIFT = POLICY_READY - 7  # outcomes of a week after it are complete when the policy is ready
PROMOTED = 45  # a Thursday: the policy's offers are sent from day 47 on


def day(number: int) -> dt.date:
    return MONDAY + dt.timedelta(days=number)


@dataclass(frozen=True)
class Operator:
    """A workspace whose lake and ledger are written by hand; every input model of both geographies is champion."""

    workspace: Workspace

    def build_days(self, last: int) -> None:
        """Publish features of all days up to the last one."""
        lake = self.workspace.platform.lake
        for number in range(last + 1):
            with lake.write(PartitionId(FEATURES, "cl", day(number)), stable_hash(number)) as writer:
                writer.commit(row_count=1)

    def decide(self, slot: ModelSlot, as_of: int, outcome: str = "promoted", by: str = "gate") -> LedgerEntry:
        """Record a decision."""
        ledger = self.workspace.platform.ledger
        champion, version = ledger.champion(slot), str(len(ledger.history(slot)) + 1)
        return ledger.record(
            LedgerEntry(
                decision_id=f"{slot.registered_name}-{version}",
                slot=slot,
                outcome=outcome,
                version=version,
                bundle_sha256=version * 64,
                previous_version=champion.version if champion else None,
                decided_by=by,
                decided_at_utc=dt.datetime(2026, 10, 1, tzinfo=dt.UTC),
                as_of_day=day(as_of),
                evidence_sha256="0" * 64,
                reasons=("it is better",),
                evidence={"figures": {"holdout_first_day": str(day(as_of - 7))}},
            )
        )

    def judge(self, sunday: int, kind: VerdictKind, first_marked: int | None = None) -> None:
        """Publish the verdict on a week."""
        assert day(sunday).weekday() == 6
        verdict = PerformanceVerdict(
            day(sunday), kind, ("61 acceptances of 100 expected",), None if first_marked is None else day(first_marked)
        )  # fmt: skip
        partition = PartitionId(performance_table(USE_CASE), "cl", day(sunday))
        with self.workspace.platform.lake.write(partition, stable_hash([sunday, kind])) as writer:
            writer.commit(row_count=0, facts=to_facts(verdict))

    def shift(self, last: int) -> None:
        """Publish verdicts: behaviour has moved, as is recognised on the fourth day."""
        for number in range(SHIFT + 3, last + 1):
            marked = tuple(day(n) for n in range(SHIFT, number + 1))
            verdict = DriftVerdict(
                kind="behaviour_shift", day=day(number), segment="cl", reasons=("most series are outside",),
                is_retraining_due=True, figures=DriftFigures(marked_days=marked),
            )  # fmt: skip
            partition = PartitionId("quality/plan_usage/drift", "cl", day(number))
            with self.workspace.platform.lake.write(partition, stable_hash(["shift", number])) as writer:
                writer.commit(row_count=0, facts={"verdict": verdict.to_facts(), "since_day": None})

    def evaluate(self, prefix: str) -> list[dg.RunRequest] | str:
        """Evaluate a sensor of the use case, built anew as after a restart."""
        built = [
            *build_first_champion_sensors(self.workspace.config),
            *build_drift_sensors(self.workspace.config),
        ]
        (sensor,) = (one for one in built if one.name == f"{prefix}_{USE_CASE}")
        platform = self.workspace.platform
        resources = {"lake": platform.lake, "ledger": platform.ledger, "landing": platform.landing}
        wanted = {name: resources[name] for name in sensor.required_resource_keys}
        with dg.build_sensor_context(resources=wanted, sensor_name=sensor.name) as context:
            result = sensor(context)
        if isinstance(result, dg.SensorResult):
            return list(result.run_requests or [])
        assert isinstance(result, dg.SkipReason)
        return str(result.skip_message)

    def request(self, prefix: str) -> dg.RunRequest:
        """Return the one request of a sensor."""
        found = self.evaluate(prefix)
        assert not isinstance(found, str), found
        (request,) = found
        return request


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    found = Operator(Workspace(tmp_path / "home", load_project()))
    for slot in slots(found.workspace.config):
        if slot.segment == "cl":
            found.decide(slot, 30)
    return found


def test_first_policy_trains_no_model(operator: Operator) -> None:
    operator.build_days(POLICY_READY)
    request = operator.request(names.FIRST_CHAMPION_SENSOR)
    assert request.partition_key == "cl"
    assert request.run_key == f"first/{SLOT.registered_name}/{day(POLICY_READY)}"
    keys = [list(key.path) for key in request.asset_selection or ()]
    assert keys == names.policy_keys(USE_CASE, "offer_agent")
    assert request.tags[names.TAG_AS_OF_DAY] == str(day(POLICY_READY))


def test_a_model_that_is_due_is_trained_with_the_policy(operator: Operator) -> None:
    operator.build_days(POLICY_READY)
    config = operator.workspace.config
    fresh = Operator(Workspace(operator.workspace.home.parent / "other", config))
    fresh.build_days(POLICY_READY)
    found = fresh.evaluate(names.FIRST_CHAMPION_SENSOR)
    assert isinstance(found, str), "labels of no table are there"
    assert "offer_agent cl: waits for the first champion of personalized_offer/data_plan_propensity" in found
    assert "churn/churn_risk" in found


def test_a_policy_waits_for_weeks_and_says_so(operator: Operator) -> None:
    operator.build_days(POLICY_READY - 1)
    found = operator.evaluate(names.FIRST_CHAMPION_SENSOR)
    assert isinstance(found, str)
    assert f"offer_agent cl: trainable from {day(POLICY_READY)}, data until {day(POLICY_READY - 1)}" in found


def test_a_policy_is_learned_with_the_models_that_a_shift_makes_due_on_the_same_day(
    operator: Operator,
) -> None:
    operator.build_days(POLICY_READY)
    operator.shift(POLICY_READY)
    found = operator.evaluate(names.FIRST_CHAMPION_SENSOR)
    assert isinstance(found, str)
    assert "learned with its models, which a shift makes due on the same day" in found
    retraining = operator.request(names.DRIFT_SENSOR)
    assert retraining.asset_selection is None, "that run learns the policy as well"
    assert retraining.tags[names.TAG_AS_OF_DAY] == str(day(POLICY_READY))


def test_a_policy_does_not_wait_for_a_retraining_that_has_failed(operator: Operator) -> None:
    operator.build_days(POLICY_READY + 1)
    operator.shift(POLICY_READY + 1)
    assert operator.request(names.DRIFT_SENSOR).tags[names.TAG_AS_OF_DAY] == str(day(POLICY_READY))
    request = operator.request(names.FIRST_CHAMPION_SENSOR)
    assert request.run_key == f"first/{SLOT.registered_name}/{day(POLICY_READY)}"


def test_a_fall_of_offers_trains_the_whole_segment(operator: Operator) -> None:
    operator.build_days(69)
    operator.decide(SLOT, PROMOTED)
    operator.judge(62, "fall", 56)
    assert isinstance(operator.evaluate(names.DRIFT_SENSOR), str)
    operator.judge(69, "performance_fall", 56)
    request = operator.request(names.DRIFT_SENSOR)
    assert request.asset_selection is None, "what has become worse may be a model or the policy"
    assert request.partition_key == "cl"
    assert request.run_key == f"drift/{SLOT.registered_name}/offer_performance-{day(69)}/{day(69)}"
    assert request.tags[names.TAG_REASON] == (
        f"fall of what offers bring since {day(56)}, recognised on {day(69)} by offer_performance (attempt 1 of 2)"
    )
    assert request.tags[names.TAG_SHIFT] == f"offer_performance/{day(69)}"


def test_attempts_wait_for_the_cooldown_and_end(operator: Operator) -> None:
    operator.build_days(83)
    operator.decide(SLOT, PROMOTED)
    operator.judge(69, "performance_fall", 56)
    operator.decide(SLOT, 69, "rejected")
    found = operator.evaluate(names.DRIFT_SENSOR)
    assert isinstance(found, str)
    assert f"attempt 2 of 2 on the first sound day from {day(76)} on" in found, "no verdict since"
    operator.judge(76, "no_evidence")
    assert isinstance(operator.evaluate(names.DRIFT_SENSOR), str), "a week without evidence is no sound day"
    operator.judge(83, "performance_fall", 70)
    assert operator.request(names.DRIFT_SENSOR).tags[names.TAG_AS_OF_DAY] == str(day(83))
    operator.decide(SLOT, 83, "rejected")
    assert "2 attempts brought no better model" in str(operator.evaluate(names.DRIFT_SENSOR))


def test_a_promotion_on_weeks_after_the_fall_answers_it(operator: Operator) -> None:
    operator.build_days(76)
    operator.decide(SLOT, PROMOTED)
    operator.judge(69, "performance_fall", 56)
    operator.decide(SLOT, 69)
    assert f"offer_agent cl: the shift of {day(69)} is answered" in str(operator.evaluate(names.DRIFT_SENSOR))


def test_policies_are_slots_of_the_project_but_no_models() -> None:
    config = load_project()
    assert SLOT in set(all_slots(config))
    assert SLOT not in set(slots(config))
    assert is_policy_slot(config, SLOT)
    assert not is_policy_slot(config, ModelSlot("churn", "churn_risk", "cl"))
    assert follow_up_keys(config, SLOT) == [["reports", USE_CASE, "offer_agent_ladder"]]
    assert follow_up_keys(config, ModelSlot("churn", "churn_risk", "cl")) == names.follow_up_keys(
        "churn", "churn_risk"
    )
    setting = find_offer_setting(config, config.use_cases[USE_CASE]["cl"], "cl")
    assert setting.slot == SLOT
    assert [one.slot.use_case for one in setting.scores] == [USE_CASE] * 9 + ["churn"]


def test_a_persons_word_about_a_policy_renews_its_report(operator: Operator) -> None:
    operator.decide(SLOT, PROMOTED, by="Ana")
    workspace = operator.workspace
    (sensor,) = (one for one in build_approval_sensors(workspace.config) if one.name.endswith(USE_CASE))
    platform = workspace.platform

    class Registry:
        """Has no version, and is asked to repair aliases only."""

        def aliases(self, _name: str) -> dict[str, str]:
            return {}

        def project_aliases(self, *_given: object) -> None:
            return None

    with dg.build_sensor_context(
        resources={"registry": Registry(), "ledger": platform.ledger}, sensor_name=sensor.name
    ) as context:
        result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    keys = [request.asset_selection for request in result.run_requests or ()]
    assert keys == [[dg.AssetKey(names.ladder_report_key(USE_CASE, "offer_agent"))]]


def test_the_sensors_are_part_of_the_loop(operator: Operator) -> None:
    found = {sensor.name for sensor in learning_sensors(operator.workspace.definitions)}
    assert {f"{prefix}_{USE_CASE}" for prefix in (names.FIRST_CHAMPION_SENSOR, names.DRIFT_SENSOR)} <= found
