"""Hyperparameter search on the validation part.

Belongs here: the translation of a search space for Optuna, and the loop. Does not belong here: fitting
or measuring (leaderboard.py hands in a function), or any other part of the data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mlops_assets.domain.errors import LearningError
from mlops_assets.domain.learning.algorithms.protocol import FIT_ERRORS

if TYPE_CHECKING:
    import optuna

    from mlops_assets.domain.learning.spec import AlgorithmSpec, SearchDimension


def search_hyperparameters(
    spec: AlgorithmSpec, attempt: Callable[[Mapping[str, Any]], float], seed: int, *, is_higher_better: bool
) -> None:
    """Let Optuna's TPE propose settings.

    Args:
        spec: fixed hyperparameters, search space and number of trials.
        attempt: fits with the given settings and returns the metric on validation; it keeps the best itself.
        seed: of the sampler; with the same data the same settings are tried.
        is_higher_better: direction of the metric.

    Raises:
        LearningError: no trial succeeded.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    failures: list[str] = []

    def objective(trial: optuna.Trial) -> float:
        drawn = {name: _draw(trial, name, dimension) for name, dimension in spec.search.items()}
        try:
            return attempt(dict(spec.hyperparameters) | drawn)
        except FIT_ERRORS as error:
            failures.append(f"{type(error).__name__}: {error}")
            raise optuna.TrialPruned from error

    sampler = optuna.samplers.TPESampler(seed=seed)
    study = optuna.create_study(sampler=sampler, direction="maximize" if is_higher_better else "minimize")
    study.optimize(objective, n_trials=spec.search_trials)
    if len(failures) == len(study.trials):
        raise LearningError("every trial of the hyperparameter search failed", where=failures[0])


def _draw(trial: optuna.Trial, name: str, dimension: SearchDimension) -> Any:
    if dimension.choices is not None:
        return trial.suggest_categorical(name, dimension.choices)
    if dimension.low is None or dimension.high is None:
        raise LearningError(
            f"search dimension {name!r} has no range", expected="`low` and `high`, or `choices`"
        )
    if dimension.integer:
        return trial.suggest_int(name, int(dimension.low), int(dimension.high), log=dimension.log)
    return trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log)
