"""From a challenger to a recorded decision: once, against the champion of now, from verified bytes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mlops_assets.domain.errors import ModelIntegrityError, StaleChampionError
from mlops_assets.domain.learning.promotion import judge_challenger, with_champion_features
from mlops_assets.domain.learning.training import Challenger
from mlops_assets.domain.ports import LedgerEntry
from tests.fakes.promotion_ledger import FakePromotionLedger
from tests.unit.domain.learning.samples import FEATURES
from tests.unit.domain.learning.small_world import AS_OF_DAY, DECIDED, GATE, SLOT, SmallWorld, make_request

NAME = SLOT.registered_name
STRICT = {"gate": {**GATE, "floor": 0.999}}


def judge(world: SmallWorld, challenger: Challenger, **model: Any) -> LedgerEntry:
    """Let the gate decide."""
    return judge_challenger(
        challenger,
        make_request(**model),
        lake=world.lake,
        registry=world.registry,
        ledger=world.ledger,
        decided_at_utc=DECIDED,
    )


def test_first_challenger_that_passes_is_champion(small: SmallWorld) -> None:
    challenger = small.train()
    entry = judge(small, challenger)
    assert entry.outcome == "promoted", entry.reasons
    assert small.ledger.champion(SLOT) == entry
    assert (entry.version, entry.bundle_sha256) == (challenger.version, challenger.bundle_sha256)
    assert (entry.previous_version, entry.as_of_day, entry.decided_at_utc) == (None, AS_OF_DAY, DECIDED)
    assert all(check["is_passed"] for check in entry.evidence["checks"])
    assert small.registry.aliases(NAME) == {"champion": "1", "challenger": "1"}


def test_rejection_is_recorded_with_its_reasons_and_promotes_nobody(small: SmallWorld) -> None:
    entry = judge(small, small.train(), **STRICT)
    assert entry.outcome == "rejected"
    assert any("at least 0.999 needed" in reason for reason in entry.reasons)
    assert small.ledger.champion(SLOT) is None
    assert small.ledger.history(SLOT) == [entry]
    assert small.registry.aliases(NAME) == {"challenger": "1"}


def test_repeating_the_judgement_records_nothing_new(small: SmallWorld) -> None:
    challenger = small.train()
    first = judge(small, challenger)
    small.registry.aliases_by_name.clear()
    assert judge(small, challenger) == first
    assert len(small.ledger.history(SLOT)) == 1
    assert small.registry.aliases(NAME) == {"champion": "1", "challenger": "1"}, "projected again"


def test_repeated_rejection_is_one_entry(small: SmallWorld) -> None:
    challenger = small.train()
    assert judge(small, challenger, **STRICT) == judge(small, challenger, **STRICT)
    assert len(small.ledger.history(SLOT)) == 1


def test_challenger_is_compared_with_the_champion(small: SmallWorld) -> None:
    champion = judge(small, small.train())
    weak = {"algorithms": {"linear": {"hyperparameters": {"inverse_penalty": 1e-6}}}}
    challenger = small.train(features=["noise", "topups"], **weak)
    entry = judge(small, challenger, **weak)
    assert entry.outcome == "rejected"
    assert entry.previous_version == champion.version
    assert any("over the champion" in reason for reason in entry.reasons)
    assert small.ledger.champion(SLOT) == champion
    assert small.registry.aliases(NAME) == {"champion": "1", "challenger": "2"}


def test_a_champion_whose_feature_is_gone_cannot_be_compared_and_stays(small: SmallWorld) -> None:
    first = judge(small, small.train(features=["usage_mb", "noise"]))
    small.drop_from_corpus("noise")
    narrow = {"features": ["usage_mb", "topups"]}
    entry = judge(small, small.train(**narrow), **narrow)
    assert entry.outcome == "rejected"
    assert "features ['noise'] are absent" in entry.reasons[0]
    assert small.ledger.champion(SLOT) == first


def test_changed_bundle_is_neither_loaded_nor_judged(small: SmallWorld) -> None:
    challenger = small.train()
    small.damage(challenger)
    with pytest.raises(ModelIntegrityError, match="SHA-256"):
        judge(small, challenger)
    assert small.ledger.entries == []


class _BusyLedger(FakePromotionLedger):
    """Somebody else promotes between the reading of the champion and the recording of the decision."""

    def record(self, entry: LedgerEntry) -> LedgerEntry:
        other = replace(entry, decision_id="other", version="9", bundle_sha256="d" * 64)
        super().record(other)
        return super().record(entry)


def test_champion_that_moved_meanwhile_is_not_overwritten(small: SmallWorld) -> None:
    small.ledger = _BusyLedger()
    with pytest.raises(StaleChampionError):
        judge(small, small.train())
    champion = small.ledger.champion(SLOT)
    assert champion is not None
    assert champion.version == "9"


def test_features_of_the_champion_join_the_corpus(small: SmallWorld) -> None:
    narrow = make_request(features=["topups"])

    def asked(known: list[str]) -> list[str]:
        request = with_champion_features(narrow, known, registry=small.registry, ledger=small.ledger)
        return request.model.features

    assert asked(FEATURES) == ["topups"], "there is no champion yet"
    judge(small, small.train())
    assert asked(FEATURES) == ["topups", *(f for f in FEATURES if f != "topups")]
    assert asked(["topups", "plan"]) == ["topups", "plan"], "what the table no longer has stays out"
    assert narrow.model.features == ["topups"]
