"""Gathers the gate's evidence by scoring both models on the same rows.

Belongs here: scoring, paired bootstrap, segments, latency. Does not belong here: thresholds and the decision
(gate.py). Stored metrics are never read: they come from other rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mlops_assets.domain.errors import LearningError
from mlops_assets.domain.learning.algorithms.dummy import DummyModel, best_constant
from mlops_assets.domain.learning.algorithms.protocol import FIT_ERRORS
from mlops_assets.domain.learning.evaluators import EVALUATORS, bootstrap
from mlops_assets.domain.learning.exposure import find_seen_rows
from mlops_assets.domain.learning.gate import GateEvidence, ModelFigures, SegmentFigures
from mlops_assets.domain.learning.metrics import (
    Metric,
    find_metric,
    measure,
    measure_business_value,
    measure_calibration_error,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops_assets.domain.learning.algorithms import Signature
    from mlops_assets.domain.learning.dataset import Dataset
    from mlops_assets.domain.learning.exposure import Exposure
    from mlops_assets.domain.learning.spec import ModelSpec


class Scores(Protocol):
    """What the gate needs of a model; `bundle.Scorer` is one."""

    @property
    def bundle_sha256(self) -> str:
        """Identity of the stored model."""
        ...

    @property
    def signature(self) -> Signature:
        """What the model asks for."""
        ...

    @property
    def exposure(self) -> Exposure:
        """Rows the model has seen."""
        ...

    def predict(self, dataset: Dataset, threads: int = 1) -> NDArray[np.float64]:
        """Return finite predictions or raise."""
        ...


def union_features(challenger: Scores, champion: Scores | None) -> tuple[str, ...]:
    """Return the features that the holdout must hold so that both models can be scored on it."""
    needed = (*challenger.signature.features, *(champion.signature.features if champion else ()))
    return tuple(dict.fromkeys(needed))


def gather_evidence(
    challenger: Scores,
    champion: Scores | None,
    holdout: Dataset,
    spec: ModelSpec,
    *,
    threads: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> GateEvidence:
    """Score both models on the holdout rows that neither has seen.

    Never raises on account of data or models: what goes wrong is recorded as a problem, and the gate rejects.

    Args:
        challenger: candidate.
        champion: current champion; None compares with the best constant prediction.
        holdout: newest rows with labels, holding `union_features(challenger, champion)`.
        spec: metric, gate, business figure and seed.
        threads: most threads for scoring.
        clock: gives seconds, for the latency.
    """
    metric = find_metric(spec.metric, spec.task)
    evidence = _describe(challenger, champion, holdout, spec, metric)
    try:
        seen = 0 if champion is None else find_seen_rows(champion.exposure, holdout)
        unseen = holdout if champion is None else holdout.take(~np.asarray(seen))
        evidence = replace(
            _describe(challenger, champion, unseen, spec, metric),
            rows_seen_by_champion=int(np.sum(seen)),
            rows_seen_by_challenger=int(find_seen_rows(challenger.exposure, unseen).sum()),
        )
        if unseen.rows == 0:
            what = "the holdout is empty" if holdout.rows == 0 else "the champion has seen every holdout row"
            return replace(evidence, problems=(what,))
        return _Comparison(evidence, unseen, spec, metric).fill(challenger, champion, threads, clock)
    except FIT_ERRORS as error:
        return replace(evidence, problems=(f"{type(error).__name__}: {error}",))


def _describe(
    challenger: Scores, champion: Scores | None, holdout: Dataset, spec: ModelSpec, metric: Metric
) -> GateEvidence:
    is_class = spec.task in ("binary", "multiclass")
    days = [] if holdout.as_of is None else sorted(map(str, np.unique(holdout.as_of)))
    return GateEvidence(
        task=spec.task,
        metric=metric.name,
        is_higher_better=metric.is_higher_better,
        has_business=spec.business is not None,
        challenger_sha256=challenger.bundle_sha256,
        champion_sha256=None if champion is None else champion.bundle_sha256,
        holdout_sha256=_fingerprint(holdout),
        holdout_rows=holdout.rows,
        holdout_positives=int((holdout.y == 1.0).sum()) if spec.task == "binary" else None,
        holdout_classes=len(np.unique(holdout.y)) if is_class else None,
        holdout_first_day=days[0] if days else None,
        holdout_last_day=days[-1] if days else None,
    )


@dataclass(frozen=True)
class _Comparison:
    """Two models' predictions for the same rows."""

    evidence: GateEvidence
    holdout: Dataset
    spec: ModelSpec
    metric: Metric

    def fill(
        self, challenger: Scores, champion: Scores | None, threads: int, clock: Callable[[], float]
    ) -> GateEvidence:
        """Return the evidence with every figure."""
        if not np.isfinite(self.holdout.y).all():
            raise LearningError("a holdout row has no label", remedy="rebuild the corpus")
        ours, latency = self._score(challenger, threads, clock)
        theirs, their_latency = (
            (self._constant(challenger.signature), None)
            if champion is None
            else self._score(champion, threads, clock)
        )
        first, second = self._figures(ours, latency), self._figures(theirs, their_latency)
        low, high = self._interval(ours, theirs)
        business = None
        if first.business is not None and second.business is not None:
            business = first.business - second.business
        filled = replace(
            self.evidence,
            challenger=first,
            baseline=second,
            gain=self.metric.gain(first.metric, second.metric),
            gain_low=low,
            gain_high=high,
            business_gain=business,
        )
        return self._add_segments(filled, ours, theirs)

    def _score(
        self, model: Scores, threads: int, clock: Callable[[], float]
    ) -> tuple[NDArray[np.float64], float]:
        signature, spec = model.signature, self.spec
        if (signature.task, signature.quantile) != (spec.task, spec.quantile):
            raise LearningError(f"a model predicts {signature.task}, the use case asks for {spec.task}")
        if signature.classes != self.holdout.classes:
            raise LearningError(
                f"a model knows the classes {list(signature.classes)}",
                expected=f"{list(self.holdout.classes)}, as in the holdout",
            )
        rows = self.holdout.select(signature.features)
        start = clock()
        predictions = model.predict(rows, threads)
        latency = (clock() - start) * 1000 / rows.rows * 1000
        if len(predictions) != rows.rows or not np.isfinite(predictions).all():
            raise LearningError(
                "a prediction is missing or not finite",
                where=f"model {model.bundle_sha256[:12]}",
                expected=f"{rows.rows} finite predictions",
            )
        return predictions, latency

    def _constant(self, signature: Signature) -> NDArray[np.float64]:
        constant = best_constant(self.holdout.y, signature)
        return DummyModel(signature, constant).predict(self.holdout.select(signature.features))

    def _figures(self, predictions: NDArray[np.float64], latency: float | None) -> ModelFigures:
        y, spec = self.holdout.y, self.spec
        is_class = spec.task in ("binary", "multiclass")
        return ModelFigures(
            metric=measure(self.metric.name, y, predictions, spec.quantile),
            calibration_error=measure_calibration_error(y, predictions) if is_class else None,
            business=measure_business_value(y, predictions, spec.business) if spec.business else None,
            latency_ms_per_1000_rows=latency,
        )

    def _interval(self, ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> tuple[float, float]:
        """Percentile interval of the gain over paired resamples."""
        gate, prepare = self.spec.gate, EVALUATORS[self.metric.name]
        evaluators = [prepare(self.holdout.y, each, self.spec.quantile) for each in (ours, theirs)]
        drawn = bootstrap(evaluators, _resampling_units(self.holdout), gate.bootstrap_rounds, self.spec.seed)
        gains = drawn[0] - drawn[1] if self.metric.is_higher_better else drawn[1] - drawn[0]
        tail = (1 - gate.confidence) / 2
        low, high = np.quantile(gains, [tail, 1 - tail])
        return float(low), float(high)

    def _add_segments(
        self, evidence: GateEvidence, ours: NDArray[np.float64], theirs: NDArray[np.float64]
    ) -> GateEvidence:
        wanted, present = self.spec.gate.segment_columns, self.holdout.segment_values
        figures: list[SegmentFigures] = []
        skipped: list[str] = []
        for column in (name for name in wanted if name in present):
            values, codes = np.unique(present[column], return_inverse=True)
            for code, value in enumerate(values):
                rows = np.flatnonzero(codes == code)
                figure = self._segment(column, str(value), rows, ours, theirs)
                if figure is None:
                    skipped.append(f"{column}={value} ({len(rows)} rows)")
                else:
                    figures.append(figure)
        absent = tuple(name for name in wanted if name not in present)
        return replace(
            evidence,
            segments=tuple(figures),
            segments_skipped=tuple(skipped),
            segment_columns_absent=absent,
        )

    def _segment(
        self,
        column: str,
        value: str,
        rows: NDArray[np.int64],
        ours: NDArray[np.float64],
        theirs: NDArray[np.float64],
    ) -> SegmentFigures | None:
        if len(rows) < self.spec.gate.min_segment_rows:
            return None
        y, quantile = self.holdout.y[rows], self.spec.quantile
        first = measure(self.metric.name, y, ours[rows], quantile)
        second = measure(self.metric.name, y, theirs[rows], quantile)
        # Both are undefined only where the labels do not allow the metric, such as ROC AUC with one class.
        if not np.isfinite(first) and not np.isfinite(second):
            return None
        return SegmentFigures(column, value, len(rows), self.metric.gain(first, second))


def _resampling_units(holdout: Dataset) -> NDArray[np.int64]:
    """Number the rows; rows of one entity on several days share a number, for they are not independent."""
    if holdout.as_of is None or len(np.unique(holdout.as_of)) == 1:
        return np.arange(holdout.rows)
    return np.asarray(np.unique(holdout.keys.astype(str), return_inverse=True)[1], dtype=np.int64)


def _fingerprint(holdout: Dataset) -> str:
    digest = sha256(holdout.y.tobytes())
    digest.update("\0".join(map(str, holdout.keys)).encode())
    if holdout.as_of is not None:
        digest.update(holdout.as_of.astype("datetime64[D]").astype(np.int64).tobytes())
    return digest.hexdigest()
