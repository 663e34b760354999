"""A champion is continued only where that is sound, on the newest rows, and can be done again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mlops_assets.domain.errors import LearningError
from mlops_assets.domain.learning.algorithms import ALGORITHMS, CONTINUABLE, FitRequest
from mlops_assets.domain.learning.bundle import Scorer
from mlops_assets.domain.learning.champions import load_version
from mlops_assets.domain.learning.corpus_reader import load_corpus
from mlops_assets.domain.learning.dataset import Dataset
from mlops_assets.domain.learning.exposure import Exposure, exposure_to_keys, join_exposures
from mlops_assets.domain.learning.leaderboard import Entry, pick_best, run_leaderboard
from mlops_assets.domain.learning.metrics import METRICS, measure
from mlops_assets.domain.learning.promotion import judge_challenger
from mlops_assets.domain.learning.training import Challenger, train_challenger
from mlops_assets.domain.learning.warm_start import (
    STAMP,
    WarmStart,
    plan_warm_start,
    read_warm_start,
    take_recent_rows,
)
from mlops_assets.domain.ports import LedgerEntry
from tests.unit.domain.learning.samples import make_dataset, make_spec
from tests.unit.domain.learning.small_world import DECIDED, SLOT, STAMPS, SmallWorld, make_request

BASE_TREES, MORE_TREES = 20, 10
BOOSTED = {"catboost": {"hyperparameters": {"iterations": BASE_TREES}}}
POLICY = {"trees": MORE_TREES, "recent_share": 0.5, "cold_every": 3, "max_trees": 100}
SHALLOW = {"random_forest": {"hyperparameters": {"trees": 3, "max_depth": 1}}}
WARM: Mapping[str, Any] = {"algorithms": BOOSTED | SHALLOW, "warm_start": POLICY}
ALWAYS = {"gate": {"min_holdout_rows": 50, "min_holdout_positives": 10, "max_regret": 1.0}}
TASKS = ("binary", "multiclass", "regression", "quantile")


def judge(world: SmallWorld, challenger: Challenger, **model: Any) -> LedgerEntry:
    return judge_challenger(
        challenger, make_request(**model), lake=world.lake, registry=world.registry, ledger=world.ledger,
        decided_at_utc=DECIDED,
    )  # fmt: skip


def plan(
    world: SmallWorld, config_sha256: str = STAMPS["config_sha256"], **model: Any
) -> tuple[WarmStart | None, str]:
    spec = make_request(**{**WARM, **model}).model
    return plan_warm_start(SLOT, spec, config_sha256, registry=world.registry, ledger=world.ledger)


def train_warm(world: SmallWorld, warm: WarmStart | None) -> Challenger:
    return train_challenger(
        make_request(**WARM), lake=world.lake, registry=world.registry, stamps=STAMPS, warm=warm
    )


def load(world: SmallWorld, challenger: Challenger) -> Scorer:
    return load_version(world.registry, SLOT, challenger.version, challenger.bundle_sha256)


@pytest.fixture
def champion(small: SmallWorld) -> Challenger:
    """A boosted champion, with what it will meet next: other rows."""
    challenger = small.train(**WARM)
    assert judge(small, challenger, **WARM).outcome == "promoted"
    small.publish_corpus(seed=1)
    return challenger


def fit(task: str, rows: Dataset, trees: int = BASE_TREES) -> Any:
    quantile = 0.8 if task == "quantile" else None
    request = FitRequest(task, {"iterations": trees}, quantile=quantile)  # type: ignore[arg-type]
    return ALGORITHMS["catboost"].fit(rows, None, request), request


@pytest.mark.parametrize("task", TASKS)
def test_continuing_adds_trees_and_leaves_the_base_alone(task: Any) -> None:
    old, new = make_dataset(400, task), make_dataset(400, task, seed=3)
    base, request = fit(task, old)
    before = base.predict(new)
    more = replace(request, hyperparameters={"iterations": MORE_TREES})
    twice = [CONTINUABLE["catboost"].continue_fit(base, new, None, more) for _ in range(2)]
    assert CONTINUABLE["catboost"].count_trees(twice[0]) == BASE_TREES + MORE_TREES
    assert CONTINUABLE["catboost"].count_trees(base) == BASE_TREES
    np.testing.assert_array_equal(base.predict(new), before)
    np.testing.assert_array_equal(twice[0].predict(new), twice[1].predict(new))
    metric = {"multiclass": "log_loss", "binary": "log_loss", "regression": "rmse", "quantile": "pinball"}[
        task
    ]
    figures = [measure(metric, new.y, model.predict(new), request.quantile) for model in (twice[0], base)]
    assert figures[0] < figures[1], "it has learned from the new rows"


def test_continuing_stops_where_validation_gets_worse() -> None:
    base, request = fit("binary", make_dataset(400))
    noise = replace(make_dataset(300, seed=5), y=np.random.default_rng(0).integers(0, 2, 300).astype(float))
    greedy = replace(request, hyperparameters={"iterations": 50, "learning_rate": 1.0})
    stopped = CONTINUABLE["catboost"].continue_fit(base, noise, make_dataset(300, seed=6), greedy)
    assert CONTINUABLE["catboost"].count_trees(stopped) < BASE_TREES + 10


def test_what_does_not_fit_together_is_not_continued() -> None:
    rows = make_dataset(200)
    base, request = fit("binary", rows)
    with pytest.raises(LearningError, match="cannot be continued on rows of"):
        CONTINUABLE["catboost"].continue_fit(base, rows.select(["usage_mb", "noise"]), None, request)
    linear = ALGORITHMS["linear"].fit(rows, None, FitRequest("binary"))
    with pytest.raises(LearningError, match="no CatBoost model"):
        CONTINUABLE["catboost"].continue_fit(linear, rows, None, request)
    with pytest.raises(LearningError, match="same label"):
        CONTINUABLE["catboost"].continue_fit(base, rows.take(rows.y == 1), None, request)


def test_recent_rows_are_whole_days_and_an_even_sample_of_the_border() -> None:
    days = np.repeat(np.array(["2026-03-01", "2026-03-08", "2026-03-15"], dtype="datetime64[D]"), 100)
    rows = replace(make_dataset(300), as_of=days)
    recent = take_recent_rows(rows, 0.5)
    assert recent.as_of is not None
    assert recent.rows == 150
    found = dict(zip(*np.unique(recent.as_of.astype(str), return_counts=True), strict=True))
    assert found == {"2026-03-15": 100, "2026-03-08": 50}
    border = [int(key[1:]) for key in recent.keys[recent.as_of < np.datetime64("2026-03-15")]]
    assert (min(border), max(border)) == (100, 199)
    assert max(np.diff(border)) <= 3
    assert take_recent_rows(rows, 0.001).rows == 1
    assert take_recent_rows(rows, 1.0) is rows


def test_a_champion_is_continued_alone_and_what_it_saw_counts(
    small: SmallWorld, champion: Challenger
) -> None:
    warm, why = plan(small)
    assert warm is not None
    assert (warm.is_alone, warm.since_cold, warm.base_version) == (True, 1, champion.version)
    assert "version 1 is continued, 1 in a row" in why
    late = dt.date(2026, 4, 1)
    warm = replace(warm, base=replace(warm.base, exposure=Exposure(trained_through_day=late)))
    challenger = train_warm(small, warm)
    assert [row["algorithm"] for row in challenger.leaderboard] == ["catboost, continued", "dummy"]
    assert challenger.algorithm == "catboost"
    assert "catboost, continued leads" in challenger.reason
    assert challenger.stamps[STAMP]["base_bundle_sha256"] == champion.bundle_sha256
    scorer = load(small, challenger)
    assert scorer.exposure.trained_through_day == late
    trees = CONTINUABLE["catboost"].count_trees
    assert trees(load(small, champion).model) < trees(scorer.model)
    assert trees(scorer.model) <= BASE_TREES + MORE_TREES


@pytest.mark.parametrize(
    ("model", "config_sha256", "why"),
    [
        ({"warm_start": None}, "c" * 64, "no warm start is configured"),
        ({"features": ["usage_mb", "noise"]}, "c" * 64, "other features"),
        ({"algorithms": {"linear": {}}}, "c" * 64, "is catboost, which is not continued"),
        ({}, "d" * 64, "under other settings"),
        ({"warm_start": {**POLICY, "max_trees": 25}}, "c" * 64, "20 trees, 10 more are over the limit of 25"),
    ],
)
def test_what_stands_against_it_is_told(
    small: SmallWorld, champion: Challenger, model: dict[str, Any], config_sha256: str, why: str
) -> None:
    assert load(small, champion).algorithm == "catboost"
    warm, told = plan(small, config_sha256, **model)
    assert warm is None
    assert told.startswith("cold: ")
    assert why in told


def test_no_champion_and_one_of_another_kind(small: SmallWorld) -> None:
    assert plan(small) == (None, "cold: there is no champion")
    assert judge(small, small.train()).outcome == "promoted"
    assert plan(small)[1] == "cold: the champion is linear, which is not continued"


def test_after_a_rejection_the_cold_fits_compete(small: SmallWorld, champion: Challenger) -> None:
    strict = {**WARM, "gate": {"floor": 0.999, "min_holdout_rows": 50, "min_holdout_positives": 10}}
    assert judge(small, train_warm(small, plan(small)[0]), **strict).outcome == "rejected"
    warm, why = plan(small)
    assert warm is not None
    assert (warm.is_alone, warm.since_cold, warm.base_version) == (False, 0, champion.version)
    assert "the last decision was no promotion" in why
    board = {row["algorithm"] for row in train_warm(small, warm).leaderboard}
    assert board == {"catboost, continued", "catboost", "random_forest", "dummy"}


@pytest.mark.usefixtures("champion")
def test_the_cold_fits_have_their_turn(small: SmallWorld) -> None:
    alone = []
    for seed in (2, 3, 4):
        warm, _ = plan(small)
        assert warm is not None
        alone.append((warm.is_alone, warm.since_cold))
        challenger = train_warm(small, replace(warm, trees=seed))
        entry = judge(small, challenger, **{**WARM, **ALWAYS})
        small.ledger.entries[-1] = replace(entry, outcome="promoted")
        small.publish_corpus(seed=seed)
    assert alone == [(True, 1), (True, 2), (False, 0)]


def test_if_it_fails_the_others_are_fitted_after_all(small: SmallWorld, champion: Challenger) -> None:
    warm, _ = plan(small)
    assert warm is not None
    signature = replace(warm.base.signature, categorical=())
    model = replace(warm.base.model, signature=signature)  # type: ignore[type-var]
    challenger = train_warm(small, replace(warm, base=replace(warm.base, model=model)))
    assert {row["algorithm"] for row in challenger.leaderboard if not row["error"]} == {
        "catboost", "random_forest", "dummy",
    }  # fmt: skip
    failed = challenger.leaderboard[-1]
    assert failed["algorithm"] == "catboost, continued"
    assert "cannot be continued" in failed["error"]
    assert (
        load(small, challenger).exposure.trained_through_day
        == load(small, champion).exposure.trained_through_day
    )


@pytest.mark.usefixtures("champion")
def test_the_stamps_are_enough_to_do_it_again(small: SmallWorld) -> None:
    warm, _ = plan(small)
    challenger = train_warm(small, warm)
    original = load(small, challenger)
    assert read_warm_start({}, SLOT, small.registry) is None
    request = make_request(**WARM)
    parts = load_corpus(request.partition, small.lake, request.corpus, request.model)
    again = run_leaderboard(
        request.model, parts["train"], parts["validation"],
        warm=read_warm_start(original.stamps, SLOT, small.registry),
    )  # fmt: skip
    scorer = again.challenger(original.exposure, {})
    np.testing.assert_array_equal(scorer.predict(parts["holdout"]), original.predict(parts["holdout"]))


@pytest.mark.usefixtures("champion")
def test_it_can_be_done_again_though_its_algorithm_is_no_candidate_any_more(small: SmallWorld) -> None:
    warm, _ = plan(small)
    request = make_request(**{**WARM, "algorithms": SHALLOW})
    parts = load_corpus(request.partition, small.lake, request.corpus, request.model)
    board = run_leaderboard(request.model, parts["train"], parts["validation"], warm=warm)
    continued = next(entry for entry in board.entries if entry.is_continued)
    assert (continued.algorithm, continued.error) == ("catboost", "")


def test_what_can_be_continued_is_preferred_within_one_standard_error() -> None:
    entries = [
        Entry(name, rank, metrics={"roc_auc": value}, standard_error=0.01)
        for name, rank, value in (("hist_gradient_boosting", 3, 0.805), ("catboost", 4, 0.796), ("linear", 1, 0.7))
    ]  # fmt: skip
    assert pick_best(entries, METRICS["roc_auc"])[0].algorithm == "hist_gradient_boosting"
    best, reason = pick_best(entries, METRICS["roc_auc"], prefers_continuable=True)
    assert best.algorithm == "catboost"
    assert "can be continued after drift, unlike hist_gradient_boosting" in reason
    worse = [entries[0], replace(entries[1], metrics={"roc_auc": 0.794})]
    best, _ = pick_best(worse, METRICS["roc_auc"], prefers_continuable=True)
    assert best.algorithm == "hist_gradient_boosting", "more than one standard error is too dear"


def test_exposures_are_joined_in_kind() -> None:
    early, late = (Exposure(trained_through_day=dt.date(2026, 3, day)) for day in (1, 9))
    assert join_exposures(early, late).trained_through_day == late.trained_through_day
    keys = join_exposures(exposure_to_keys(["a", "b"]), exposure_to_keys(["b", "c"])).key_hashes
    assert keys is not None
    assert keys.tolist() == exposure_to_keys(["a", "b", "c"]).key_hashes.tolist()  # type: ignore[union-attr]
    with pytest.raises(LearningError, match="cannot be told"):
        join_exposures(early, exposure_to_keys(["a"]))


def test_limits_of_the_policy() -> None:
    with pytest.raises(ValueError, match="recent_share"):
        make_spec(warm_start={"recent_share": 0})
    assert make_spec().warm_start is None
