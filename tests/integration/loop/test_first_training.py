"""Days pass, and what is learned comes by itself: corpus, challenger, decision, version, card, scores."""

from __future__ import annotations

import datetime as dt
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mlops_assets.config import names
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.bundle import load_bundle
from mlops_assets.domain.learning.corpus import CorpusRequest
from mlops_assets.domain.learning.corpus_reader import load_corpus
from mlops_assets.domain.learning.lake_tables import scores_table
from mlops_assets.domain.learning.training import read_challenger
from mlops_assets.domain.ports import LedgerEntry, PartitionId
from resources.mlflow_registry import MlflowRegistry
from tests.integration.loop.conftest import LAST_RUN_DAY, PROJECT, Loop
from tests.integration.small_operator import FIRST_DAY, GEOGRAPHIES, READY_DAY, day_number, slot_in

SCORED_DAYS = [READY_DAY + dt.timedelta(days=n) for n in (1, 2, 3)]
in_each_geography = pytest.mark.parametrize("geography", GEOGRAPHIES)


def corpus_request(loop: Loop, geography: str) -> CorpusRequest:
    """Return the corpus that the configuration asks for."""
    settings = loop.workspace.config.use_cases["churn"][geography]
    return CorpusRequest("churn", "churn_risk", settings.corpus, settings.models["churn_risk"], geography)


def champion_of(loop: Loop, geography: str) -> LedgerEntry:
    """Return whom the ledger names."""
    champion = loop.workspace.platform.ledger.champion(slot_in(geography))
    assert champion is not None
    return champion


def test_both_geographies_are_trained_once_on_the_first_possible_day(trained: Loop) -> None:
    days = trained.report["days"]
    assert [(line["day"], line["status"], line["findings"]) for line in days] == [
        (str(day_number(n)), "built", []) for n in range((LAST_RUN_DAY - FIRST_DAY).days + 1)
    ]
    decided = {line["day"]: sorted(line["decisions"]) for line in days if line["decisions"]}
    assert decided == {str(READY_DAY): [["cl", "promoted", "1"], ["pe", "promoted", "1"]]}


@in_each_geography
def test_corpus_has_the_planned_days_and_its_recorded_content(trained: Loop, geography: str) -> None:
    request = corpus_request(trained, geography)
    lake = trained.workspace.platform.lake
    manifest = lake.manifest(request.partition)
    assert manifest is not None
    parts = manifest.facts["parts"]
    assert {name: part["as_of_days"] for name, part in parts.items()} == {
        "train": [str(READY_DAY - dt.timedelta(days=n)) for n in (8, 6)],
        "validation": [str(READY_DAY - dt.timedelta(days=4))],
        "holdout": [str(READY_DAY - dt.timedelta(days=2))],
    }
    loaded = load_corpus(request.partition, lake, request.corpus, request.model, is_verified=True)
    assert {name: part.rows for name, part in loaded.items()} == {n: p["rows"] for n, p in parts.items()}
    assert {name: int(part.y.sum()) for name, part in loaded.items()} == {
        n: p["positives"] for n, p in parts.items()
    }


@in_each_geography
def test_labels_are_what_happened(trained: Loop, geography: str) -> None:
    """Compared with the feeds themselves: active on the as-of day, churned two days later."""
    request = corpus_request(trained, geography)
    lake, as_of = trained.workspace.platform.lake, READY_DAY - dt.timedelta(days=2)
    holdout = load_corpus(request.partition, lake, request.corpus, request.model)["holdout"]

    def status_on(day: dt.date) -> dict[int, str]:
        rows = pq.read_table(lake.path(PartitionId("feeds/subscribers", geography, day))).to_pylist()
        return {row["subscriber_id"]: row["status"] for row in rows}

    before, after = status_on(as_of), status_on(READY_DAY)
    active = {number for number, status in before.items() if status == "active"}
    assert {int(key) for key in holdout.keys} == active
    left = {int(key) for key, label in zip(holdout.keys, holdout.y, strict=True) if label == 1}
    assert left == {number for number in active if after.get(number) != "active"}
    assert len(left) >= 5


@in_each_geography
def test_challenger_won_the_configured_leaderboard(trained: Loop, geography: str) -> None:
    platform = trained.workspace.platform
    challenger = read_challenger(platform.lake, slot_in(geography))
    board = {row["algorithm"]: row for row in challenger.leaderboard}
    assert set(board) == {"hist_gradient_boosting", "linear", "dummy"}
    assert [name for name, row in board.items() if row["chosen"]] == [challenger.algorithm]
    assert not any(row["error"] for row in board.values())
    assert board[challenger.algorithm]["roc_auc"] > board["dummy"]["roc_auc"]
    assert challenger.as_of_day == READY_DAY


@in_each_geography
def test_ledger_names_the_challenger_that_passed_the_gate(trained: Loop, geography: str) -> None:
    platform = trained.workspace.platform
    (entry,) = platform.ledger.history(slot_in(geography))
    assert entry == champion_of(trained, geography)
    assert (entry.outcome, entry.previous_version, entry.decided_by) == ("promoted", None, "gate")
    assert entry.as_of_day == READY_DAY
    assert entry.bundle_sha256 == read_challenger(platform.lake, slot_in(geography)).bundle_sha256
    checks = {check["name"]: check["is_passed"] for check in entry.evidence["checks"]}
    assert all(checks.values())
    assert {"unseen_by_challenger", "floor", "beats_baseline", "holdout_positives"} <= set(checks)


@in_each_geography
def test_registered_version_carries_every_stamp(trained: Loop, geography: str, tmp_path: Path) -> None:
    platform, champion = trained.workspace.platform, champion_of(trained, geography)
    request = corpus_request(trained, geography)
    corpus = platform.lake.manifest(request.partition)
    assert corpus is not None
    version = platform.registry.version(slot_in(geography).registered_name, champion.version)
    lock = sha256((PROJECT / "requirements.lock").read_bytes()).hexdigest()
    wanted = {
        "use_case": "churn",
        "model": "churn_risk",
        "segment": geography,
        "git_commit": trained.report["git_commit"],
        "config_sha256": stable_hash([request.corpus, request.model]),
        "corpus_sha256": corpus.facts["content_sha256"],
        "feed_versions_sha256": stable_hash(dict(corpus.inputs)),
        "environment_lock_sha256": lock,
        "bundle_sha256": champion.bundle_sha256,
    }
    assert {name: version.tags.get(name) for name in wanted} == wanted
    assert version.bundle_sha256 == champion.bundle_sha256
    scorer = load_bundle(platform.registry.download(version, tmp_path / "bundle"), champion.bundle_sha256)
    assert {name: scorer.stamps[name] for name in ("segment", "corpus_sha256")} == {
        name: wanted[name] for name in ("segment", "corpus_sha256")
    }


@in_each_geography
def test_stamped_run_is_the_training_run(
    trained: Loop, geography: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform, champion = trained.workspace.platform, champion_of(trained, geography)
    version = platform.registry.version(slot_in(geography).registered_name, champion.version)
    monkeypatch.setenv("DAGSTER_HOME", str(trained.home / "dagster_home"))
    with trained.workspace.open_instance() as instance:
        run = instance.get_run_by_id(version.tags["dagster_run_id"])
    assert run is not None
    assert run.is_success
    assert run.job_name == names.training_job("churn")
    assert run.tags[names.TAG_AS_OF_DAY] == str(READY_DAY)
    assert run.tags["dagster/partition"] == geography


@in_each_geography
def test_registry_aliases_repeat_the_ledger(trained: Loop, geography: str) -> None:
    registry = trained.workspace.platform.registry
    assert isinstance(registry, MlflowRegistry)
    aliases = registry.aliases(slot_in(geography).registered_name)
    assert aliases == {"champion": "1", "challenger": "1"}


@in_each_geography
def test_model_card_is_saved(trained: Loop, geography: str) -> None:
    name = slot_in(geography).registered_name
    champion = champion_of(trained, geography)
    card = trained.workspace.platform.reports.read(f"model_cards/{name}/version-1.html").decode()
    for text in (
        champion.bundle_sha256[:12],
        champion.decision_id[:12],
        str(READY_DAY - dt.timedelta(days=2)),
    ):
        assert text in card


@in_each_geography
def test_days_after_are_scored_by_the_champion(trained: Loop, geography: str) -> None:
    lake, champion = trained.workspace.platform.lake, champion_of(trained, geography)
    table = scores_table("churn", "churn_risk")
    assert lake.days(table, geography) == SCORED_DAYS
    for day in SCORED_DAYS:
        manifest = lake.manifest(PartitionId(table, geography, day))
        assert manifest is not None
        assert manifest.facts["bundle_sha256"] == champion.bundle_sha256
        scores = pq.read_table(lake.path(PartitionId(table, geography, day)))
        features = pq.read_table(lake.path(PartitionId("etl/subscriber_features", geography, day)))
        active = [row["subscriber_id"] for row in features.to_pylist() if row["status"] == "active"]
        assert sorted(scores["subscriber_id"].to_pylist()) == sorted(active)
        values = scores["score"].to_numpy()
        assert ((values >= 0) & (values <= 1)).all()
        assert np.ptp(values) > 0
        assert set(scores["model_version"].to_pylist()) == {champion.version}


def test_scored_rows_are_reported_by_day(trained: Loop) -> None:
    scored = {line["day"]: line["scored_rows"] for line in trained.report["days"] if line["scored_rows"]}
    assert list(scored) == [str(day) for day in SCORED_DAYS]
