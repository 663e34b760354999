"""What a retraining report measures: both models on the same rows, importances, moved data."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.domain.learning.bundle import Scorer
from mlops_assets.domain.learning.champions import load_version
from mlops_assets.domain.learning.corpus_reader import load_corpus
from mlops_assets.domain.learning.evidence import union_features
from mlops_assets.domain.learning.explanation import find_important
from mlops_assets.domain.learning.promotion import judge_challenger
from mlops_assets.domain.learning.retraining_review import (
    ReviewSources,
    read_moved_data,
    review_retraining,
)
from mlops_assets.domain.learning.training import Challenger
from mlops_assets.domain.ports import LedgerEntry, PartitionId
from mlops_assets.domain.reporting.retraining_report_page import render_retraining_markdown
from resources.lake import LocalLake
from tests.unit.domain.learning.small_world import DECIDED, SLOT, SmallWorld, make_request

DAY = dt.date(2026, 9, 1)
WEAK = {"algorithms": {"linear": {"hyperparameters": {"inverse_penalty": 1e-6}}}}


def judge(world: SmallWorld, challenger: Challenger, **model: Any) -> LedgerEntry:
    return judge_challenger(
        challenger, make_request(**model), lake=world.lake, registry=world.registry, ledger=world.ledger,
        decided_at_utc=DECIDED,
    )  # fmt: skip


def load(world: SmallWorld, challenger: Challenger) -> Scorer:
    return load_version(world.registry, SLOT, challenger.version, challenger.bundle_sha256)


def sources(
    world: SmallWorld, entry: LedgerEntry, challenger: Scorer, champion: Scorer | None
) -> ReviewSources:
    request = make_request()
    reading = request.model.model_copy(update={"features": list(union_features(challenger, champion))})
    return ReviewSources(
        reason="behaviour shift", spec=request.model, entry=entry, challenger=challenger, champion=champion,
        holdout=load_corpus(request.partition, world.lake, request.corpus, reading)["holdout"],
        columns={"usage_mb": ("MB", "volume of 30 days")},
    )  # fmt: skip


def test_both_models_are_measured_on_the_rows_of_the_decision(small: SmallWorld) -> None:
    first = small.train()
    judge(small, first)
    second = small.train(features=["noise", "topups"], **WEAK)
    entry = judge(small, second, **WEAK)
    report = review_retraining(sources(small, entry, load(small, second), load(small, first)))
    deciding = report.metrics[0]
    figures = entry.evidence["figures"]
    assert deciding.name == report.metric
    assert deciding.champion is not None
    assert deciding.challenger.value == pytest.approx(figures["challenger"]["metric"])
    assert deciding.champion.value == pytest.approx(figures["baseline"]["metric"])
    assert deciding.gain == pytest.approx(figures["gain"])
    assert deciding.champion.low is not None
    assert deciding.champion.low < deciding.champion.value
    assert (report.champion_version, report.version) == ("1", "2")
    assert report.decision.outcome == "rejected"
    assert report.holdout_rows == figures["holdout_rows"]


def test_features_that_came_and_went_are_named(small: SmallWorld) -> None:
    first = small.train(features=["usage_mb", "plan"])
    judge(small, first)
    second = small.train(features=["usage_mb", "noise"])
    entry = judge(small, second)
    report = review_retraining(sources(small, entry, load(small, second), load(small, first)))
    moves = {one.name: one for one in report.features}
    assert moves["plan"].after is None
    assert moves["noise"].before is None
    assert moves["usage_mb"].meaning == "volume of 30 days"
    assert {one.name for one in report.new_features} <= {"noise", "usage_mb"}
    assert {one.name for one in report.lost_features} <= {"plan", "usage_mb"}
    assert sum(one.after or 0.0 for one in report.features) == pytest.approx(1.0)


def test_a_champion_whose_feature_is_gone_has_no_figures(small: SmallWorld) -> None:
    first = small.train(features=["usage_mb", "noise"])
    judge(small, first)
    small.drop_from_corpus("noise")
    second = small.train(features=["usage_mb", "topups"])
    entry = judge(small, second, features=["usage_mb", "topups"])
    report = review_retraining(sources(small, entry, load(small, second), load(small, first)))
    assert (report.champion_version, report.decision.outcome) == ("1", "rejected")
    assert all(one.champion is None for one in report.metrics)
    assert report.metrics[0].challenger.value > 0.5
    assert "are absent" in render_retraining_markdown(report)


def test_a_first_champion_stands_alone(small: SmallWorld) -> None:
    first = small.train()
    entry = judge(small, first)
    report = review_retraining(sources(small, entry, load(small, first), None))
    assert report.champion_version is None
    assert all(one.champion is None and one.gain is None for one in report.metrics)


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ({"a": 0.85, "b": 0.1, "c": 0.05}, {"a", "b"}),
        ({"a": 1.0, "b": 0.0}, {"a"}),
        ({"a": 0.0, "b": 0.0}, set()),
        ({"a": 0.5, "b": 0.5}, {"a", "b"}),
        ({}, set()),
    ],
)
def test_important_features_make_up_nine_tenths(shares: dict[str, float], expected: set[str]) -> None:
    assert find_important(shares) == expected


def test_moved_data_are_those_of_the_last_four_weeks(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    one = {"table": "feeds/usage", "feature": "data_mb", "distance": 0.2, "threshold": 0.1}
    other = {"table": "feeds/usage", "feature": "calls", "distance": 0.3, "threshold": 0.1}
    days = {0: [one], 1: [one | {"distance": 0.4, "threshold": 0.15}, other], 28: [other], -1: [other]}
    for back, moved in days.items():
        partition = PartitionId("quality/plan_usage/features", "cl", DAY - dt.timedelta(days=back))
        with lake.write(partition, f"{back + 1:016x}") as writer:
            writer.commit(row_count=0, facts={"moved": moved})
    found = read_moved_data(lake, ["plan_usage"], "cl", DAY)
    assert [(m.feature, m.days, m.distance, m.threshold) for m in found] == [
        ("data_mb", 2, 0.4, 0.15),
        ("calls", 1, 0.3, 0.1),
    ]
    assert read_moved_data(lake, ["plan_usage"], "cl", None) == ()


def test_a_day_counts_once_however_many_monitors_watch_the_feature(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    for monitor, distance in (("plan_usage", 0.2), ("subscribers", 0.3)):
        moved = {"table": "feeds/usage", "feature": "data_mb", "distance": distance, "threshold": 0.1}
        with lake.write(PartitionId(f"quality/{monitor}/features", "cl", DAY), "0" * 16) as writer:
            writer.commit(row_count=0, facts={"moved": [moved]})
    (found,) = read_moved_data(lake, ["subscribers", "plan_usage"], "cl", DAY)
    assert (found.days, found.distance) == (1, 0.3)
