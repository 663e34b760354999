"""What the days promoted is deployed by itself, and the commands show and repair it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from mlops_assets.commands.replay import Replay
from mlops_assets.domain.deployment.releases import load_release
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.lake_tables import scores_table
from mlops_assets.domain.learning.population import population_sql
from mlops_assets.domain.ports import PartitionId, ViewSource
from mlops_assets.serving.app import build_app
from tests.integration.command_line import CommandLine
from tests.integration.loop.conftest import LAST_RUN_DAY, Loop
from tests.integration.loop.test_failed_scores import corrupt, registered_bundle
from tests.integration.serving.http_server import Client, serving
from tests.integration.small_operator import GEOGRAPHIES, slot_in


@pytest.mark.parametrize("geography", GEOGRAPHIES)
def test_champions_are_deployed_with_their_card_and_configuration(trained: Loop, geography: str) -> None:
    platform, slot = trained.workspace.platform, slot_in(geography)
    champion = platform.ledger.champion(slot)
    pointer = platform.deployments.pointer(slot)
    assert champion is not None
    assert pointer is not None
    assert pointer.serving is not None
    assert (pointer.state, pointer.serving.decision_id) == ("active", champion.decision_id)
    packed = load_release(platform.deployments, platform.ledger, slot, pointer.serving)
    assert packed.scorer.bundle_sha256 == champion.bundle_sha256
    assert packed.scorer.ranges is not None
    settings = trained.workspace.config.use_cases["churn"][geography]
    assert packed.config["corpus"] == settings.corpus.model_dump(mode="json")
    stamped = packed.scorer.stamps["config_sha256"]
    assert stamped == stable_hash([settings.corpus, settings.models["churn_risk"]])
    card = packed.card["model_card"]
    assert (card["version"], card["decision"]["decision_id"]) == (champion.version, champion.decision_id)
    assert card["stamps"]["bundle_sha256"] == champion.bundle_sha256


def test_online_scores_are_the_daily_scores(trained: Loop) -> None:
    platform, slot = trained.workspace.platform, slot_in("cl")
    settings = trained.workspace.config.use_cases["churn"]["cl"]
    features = settings.models["churn_risk"].features
    source = platform.lake.path(PartitionId(settings.corpus.table, "cl", LAST_RUN_DAY))
    sql = population_sql(settings.corpus, features, "population", pq.read_schema(source), "duckdb")
    table = platform.engine.fetch(sql, {"population": ViewSource(files=[source])}).slice(0, 500)
    scored = pq.read_table(
        platform.lake.path(PartitionId(scores_table("churn", "churn_risk"), "cl", LAST_RUN_DAY))
    )
    key = settings.corpus.entity_key
    daily = dict(zip(scored[key].to_pylist(), scored["score"].to_pylist(), strict=True))
    rows = [{name: row[name] for name in features} for row in table.to_pylist()]
    with serving(build_app(platform.deployments, platform.ledger)) as port, Client(port) as client:
        status, answer = client.score(
            json.loads(json.dumps(rows, default=float)), "/".join(vars(slot).values())
        )
    assert status == 200, answer
    expected = [daily[number] for number in table[key].to_pylist()]
    np.testing.assert_allclose(answer["scores"], expected, rtol=0, atol=1e-9)


def test_commands_show_and_repair_what_serves(own: Loop, mlops: CommandLine) -> None:
    mlops.use(own.home, own.configs)
    told = mlops("deploy", "show", "--json")
    lines = json.loads(told.out)
    assert [(line["slot"], line["version"], line["state"], line["note"]) for line in lines] == [
        (f"churn.churn_risk.{geography}", "1", "active", "") for geography in GEOGRAPHIES
    ]
    assert mlops("deploy", "update").out.count("current, version 1 serves") == 2
    shutil.rmtree(own.home / "deployment")
    assert json.loads(mlops("deploy", "show", "--json").out)[0]["note"] == "behind the ledger"
    mend = corrupt(registered_bundle(own, "cl"))
    told = mlops("deploy", "update")
    assert told.status == 1
    assert "churn.churn_risk.cl: failed; version 1 could not be activated" in told.out
    assert "churn.churn_risk.pe: activated, version 1 serves" in told.out
    shown = mlops("deploy", "show").out
    assert "behind the ledger; activation failed" in shown
    assert "version 1 could not be activated" in mlops("mailbox").out
    mend()
    told = mlops("deploy", "update", "--json")
    assert [one["status"] for one in json.loads(told.out)] == ["activated", "current"]
    assert "failed" not in mlops("deploy", "show").out


def test_a_training_run_deploys_again_what_was_lost(replay: Replay, own: Loop) -> None:
    shutil.rmtree(own.home / "deployment")
    assert replay.train("churn", "pe", None).succeeded
    pointer = own.workspace.platform.deployments.pointer(slot_in("pe"))
    champion = own.workspace.platform.ledger.champion(slot_in("pe"))
    assert pointer is not None
    assert pointer.serving is not None
    assert champion is not None
    assert pointer.serving.version == champion.version
