"""The drift sensor: what it requests after which verdicts, and that `mlops run` asks for the same."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import replace

import dagster as dg
import pytest

from mlops_assets.commands.replay import Replay
from mlops_assets.commands.sensor_ticks import learning_sensors, tick
from mlops_assets.config import names
from mlops_assets.config.models import ProjectConfig
from mlops_assets.config.run_plan import retrained_since
from mlops_assets.domain.learning.spec import RetrainingSpec
from mlops_assets.domain.ports import LedgerEntry, ModelSlot, PartitionId
from mlops_assets.domain.quality.drift_verdict import DriftVerdict, VerdictKind
from mlops_assets.domain.quality.drift_window import DriftFigures
from sensors.drift import build_drift_sensors
from tests.definitions.conftest import FIRST_DAY

SENSOR = f"{names.DRIFT_SENSOR}_churn"
SHIFT, DETECTED, LAST = 40, 42, 48  # day numbers; the first attempt is due 7 days (the label) after the shift
FIRST_ATTEMPT = 47


def day(number: int) -> dt.date:
    return FIRST_DAY + dt.timedelta(days=number)


def publish(replay: Replay, segment: str, kinds: dict[int, VerdictKind], last: int = LAST) -> None:
    """Publish the corpus table's days and a verdict a day; days that are not named are healthy."""
    lake = replay.workspace.platform.lake
    for number in range(last + 1):
        with lake.write(
            PartitionId("etl/subscriber_features", segment, day(number)), f"{number:016x}"
        ) as writer:
            writer.file("data").write_text("no rows are read")
            writer.commit(row_count=0)
        kind = kinds.get(number, "healthy")
        marked = (
            tuple(day(n) for n in range(max(SHIFT, number - 3), number + 1))
            if kind == "behaviour_shift"
            else ()
        )
        verdict = DriftVerdict(
            kind=kind, day=day(number), segment=segment, reasons=(f"it is {kind}",),
            is_retraining_due=kind == "behaviour_shift", figures=DriftFigures(marked_days=marked),
        )  # fmt: skip
        with lake.write(
            PartitionId("quality/plan_usage/drift", segment, day(number)), f"{number:016x}"
        ) as writer:
            writer.commit(
                row_count=0, facts={"verdict": verdict.to_facts(), "evidence": {}, "since_day": None}
            )


def promote(
    replay: Replay, segment: str, number: int, previous: str | None = None, holdout: int = 20
) -> LedgerEntry:
    """Record a promotion on the data of a day, judged on rows of another."""
    return replay.workspace.platform.ledger.record(
        LedgerEntry(
            decision_id=f"{segment}-{number}", slot=ModelSlot("churn", "churn_risk", segment), outcome="promoted",
            version=str(number), bundle_sha256="a" * 64, previous_version=previous, decided_by="gate",
            decided_at_utc=dt.datetime(2026, 9, 1, tzinfo=dt.UTC), as_of_day=day(number), evidence_sha256="b" * 64,
            reasons=("better",), evidence={"figures": {"holdout_first_day": day(holdout).isoformat()}},
        )
    )  # fmt: skip


def shifting(days: Iterable[int]) -> dict[int, VerdictKind]:
    return dict.fromkeys(days, "behaviour_shift")


@pytest.fixture
def moved(replay: Replay) -> Replay:
    """Champions in two geographies; behaviour has moved in one of them."""
    for segment, kinds in (("pe", shifting(range(DETECTED, LAST + 1))), ("cl", {})):
        publish(replay, segment, kinds)
        promote(replay, segment, 30)
    return replay


def evaluate(replay: Replay) -> dg.SensorResult | dg.SkipReason:
    """Evaluate the drift sensor of the churn use case once, as the daemon does."""
    definitions = replay.workspace.definitions
    sensor = next(s for s in definitions.get_repository_def().sensor_defs if s.name == SENSOR)
    with dg.build_sensor_context(
        instance=replay.instance, definitions=definitions, resources=replay.workspace.platform.as_resources()
    ) as context:
        result = sensor(context)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


def requests_of(result: dg.SensorResult | dg.SkipReason) -> list[dg.RunRequest]:
    return list(result.run_requests or []) if isinstance(result, dg.SensorResult) else []


def requests_at(replay: Replay, number: int) -> list[dg.RunRequest]:
    """Return what `mlops run` launches for drift after a day."""
    sensor = next(s for s in learning_sensors(replay.workspace.definitions) if s.name == SENSOR)
    return list(tick(sensor, replay.workspace, replay.instance, day(number)))


def test_only_the_geography_that_moved_is_retrained(moved: Replay) -> None:
    (request,) = requests_of(evaluate(moved))
    assert request.partition_key == "pe"
    assert request.tags[names.TAG_AS_OF_DAY] == str(day(FIRST_ATTEMPT))
    assert request.tags[names.TAG_SHIFT] == f"plan_usage/{day(DETECTED)}"
    assert request.tags[names.TAG_REASON] == (
        f"behaviour shift since {day(SHIFT)}, recognised on {day(DETECTED)} by plan_usage (attempt 1 of 4)"
    )


def test_two_ticks_and_one_after_a_restart_ask_for_the_same_run(moved: Replay) -> None:
    keys = {request.run_key for _ in range(2) for request in requests_of(evaluate(moved))}
    restarted = Replay(replace(moved.workspace), moved.instance)
    keys |= {request.run_key for request in requests_of(evaluate(restarted))}
    assert keys == {f"drift/churn.churn_risk.pe/plan_usage-{day(DETECTED)}/{day(FIRST_ATTEMPT)}"}


def test_a_replay_asks_for_the_same_and_knows_no_later_day(moved: Replay) -> None:
    assert requests_at(moved, FIRST_ATTEMPT - 1) == []
    (live,) = requests_of(evaluate(moved))
    (replayed,) = requests_at(moved, FIRST_ATTEMPT)
    assert (replayed.run_key, replayed.partition_key) == (live.run_key, live.partition_key)
    assert {name: replayed.tags[name] for name in live.tags} == live.tags


@pytest.mark.parametrize(
    ("status", "is_asked_again"),
    [
        (dg.DagsterRunStatus.SUCCESS, False),
        (dg.DagsterRunStatus.STARTED, False),
        (dg.DagsterRunStatus.FAILURE, True),
    ],
)
def test_a_run_that_was_made_is_not_asked_for_again(
    moved: Replay, status: dg.DagsterRunStatus, *, is_asked_again: bool
) -> None:
    (request,) = requests_at(moved, FIRST_ATTEMPT)
    moved.instance.add_run(
        dg.DagsterRun(
            job_name=names.training_job("churn"),
            status=status,
            tags={"dagster/run_key": str(request.run_key)},
        )
    )
    assert bool(requests_at(moved, FIRST_ATTEMPT)) == is_asked_again


@pytest.mark.parametrize("kind", ["healthy", "broken_feed", "one_off_event", "no_evidence"])
def test_nothing_else_than_a_shift_retrains_and_the_tick_says_so(replay: Replay, kind: VerdictKind) -> None:
    for segment in ("cl", "pe"):
        publish(replay, segment, dict.fromkeys(range(DETECTED, LAST + 1), kind))
        promote(replay, segment, 30)
    result = evaluate(replay)
    assert isinstance(result, dg.SkipReason)
    assert result.skip_message == "churn_risk cl: no behaviour shift; churn_risk pe: no behaviour shift"


def test_no_attempt_rests_on_a_day_with_a_broken_feed(moved: Replay) -> None:
    publish(moved, "pe", shifting(range(DETECTED, FIRST_ATTEMPT)) | {FIRST_ATTEMPT: "broken_feed"})
    (request,) = requests_of(evaluate(moved))
    assert request.tags[names.TAG_AS_OF_DAY] == str(day(FIRST_ATTEMPT + 1))


def test_a_promotion_on_rows_after_the_shift_ends_it(moved: Replay) -> None:
    ledger, config = moved.workspace.platform.ledger, moved.workspace.config
    assert retrained_since(config, ledger, "plan_usage", "pe", day(LAST)) is None
    promote(moved, "pe", FIRST_ATTEMPT, previous="30", holdout=SHIFT)
    result = evaluate(moved)
    assert isinstance(result, dg.SkipReason)
    assert f"churn_risk pe: the shift of {day(DETECTED)} is answered" in (result.skip_message or "")
    assert retrained_since(config, ledger, "plan_usage", "pe", day(LAST)) == day(FIRST_ATTEMPT + 1)
    assert retrained_since(config, ledger, "plan_usage", "pe", day(FIRST_ATTEMPT)) is None
    assert retrained_since(config, ledger, "plan_usage", "cl", day(LAST)) is None


def test_a_promotion_on_rows_before_the_shift_is_followed_by_another_attempt(moved: Replay) -> None:
    publish(moved, "pe", shifting(range(DETECTED, FIRST_ATTEMPT + 8)), last=FIRST_ATTEMPT + 7)
    promote(moved, "pe", FIRST_ATTEMPT, previous="30", holdout=SHIFT - 1)
    assert requests_at(moved, FIRST_ATTEMPT + 6) == [], "cooldown"
    (request,) = requests_at(moved, FIRST_ATTEMPT + 7)
    assert "attempt 2 of 4" in request.tags[names.TAG_REASON]


def test_without_champion_nothing_is_retrained(replay: Replay) -> None:
    publish(replay, "pe", shifting(range(DETECTED, LAST + 1)))
    result = evaluate(replay)
    assert isinstance(result, dg.SkipReason)
    assert "churn_risk pe: no champion yet" in (result.skip_message or "")


def test_a_use_case_that_no_monitor_may_retrain_has_no_sensor(replay: Replay) -> None:
    def unwatched(config: ProjectConfig) -> ProjectConfig:
        segments = {
            code: settings.model_copy(update={"retraining": RetrainingSpec()})
            for code, settings in config.use_cases["churn"].items()
        }
        return config.model_copy(update={"use_cases": {"churn": segments}})

    assert [sensor.name for sensor in build_drift_sensors(replay.workspace.config)] == [SENSOR]
    assert build_drift_sensors(unwatched(replay.workspace.config)) == []
