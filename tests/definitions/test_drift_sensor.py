"""The drift sensor over verdicts written by hand: what it requests, when it keeps still, and what it says then."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from mlops_assets.commands.sensor_ticks import learning_sensors, tick
from mlops_assets.commands.workspace import Workspace
from mlops_assets.config import names
from mlops_assets.config.loader import load_project
from mlops_assets.config.run_plan import plan_retrainings, retrained_since
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.ports import LedgerEntry, ModelSlot, PartitionId
from mlops_assets.domain.quality.drift_verdict import DriftVerdict, VerdictKind
from mlops_assets.domain.quality.drift_window import DriftFigures
from sensors.drift import build_drift_sensors
from tests.integration.small_operator import churn_project, copy_configs

FIRST_DAY = dt.date(2026, 8, 3)
SHIFT, DETECTED = 40, 42  # first day that counts for the shift, day on which it is recognised
DUE = SHIFT + 7  # outcomes take seven days
MONITOR, FEATURES = "plan_usage", "etl/subscriber_features"


def day(number: int) -> dt.date:
    return FIRST_DAY + dt.timedelta(days=number)


def slot(geography: str) -> ModelSlot:
    return ModelSlot("churn", "churn_risk", geography)


@dataclass(frozen=True)
class Operator:
    """A workspace whose lake and ledger are written by hand."""

    workspace: Workspace

    def deliver(self, geography: str, number: int, kind: VerdictKind = "healthy", *reasons: str) -> None:
        """Publish a day of features, and the verdict on it; a shift counts days back to the first at most."""
        lake, is_shift = self.workspace.platform.lake, kind == "behaviour_shift"
        marked = tuple(day(n) for n in range(max(SHIFT, number - 3), number + 1)) if is_shift else ()
        verdict = DriftVerdict(
            kind=kind,
            day=day(number),
            segment=geography,
            reasons=reasons or (f"{kind} on {day(number)}",),
            is_retraining_due=is_shift,
            figures=DriftFigures(marked_days=marked),
        )
        with lake.write(
            PartitionId(FEATURES, geography, day(number)), stable_hash([geography, number])
        ) as writer:
            writer.commit(row_count=1)
        drift = PartitionId(f"quality/{MONITOR}/drift", geography, day(number))
        with lake.write(drift, stable_hash([kind, number])) as writer:
            writer.commit(row_count=0, facts={"verdict": verdict.to_facts(), "since_day": None})

    def live_through(self, geography: str, last: int, *, shift: bool = False) -> None:
        """Publish the days from 20 on; a shift is recognised on every day from the day it is detected."""
        for number in range(20, last + 1):
            moved = shift and number >= DETECTED
            self.deliver(geography, number, "behaviour_shift" if moved else "healthy")

    def decide(self, geography: str, as_of: int, outcome: str = "promoted") -> LedgerEntry:
        """Record a decision that rests on rows of seven days before its as-of day."""
        ledger = self.workspace.platform.ledger
        champion = ledger.champion(slot(geography))
        version = str(len(ledger.history(slot(geography))) + 1)
        return ledger.record(
            LedgerEntry(
                decision_id=f"{geography}-{version}",
                slot=slot(geography),
                outcome=outcome,
                version=version,
                bundle_sha256=version * 64,
                previous_version=champion.version if champion else None,
                decided_by="gate",
                decided_at_utc=dt.datetime(2026, 10, 1, tzinfo=dt.UTC),
                as_of_day=day(as_of),
                evidence_sha256="0" * 64,
                reasons=("it is better",),
                evidence={"figures": {"holdout_first_day": str(day(as_of - 7))}},
            )
        )

    def evaluate(self) -> list[dg.RunRequest] | str:
        """Evaluate the sensor, built anew as after a restart; return its requests or why there are none."""
        (sensor,) = build_drift_sensors(self.workspace.config)
        platform = self.workspace.platform
        with dg.build_sensor_context(
            resources={"lake": platform.lake, "ledger": platform.ledger}, sensor_name=sensor.name
        ) as context:
            result = sensor(context)
        if isinstance(result, dg.SensorResult):
            return list(result.run_requests or [])
        assert isinstance(result, dg.SkipReason)
        return str(result.skip_message)

    def requests(self) -> list[dg.RunRequest]:
        """Return what the sensor requests; there must be something."""
        found = self.evaluate()
        assert not isinstance(found, str), found
        return found

    def silence(self) -> dict[str, str]:
        """Return by geography why the sensor requests nothing."""
        said = self.evaluate()
        assert isinstance(said, str), said
        lines = [line.removeprefix("churn_risk ").partition(": ") for line in said.split("; churn_risk ")]
        return {geography: reason for geography, _, reason in lines}


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    """Both geographies have a champion since day 30."""
    found = Operator(Workspace(tmp_path / "home", churn_project()))
    for geography in ("cl", "pe"):
        found.decide(geography, 30)
    return found


def test_a_shift_requests_exactly_its_use_case_and_segment(operator: Operator) -> None:
    operator.live_through("cl", DUE, shift=True)
    operator.live_through("pe", DUE)
    (request,) = operator.requests()
    assert request.partition_key == "cl"
    assert request.tags == {
        names.TAG_REASON: f"behaviour shift since {day(SHIFT)}, recognised on {day(DETECTED)} by plan_usage "
        "(attempt 1 of 4)",
        names.TAG_AS_OF_DAY: str(day(DUE)),
        names.TAG_SHIFT: f"plan_usage/{day(DETECTED)}",
    }
    (sensor,) = build_drift_sensors(operator.workspace.config)
    assert (sensor.name, sensor.job_name) == ("drift_churn", names.training_job("churn"))


def test_two_ticks_and_a_tick_after_a_restart_ask_for_the_same_run(operator: Operator) -> None:
    operator.live_through("cl", DUE, shift=True)
    first, second = operator.requests(), operator.requests()
    operator.deliver("cl", DUE + 1, "behaviour_shift")  # it was down while another day came
    restarted = Operator(Workspace(operator.workspace.home, churn_project())).requests()
    keys = {request.run_key for request in (*first, *second, *restarted)}
    assert keys == {f"drift/churn.churn_risk.cl/plan_usage-{day(DETECTED)}/{day(DUE)}"}
    assert first[0].tags == second[0].tags == restarted[0].tags


def test_geographies_that_move_alike_are_requested_each_by_itself(operator: Operator) -> None:
    for geography in ("cl", "pe"):
        operator.live_through(geography, DUE, shift=True)
    requests = operator.requests()
    assert [request.partition_key for request in requests] == ["cl", "pe"]
    assert len({request.run_key for request in requests}) == 2


@pytest.mark.parametrize(
    ("kind", "reason", "said"),
    [
        (
            "broken_feed",
            "feed usage is broken and not used",
            f", plan_usage says broken feed of {day(DUE)}: feed usage is broken and not used",
        ),
        ("no_evidence", "feed usage is missing", f", plan_usage says no evidence of {day(DUE)}: feed usage is missing"),
        ("one_off_event", "5 of 6 series", f", plan_usage says one off event of {day(DUE)}: 5 of 6 series"),
        ("healthy", "0 of 6 series", ""),
    ],
)  # fmt: skip
def test_anything_but_a_shift_requests_nothing_and_says_why(
    operator: Operator, kind: VerdictKind, reason: str, said: str
) -> None:
    operator.live_through("cl", SHIFT - 1)
    for number in range(SHIFT, DUE + 1):
        operator.deliver("cl", number, kind, reason)
    assert operator.silence() == {"cl": f"no behaviour shift{said}", "pe": "no behaviour shift"}


def test_a_shift_waits_until_its_rows_have_outcomes_and_says_until_when(operator: Operator) -> None:
    operator.live_through("cl", DUE - 1, shift=True)
    assert operator.silence() == {
        "cl": f"behaviour shift since {day(SHIFT)}, recognised on {day(DETECTED)} by plan_usage: attempt 1 of 4 "
        f"on the first sound day from {day(DUE)} on",
        "pe": "no behaviour shift",
    }


@pytest.mark.parametrize("kind", ["broken_feed", "no_evidence"])
def test_no_attempt_rests_on_a_day_whose_feeds_are_not_sound(operator: Operator, kind: VerdictKind) -> None:
    operator.live_through("cl", DUE - 1, shift=True)
    operator.deliver("cl", DUE, kind)
    assert f"on the first sound day from {day(DUE)} on" in operator.silence()["cl"]
    operator.deliver("cl", DUE + 1, "behaviour_shift")
    (request,) = operator.requests()
    assert request.tags[names.TAG_AS_OF_DAY] == str(day(DUE + 1))


def test_a_segment_without_champion_is_left_to_its_first_training(tmp_path: Path) -> None:
    operator = Operator(Workspace(tmp_path / "home", churn_project()))
    operator.live_through("cl", DUE, shift=True)
    assert operator.silence() == {"cl": "no champion yet", "pe": "no champion yet"}


def test_a_rejected_attempt_is_followed_by_a_cooldown_and_another_run(operator: Operator) -> None:
    operator.live_through("cl", DUE + 6, shift=True)
    (first,) = operator.requests()
    operator.decide("cl", DUE, "rejected")
    assert f"attempt 2 of 4 on the first sound day from {day(DUE + 7)} on" in operator.silence()["cl"]
    operator.deliver("cl", DUE + 7, "behaviour_shift")
    (second,) = operator.requests()
    assert second.tags[names.TAG_AS_OF_DAY] == str(day(DUE + 7))
    assert "(attempt 2 of 4)" in second.tags[names.TAG_REASON]
    assert second.run_key != first.run_key


def test_a_promotion_ends_it(operator: Operator) -> None:
    operator.live_through("cl", DUE + 20, shift=True)
    operator.decide("cl", DUE)
    assert operator.silence()["cl"] == f"the shift of {day(DETECTED)} is answered"


def test_evidence_counts_anew_in_the_retrained_segment_only(operator: Operator) -> None:
    config, ledger = operator.workspace.config, operator.workspace.platform.ledger

    def counts_from(monitor: str, geography: str, number: int) -> dt.date | None:
        return retrained_since(config, ledger, monitor, geography, day(number))

    assert counts_from(MONITOR, "cl", DUE) is None, "a first champion is no retraining"
    operator.decide("cl", DUE)
    assert counts_from(MONITOR, "cl", DUE) is None, "the day itself was still judged by the old champion"
    assert counts_from(MONITOR, "cl", DUE + 1) == day(DUE + 1)
    assert counts_from(MONITOR, "pe", DUE + 1) is None
    assert counts_from("another", "cl", DUE + 1) is None, "it retrains nothing"


# ------------------------------------------------------------ configuration


def configured(tmp_path: Path, **retraining: Any) -> Workspace:
    """Return a workspace with other terms of retraining."""
    configs = copy_configs(tmp_path / "configs")
    path = configs / "use_cases" / "churn.yaml"
    settings: dict[str, Any] = yaml.safe_load(path.read_text())
    settings["retraining"] = retraining
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    return Workspace(tmp_path / "home", load_project([configs], "local"))


def test_a_use_case_that_no_monitor_may_retrain_has_no_drift_sensor(tmp_path: Path) -> None:
    workspace = configured(tmp_path)
    assert build_drift_sensors(workspace.config) == []
    assert "drift_churn" not in {sensor.name for sensor in learning_sensors(workspace.definitions)}
    operator = Operator(workspace)
    operator.decide("cl", 30)
    operator.live_through("cl", DUE, shift=True)
    assert plan_retrainings(workspace.config, workspace.platform.lake, workspace.platform.ledger) == []
    operator.decide("cl", DUE)
    config, ledger = workspace.config, workspace.platform.ledger
    assert retrained_since(config, ledger, MONITOR, "cl", day(DUE + 1)) is None


def test_cooldown_and_attempts_are_those_of_the_use_case(tmp_path: Path) -> None:
    operator = Operator(configured(tmp_path, monitors=[MONITOR], cooldown_days=2, max_attempts=2))
    operator.decide("cl", 30)
    operator.live_through("cl", DUE + 10, shift=True)
    operator.decide("cl", DUE, "rejected")
    (request,) = operator.requests()
    assert request.tags[names.TAG_AS_OF_DAY] == str(day(DUE + 2))
    operator.decide("cl", DUE + 2, "rejected")
    assert "2 attempts brought no better model" in operator.silence()["cl"]


# ------------------------------------------------------------ the tick of `mlops run`


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def told(requests: list[dg.RunRequest]) -> list[tuple[str | None, str | None, dict[str, str]]]:
    """Return run key, segment and our own tags of requests."""
    return [
        (r.run_key, r.partition_key, {k: v for k, v in r.tags.items() if k.startswith("mlops/")})
        for r in requests
    ]


def run_tick(operator: Operator, instance: dg.DagsterInstance, number: int) -> list[dg.RunRequest]:
    """Evaluate the drift sensor as `mlops run` does after a day."""
    workspace = operator.workspace
    (sensor,) = [one for one in learning_sensors(workspace.definitions) if one.name == "drift_churn"]
    return list(tick(sensor, workspace, instance, day(number)))


def note_run(instance: dg.DagsterInstance, request: dg.RunRequest, *, succeeds: bool) -> None:
    """Let a run with the request's key end well or badly."""

    @dg.op
    def work() -> None:
        if not succeeds:
            raise ValueError("the disk is full")

    @dg.job
    def training() -> None:
        work()

    result = training.execute_in_process(
        instance=instance, tags={"dagster/run_key": str(request.run_key)}, raise_on_error=False
    )
    assert result.success is succeeds


def test_a_tick_of_mlops_run_requests_what_the_sensor_requests(
    operator: Operator, instance: dg.DagsterInstance
) -> None:
    operator.live_through("cl", DUE, shift=True)
    operator.live_through("pe", DUE)
    requests = run_tick(operator, instance, DUE)
    assert len(requests) == 1
    assert told(requests) == told(operator.requests())


def test_what_a_sensor_leaves_for_its_next_tick_is_kept(
    operator: Operator, instance: dg.DagsterInstance
) -> None:
    @dg.sensor(job_name="train_and_promote_churn")
    def count(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        context.update_cursor(f"{context.cursor or ''}i")
        return dg.SkipReason("it counts")

    cursors: dict[str, str] = {}
    for _ in range(3):
        assert list(tick(count, operator.workspace, instance, day(DUE), cursors)) == []
    assert cursors == {"count": "iii"}


def test_a_tick_of_mlops_run_sees_nothing_of_later_days(
    operator: Operator, instance: dg.DagsterInstance
) -> None:
    operator.live_through("cl", DUE + 5, shift=True)
    assert [run_tick(operator, instance, n) for n in (DETECTED - 1, DETECTED, DUE - 1)] == [[], [], []]
    (request,) = run_tick(operator, instance, DUE)
    assert request.tags[names.TAG_AS_OF_DAY] == str(day(DUE))


def test_a_run_that_succeeded_is_not_repeated_and_one_that_failed_is(
    operator: Operator, instance: dg.DagsterInstance
) -> None:
    operator.live_through("cl", DUE, shift=True)
    (request,) = run_tick(operator, instance, DUE)
    note_run(instance, request, succeeds=False)
    assert told(run_tick(operator, instance, DUE)) == told([request])
    note_run(instance, request, succeeds=True)
    assert run_tick(operator, instance, DUE) == []
