"""The stages of policies in a run: what stops them, what leaves them out, what they end with."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import numpy as np
import pytest

from mlops_assets.commands.workspace import Workspace
from mlops_assets.config import names
from mlops_assets.config.loader import load_project
from mlops_assets.config.models import ProjectConfig
from mlops_assets.definitions import build_defs
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.offers.decision_data import NO_ACTION, Transitions
from mlops_assets.domain.offers.reconciliation import COLUMNS, reconciliation_table
from mlops_assets.domain.ports import PartitionId
from resources.duckdb_engine import DuckDbEngine
from tests.fakes.mail import FakeOutbox
from tests.fakes.report_store import FakeReportStore
from tests.unit.domain.offers.policy_lake import FIRST_DAY, SLOT, PolicyLake
from tests.unit.domain.offers.policy_world import make_log, make_spec

USE_CASE, AGENT = SLOT.use_case, SLOT.model
SMALL = make_spec(agent={"iterations": 3, "starting_states": 300})
LAST_DAY = FIRST_DAY + dt.timedelta(days=28)


def small_project() -> ProjectConfig:
    """Return the project with offers of small numbers; the catalogue is that of the log."""
    config = load_project()
    settings = {
        segment: one.model_copy(update={"offers": SMALL})
        for segment, one in config.use_cases[USE_CASE].items()
    }
    return config.model_copy(update={"use_cases": {**config.use_cases, USE_CASE: settings}})


@dataclass
class Stage:
    """Runs assets of the graph over a lake that holds a log."""

    world: PolicyLake
    config: ProjectConfig = field(default_factory=small_project)
    reports: FakeReportStore = field(default_factory=FakeReportStore)
    outbox: FakeOutbox = field(default_factory=FakeOutbox)

    def run(self, *keys: list[str], tags: dict[str, str] | None = None) -> dg.ExecuteInProcessResult:
        """Run assets of the training job for one geography; failures are in the result."""
        return self._execute(names.training_job(USE_CASE), "cl", keys, tags)

    def judge_week(self, day: dt.date) -> dg.AssetCheckEvaluation:
        """Run the verdict of a day and return its check."""
        result = self._execute(names.DAILY_JOB, str(day), [names.performance_key(USE_CASE)])
        (check,) = result.get_asset_check_evaluations()
        return check

    def _execute(
        self, job: str, partition: str, keys: Sequence[list[str]], tags: dict[str, str] | None = None
    ) -> dg.ExecuteInProcessResult:
        workspace = Workspace(self.world.root / "home", self.config)
        resources = {
            **workspace.platform.as_resources(),
            "lake": self.world.lake,
            "engine": DuckDbEngine(1, "200MB", self.world.root / "spill", [self.world.root]),
            "registry": self.world.registry,
            "ledger": self.world.ledger,
            "reports": self.reports,
            "outbox": self.outbox,
        }
        with dg.DagsterInstance.ephemeral() as instance:
            return (
                build_defs(self.config, resources=resources)
                .resolve_job_def(job)
                .execute_in_process(
                    partition_key=partition,
                    instance=instance,
                    raise_on_error=False,
                    tags=tags,
                    asset_selection=[dg.AssetKey(key) for key in keys],
                )
            )

    def reconcile(self, day: dt.date, sent: int, accepted: int, expected: float) -> None:
        """Publish a day of reconciliation on which everything was sent as proposed."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        given = {
            "proposed": {"offers": sent},
            "contact": {"offers": sent, "accepted": accepted, "sent_plan": "data_m", "proposed_plan": "none"},
            "sent_as_proposed": {
                "offers": sent, "accepted": accepted, "margin_usd_cents": 400 * accepted, "sent_plan": "data_m",
                "with_expectation": sent, "expected_accepted": expected,
                "expected_margin_usd_cents": 400 * expected,
            },
        }  # fmt: skip
        texts = {"proposed_plan": "data_m", "sent_plan": "none", "model_version": "1"}
        rows = [
            {
                name: row.get(name, texts.get(name, 0.0 if doc.type == "decimal" else 0))
                for name, doc in COLUMNS.items()
            }
            | {"kind": kind}
            for kind, row in given.items()
        ]
        table = reconciliation_table(f"offers/{USE_CASE}/proposals").name
        with self.world.lake.write(PartitionId(table, "cl", day), stable_hash([str(day), sent])) as writer:
            pq.write_table(pa.Table.from_pylist(rows), writer.file("data"))
            writer.commit(row_count=len(rows))


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(PolicyLake(tmp_path, SMALL))


def wrong_world_log() -> Transitions:
    """Return a log in whose held-out week everybody wants what nobody wanted before."""
    log = make_log()
    changed = (log.weeks == 3) & (log.actions > NO_ACTION)
    fields = {
        name: getattr(log, name)
        for name in ("states", "actions", "choices", "eligible", "propensities", "organic_plan", "plans")
    }
    return Transitions(
        **fields, is_accepted=np.where(changed, log.actions == 2, log.is_accepted), margin_usd=log.margin_usd,
        is_churned=log.is_churned, next_values=log.next_values, weeks=log.weeks,
    )  # fmt: skip


AFTER_LOG = names.policy_keys(USE_CASE, AGENT)[1:]


def states_of(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    kinds = {
        dg.DagsterEventType.STEP_SUCCESS: "done",
        dg.DagsterEventType.STEP_FAILURE: "failed",
        dg.DagsterEventType.STEP_SKIPPED: "skipped",
    }
    return {
        str(event.step_key): kinds[event.event_type]
        for event in result.all_events
        if event.event_type in kinds
    }


def test_a_policy_is_learned_judged_and_reported(stage: Stage) -> None:
    stage.world.freeze()
    for back in range(7):
        stage.reconcile(LAST_DAY - dt.timedelta(days=back), sent=100, accepted=9, expected=10.0)
    result = stage.run(*AFTER_LOG, tags={names.TAG_REASON: "no policy yet"})
    assert result.success, states_of(result)
    champion = stage.world.ledger.champion(SLOT)
    assert champion is not None
    checks = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
    assert checks == {names.CHECK_SIMULATOR: True, names.CHECK_GATE: True}
    page = f"policies/{SLOT.registered_name}/version-{champion.version}.html"
    text = stage.reports.read(page).decode()
    assert "No policy yet." in text
    # 30 August 2026 is a Sunday: the week before the training ends on its last day.
    assert (
        "Offers of 2026-08-24 to 2026-08-30 (7 reconciled days): 700 sent, 63 accepted, 70.00 expected."
        in text
    )
    (message,) = stage.outbox.messages
    assert message.report == f"ladder/{USE_CASE}/{AGENT}"
    assert message.recipients == tuple(stage.config.use_cases[USE_CASE]["cl"].recipients)


def test_a_segment_without_offers_is_told_so(stage: Stage) -> None:
    settings = stage.config.use_cases[USE_CASE]
    without = {**settings, "cl": settings["cl"].model_copy(update={"offers": None})}
    stage.config = stage.config.model_copy(
        update={"use_cases": {**stage.config.use_cases, USE_CASE: without}}
    )
    result = stage.run(names.simulator_key(USE_CASE))
    (failure,) = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    assert failure is not None
    assert "ConfigError: segment cl has no model simulator" in str(failure)


def test_a_simulator_that_does_not_hold_stops_the_training(stage: Stage) -> None:
    stage.world.freeze(wrong_world_log())
    result = stage.run(*AFTER_LOG)
    assert not result.success
    (check,) = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed, check.blocking) == (names.CHECK_SIMULATOR, False, True)
    assert "acceptance" in (check.description or "")
    done = {state for step, state in states_of(result).items() if "simulator" not in step}
    assert done <= {"skipped"}
    assert stage.world.registry.runs == {}
    assert stage.world.ledger.history(SLOT) == []


def observe(result: dg.ExecuteInProcessResult) -> tuple[object, str]:
    """Return status and words of the one observation of a run."""
    (observed,) = (
        event.asset_observation_data.asset_observation
        for event in result.all_events
        if event.event_type == dg.DagsterEventType.ASSET_OBSERVATION
    )
    assert observed.partition == "cl"
    return observed.metadata["status"].value, observed.description or ""


def test_what_is_not_ready_is_left_out_and_says_why(stage: Stage) -> None:
    stage.config = load_project()
    result = stage.run(*names.policy_keys(USE_CASE, AGENT))
    assert result.success, "that time has not come is no failure"
    assert observe(result) == (
        "no_history",
        "not made (no_history): cl: etl/subscriber_features has no day yet",
    )
    with stage.world.lake.write(PartitionId("etl/subscriber_features", "cl", LAST_DAY), "ab" * 32) as writer:
        writer.commit(row_count=1)
    result = stage.run(*names.policy_keys(USE_CASE, AGENT))
    assert result.success
    states = states_of(result)
    assert set(states.values()) == {"done", "skipped"}
    assert [step for step, state in states.items() if state == "done"] == [f"offers__{USE_CASE}__transitions"]
    status, words = observe(result)
    assert status == "no_champion"
    assert "no champion of personalized_offer/data_plan_propensity" in words


def test_the_week_is_judged_on_its_sunday(stage: Stage) -> None:
    stage.world.freeze()
    assert stage.run(*AFTER_LOG).success
    later = LAST_DAY + dt.timedelta(days=14)
    for back in range(7):
        stage.reconcile(later - dt.timedelta(days=back), sent=200, accepted=5, expected=20.0)
    assert stage.judge_week(later - dt.timedelta(days=1)).passed
    table = f"offers/{USE_CASE}/performance"
    assert stage.world.lake.days(table, "cl") == []
    assert stage.judge_week(later).passed, "one week is no lasting fall"
    manifest = stage.world.lake.manifest(PartitionId(table, "cl", later))
    assert manifest is not None
    assert manifest.facts["kind"] == "fall"
    following = later + dt.timedelta(days=7)
    for back in range(7):
        stage.reconcile(following - dt.timedelta(days=back), sent=200, accepted=5, expected=20.0)
    check = stage.judge_week(following)
    assert not check.passed
    assert "cl: " in (check.description or "")
    assert "35 acceptances of 140 expected" in (check.description or "")
