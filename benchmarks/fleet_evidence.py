"""Whether a fleet is worth it: its gain on later days, its false promotions, and what growth does to it.

Belongs here: three benchmarks over fleets of the sandbox operator. Models are made as of one day and measured on
as-of days whose labels begin after everything that any of them has seen.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.device_fleets import (
    FleetSize,
    build_tables,
    judge_pooled,
    keep_groups,
    open_stores,
    request_of,
    train_groups,
)
from benchmarks.fleet_serving import measure_served
from benchmarks.measuring import Goal, Line, Usage, run_fresh
from benchmarks.operator_data import FIRST_DAY, day_number
from mlops_assets.domain.learning.corpus import build_corpus

DAYS, TRAINED_ON = 60, 50  # holdout as-of days of a corpus as of day 60 are 51 to 57
GROUPS, DEVICES_PER_GROUP = 40, 150
RATE = 0.05
_EQUAL_GROUPS, _EQUAL_ROWS, _EQUAL_DEVICES = 1000, 240, 60


def run_gain(*, quick: bool) -> Iterator[Line]:
    """Yield the lower end of the gain in log loss of what is served over the pooled model, on later days."""
    started = Usage.taken()
    size = FleetSize(600, 8, DAYS) if quick else FleetSize(GROUPS * DEVICES_PER_GROUP, GROUPS, DAYS)
    found = run_fresh("benchmarks.fleet_evidence:train_and_serve", {"size": asdict(size)}).result
    served = found["log_loss"]
    yield Line(
        "fleet_gain",
        served["gain_low"],
        "nats per row, lower end of 95 %",
        # Small groups may well have no gain; what is served must not be worse then.
        Goal("value", -0.01 if quick else 1e-9, is_at_most=False),
        {"devices": size.devices, "groups": size.groups, "rows": served["rows"], "later_as_of_days": 7},
        Usage.taken().since(started).wall_s,
        peer="one model for all",
        peer_value=None,
        is_quick=quick,
        facts=found,
    )


def run_growth(*, quick: bool) -> Iterator[Line]:
    """Yield the ROC AUC for the devices of a few groups once nine times as many have joined, and before."""
    started = Usage.taken()
    size = FleetSize(600, 8, DAYS) if quick else FleetSize(GROUPS * DEVICES_PER_GROUP, GROUPS, DAYS)
    kept = size.groups // (2 if quick else 10)
    arguments = {"size": asdict(size), "measured_groups": kept}
    found = [
        run_fresh("benchmarks.fleet_evidence:train_and_serve", {**arguments, "is_alone": is_alone}).result
        for is_alone in (True, False)
    ]
    alone, grown = (one["roc_auc"] for one in found)
    yield Line(
        "fleet_growth_accuracy",
        grown["served"],
        "ROC AUC",
        Goal("value", alone["served"] - alone["standard_error"], is_at_most=False),
        {"devices": [size.devices * kept // size.groups, size.devices], "groups": [kept, size.groups]},
        Usage.taken().since(started).wall_s,
        peer="the same devices before the fleet grew",
        peer_value=alone["served"],
        is_quick=quick,
        facts={"alone": alone, "grown": grown},
    )


def run_false_promotions(*, quick: bool) -> Iterator[Line]:
    """Yield the share of groups without true difference that get a model of their own, in two kinds of world."""
    started = Usage.taken()
    size = FleetSize(600, 10, DAYS, spread=0.0) if quick else FleetSize(6000, 100, DAYS, spread=0.0)
    world = run_fresh("benchmarks.fleet_evidence:train_and_serve", {"size": asdict(size)}).result
    promoted = world["outcomes"].get("promoted", 0) / sum(world["outcomes"].values())
    yield Line(
        "fleet_false_promotions",
        promoted,
        "share of groups",
        Goal("value", RATE),
        {"groups": size.groups, "devices": size.devices},
        Usage.taken().since(started).wall_s,
        part="same law in every group",
        is_quick=quick,
        facts={"outcomes": world["outcomes"]},
    )
    groups = _EQUAL_GROUPS // 5 if quick else _EQUAL_GROUPS
    equal = run_fresh("benchmarks.fleet_evidence:judge_equal_models", {"groups": groups}).result
    yield Line(
        "fleet_false_promotions",
        equal["chosen_share"],
        "share of groups",
        Goal("value", RATE),
        {"groups": groups, "holdout_rows": _EQUAL_ROWS, "devices": _EQUAL_DEVICES},
        Usage.taken().since(started).wall_s,
        part="equally good models",
        peer="the same test without control",
        peer_value=equal["share_below_rate"],
        is_quick=quick,
    )


# ---------------------------------------------------------------- run in fresh processes


def train_and_serve(
    size: dict[str, Any], measured_groups: int = 0, *, is_alone: bool = False
) -> dict[str, Any]:
    """Train pooled model and fleet as of one day; return what is served on later days, by two metrics.

    Args:
        size: of the fleet.
        measured_groups: only devices of so many groups are measured; 0 for all.
        is_alone: only they are trained on, as if the others had not come yet.
    """
    fleet_size = FleetSize(**size)
    site = build_tables(fleet_size)
    home = fleet_size.folder / "training"
    shutil.rmtree(home, ignore_errors=True)
    Path(home).mkdir(parents=True)
    stores, request = open_stores(site, home), request_of(site)
    later = replace(request, model_name="later")
    for one, last in ((request, TRAINED_ON), (later, DAYS)):
        build_corpus(one, as_of_day=day_number(last), first_day=FIRST_DAY, lake=site.lake, engine=site.engine)
        if measured_groups and (is_alone or one is later):
            keep_groups(site.lake, one, measured_groups)
    judge_pooled(request, site, stores)
    training = train_groups(request, stores)
    measured = {
        metric: asdict(measure_served(request, stores, metric, later)) for metric in ("log_loss", "roc_auc")
    }
    shutil.rmtree(home)
    return {**measured, "outcomes": training.manifest.facts["outcomes"]}


def judge_equal_models(groups: int) -> dict[str, Any]:
    """Compare, per group, two models that err alike and independently; return who is chosen, and who would be.

    Rows of a device go together, with a common error of each model: what a test over rows would take for proof.
    """
    from mlops_assets.domain.learning.fleet_comparison import choose_proven, measure_p_value
    from mlops_assets.domain.learning.gate import GateEvidence

    random = np.random.default_rng(5)
    blank = GateEvidence("binary", "log_loss", False, False, "a", "b", "c", _EQUAL_ROWS, 0, 2)
    p_values = [_judge(random, blank, measure_p_value) for _ in range(groups)]
    chosen = choose_proven(p_values, RATE)
    return {
        "chosen_share": float(np.mean(chosen)),
        "share_below_rate": float(np.mean(np.array(p_values) <= RATE)),
    }


def _judge(random: np.random.Generator, blank: Any, measure_p_value: Any) -> float:
    """Draw one group's labels and two models' predictions, and return the p-value that the first is no better."""
    from mlops_assets.domain.learning.evaluators import EVALUATORS, bootstrap

    devices = np.arange(_EQUAL_ROWS) % _EQUAL_DEVICES
    logit = random.normal(-2.2, 1.0, _EQUAL_ROWS)
    y = (random.random(_EQUAL_ROWS) < 1 / (1 + np.exp(-logit))).astype(np.float64)
    errors = random.normal(0, 0.4, (2, _EQUAL_DEVICES))[:, devices] + random.normal(0, 0.2, (2, _EQUAL_ROWS))
    evaluators = [EVALUATORS["log_loss"](y, 1 / (1 + np.exp(-(logit + error))), None) for error in errors]
    drawn = bootstrap(evaluators, devices, 200, seed=int(random.integers(2**31)))
    gains = drawn[1] - drawn[0]
    ones = np.ones(_EQUAL_ROWS)
    low, high = np.quantile(gains, [0.025, 0.975])
    gain = evaluators[1](ones) - evaluators[0](ones)
    evidence = replace(blank, gain=gain, gain_low=float(low), gain_high=float(high))
    return float(measure_p_value(evidence, 0.95, min(_EQUAL_DEVICES, int(y.sum()))))
