"""ope_digits: our estimators on the digits example of the Open Bandit Pipeline, beside its published errors.

The example (Saito, Aihara, Matsutani and Narita 2021; examples/multiclass, digits): images are situations, the ten
classes are actions, the reward is 1 for the right class. Two classifiers, mixed with a uniform policy, log (logistic
regression, 40 %) and are judged (random forest, 90 %). A boosted model estimates the rewards, three folds. The error
is |estimate - truth| / truth, averaged over 30 splits; a mean over 30 is noisy, so splits and draws repeat the
example's seeds.

Belongs here: that example, with the estimates made by the platform's module. Does not belong here: any formula.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.measuring import Goal, Line, Usage
from mlops_assets.domain.offers.logged_decisions import LoggedDecisions
from mlops_assets.domain.offers.off_policy import evaluate_policy
from mlops_assets.domain.offers.off_policy_spec import OffPolicySpec
from mlops_assets.domain.offers.reward_model import cross_fit_rewards

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NAME = "ope_digits"
PUBLISHED = {"dm": 0.4365, "ips": 0.0303, "snips": 0.0228, "dr": 0.0162, "sndr": 0.0221}
_WITHIN = {"dm": 0.01, "ips": 0.005, "snips": 0.005, "dr": 0.005, "sndr": 0.005}
_UNPUBLISHED = ("switch_dr", "dros")
_SPLITS, _QUICK_SPLITS, _QUICK_WITHIN = 30, 5, 0.03
_CLASSES, _MODEL_SEED = 10, 12345
_SPEC = OffPolicySpec(bootstrap_rounds=50)  # the intervals are not used here


def run(*, quick: bool) -> Iterator[Line]:
    """Yield the distance to each published error; for estimators without one, the error beside that of DM."""
    started, splits = Usage.taken(), _QUICK_SPLITS if quick else _SPLITS
    found = [errors_of_split(seed) for seed in range(splits)]
    seconds = Usage.taken().since(started).wall_s
    sizes = {"splits": splits, "rows": 1258, "actions": _CLASSES}
    errors = {name: [one[name] for one in found] for name in (*PUBLISHED, *_UNPUBLISHED)}
    for name, published in PUBLISHED.items():
        ours = fmean(errors[name])
        facts = {"ours": ours, "published": published, "deviation_of_splits": stdev(errors[name])}
        goal = Goal("value", _QUICK_WITHIN if quick else _WITHIN[name])
        yield Line(
            NAME, abs(ours - published), "relative error, difference", goal, sizes, seconds, part=name,
            is_quick=quick, facts=facts,
        )  # fmt: skip
    for name in _UNPUBLISHED:
        yield Line(
            NAME, fmean(errors[name]), "relative error", Goal("ratio", 0.2), sizes, seconds, part=name,
            peer="dm", peer_value=fmean(errors["dm"]), is_quick=quick,
            facts={"deviation_of_splits": stdev(errors[name])},
        )  # fmt: skip


def errors_of_split(seed: int) -> Mapping[str, float]:
    """Return the relative error of each estimator on one split."""
    from sklearn.datasets import load_digits
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split

    images, digits = load_digits(return_X_y=True)
    known, images, digits_known, digits = train_test_split(images, digits, test_size=0.7, random_state=seed)
    logistic = LogisticRegression(max_iter=10_000, C=100, random_state=_MODEL_SEED).fit(known, digits_known)
    forest = RandomForestClassifier(30, max_depth=5, min_samples_leaf=10, random_state=_MODEL_SEED)
    logging = _mix(logistic.predict(images), 0.4)
    target = _mix(forest.fit(known, digits_known).predict(images), 0.9)
    log = _draw_log(logging, digits, seed)
    estimates = cross_fit_rewards(log, images, np.eye(_CLASSES), _build_reward_model, seed=_MODEL_SEED)
    truth = float(target[np.arange(len(digits)), digits].mean())
    found = evaluate_policy(log, target, _SPEC, estimates).estimates
    return {name: abs(estimate.value - truth) / truth for name, estimate in found.items()}


def _mix(choices: NDArray[np.int64], share: float) -> Floats:
    """Return float64 [rows x actions]: the choice with `share`, any action with the rest."""
    policy = np.full((len(choices), _CLASSES), (1 - share) / _CLASSES)
    policy[np.arange(len(choices)), choices] += share
    return policy


def _draw_log(logging: Floats, digits: NDArray[np.int64], seed: int) -> LoggedDecisions:
    uniform = np.random.RandomState(seed).rand(len(digits), 1)
    actions = (logging.cumsum(axis=1) > uniform).argmax(axis=1)
    rewards = (actions == digits).astype(np.float64)
    return LoggedDecisions.with_whole_propensities(actions, rewards, logging, np.arange(len(digits)))


def _build_reward_model() -> Any:
    from sklearn.ensemble import GradientBoostingClassifier

    return GradientBoostingClassifier(
        n_estimators=30, learning_rate=0.01, max_depth=5, min_samples_leaf=10, random_state=_MODEL_SEED
    )
