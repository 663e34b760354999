"""The project's use cases with splits, horizons and weeks so short that all of them have champions within three weeks.

Belongs here: rewriting a copy of configs/. Does not belong here: running anything with it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from mlops_assets.config.loader import PROJECT_CONFIGS

# Counted from the first delivered day, 0: a policy needs two weeks of offers after the days that its states look back.
POLICY_READY_NUMBER = 17
_HISTORY_DAYS, _HORIZON_DAYS = 3, 2
_SPLIT = {
    "kind": "time",
    "as_of_every_days": 1,
    "train_as_ofs": 2,
    "train_as_ofs_min": 2,
    "validation_as_ofs": 1,
    "holdout_as_ofs": 1,
}
# What a network's few devices need to be told from chance, with as many days before another attempt.
_DEVICE_SPLIT = {
    **_SPLIT,
    "train_as_ofs": 4,
    "train_as_ofs_min": 3,
    "validation_as_ofs": 2,
    "holdout_as_ofs": 3,
}
# Of nine input models those that learn from everybody; the others wait for people who have had a discount.
_INPUT_MODELS = ("data_plan_propensity", "topup_propensity", "data_usage_kb")
_ALGORITHMS = {
    "hist_gradient_boosting": {"hyperparameters": {"iterations": 20, "max_leaves": 7}},
    "linear": {},
    "dummy": {},
}
# What is compared is the same or not, whatever a model is worth; so nearly everything is let through.
_EASY_GATE = {"floor": 0.5, "min_holdout_rows": 20, "min_holdout_positives": 1, "max_regret": 1.0}
_CHURN_GATE = {**_EASY_GATE, "min_segment_rows": 100_000, "max_calibration_error": 1.0}


def write_short_project(folder: Path) -> Path:
    """Copy the project's configs to a new folder and shorten them; return the folder."""
    configs = Path(shutil.copytree(PROJECT_CONFIGS, folder))
    for name in ("churn", "personalized_offer", "network_event"):
        _rewrite(configs / "use_cases" / f"{name}.yaml", _shorten_use_case)
    _rewrite(configs / "use_cases" / "churn.yaml", _let_churn_through)
    _rewrite(configs / "use_cases" / "personalized_offer.yaml", _shorten_offers)
    _rewrite(configs / "use_cases" / "network_event.yaml", _shrink_fleet)
    _rewrite(configs / "quality" / "plan_usage.yaml", _shorten_monitor)
    return configs


def _rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    settings: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(settings)
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")


def _shorten_use_case(settings: dict[str, Any]) -> None:
    settings["corpus"] |= {"min_history_days": _HISTORY_DAYS, "split": _SPLIT}
    for model in settings["models"].values():
        model["label"]["horizon_days"] = _HORIZON_DAYS
        model["algorithms"] = _ALGORITHMS
        model["gate"] = (
            _EASY_GATE if model["task"] == "binary" else {"max_regret": 1e9, "min_holdout_rows": 20}
        )


def _let_churn_through(settings: dict[str, Any]) -> None:
    settings["models"]["churn_risk"]["gate"] = _CHURN_GATE


def _shorten_offers(settings: dict[str, Any]) -> None:
    settings["models"] = {name: settings["models"][name] for name in _INPUT_MODELS}
    offers = settings["offers"]
    offers["state"]["scores"] = [*_INPUT_MODELS, "churn/churn_risk"]
    offers["catalogue"]["contact_policy"] |= {"window_days": 14}
    offers["catalogue"]["eligible"] = "status = 'active'"
    offers["agent"] |= {
        "history_weeks": 2,
        "holdout_weeks": 1,
        "state_days_min": _HISTORY_DAYS,
        "people_max": 5_000,
        "horizon_weeks": 8,
        "iterations": 10,
        "starting_states": 400,
    }
    offers["simulator_check"] = {
        "max_error_share": 1.0,
        "max_standard_errors": 10.0,
        "min_contacts": 1,
        "min_acceptances": 1,
    }
    offers["gate"] = {"judged_people": 400, "contact_rate_tolerance": 1.0}


def _shrink_fleet(settings: dict[str, Any]) -> None:
    settings["corpus"]["split"] = _DEVICE_SPLIT
    model = settings["models"]["device_failure"]
    model["metric"] = "roc_auc"  # few events order devices better than they give chances
    fleet = model["fleet"]
    fleet |= {"min_rows": 60, "min_minority_rows": 2, "algorithms": {"linear": {}}}
    fleet["gate"] = {"max_regret": 1.0, "min_holdout_rows": 20, "min_holdout_positives": 1}


def _shorten_monitor(settings: dict[str, Any]) -> None:
    settings["forecast"] = {"window_days": 28, "min_history_days": 14, "horizon_days": 14}
    settings["features"] |= {"reference_weeks": 2, "history_days": 21, "min_history_days": 7}
