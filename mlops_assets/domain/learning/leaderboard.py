"""Fits every configured algorithm on the same rows and picks the challenger.

Belongs here: fitting, measuring on validation, the choice. Does not belong here: the holdout, which only the
gate may see, or tracking (the caller gets each entry through a callback).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from mlops_assets.domain.errors import LearningError
from mlops_assets.domain.learning.alerts import measure_alerts
from mlops_assets.domain.learning.algorithms import (
    ALGORITHMS,
    BASELINE,
    CONTINUABLE,
    FitRequest,
    FittedModel,
    find_algorithm,
)
from mlops_assets.domain.learning.algorithms.protocol import FIT_ERRORS, Algorithm
from mlops_assets.domain.learning.bundle import Scorer
from mlops_assets.domain.learning.calibration import Calibration, fit_calibration
from mlops_assets.domain.learning.metrics import Metric, find_metric, measure_all, measure_standard_error
from mlops_assets.domain.learning.search import search_hyperparameters
from mlops_assets.domain.learning.spec import AlgorithmSpec, ModelSpec
from mlops_assets.domain.learning.warm_start import WarmStart, take_recent_rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mlops_assets.domain.learning.dataset import Dataset
    from mlops_assets.domain.learning.exposure import Exposure


@dataclass(frozen=True, eq=False)
class Entry:
    """One algorithm's result on validation.

    Attributes:
        algorithm: key in ALGORITHMS.
        is_continued: the champion's model was continued instead of one being fitted from nothing.
        complexity: rank, simple first.
        hyperparameters: settings used, defaults included.
        metrics: finite figures on validation; empty if it failed.
        standard_error: of the leaderboard's metric, NaN if it failed.
        cpu_seconds: spent on it, search included.
        model: fitted model, None if it failed.
        calibration: of a binary model, if asked for and of use.
        error: why it failed, empty if it did not.
    """

    algorithm: str
    complexity: int
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    standard_error: float = math.nan
    cpu_seconds: float = 0.0
    model: FittedModel | None = None
    calibration: Calibration | None = None
    error: str = ""
    is_continued: bool = False

    @property
    def label(self) -> str:
        """What people read."""
        return f"{self.algorithm}, continued" if self.is_continued else self.algorithm


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """All entries, best first and failed ones last, and the one that becomes the challenger."""

    metric: Metric
    entries: tuple[Entry, ...]
    best: Entry
    reason: str

    def challenger(self, exposure: Exposure, stamps: Mapping[str, Any]) -> Scorer:
        """Return the best entry as a scorer, ready for `save_bundle` and the gate."""
        if self.best.model is None:
            raise LearningError("the best entry has no model", where=self.best.algorithm)
        best = self.best
        return Scorer(best.algorithm, self.best.model, best.calibration, exposure, stamps, best.metrics)


def run_leaderboard(
    spec: ModelSpec,
    train: Dataset,
    validation: Dataset,
    *,
    threads: int = 1,
    warm: WarmStart | None = None,
    prefers_simple: bool = True,
    clock: Callable[[], float] = time.process_time,
) -> Leaderboard:
    """Fit every configured algorithm and the baseline, measure them on validation, pick the best.

    A failing algorithm is an entry with its error and does not stop the others. A warm start that is alone meets the
    baseline only, unless it fails: then the others are fitted after all.

    Args:
        spec: task, candidates, metric, seed.
        train: rows to fit on; may hold more features than the spec asks for.
        validation: rows for early stopping, search, calibration and choice.
        threads: most threads a library may use.
        warm: the champion as one more candidate, continued; None for none.
        prefers_simple: a simpler model within one standard error of the leader is picked instead of it.
        clock: gives CPU seconds.

    Raises:
        ConfigError: an unknown algorithm, hyperparameter or metric; nothing was fitted.
        LearningError: validation is empty, or every algorithm failed.
    """
    metric = find_metric(spec.metric, spec.task)
    candidates = _plan_candidates(spec)
    if validation.rows == 0:
        raise LearningError("the validation part is empty", remedy="widen the split, or wait for more data")
    contest = _Contest(spec, train.select(spec.features), validation.select(spec.features), threads)
    entries: list[Entry] = []
    for enter in _turns(contest, candidates, metric, warm, entries):
        start = clock()
        entry = enter()
        entries.append(replace(entry, cpu_seconds=clock() - start))
    prefers_continuable = spec.warm_start is not None
    best, reason = pick_best(
        entries, metric, prefers_continuable=prefers_continuable, prefers_simple=prefers_simple
    )
    return Leaderboard(metric, tuple(_rank(entries, metric)), best, reason)


def _turns(
    contest: _Contest,
    candidates: Sequence[tuple[Algorithm, AlgorithmSpec]],
    metric: Metric,
    warm: WarmStart | None,
    entered: Sequence[Entry],
) -> Iterator[Callable[[], Entry]]:
    """Yield who enters next; `entered` tells how those before did."""
    if warm is not None:
        yield partial(contest.enter_continued, warm, metric)
    is_enough = warm is not None and warm.is_alone and not entered[0].error
    for algorithm, settings in candidates:
        if not is_enough or algorithm.name == BASELINE:
            yield partial(contest.enter, algorithm, settings, metric)


def pick_best(
    entries: Sequence[Entry],
    metric: Metric,
    *,
    prefers_continuable: bool = False,
    prefers_simple: bool = True,
) -> tuple[Entry, str]:
    """Return the simplest entry within one standard error of the leader (or the leader itself), and why.

    The one-standard-error rule of Breiman et al. (1984). With `prefers_continuable` what can be continued after
    drift comes before what is simple. Raises LearningError if every entry failed.
    """
    ranked = [entry for entry in _rank(entries, metric) if not entry.error]
    if not ranked:
        errors = "; ".join(f"{entry.algorithm}: {entry.error}" for entry in entries)
        raise LearningError("every algorithm failed", where=errors, remedy="see the first error")
    leader = ranked[0]
    tolerance = _tolerance(leader) if prefers_simple else 0.0
    within = [entry for entry in ranked if _lag(entry, leader, metric) <= tolerance]
    is_preferred = {entry.label: prefers_continuable and entry.algorithm in CONTINUABLE for entry in within}
    best = min(
        within,
        key=lambda entry: (not is_preferred[entry.label], entry.complexity, _lag(entry, leader, metric)),
    )
    figure = f"{metric.name} {best.metrics[metric.name]:.4f}"
    if best is leader:
        return best, f"{best.label} leads with {figure}"
    why = "can be continued after drift, unlike" if is_preferred[best.label] else "is simpler than"
    return best, (
        f"{best.label} with {figure} {why} {leader.label} with "
        f"{leader.metrics[metric.name]:.4f}, and is within one standard error ({leader.standard_error:.4f})"
    )


@dataclass(frozen=True)
class _Attempt:
    """One fit with one setting of hyperparameters."""

    hyperparameters: Mapping[str, Any]
    model: FittedModel
    calibration: Calibration | None
    predictions: NDArray[np.float64]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class _Contest:
    """The rows and rules that all entries share."""

    spec: ModelSpec
    train: Dataset
    validation: Dataset
    threads: int

    def enter(self, algorithm: Algorithm, settings: AlgorithmSpec, metric: Metric) -> Entry:
        """Return the algorithm's entry, failed or not."""
        start = Entry(algorithm.name, algorithm.complexity, settings.hyperparameters)
        return self._complete(start, lambda: self._best_attempt(algorithm, settings, metric), metric)

    def enter_continued(self, warm: WarmStart, metric: Metric) -> Entry:
        """Return the entry of the champion with more trees, failed or not."""
        algorithm = find_algorithm(warm.base.algorithm, ALGORITHMS)
        # A version that is reproduced may be of an algorithm that is no candidate any more.
        configured = self.spec.algorithms.get(algorithm.name, AlgorithmSpec())
        settings = configured.hyperparameters | {"iterations": warm.trees}
        start = Entry(algorithm.name, algorithm.complexity, settings, is_continued=True)

        def attempt() -> _Attempt:
            recent = take_recent_rows(self.train, warm.recent_share)
            request = self._request(settings)
            fitting = CONTINUABLE[algorithm.name]
            model = fitting.continue_fit(warm.base.model, recent, self.validation, request)
            complete = algorithm.complete_hyperparameters(settings, self.spec.task)
            return self._measure(model, complete, metric)

        return self._complete(start, attempt, metric)

    def _complete(self, start: Entry, fit: Callable[[], _Attempt], metric: Metric) -> Entry:
        try:
            attempt = fit()
            error = self._standard_error(attempt, metric)
        except FIT_ERRORS as problem:
            return replace(start, error=f"{type(problem).__name__}: {problem}")
        return replace(
            start,
            hyperparameters=attempt.hyperparameters,
            metrics={name: value for name, value in attempt.metrics.items() if math.isfinite(value)},
            standard_error=error,
            model=attempt.model,
            calibration=attempt.calibration,
        )

    def _best_attempt(self, algorithm: Algorithm, settings: AlgorithmSpec, metric: Metric) -> _Attempt:
        kept: list[_Attempt] = []

        def attempt(hyperparameters: Mapping[str, Any]) -> float:
            tried = self._attempt(algorithm, hyperparameters, metric)
            value = tried.metrics[metric.name]
            if not kept or metric.gain(value, kept[0].metrics[metric.name]) > 0:
                kept[:] = [tried]
            return value

        if settings.search and settings.search_trials:
            is_higher_better = metric.is_higher_better
            search_hyperparameters(settings, attempt, self.spec.seed, is_higher_better=is_higher_better)
        else:
            attempt(settings.hyperparameters)
        return kept[0]

    def _attempt(self, algorithm: Algorithm, hyperparameters: Mapping[str, Any], metric: Metric) -> _Attempt:
        model = algorithm.fit(self.train, self.validation, self._request(hyperparameters))
        complete = algorithm.complete_hyperparameters(hyperparameters, self.spec.task)
        return self._measure(model, complete, metric)

    def _request(self, hyperparameters: Mapping[str, Any]) -> FitRequest:
        spec = self.spec
        return FitRequest(spec.task, hyperparameters, spec.seed, self.threads, spec.quantile)

    def _measure(self, model: FittedModel, complete: Mapping[str, Any], metric: Metric) -> _Attempt:
        spec, held = self.spec, self.validation
        predictions = model.predict(held, self.threads)
        calibration = None
        if spec.calibrate and spec.task == "binary":
            calibration = fit_calibration(held.y, predictions)
        if calibration is not None:
            predictions = calibration.apply(predictions)
        metrics = measure_all(spec.task, held.y, predictions, spec.quantile)
        if spec.alerts is not None:
            metrics |= measure_alerts(held, predictions, spec.alerts)
        if not math.isfinite(metrics[metric.name]):
            raise LearningError(
                f"{metric.name} is undefined on the validation part",
                where=f"{held.rows} rows, {len(set(held.y.tolist()))} distinct labels",
                remedy="widen the validation part until it holds every class",
            )
        return _Attempt(complete, model, calibration, predictions, metrics)

    def _standard_error(self, attempt: _Attempt, metric: Metric) -> float:
        return measure_standard_error(
            metric.name,
            self.validation.y,
            attempt.predictions,
            seed=self.spec.seed,
            quantile=self.spec.quantile,
        )


def _plan_candidates(spec: ModelSpec) -> list[tuple[Algorithm, AlgorithmSpec]]:
    configured = {BASELINE: AlgorithmSpec()} | spec.algorithms
    planned = [(find_algorithm(name, ALGORITHMS), settings) for name, settings in configured.items()]
    for algorithm, settings in planned:
        algorithm.validate_hyperparameters(settings.hyperparameters, spec.task)
        algorithm.validate_search(settings.search, spec.task)
    return planned


def _rank(entries: Sequence[Entry], metric: Metric) -> list[Entry]:
    def key(entry: Entry) -> tuple[bool, float]:
        value = 0.0 if entry.error else entry.metrics[metric.name]
        return bool(entry.error), -value if metric.is_higher_better else value

    return sorted(entries, key=key)


def _lag(entry: Entry, leader: Entry, metric: Metric) -> float:
    return metric.gain(leader.metrics[metric.name], entry.metrics[metric.name])


def _tolerance(leader: Entry) -> float:
    return leader.standard_error if math.isfinite(leader.standard_error) else 0.0
