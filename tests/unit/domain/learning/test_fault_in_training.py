"""A fault that the feed gate let pass may be learned from, but what learned from it is not promoted."""

from __future__ import annotations

from typing import Any

import pytest

from mlops_assets.domain.learning.corpus_reader import load_corpus
from mlops_assets.domain.learning.dataset import Dataset
from mlops_assets.domain.learning.promotion import judge_challenger
from mlops_assets.domain.ports import LedgerEntry
from tests.unit.domain.learning.small_world import (
    DECIDED,
    KB_PER_MB,
    SLOT,
    SmallWorld,
    make_request,
)

# The newest training days, and with them the days on which the algorithms are compared.
FAULT = {"train": 150, "validation": 300}
ALGORITHMS = {
    "linear": {"linear": {}},
    "trees": {"hist_gradient_boosting": {"hyperparameters": {"iterations": 40, "max_leaves": 7}}},
    "a leaderboard": {
        "linear": {},
        "hist_gradient_boosting": {"hyperparameters": {"iterations": 40, "max_leaves": 7}},
        "dummy": {},
    },
}


def retrain(world: SmallWorld, algorithms: dict[str, Any]) -> LedgerEntry:
    """Train on the published corpus and let the gate decide."""
    return judge_challenger(
        world.train(algorithms=algorithms),
        make_request(algorithms=algorithms),
        lake=world.lake,
        registry=world.registry,
        ledger=world.ledger,
        decided_at_utc=DECIDED,
    )


def read(world: SmallWorld) -> dict[str, Dataset]:
    request = make_request()
    return load_corpus(request.partition, world.lake, request.corpus, request.model)


@pytest.mark.parametrize("algorithms", ALGORITHMS.values(), ids=ALGORITHMS)
def test_challenger_that_learned_from_wrong_units_is_rejected(
    small: SmallWorld, algorithms: dict[str, Any]
) -> None:
    champion = retrain(small, algorithms)
    assert champion.outcome == "promoted", champion.reasons
    sound = read(small)
    small.publish_corpus(wrong_units_in=FAULT)
    faulty = read(small)
    usage = sound["train"].features.index("usage_mb")
    assert faulty["train"].numbers[-1, usage] == pytest.approx(
        sound["train"].numbers[-1, usage] * KB_PER_MB, nan_ok=True
    )
    assert (faulty["holdout"].y == sound["holdout"].y).all()
    entry = retrain(small, algorithms)
    assert entry.outcome == "rejected"
    assert any("gain in roc_auc over the champion" in reason for reason in entry.reasons), entry.reasons
    figures, before = entry.evidence["figures"], champion.evidence["figures"]
    assert figures["holdout_sha256"] == before["holdout_sha256"], "both were measured on the same rows"
    assert figures["baseline"]["metric"] == before["challenger"]["metric"]
    assert figures["gain_high"] < 0, "worse beyond chance"
    assert small.ledger.champion(SLOT) == champion
    assert small.registry.aliases(SLOT.registered_name) == {"champion": "1", "challenger": "2"}


@pytest.mark.parametrize("algorithms", ALGORITHMS.values(), ids=ALGORITHMS)
def test_champion_that_learned_from_wrong_units_is_replaced_by_a_sound_one(
    small: SmallWorld, algorithms: dict[str, Any]
) -> None:
    """The other way round: it is the fault that decides, not who comes second."""
    small.publish_corpus(wrong_units_in=FAULT)
    assert retrain(small, algorithms).outcome == "promoted"
    small.publish_corpus()
    entry = retrain(small, algorithms)
    assert entry.outcome == "promoted", entry.reasons
    assert (entry.version, entry.previous_version) == ("2", "1")
