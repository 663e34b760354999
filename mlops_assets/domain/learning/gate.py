"""The promotion gate: evidence in, decision and reasons out.

Belongs here: the shape of the evidence and the pure decision. Does not belong here: gathering evidence
(evidence.py) or recording decisions (the ledger).

The gate fails closed. A figure that is absent, not finite or was never measured is a failed check, never a
skipped one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any, Literal

from mlops_assets.domain.learning.spec import GateSpec

# Durations differ from one measurement to the next; the hash identifies what was decided about, not the load.
_NOT_HASHED = "latency_ms_per_1000_rows"


@dataclass(frozen=True)
class ModelFigures:
    """What one model achieves on the shared holdout. None: not defined here; NaN: could not be computed."""

    metric: float
    calibration_error: float | None = None
    business: float | None = None
    latency_ms_per_1000_rows: float | None = None


@dataclass(frozen=True)
class SegmentFigures:
    """Gain of the challenger within one value of a segment column; positive is better."""

    column: str
    value: str
    rows: int
    gain: float


@dataclass(frozen=True)
class GateEvidence:
    """Everything that a decision rests on; both models scored on the same rows.

    Attributes:
        task: of the model.
        metric: key of METRICS.
        is_higher_better: direction of the metric.
        has_business: a business figure is configured, so it must be there.
        challenger_sha256: bundle of the challenger.
        champion_sha256: bundle of the champion, None for a first champion.
        holdout_sha256: identifies the rows and labels that both were scored on.
        holdout_rows: rows left after those seen by the champion were taken out.
        holdout_positives: of them with label 1 (binary), else None.
        holdout_classes: distinct labels among them (classification), else None.
        holdout_first_day: oldest as-of day, ISO, or None for snapshots.
        holdout_last_day: newest as-of day.
        rows_seen_by_challenger: holdout rows that the challenger learned from; must be 0.
        rows_seen_by_champion: holdout rows taken out because the champion had seen them.
        challenger: figures, None if scoring failed.
        baseline: figures of the champion, or of the best constant prediction if there is none.
        gain: of the challenger over the baseline in the metric's unit; positive is better.
        gain_low: lower end of its paired bootstrap interval.
        gain_high: upper end.
        business_gain: of the business figure; positive is better.
        segments: gain per segment that is large enough.
        segments_skipped: segments too small, or where the metric is undefined for the baseline too.
        segment_columns_absent: configured columns that the holdout lacks.
        problems: what went wrong while gathering; any of them means rejection.
    """

    task: str
    metric: str
    is_higher_better: bool
    has_business: bool
    challenger_sha256: str
    champion_sha256: str | None
    holdout_sha256: str
    holdout_rows: int
    holdout_positives: int | None
    holdout_classes: int | None
    holdout_first_day: str | None = None
    holdout_last_day: str | None = None
    rows_seen_by_challenger: int = 0
    rows_seen_by_champion: int = 0
    challenger: ModelFigures | None = None
    baseline: ModelFigures | None = None
    gain: float | None = None
    gain_low: float | None = None
    gain_high: float | None = None
    business_gain: float | None = None
    segments: tuple[SegmentFigures, ...] = ()
    segments_skipped: tuple[str, ...] = ()
    segment_columns_absent: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def has_champion(self) -> bool:
        """Whether the baseline is a champion rather than a constant."""
        return self.champion_sha256 is not None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values; a number that is not finite becomes None."""
        cleaned: dict[str, Any] = without_non_finite(asdict(self))
        return cleaned

    @property
    def evidence_sha256(self) -> str:
        """Identity of the evidence: same models, holdout and seed, same hash. Latency is left out."""
        return hash_figures(self.to_dict())


def hash_figures(figures: Mapping[str, Any]) -> str:
    """Return the identity of evidence as `to_dict` gives it, also after it was stored as JSON."""
    models = {
        side: {name: value for name, value in figures[side].items() if name != _NOT_HASHED}
        for side in ("challenger", "baseline")
        if figures[side] is not None
    }
    return sha256(json.dumps({**figures, **models}, sort_keys=True, allow_nan=False).encode()).hexdigest()


@dataclass(frozen=True)
class Check:
    """One condition of the gate, in JSON values.

    Attributes:
        name: stable name, `segment:<column>=<value>` for segments.
        is_passed: whether the condition holds.
        value: figure found; None if there is none or it is not finite.
        threshold: what it was compared with.
        detail: the same in words.
    """

    name: str
    is_passed: bool
    value: float | None
    threshold: float | None
    detail: str


@dataclass(frozen=True)
class GateDecision:
    """Outcome with its reasons: what failed, or what the promotion rests on."""

    outcome: Literal["promoted", "rejected"]
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]


def decide(evidence: GateEvidence, gate: GateSpec) -> GateDecision:
    """Promote only if every check passes."""
    checks = tuple(_run_checks(evidence, gate))
    failed = tuple(check.detail for check in checks if not check.is_passed)
    if failed:
        return GateDecision("rejected", failed, checks)
    return GateDecision("promoted", (_summarise(evidence),), checks)


def _run_checks(evidence: GateEvidence, gate: GateSpec) -> Iterator[Check]:
    yield from _check_scoring(evidence)
    yield from _check_holdout(evidence, gate)
    yield from _check_metric(evidence, gate)
    yield from _check_gain(evidence, gate)
    yield from _check_segments(evidence, gate)
    yield from _check_other_figures(evidence, gate)


def _check_scoring(evidence: GateEvidence) -> Iterator[Check]:
    problems = "; ".join(evidence.problems)
    yield Check("scored", not problems, None, None, problems or "both models were scored")


def _check_holdout(evidence: GateEvidence, gate: GateSpec) -> Iterator[Check]:
    taken_out = evidence.rows_seen_by_champion
    seen = f" after {taken_out} rows that the champion has seen were taken out" if taken_out else ""
    yield at_most(
        "unseen_by_challenger", evidence.rows_seen_by_challenger, 0, "holdout rows seen by the challenger"
    )
    yield at_least("holdout_rows", evidence.holdout_rows, gate.min_holdout_rows, f"holdout rows{seen}")
    if evidence.task in ("binary", "multiclass"):
        yield at_least("holdout_classes", evidence.holdout_classes, 2, f"classes in the holdout{seen}")
    if evidence.task == "binary":
        wanted = gate.min_holdout_positives
        yield at_least(
            "holdout_positives", evidence.holdout_positives, wanted, f"positives in the holdout{seen}"
        )


def _check_metric(evidence: GateEvidence, gate: GateSpec) -> Iterator[Check]:
    value = evidence.challenger.metric if evidence.challenger else None
    name = f"{evidence.metric} of the challenger"
    is_finite = finite_or_none(value) is not None
    yield Check(
        "metric",
        is_finite,
        finite_or_none(value),
        None,
        name if is_finite else f"{name} is not a finite number",
    )
    if gate.floor is not None:
        bound = at_least if evidence.is_higher_better else at_most
        yield bound("floor", value, gate.floor, name)


def _check_gain(evidence: GateEvidence, gate: GateSpec) -> Iterator[Check]:
    if evidence.has_champion:
        yield _check_gain_over_champion(evidence, gate)
        what = f"lower bound of the gain in {evidence.metric} over the champion"
        yield at_least("gain_lower_bound", evidence.gain_low, -gate.max_regret, what)
    else:
        yield at_least(
            "gain", evidence.gain, gate.min_gain, f"gain in {evidence.metric} over a constant prediction"
        )
        what = f"lower bound of the gain in {evidence.metric} over a constant prediction"
        yield above("beats_baseline", evidence.gain_low, 0.0, what)


def _check_gain_over_champion(evidence: GateEvidence, gate: GateSpec) -> Check:
    what = f"gain in {evidence.metric} over the champion"
    if gate.min_gain == 0 and evidence.gain == 0:
        # Whoever predicts the same brings nothing but the risk of the change.
        return Check("gain", is_passed=False, value=0.0, threshold=0.0, detail=f"{what}: 0, above 0 needed")
    return at_least("gain", evidence.gain, gate.min_gain, what)


def _check_segments(evidence: GateEvidence, gate: GateSpec) -> Iterator[Check]:
    for column in evidence.segment_columns_absent:
        detail = f"the holdout has no segment column {column!r}"
        yield Check(f"segment:{column}", is_passed=False, value=None, threshold=None, detail=detail)
    for segment in evidence.segments:
        name = f"{segment.column}={segment.value}"
        what = f"gain in {evidence.metric} for {name} ({segment.rows} rows)"
        yield at_least(f"segment:{name}", segment.gain, -gate.segment_tolerance, what)


def _check_other_figures(evidence: GateEvidence, gate: GateSpec) -> Iterator[Check]:
    figures = evidence.challenger or ModelFigures(math.nan)
    if evidence.has_business:
        yield at_least("business", evidence.business_gain, 0.0, "gain in the business figure")
    if gate.max_calibration_error is not None:
        limit = gate.max_calibration_error
        yield at_most("calibration", figures.calibration_error, limit, "expected calibration error")
    if gate.max_latency_ms_per_1000_rows is not None:
        limit = gate.max_latency_ms_per_1000_rows
        yield at_most("latency", figures.latency_ms_per_1000_rows, limit, "milliseconds per 1,000 rows")


def above(name: str, value: float | None, threshold: float, what: str) -> Check:
    """Return the check that a figure is more than a threshold; one that is absent or not finite fails."""
    is_passed = value is not None and math.isfinite(value) and value > threshold
    detail = f"{what}: {show_figure(value)}, above {show_figure(threshold)} needed"
    return Check(name, is_passed, finite_or_none(value), threshold, detail)


def at_least(name: str, value: float | None, threshold: float, what: str) -> Check:
    """Return the check that a figure reaches a threshold; one that is absent or not finite fails."""
    is_passed = value is not None and math.isfinite(value) and value >= threshold
    return Check(
        name,
        is_passed,
        finite_or_none(value),
        threshold,
        f"{what}: {show_figure(value)}, at least {show_figure(threshold)} needed",
    )


def at_most(name: str, value: float | None, threshold: float, what: str) -> Check:
    """Return the check that a figure stays within a threshold; one that is absent or not finite fails."""
    is_passed = value is not None and math.isfinite(value) and value <= threshold
    return Check(
        name,
        is_passed,
        finite_or_none(value),
        threshold,
        f"{what}: {show_figure(value)}, at most {show_figure(threshold)} allowed",
    )


def finite_or_none(value: float | None) -> float | None:
    """Return the figure if it is a finite number."""
    return value if value is not None and math.isfinite(value) else None


def show_figure(value: float | None) -> str:
    """Return a figure as reasons and details name it."""
    return "no figure" if value is None else f"{value:.6g}"


def _summarise(evidence: GateEvidence) -> str:
    against = "the champion" if evidence.has_champion else "a constant prediction"
    metric = evidence.challenger.metric if evidence.challenger else None
    interval = f"interval {show_figure(evidence.gain_low)} to {show_figure(evidence.gain_high)}"
    return (
        f"{evidence.metric} {show_figure(metric)} on {evidence.holdout_rows} unseen rows, "
        f"gain {show_figure(evidence.gain)} over {against} ({interval})"
    )


def without_non_finite(value: Any) -> Any:
    """Return JSON values with None for every number that is not finite."""
    if isinstance(value, dict):
        return {name: without_non_finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_non_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
