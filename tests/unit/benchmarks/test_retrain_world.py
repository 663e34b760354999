"""The world that retrain_cost measures in is a configuration that holds."""

from __future__ import annotations

from pathlib import Path

from benchmarks.operator_data import GEOGRAPHY
from benchmarks.retrain_world import USE_CASES, load_configs, write_configs


def test_both_use_cases_learn_from_the_same_table_in_one_geography(tmp_path: Path) -> None:
    config = load_configs(str(write_configs(tmp_path / "configs")))
    assert list(config.geographies) == [GEOGRAPHY]
    settings = [config.use_cases[name][GEOGRAPHY] for name in USE_CASES]
    assert sorted(config.use_cases) == sorted(USE_CASES)
    assert len({one.corpus.table for one in settings}) == 1
    models = [model for one in settings for model in one.models.values()]
    assert len(models) == 4
    assert all(model.warm_start and len(model.algorithms) == 5 for model in models)
