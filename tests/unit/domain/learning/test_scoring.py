"""A day's scores: of the right rows, by the right model, all of them or none."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from mlops_assets.domain.errors import LearningError, ModelIntegrityError, StorageError
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.bundle import Scorer
from mlops_assets.domain.learning.champions import load_version
from mlops_assets.domain.learning.dataset import dataset_from_arrow
from mlops_assets.domain.learning.scoring import ScoreOutcome, score_day
from mlops_assets.domain.learning.training import Challenger
from mlops_assets.domain.ports import LedgerEntry, PartitionId
from tests.unit.domain.learning.small_world import (
    AS_OF_DAY,
    DECIDED,
    NEXT_DAY,
    SLOT,
    TABLE,
    SmallWorld,
    make_request,
)


def promote(world: SmallWorld, challenger: Challenger, as_of_day: dt.date | None = AS_OF_DAY) -> LedgerEntry:
    """Make a challenger champion."""
    current = world.ledger.champion(SLOT)
    return world.ledger.record(
        LedgerEntry(
            decision_id=f"d{challenger.version}",
            slot=SLOT,
            outcome="promoted",
            version=challenger.version,
            bundle_sha256=challenger.bundle_sha256,
            previous_version=current.version if current else None,
            decided_by="test",
            decided_at_utc=DECIDED,
            as_of_day=as_of_day,
            evidence_sha256="e" * 64,
            reasons=(),
        )
    )


def score(world: SmallWorld, day: dt.date = NEXT_DAY) -> ScoreOutcome:
    """Score a day."""
    return score_day(
        SLOT,
        make_request().corpus,
        day,
        lake=world.lake,
        engine=world.engine,
        registry=world.registry,
        ledger=world.ledger,
    )


def test_active_rows_get_the_prediction_of_the_champion(small: SmallWorld) -> None:
    champion = promote(small, small.train())
    small.publish_features(NEXT_DAY)
    outcome = score(small)
    assert (outcome.status, outcome.champion) == ("scored", champion)
    features = pq.read_table(small.lake.path(PartitionId(TABLE, "cl", NEXT_DAY)))
    wanted = features.filter(np.array(features["status"].to_pylist()) == "active")
    scorer = load_version(small.registry, SLOT, champion.version, champion.bundle_sha256)
    dataset = dataset_from_arrow(
        wanted, scorer.features, key_column="subscriber_id", categorical=scorer.categorical
    )
    found = pq.read_table(small.lake.path(outcome.partition))
    scores = dict(zip(found["subscriber_id"].to_pylist(), found["score"].to_pylist(), strict=True))
    predicted = dict(zip(wanted["subscriber_id"].to_pylist(), scorer.predict(dataset), strict=True))
    assert scores == pytest.approx(predicted, abs=1e-12)
    assert set(found["model_version"].to_pylist()) == {champion.version}
    assert outcome.manifest is not None
    assert outcome.manifest.row_count == len(scores) == 20
    assert outcome.manifest.facts == {"model_version": "1", "bundle_sha256": champion.bundle_sha256}


@pytest.mark.parametrize("outcome", ["pending", "rejected", "expired", None])
def test_newest_version_does_not_serve_because_it_is_the_newest(
    small: SmallWorld, outcome: str | None
) -> None:
    """Fault of a public system: the newest file was served, whether it was promoted or not."""
    champion = promote(small, small.train(features=["topups"]))
    newest = small.train()
    if outcome is not None:
        changes = {"decision_id": "d-newest", "outcome": outcome, "previous_version": champion.version}
        judged = replace(champion, version=newest.version, bundle_sha256=newest.bundle_sha256, **changes)
        small.ledger.record(judged)
    small.registry.project_aliases(SLOT.registered_name, newest.version, newest.version)  # by somebody's hand
    small.publish_features(NEXT_DAY)
    scored = score(small)
    assert scored.champion == champion
    rows = pq.read_table(small.lake.path(scored.partition))
    assert set(rows["model_version"].to_pylist()) == {champion.version}
    assert small.registry.version(SLOT.registered_name, newest.version).version > champion.version


def test_nobody_serves_before_a_promotion_nor_on_its_own_days(small: SmallWorld) -> None:
    for day in (AS_OF_DAY, NEXT_DAY):
        small.publish_features(day)
    assert score(small).status == "no_champion"
    promote(small, small.train())
    assert score(small, AS_OF_DAY).status == "no_champion", "its labels reach into that day"
    assert score(small, NEXT_DAY).status == "scored"
    assert small.lake.days("scores/churn/churn_risk", "cl") == [NEXT_DAY]


def test_day_without_features_is_reported(small: SmallWorld) -> None:
    promote(small, small.train())
    outcome = score(small)
    assert (outcome.status, outcome.manifest) == ("missing_input", None)
    assert f"{TABLE}[cl {NEXT_DAY}]" in outcome.detail
    assert small.lake.days("scores/churn/churn_risk", "cl") == []


def test_scores_are_reused_until_features_or_champion_change(small: SmallWorld) -> None:
    promote(small, small.train())
    small.publish_features(NEXT_DAY)
    first, again = score(small), score(small)
    assert (first.status, again.status) == ("scored", "reused")
    assert again.manifest == first.manifest
    small.publish_features(NEXT_DAY, statuses=("active",))
    corrected = score(small)
    assert corrected.status == "scored"
    assert corrected.manifest is not None
    assert corrected.manifest.row_count == 40
    small.publish_corpus(seed=1)
    second = promote(small, small.train())
    renewed = score(small)
    assert renewed.status == "scored"
    assert renewed.manifest is not None
    assert renewed.manifest.facts["bundle_sha256"] == second.bundle_sha256


def test_day_that_is_run_again_gets_the_champion_of_then(small: SmallWorld) -> None:
    first, later = promote(small, small.train()), NEXT_DAY + dt.timedelta(days=1)
    for day in (NEXT_DAY, later):
        small.publish_features(day)
    small.publish_corpus(seed=1)
    second = promote(small, small.train(), as_of_day=NEXT_DAY)
    assert score(small, NEXT_DAY).champion == first
    assert score(small, later).champion == second


def test_day_without_anybody_active_has_an_empty_file_with_all_columns(small: SmallWorld) -> None:
    promote(small, small.train())
    small.publish_features(NEXT_DAY)
    filled = pq.read_schema(small.lake.path(score(small).partition))
    small.publish_features(NEXT_DAY, statuses=("prospect",))
    outcome = score(small)
    assert outcome.manifest is not None
    assert outcome.manifest.row_count == 0
    empty = pq.read_table(small.lake.path(outcome.partition))
    assert (empty.num_rows, empty.schema) == (0, filled)


def test_changed_bundle_scores_nothing_and_leaves_what_was_there(small: SmallWorld) -> None:
    promote(small, small.train())
    small.publish_features(NEXT_DAY)
    before = score(small).manifest
    small.publish_corpus(seed=1)
    second = small.train()
    promote(small, second)
    small.damage(second)
    with pytest.raises(ModelIntegrityError, match="SHA-256"):
        score(small)
    assert small.lake.manifest(PartitionId("scores/churn/churn_risk", "cl", NEXT_DAY)) == before


def test_score_that_is_no_number_publishes_nothing(
    small: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(small, small.train())
    small.publish_features(NEXT_DAY)

    def refuse(self: Scorer, *_: object) -> None:
        raise LearningError("1 predictions are not finite", where=self.algorithm)

    monkeypatch.setattr(Scorer, "predict", refuse)
    with pytest.raises(LearningError, match="not finite"):
        score(small)
    assert small.lake.days("scores/churn/churn_risk", "cl") == []


def test_table_that_lost_a_feature_is_refused(small: SmallWorld) -> None:
    promote(small, small.train())
    small.publish_features(NEXT_DAY)
    source = PartitionId(TABLE, "cl", NEXT_DAY)
    rows = pq.read_table(small.lake.path(source)).drop_columns(["topups"])
    with small.lake.write(source, stable_hash("narrow")) as writer:
        pq.write_table(rows, writer.file("data"))
        writer.commit(row_count=rows.num_rows)
    with pytest.raises(LearningError, match="topups"):
        score(small)


def test_features_whose_file_is_gone_are_refused(small: SmallWorld) -> None:
    promote(small, small.train())
    small.publish_features(NEXT_DAY)
    small.lake.path(PartitionId(TABLE, "cl", NEXT_DAY)).unlink()
    with pytest.raises(StorageError):
        score(small)


def test_another_slots_champion_does_not_serve(small: SmallWorld) -> None:
    entry = promote(small, small.train())
    small.ledger.entries[:] = [replace(entry, slot=replace(SLOT, segment="pe"))]
    small.publish_features(NEXT_DAY)
    assert score(small).status == "no_champion"
