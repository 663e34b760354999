"""Ranges are those of the training rows, and survive the bundle."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from mlops_assets.domain.learning.bundle import load_bundle
from mlops_assets.domain.learning.dataset import MISSING
from mlops_assets.domain.learning.training_ranges import MOST_CATEGORIES, TrainingRanges, measure_ranges
from tests.unit.domain.learning.samples import make_categories, make_dataset, make_holdout
from tests.unit.domain.learning.small_world import SmallWorld


def test_numbers_have_their_deciles() -> None:
    ranges = measure_ranges(make_holdout([0.0] * 11))
    deciles = ranges.numeric["row"].deciles
    assert deciles == pytest.approx(range(11))
    assert (deciles[0], deciles[-1]) == (0.0, 10.0), "the ends are exact"
    assert not ranges.numeric["row"].has_missing


def test_categories_come_most_frequent_first_and_without_the_unused() -> None:
    data = make_dataset(200)
    plans = make_categories(["b", "a", "a", MISSING, "unused"])
    data = dataclasses.replace(
        data.take(np.arange(4)),
        categories={
            "plan": dataclasses.replace(plans, codes=plans.codes[:4]),
            "is_roaming": make_categories("tttt"),
        },
    )
    plan = measure_ranges(data).categorical["plan"]
    assert (plan.values, plan.is_complete, plan.has_missing) == (("a", "b"), True, True)
    assert not measure_ranges(data).categorical["is_roaming"].has_missing


def test_many_categories_are_cut_and_said_to_be() -> None:
    names = [f"c{number}" for number in range(MOST_CATEGORIES + 1)]
    data = make_dataset(len(names))
    data = dataclasses.replace(data, categories={**data.categories, "plan": make_categories(names)})
    plan = measure_ranges(data).categorical["plan"]
    assert (len(plan.values), plan.is_complete) == (MOST_CATEGORIES, False)


def test_a_column_without_values_has_no_range() -> None:
    data = make_dataset(5)
    empty = dataclasses.replace(data, numbers=np.full_like(data.numbers, np.nan))
    assert measure_ranges(empty).numeric["noise"].deciles == ()
    assert measure_ranges(empty).numeric["noise"].has_missing


def test_json_keeps_everything() -> None:
    ranges = measure_ranges(make_dataset(100))
    assert TrainingRanges.from_json(ranges.to_json()) == ranges


def test_training_records_the_ranges_of_its_own_part(small: SmallWorld, tmp_path: Path) -> None:
    challenger = small.train()
    version = small.registry.version(challenger.slot.registered_name, challenger.version)
    scorer = load_bundle(small.registry.download(version, tmp_path / "b"), challenger.bundle_sha256)
    assert scorer.ranges is not None
    assert scorer.ranges == measure_ranges(make_dataset(300, seed=0)), "the train part alone"
