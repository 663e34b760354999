"""An algorithm by one file and one line: named in a use case, it is checked, trained, compared, promoted, stored."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from mlops_assets.domain.learning.algorithms import ALGORITHMS
from mlops_assets.domain.learning.bundle import load_bundle, save_bundle
from mlops_assets.domain.learning.champions import load_version
from mlops_assets.domain.learning.corpus import CorpusRequest
from mlops_assets.domain.learning.corpus_reader import load_corpus
from mlops_assets.domain.learning.training import read_challenger
from tests.integration.command_line import CommandLine
from tests.integration.loop.centroid_algorithm import CentroidAlgorithm, CentroidModel
from tests.integration.loop.conftest import Loop
from tests.integration.small_operator import slot_in

SLOT = slot_in("cl")


@pytest.fixture
def without_champions(own: Loop, tmp_path: Path) -> Loop:
    """The operator's days with nothing learned yet; the churn use case names the plug-in."""
    for folder in ("ledger", "mlflow", "lake/corpus", "lake/model"):
        shutil.rmtree(own.home / folder, ignore_errors=True)
    configs = Path(shutil.copytree(own.configs, tmp_path / "configs"))
    path = configs / "use_cases" / "churn.yaml"
    settings = yaml.safe_load(path.read_text())
    settings["models"]["churn_risk"]["algorithms"] = {
        "centroid": {"hyperparameters": {"shrinkage": 2.0}},
        "dummy": {},
    }
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    return Loop(own.home, configs)


def test_unknown_until_its_line_is_there(without_champions: Loop, mlops: CommandLine) -> None:
    mlops.use(without_champions.home, without_champions.configs)
    told = mlops("config", "check")
    assert told.status == 1
    assert "unknown algorithm 'centroid'" in told.err


def test_plugin_is_trained_promoted_and_stored(
    without_champions: Loop, mlops: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(ALGORITHMS, "centroid", CentroidAlgorithm())  # the one line
    mlops.use(without_champions.home, without_champions.configs)
    assert mlops("config", "check").status == 0
    told = mlops("train", "churn", "--segment", "cl")
    assert told.status == 0, told

    platform = without_champions.workspace.platform
    settings = without_champions.workspace.config.use_cases["churn"]["cl"]
    request = CorpusRequest("churn", "churn_risk", settings.corpus, settings.models["churn_risk"], "cl")
    challenger = read_challenger(platform.lake, SLOT)
    assert [row["algorithm"] for row in challenger.leaderboard] == ["centroid", "dummy"]
    champion = platform.ledger.champion(SLOT)
    assert champion is not None
    assert (champion.outcome, champion.evidence["algorithm"]) == ("promoted", "centroid")

    scorer = load_version(platform.registry, SLOT, champion.version, champion.bundle_sha256)
    assert isinstance(scorer.model, CentroidModel)
    holdout = load_corpus(request.partition, platform.lake, request.corpus, request.model)["holdout"]
    again = load_bundle(tmp_path / "bundle", save_bundle(tmp_path / "bundle", scorer))
    predicted = scorer.predict(holdout)
    assert np.array_equal(predicted, again.predict(holdout))
    assert predicted[holdout.y == 1].mean() > predicted[holdout.y == 0].mean()
