"""ope_obd: two logs of one shop, each used to say what the policy of the other was worth.

Belongs here: the random and the Thompson log of the Open Bandit Dataset (Saito et al. 2021; small sample, campaign
"men", 10,000 rows each), cross estimates against the other log's mean, and comparisons of learned policies, which so
few rows must not decide. Does not belong here: any formula.

The files name no customer. Rows whose four user features agree count as one customer: rather too few than too many.
The Thompson policy changed all week and its log keeps the propensity of the shown item alone; its average over the
week is the share of each item in its own log, by position.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.measuring import PROJECT, BenchmarkSkippedError, Goal, Line, Usage
from mlops_assets.domain.offers.logged_decisions import LoggedDecisions
from mlops_assets.domain.offers.off_policy import (
    Estimate,
    PolicyEvaluation,
    compare_policies,
    evaluate_policy,
    judge_gain,
)
from mlops_assets.domain.offers.off_policy_spec import OffPolicySpec
from mlops_assets.domain.offers.reward_model import assign_folds, cross_fit_rewards

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NAME = "ope_obd"
RANDOM_FILE, THOMPSON_FILE = "obd_random_men.csv", "obd_bts_men.csv"
_USER = [f"user_feature_{number}" for number in range(4)]
_ITEMS, _POSITIONS = 34, 3
_PRIOR_SHOWS = 300  # rows of the mean click rate that an item's own rate is shrunk with


@dataclass(frozen=True, eq=False)
class Shop:
    """One log.

    Attributes:
        log: items shown, clicks, propensities.
        positions: int [rows], 0 to 2.
        contexts: float64 [rows x columns]: position and user features, one column a value.
    """

    log: LoggedDecisions
    positions: NDArray[np.int64]
    contexts: Floats


def run(*, quick: bool) -> Iterator[Line]:
    """Yield both cross estimates and the share of comparisons refused for too few effective rows."""
    random, thompson = _read(RANDOM_FILE), _read(THOMPSON_FILE)
    spec = OffPolicySpec(bootstrap_rounds=200 if quick else 1000)
    yield _cross("Thompson policy from the random log", random, _share_of_items(thompson, random), thompson, spec,
                 quick=quick)  # fmt: skip
    uniform = np.full((thompson.log.rows, _ITEMS), 1 / _ITEMS)
    yield _cross("uniform policy from the Thompson log", thompson, uniform, random, spec, quick=quick)
    yield _refusals(random, spec, quick=quick)


def _read(name: str) -> Shop:
    import pandas as pd

    folder = Path(os.environ.get("MLOPS_PUBLIC_DATA") or PROJECT.parent / "shared" / "data")
    if not (folder / name).exists():
        raise BenchmarkSkippedError(f"{name} is not in {folder}; name its folder in MLOPS_PUBLIC_DATA")
    rows = pd.read_csv(folder / name, index_col=0)
    log = LoggedDecisions(
        rows["item_id"].to_numpy(np.int64),
        rows["click"].to_numpy(np.float64),
        rows["propensity_score"].to_numpy(np.float64),
        rows.groupby(_USER).ngroup().to_numpy(),
    )
    return Shop(log, rows["position"].to_numpy(np.int64) - 1, _contexts(rows))


def _contexts(rows: pd.DataFrame) -> Floats:
    import pandas as pd

    return pd.get_dummies(rows[["position", *_USER]].astype(str)).to_numpy(np.float64)


def _share_of_items(shown: Shop, asked: Shop) -> Floats:
    """Return float64 [rows of `asked` x items]: how often `shown` showed each item at the row's position."""
    counts = np.zeros((_POSITIONS, _ITEMS))
    np.add.at(counts, (shown.positions, shown.log.actions), 1)
    shares: Floats = counts / counts.sum(axis=1, keepdims=True)
    return shares[asked.positions]


def _cross(part: str, shop: Shop, target: Floats, other: Shop, spec: OffPolicySpec, *, quick: bool) -> Line:
    """Compare an estimate with the mean of the log that the target itself produced, both uncertain.

    The value is their distance in half widths of the interval of a difference of two independent figures.
    """
    started = Usage.taken()
    found = evaluate_policy(shop.log, target, spec)
    itself = evaluate_policy(other.log, np.eye(_ITEMS)[other.log.actions], spec).logged
    assert itself is not None
    assert found.logged is not None
    return Line(
        NAME, _distance(found.estimates["snips"], itself), "half widths", Goal("value", 1.0), _sizes(found),
        Usage.taken().since(started).wall_s, part=part, peer="mean of the log, not weighted",
        peer_value=_distance(found.logged, itself), is_quick=quick, facts=_facts(found, itself),
    )  # fmt: skip


def _distance(one: Estimate, other: Estimate) -> float:
    """Return the distance in units of both half widths that face each other, added as those of independent figures."""
    lower, upper = sorted((one, other), key=lambda estimate: estimate.value)
    return (upper.value - lower.value) / float(np.hypot(lower.high - lower.value, upper.value - upper.low))


def _facts(found: PolicyEvaluation, itself: Estimate) -> dict[str, float | str]:
    snips = found.estimates["snips"]
    return {
        "snips": snips.value, "low": snips.low, "high": snips.high, "ips": found.estimates["ips"].value,
        "other_log": itself.value, "other_low": itself.low, "other_high": itself.high, "ess": found.ess,
        "other_log_is_inside": str(snips.low <= itself.value <= snips.high).lower(),
        "refused_for": ", ".join(problem.kind for problem in found.problems),
    }  # fmt: skip


def _sizes(found: PolicyEvaluation) -> dict[str, int]:
    return {"rows": found.rows, "customers": found.customers, "items": _ITEMS}


def _refusals(shop: Shop, spec: OffPolicySpec, *, quick: bool) -> Line:
    """Compare learned policies with the logging policy and with each other; none may be decided."""
    started = Usage.taken()
    estimates = cross_fit_rewards(shop.log, shop.contexts, np.eye(_ITEMS), _logistic)
    learned = {"popular": _popular_items(shop), "personal": np.eye(_ITEMS)[estimates.argmax(axis=1)]}
    pairs: list[tuple[Floats, Floats | None]] = [
        (learned["popular"], None),
        (learned["personal"], None),
        (learned["personal"], learned["popular"]),
    ]
    compared = [compare_policies(shop.log, target, base, spec, estimates) for target, base in pairs]
    refused = [
        one
        for one in compared
        if judge_gain(one, 0.0).outcome == "refused" and any(p.kind == "effective_rows" for p in one.problems)
    ]
    return Line(
        NAME, len(refused) / len(compared), "share of comparisons", Goal("value", 1.0, is_at_most=False),
        {"comparisons": len(compared), **_sizes(compared[0].target)}, Usage.taken().since(started).wall_s,
        part="learned policies refused for too few effective rows", is_quick=quick,
        facts={"most_ess": max(one.ess for one in compared), "words": str(compared[0].problems[0])},
    )  # fmt: skip


def _popular_items(shop: Shop) -> Floats:
    """Return the policy that always shows the item with the best shrunk click rate among other folds' customers."""
    folds, policy = assign_folds(shop.log, 3, seed=0), np.zeros((shop.log.rows, _ITEMS))
    for fold in range(3):
        known = folds != fold
        shows = np.bincount(shop.log.actions[known], minlength=_ITEMS)
        clicks = np.bincount(shop.log.actions[known], shop.log.rewards[known], _ITEMS)
        rate = (clicks + _PRIOR_SHOWS * shop.log.rewards[known].mean()) / (shows + _PRIOR_SHOWS)
        policy[~known, int(rate.argmax())] = 1
    return policy


def _logistic() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=0.1, max_iter=500)
