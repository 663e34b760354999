"""How far features have moved from where the same weekdays had them, and whether that is out of the ordinary.

Two distances per feature, from histograms alone: Wasserstein distance of log values (a shift of all values by
10 % is 0.095) and the population stability index. What is ordinary is learned from the feature's own past:
the distance of each earlier day to its own reference. Tests of equality (Kolmogorov-Smirnov) are not used:
with 100,000 rows they call three quarters of ordinary days different.

A feature has drifted if its distance is above the 99.5th percentile of its past, above a least distance that
matters, and stands out among all features at once (Benjamini & Hochberg 1995). With too little past nothing
is called drift, and the result says so.

Belongs here: distances, thresholds, verdict per feature. Does not belong here: counting (feature_histograms.py)
or what follows from drift (drift_verdict.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.domain.errors import LearningError
from mlops_assets.domain.quality.feature_histograms import FeatureHistogram, bucket_values
from mlops_assets.domain.quality.spec import FeatureDriftSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OFFSET_SHARE = 0.05  # of the mean size: values well below it differ little on the log scale
_PSI_GROUPS = 10
_PSI_LEAST_SHARE = 1e-4
_PERCENTILE = 99.5
_NORMAL_AT_PERCENTILE = 2.5758
_LEAST_LOG_SCALE = 0.1


@dataclass(frozen=True)
class FeatureDrift:
    """One feature of a day beside its reference.

    Attributes:
        feature: column name.
        distance: Wasserstein distance of log values; the stability index for texts and booleans.
        psi: population stability index, missing values as a group of their own.
        missing_change: share of rows without a value, less that of the reference.
        threshold: distance above which it is out of the ordinary; None with too little history.
        p_value: probability of such a distance on an ordinary day; None with too little history.
        is_drifted: above the threshold, large enough, and standing out among all features.
        history_days: distances that the threshold rests on.
    """

    feature: str
    distance: float
    psi: float
    missing_change: float
    threshold: float | None
    p_value: float | None
    is_drifted: bool
    history_days: int


@dataclass(frozen=True)
class _Judged:
    feature: str
    distance: float
    psi: float
    missing_change: float
    history: NDArray[np.float64]
    least: float


Histograms = Mapping[str, FeatureHistogram]


def measure_drift(
    current: Histograms,
    reference: Histograms,
    history: Mapping[str, Sequence[float]],
    rule: FeatureDriftSpec = FeatureDriftSpec(),  # noqa: B008 - frozen
) -> list[FeatureDrift]:
    """Compare a day's features with their reference and judge the distances by their past.

    Args:
        current: histograms of the day.
        reference: histograms of earlier days, e.g. the last four same weekdays merged.
        history: by feature the distances of earlier days, each to the same weekdays before it.
        rule: when a distance counts.

    Returns:
        One entry per feature with rows on both sides, the largest distance over threshold first; features that
        only one side has cannot be compared and are left out.
    """
    names = [n for n in current if n in reference and current[n].rows and reference[n].rows]
    judged = [_judge(n, current[n], reference[n], history.get(n, ()), rule) for n in names]
    log_scale = _pooled_log_scale([one.history for one in judged])
    thresholds = [_threshold(one, log_scale, rule) for one in judged]
    p_values = [_p_value(one, log_scale, rule) for one in judged]
    rejected = reject_false_discoveries(p_values, rule.false_discovery_rate)
    drifts = [
        _drift(one, threshold, p_value, stands_out)
        for one, threshold, p_value, stands_out in zip(judged, thresholds, p_values, rejected, strict=True)
    ]
    return sorted(drifts, key=lambda d: (-(d.distance / (d.threshold or math.inf)), -d.distance, d.feature))


def measure_distance(current: FeatureHistogram, reference: FeatureHistogram) -> float:
    """Return the Wasserstein distance of log values, or the stability index if the feature is no number."""
    if current.categories or reference.categories:
        return population_stability(current, reference)
    return log_wasserstein(current, reference)


def log_wasserstein(current: FeatureHistogram, reference: FeatureHistogram) -> float:
    """Return the Wasserstein-1 distance of sign(x) * ln(1 + |x| / c), c = 5 % of the reference's mean |x|.

    The area between both distribution functions, exact for bucketed values. 0 if a side has no numbers.
    """
    if not current.numbers or not reference.numbers:
        return 0.0
    buckets = sorted({*current.numbers, *reference.numbers})
    values, theirs = bucket_values(buckets), _shares(reference.numbers, buckets)
    offset = _OFFSET_SHARE * float(np.abs(values) @ theirs)
    if offset == 0.0:  # the reference is all zero: any unit will do
        offset = _OFFSET_SHARE * float(np.abs(values) @ _shares(current.numbers, buckets)) or 1.0
    positions = np.sign(values) * np.log1p(np.abs(values) / offset)
    gaps = np.cumsum(_shares(current.numbers, buckets) - theirs)[:-1]
    return float(np.abs(gaps) @ np.diff(positions))


def population_stability(current: FeatureHistogram, reference: FeatureHistogram) -> float:
    """Return sum((p - q) * ln(p / q)) over tenths of the reference, each category, and missing values.

    Shares below 1e-4 count as 1e-4. Below 0.1 is usually called stable, above 0.25 moved.
    """
    groups = _groups(reference)
    ours, theirs = _group_shares(current, groups), _group_shares(reference, groups)
    names = sorted({*ours, *theirs})
    p = np.array([max(ours.get(name, 0.0), _PSI_LEAST_SHARE) for name in names])
    q = np.array([max(theirs.get(name, 0.0), _PSI_LEAST_SHARE) for name in names])
    return float((p - q) @ np.log(p / q))


def reject_false_discoveries(p_values: Sequence[float | None], rate: float) -> list[bool]:
    """Say which p-values stand out among all, by Benjamini & Hochberg (1995); None never does.

    The k smallest are taken, k the largest with p_(k) <= k / m * rate.
    """
    known = sorted(p for p in p_values if p is not None)
    passing = [p for rank, p in enumerate(known, start=1) if p <= rank / len(known) * rate]
    limit = passing[-1] if passing else -1.0
    return [p is not None and p <= limit for p in p_values]


def domain_classifier_auc(
    reference: NDArray[np.float64],
    current: NDArray[np.float64],
    key_hashes: tuple[NDArray[np.uint64], NDArray[np.uint64]],
) -> float:
    """Return how well a small classifier tells the day's rows from the reference's: 0.5 not at all, 1 always.

    It is fitted on the rows with even key hashes and tested on the others, so that it cannot recognise an
    entity that is on both sides.

    Args:
        reference: features [rows x features], NaN where missing; a few thousand rows will do.
        current: the same columns of the day.
        key_hashes: uint64 hash of each row's entity, of both sides.

    Raises:
        LearningError: the sides have different columns, or one has no rows to fit or test on.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    if reference.shape[1] != current.shape[1]:
        raise LearningError(
            "the two sides have different features",
            where=f"{reference.shape[1]} and {current.shape[1]} columns",
            remedy="sample both with the same list of features",
        )
    rows = np.vstack([reference, current])
    is_current = np.repeat([0, 1], [len(reference), len(current)])
    is_fitted = np.concatenate(key_hashes) % np.uint64(2) == 0
    for part in (is_fitted, ~is_fitted):
        if len(np.unique(is_current[part])) < 2:
            raise LearningError(
                "too few rows to tell two days apart",
                expected="rows of both days with even and with odd key hashes",
                remedy="sample more rows",
            )
    classifier = HistGradientBoostingClassifier(
        max_iter=40, max_leaf_nodes=15, early_stopping=False, random_state=0
    )
    classifier.fit(rows[is_fitted], is_current[is_fitted])
    scores = classifier.predict_proba(rows[~is_fitted])[:, 1]
    return float(roc_auc_score(is_current[~is_fitted], scores))


def _judge(
    name: str,
    current: FeatureHistogram,
    reference: FeatureHistogram,
    history: Sequence[float],
    rule: FeatureDriftSpec,
) -> _Judged:
    is_category = bool(current.categories or reference.categories)
    return _Judged(
        feature=name,
        distance=measure_distance(current, reference),
        psi=population_stability(current, reference),
        missing_change=current.missing / current.rows - reference.missing / reference.rows,
        history=np.asarray([past for past in history if math.isfinite(past)], np.float64),
        least=rule.min_psi if is_category else rule.min_distance,
    )


def _drift(one: _Judged, threshold: float | None, p_value: float | None, stands_out: bool) -> FeatureDrift:  # noqa: FBT001
    is_above = threshold is not None and one.distance > threshold
    return FeatureDrift(
        one.feature,
        one.distance,
        one.psi,
        one.missing_change,
        threshold,
        p_value,
        is_above and stands_out,
        len(one.history),
    )


def _log(history: NDArray[np.float64]) -> NDArray[np.float64]:
    logs: NDArray[np.float64] = np.log(np.maximum(history, 1e-6))
    return logs


def _pooled_log_scale(histories: Sequence[NDArray[np.float64]]) -> float:
    """Return the standard deviation of log distances within features, pooled: single histories are short."""
    deviations = [_log(history) - _log(history).mean() for history in histories if len(history) > 1]
    degrees = sum(len(one) - 1 for one in deviations)
    if not degrees:
        return _LEAST_LOG_SCALE
    return max(math.sqrt(sum(float(one @ one) for one in deviations) / degrees), _LEAST_LOG_SCALE)


def _threshold(one: _Judged, log_scale: float, rule: FeatureDriftSpec) -> float | None:
    """Return the 99.5th percentile of the past: of its values, and of a log-normal one where they are few."""
    if len(one.history) < rule.min_history_days:
        return None
    own_scale = _log_error(one.history, log_scale)
    fitted = math.exp(float(_log(one.history).mean()) + _NORMAL_AT_PERCENTILE * own_scale)
    return max(float(np.percentile(one.history, _PERCENTILE)), fitted, one.least)


def _p_value(one: _Judged, log_scale: float, rule: FeatureDriftSpec) -> float | None:
    """Return the upper tail of a log-normal distribution of distances at the one found."""
    if len(one.history) < rule.min_history_days:
        return None
    above = math.log(max(one.distance, 1e-6)) - float(_log(one.history).mean())
    return 0.5 * math.erfc(above / _log_error(one.history, log_scale) / math.sqrt(2.0))


def _log_error(history: NDArray[np.float64], log_scale: float) -> float:
    """Return the standard error of predicting one more log distance; the mean is of few values too."""
    return log_scale * math.sqrt(1.0 + 1.0 / len(history))


def _shares(counts: Mapping[int, int], buckets: Sequence[int]) -> NDArray[np.float64]:
    found = np.array([counts.get(bucket, 0) for bucket in buckets], np.float64)
    shares: NDArray[np.float64] = found / found.sum()
    return shares


def _groups(reference: FeatureHistogram) -> NDArray[np.int64]:
    """Return the buckets at which tenths of the reference end; heavy buckets end several at once."""
    if not reference.numbers:
        return np.empty(0, np.int64)
    buckets = sorted(reference.numbers)
    up_to = np.cumsum([reference.numbers[bucket] for bucket in buckets])
    ends = np.searchsorted(up_to, up_to[-1] * np.arange(1, _PSI_GROUPS) / _PSI_GROUPS)
    return np.unique(np.asarray(buckets, np.int64)[ends])


def _group_shares(histogram: FeatureHistogram, groups: NDArray[np.int64]) -> dict[str, float]:
    counts: dict[str, float] = {f"value {value}": rows for value, rows in histogram.categories.items()}
    for bucket, rows in histogram.numbers.items():
        name = f"tenth {int(np.searchsorted(groups, bucket)):02d}"
        counts[name] = counts.get(name, 0) + rows
    counts["missing"] = histogram.missing
    return {name: rows / histogram.rows for name, rows in counts.items()}
