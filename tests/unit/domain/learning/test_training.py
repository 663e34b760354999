"""From a corpus to a registered challenger, and nothing half-done when something fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlops_assets.domain.errors import CorpusError, LearningError, RegistryError
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.bundle import load_bundle
from mlops_assets.domain.learning.training import read_challenger, train_challenger
from mlops_assets.domain.ports import RegisteredVersion
from tests.fakes.model_registry import FakeModelRegistry
from tests.unit.domain.learning.small_world import (
    AS_OF_DAY,
    PART_DAYS,
    SLOT,
    STAMPS,
    SmallWorld,
    make_request,
)


def test_best_algorithm_is_registered_with_its_origin(small: SmallWorld, tmp_path: Path) -> None:
    corpus = small.lake.manifest(make_request().partition)
    assert corpus is not None
    challenger = small.train()
    assert (challenger.slot, challenger.version, challenger.algorithm) == (SLOT, "1", "linear")
    assert challenger.as_of_day == AS_OF_DAY
    assert challenger.corpus_sha256 == corpus.facts["content_sha256"]
    version = small.registry.version(SLOT.registered_name, "1")
    assert version.tags == {
        **STAMPS,
        "use_case": "churn",
        "model": "churn_risk",
        "segment": "cl",
        "corpus_sha256": corpus.facts["content_sha256"],
        "feed_versions_sha256": stable_hash(dict(corpus.inputs)),
        "algorithm": "linear",
        "bundle_sha256": challenger.bundle_sha256,
    }
    scorer = load_bundle(small.registry.download(version, tmp_path / "bundle"), challenger.bundle_sha256)
    assert scorer.exposure.trained_through_day == PART_DAYS["holdout"], "labels of validation end there"


def test_every_algorithm_has_a_run_under_one_parent(small: SmallWorld) -> None:
    challenger = small.train()
    runs = small.registry.runs
    parent = runs.pop(challenger.run_id)
    assert parent.parent_run_id is None
    assert {run.parent_run_id for run in runs.values()} == {parent.run_id}
    assert sorted(run.logged_params["algorithm"] for run in runs.values()) == ["dummy", "linear"]
    assert {run.status for run in (parent, *runs.values())} == {"FINISHED"}
    assert all("validation_roc_auc" in run.logged_metrics for run in (parent, *runs.values()))
    assert all(run.logged_tags["dagster_run_id"] == "run-7" for run in (parent, *runs.values()))


def test_note_in_the_lake_is_the_challenger(small: SmallWorld) -> None:
    challenger = small.train()
    noted = read_challenger(small.lake, SLOT)
    assert noted == challenger
    assert [row["algorithm"] for row in noted.leaderboard if row["chosen"]] == ["linear"]


def test_slot_without_challenger_says_what_to_do(small: SmallWorld) -> None:
    with pytest.raises(CorpusError, match=r"no challenger .*churn\.churn_risk\.cl.*remedy: materialise"):
        read_challenger(small.lake, SLOT)


def test_without_corpus_nothing_is_tracked(small: SmallWorld) -> None:
    small.lake.remove(make_request().partition)
    with pytest.raises(CorpusError, match=r"no training corpus.*build the corpus first"):
        small.train()
    assert small.registry.runs == {}


def test_algorithm_that_fails_is_tracked_and_leaves_the_others(small: SmallWorld) -> None:
    """A linear model needs two classes, the baseline does not."""
    small.publish_corpus(one_class_in="train")
    challenger = small.train()
    assert challenger.algorithm == "dummy"
    (failed,) = [run for run in small.registry.runs.values() if run.logged_tags.get("state") == "failed"]
    assert failed.logged_params["algorithm"] == "linear"
    assert failed.logged_tags["error"]
    board = {row["algorithm"]: row["error"] for row in challenger.leaderboard}
    assert board["dummy"] == ""
    assert board["linear"] == failed.logged_tags["error"]


def test_nothing_is_registered_when_every_algorithm_fails(small: SmallWorld) -> None:
    small.publish_corpus(one_class_in="validation")  # the metric is undefined there, for every algorithm
    with pytest.raises(LearningError, match="every algorithm failed"):
        small.train()
    assert {run.status for run in small.registry.runs.values()} == {"FAILED"}
    with pytest.raises(RegistryError):
        small.registry.version(SLOT.registered_name, "1")
    with pytest.raises(CorpusError):
        read_challenger(small.lake, SLOT)


class _ClosedRegistry(FakeModelRegistry):
    """Tracks runs but registers nothing."""

    def register(self, name: str, *_: Any) -> RegisteredVersion:
        raise RegistryError("the registry cannot be reached", where=name)


def test_failed_registration_keeps_the_challenger_of_before(small: SmallWorld) -> None:
    before = small.train()
    small.publish_corpus(seed=1)
    closed = _ClosedRegistry()
    with pytest.raises(RegistryError, match="cannot be reached"):
        train_challenger(make_request(), lake=small.lake, registry=closed, stamps=STAMPS)
    assert "FAILED" in {run.status for run in closed.runs.values() if run.parent_run_id is None}
    assert read_challenger(small.lake, SLOT) == before
