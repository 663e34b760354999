"""The trained operator in people's hands: approve, roll back, reproduce; by command, by job, by sensor."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest
import yaml

from mlops_assets.commands.replay import Replay
from mlops_assets.commands.workspace import Workspace
from mlops_assets.config import names
from mlops_assets.config.loader import load_project
from mlops_assets.domain.learning.lake_tables import scores_table
from mlops_assets.domain.ports import LedgerEntry, PartitionId
from resources.lake import LocalLake
from resources.promotion_ledger import SqlitePromotionLedger
from tests.integration.command_line import CommandLine, Told
from tests.integration.loop.conftest import LAST_RUN_DAY, Loop
from tests.integration.small_operator import READY_DAY, slot_in

pytestmark = pytest.mark.slow  # each test trains, or runs days

SLOT = slot_in("cl")
WHERE = ("churn", "churn_risk", "--segment", "cl")
BO = ("--by", "Bo", "--note", "looks right")


class Operator:
    """A data root with configs of its own, and the command line over it."""

    def __init__(self, home: Path, configs: Path, mlops: CommandLine) -> None:
        self.home, self.configs, self.mlops = home, configs, mlops
        mlops.use(home, configs)
        self.ledger = SqlitePromotionLedger(home / "ledger" / "ledger.db")

    def change(self, **settings: Any) -> None:
        """Change top-level keys of the churn use case; `features` are those of its model."""
        path = self.configs / "use_cases" / "churn.yaml"
        content = yaml.safe_load(path.read_text())
        features = settings.pop("features", None)
        if features:
            content["models"]["churn_risk"]["features"] = features
        path.write_text(yaml.safe_dump({**content, **settings}, sort_keys=False))

    def workspace(self) -> Workspace:
        """Return a workspace over configs as they are now."""
        return Workspace.of_one_process(self.home, load_project([self.configs], "local"))

    def train(self) -> LedgerEntry:
        """Train as of the last day and return what was decided."""
        told = self.mlops("train", "churn", "--segment", "cl", "--as-of", LAST_RUN_DAY)
        assert told.status == 0, told
        return self.ledger.history(SLOT)[-1]

    def scores(self, day: dt.date) -> list[dict[str, Any]]:
        """Return a day's scores."""
        lake = LocalLake(self.home / "lake")
        rows = pq.read_table(lake.path(PartitionId(scores_table("churn", "churn_risk"), "cl", day)))
        return sorted(rows.to_pylist(), key=lambda row: row["subscriber_id"])

    def serving_version(self) -> str | None:
        """Return what the deployment's pointer names."""
        pointer = self.workspace().platform.deployments.pointer(SLOT)
        return pointer.serving.version if pointer and pointer.serving else None

    def card(self, version: str) -> str:
        """Return the page of a version."""
        path = self.home / "reports" / "model_cards" / SLOT.registered_name / f"version-{version}.html"
        return path.read_text()


@pytest.fixture
def operator(own: Loop, mlops: CommandLine, tmp_path: Path) -> Operator:
    """The trained operator, whose configs the test may change as well."""
    configs = Path(shutil.copytree(own.configs, tmp_path / "configs"))
    return Operator(own.home, configs, mlops)


@pytest.fixture
def pending(operator: Operator) -> LedgerEntry:
    """A second challenger that waits for a person."""
    operator.change(approval={"mode": "manual"}, features=_other_features(operator))
    entry = operator.train()
    assert entry.outcome == "pending", entry.reasons
    return entry


def _other_features(operator: Operator) -> list[str]:
    """Return all features but the first, so that the next model is another one."""
    return operator.workspace().config.use_cases["churn"]["cl"].models["churn_risk"].features[1:]


def record(told: Told) -> dict[str, Any]:
    """Return the one JSON object that a command printed."""
    parsed: dict[str, Any] = json.loads(told.out.splitlines()[0])
    return parsed


def test_a_person_approves_and_then_goes_back(operator: Operator, pending: LedgerEntry) -> None:
    mlops = operator.mlops
    told = mlops("approvals", "list", "--json")
    assert (told.status, json.loads(told.out)[0]["state"]) == (3, "waiting")
    told = mlops("approvals", "show", pending.decision_id[:10])
    assert told.status == 0
    assert pending.evidence_sha256 in told.out
    assert "anybody may approve" in told.out
    before = operator.scores(LAST_RUN_DAY)

    told = mlops("approvals", "approve", pending.decision_id[:10], *BO)
    assert told.status == 0, told
    champion = operator.ledger.champion(SLOT)
    assert champion is not None
    assert (champion.version, champion.decided_by) == (pending.version, "Bo")
    assert champion.as_of_day == LAST_RUN_DAY, "what is scored stays scored"
    assert "Champion since" in operator.card(pending.version)
    assert operator.serving_version() == pending.version
    assert mlops("approvals", "list").status == 0
    told = mlops("champions", "--json")
    assert [one["version"] for one in json.loads(told.out)] == [pending.version, "1"]
    assert operator.workspace().platform.registry.aliases(SLOT.registered_name)["champion"] == pending.version

    next_day = LAST_RUN_DAY + dt.timedelta(days=1)
    assert mlops("run", "--from", next_day, "--to", next_day).status == 0
    assert {row["model_version"] for row in operator.scores(next_day)} == {pending.version}

    told = mlops("rollback", *WHERE, "--by", "Cy", "--note", "complaints", "--from", pending.version)
    assert told.status == 0, told
    assert "version 1 is the champion again" in told.out
    assert operator.serving_version() == "1", "the scoring service follows at once"
    assert "Promoted, replaced since" in operator.card(pending.version)
    assert mlops("run", "--from", next_day, "--to", next_day).status == 0
    assert {row["model_version"] for row in operator.scores(next_day)} == {"1"}
    assert operator.scores(LAST_RUN_DAY) == before
    told = mlops("rollback", *WHERE, "--by", "Cy", "--note", "further")
    assert (told.status, "the first champion" in told.err) == (1, True)
    told = mlops("history", *WHERE, "--json")
    decided = json.loads(told.out)
    assert [(one["outcome"], one["decided_by"]) for one in decided] == [
        ("promoted", "gate"),
        ("pending", "gate"),
        ("promoted", "Bo"),
        ("rolled_back", "Cy"),
    ]
    assert operator.ledger.verify() == 5


def test_refusals_are_said_and_change_nothing(operator: Operator, pending: LedgerEntry) -> None:
    mlops, before = operator.mlops, operator.ledger.history(SLOT)
    for words, said in (
        (("approvals", "approve", "nonsense", *BO), "no pending decisions begin with"),
        (("approvals", "approve", pending.decision_id, *BO, "--evidence", "f00"), "not what was seen"),
        (("approvals", "approve", pending.decision_id, "--by", "gate", "--note", "x"), "is not a person"),
        (("approvals", "show", "nonsense"), "no pending decisions begin with"),
        (("rollback", *WHERE, *BO, "--from", "9"), "first champion"),
        (
            ("reproduce", "churn", "churn_risk", "77", "--segment", "cl"),
            "no decision of the gate on version 77",
        ),
    ):
        told = mlops(*words)
        assert told.status == 1, told
        assert said in told.err
    assert mlops("history", "churn", "nonsense").status == 2
    assert operator.ledger.history(SLOT) == before


def test_config_in_no_repository_needs_a_waiver_for_a_second_person(
    operator: Operator, pending: LedgerEntry
) -> None:
    operator.change(approval={"mode": "manual", "needs_second_person": True})
    told = operator.mlops("approvals", "approve", pending.decision_id, *BO)
    assert (told.status, "git does not know" in told.err) == (1, True)
    rules = {"mode": "manual", "needs_second_person": True, "unknown_author": "waive"}
    operator.change(approval=rules)
    told = operator.mlops("approvals", "approve", pending.decision_id, *BO)
    assert (told.status, "waived" in told.out) == (0, True)


def test_cut_ledger_is_said_by_every_command(operator: Operator) -> None:
    path = operator.ledger.path
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for words in (
        ("champions",),
        ("approvals", "list"),
        ("history", "churn", "churn_risk"),
        ("rollback", *WHERE, *BO),
    ):
        told = operator.mlops(*words)
        assert told.status == 1, told
        assert "cannot be trusted" in told.err
        assert "good copy" in told.err


def test_job_decides_and_sensor_follows_up(operator: Operator, pending: LedgerEntry, replay: Replay) -> None:
    workspace = operator.workspace()
    definitions, instance = workspace.definitions, replay.instance
    assert isinstance(tick(workspace, instance), dg.SkipReason)
    job = definitions.resolve_job_def(names.DECISION_JOB)
    config = {"decision_id": pending.decision_id, "decision": "APPROVE", "by": "Bo", "note": "fine"}
    run_config = {"ops": {"decide_pending_challenger": {"config": config}}}
    assert job.execute_in_process(run_config=run_config, instance=instance).success
    champion = operator.ledger.champion(SLOT)
    assert champion is not None
    assert champion.decided_by == "Bo"
    result = tick(workspace, instance)
    assert isinstance(result, dg.SensorResult)
    follow_up = definitions.resolve_job_def(names.follow_up_job("churn"))
    for request in result.run_requests or []:
        assert request.partition_key == "cl"
        assert champion.decision_id in str(request.run_key)
        done = follow_up.execute_in_process(
            partition_key=request.partition_key,
            asset_selection=list(request.asset_selection or []),
            tags=dict(request.tags),
            instance=instance,
        )
        assert done.success
    assert operator.serving_version() == pending.version
    assert "Champion since" in operator.card(pending.version)


def tick(workspace: Workspace, instance: dg.DagsterInstance) -> dg.SensorResult | dg.SkipReason:
    """Evaluate the approvals sensor of the churn use case once."""
    definitions = workspace.definitions
    name = f"{names.APPROVALS_SENSOR}_churn"
    sensor = next(s for s in definitions.get_repository_def().sensor_defs if s.name == name)
    with dg.build_sensor_context(
        instance=instance, definitions=definitions, resources=workspace.platform.as_resources()
    ) as context:
        result = sensor(context)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


class TestReproduce:
    def test_version_is_made_again_and_agrees(self, operator: Operator) -> None:
        before = sorted((operator.home / "lake" / "corpus").rglob("*"))
        told = operator.mlops("reproduce", "churn", "churn_risk", "1", "--segment", "cl", "--json")
        made = record(told)
        assert told.status == 0, told
        assert made["is_reproduced"]
        assert made["largest_difference"] <= 1e-6
        for name in ("corpus", "feeds", "configuration", "environment", "algorithm", "predictions"):
            assert made[name]["is_same"], made[name]
        assert sorted((operator.home / "lake" / "corpus").rglob("*")) == before
        assert not list((operator.home / "tmp").glob("reproduce-*"))

    def test_later_version_with_a_champion_before_it(self, operator: Operator) -> None:
        operator.change(features=_other_features(operator))
        assert operator.train().previous_version == "1"
        told = operator.mlops("reproduce", "churn", "churn_risk", "2", "--segment", "cl", "--json")
        assert record(told)["corpus"]["is_same"], told
        assert told.status == 0, told

    def test_changed_table_and_configuration_are_named(self, operator: Operator) -> None:
        lake = LocalLake(operator.home / "lake")
        partition = PartitionId("etl/subscriber_features", "cl", READY_DAY - dt.timedelta(days=8))
        rows = pq.read_table(lake.path(partition))
        with lake.write(partition, "0" * 64) as writer:
            pq.write_table(rows.slice(200), writer.file("data"))
            writer.commit(row_count=rows.num_rows - 200)
        path = operator.configs / "use_cases" / "churn.yaml"
        content = yaml.safe_load(path.read_text())
        content["models"]["churn_risk"]["algorithms"]["linear"] = {
            "hyperparameters": {"inverse_penalty": 0.5}
        }
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        told = operator.mlops("reproduce", "churn", "churn_risk", "1", "--segment", "cl")
        assert told.status == 3, told
        assert "NOT reproduced" in told.out
        for line in ("differs  feeds: ", "differs  corpus: ", "differs  configuration: "):
            assert line in told.out, told.out
        assert "changed: then " in told.out
