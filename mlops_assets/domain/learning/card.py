"""The content of a model card, put together from ledger, challenger, corpus and configuration.

Belongs here: collecting and measuring what the card shows. Does not belong here: its shape and its rendering
(mlops_assets.domain.reporting).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.domain.learning.bundle import Scorer
from mlops_assets.domain.learning.label_text import describe_label
from mlops_assets.domain.learning.metrics import METRICS, measure_all, measure_intervals
from mlops_assets.domain.learning.spec import BusinessSpec, ModelSpec
from mlops_assets.domain.learning.splits import PARTS
from mlops_assets.domain.learning.training import Challenger
from mlops_assets.domain.ports import LedgerEntry, Manifest
from mlops_assets.domain.reporting.model_card import (
    BusinessNote,
    CalibrationNote,
    CandidateNote,
    CheckResult,
    CorpusNote,
    CorpusPart,
    DecisionNote,
    FeatureNote,
    MetricNote,
    ModelCard,
    ReliabilityBin,
    SegmentNote,
    Stamps,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops_assets.domain.learning.dataset import Dataset

CARD_VERSION = "4"  # to be raised when a card shows something else for the same decision
RELIABILITY_BINS = 10
# A detail that ends with a bound, as the gate's `at_least`, `at_most` and `above` write it.
_BOUND = re.compile(r"(?P<observed>.+), (?P<required>(?:at least|at most|above) [^ ]+ (?:needed|allowed))")


@dataclass(frozen=True)
class CardSources:
    """Everything a card is made from; `columns` gives (unit, meaning) of a feature."""

    description: str
    owner: str
    spec: ModelSpec
    challenger: Challenger
    entry: LedgerEntry
    is_champion: bool
    corpus: Manifest
    corpus_table: str
    scorer: Scorer
    holdout: Dataset
    columns: Mapping[str, tuple[str, str]]


def assemble_model_card(sources: CardSources) -> ModelCard:
    """Measure the model on the corpus holdout and return its card."""
    spec, challenger, entry = sources.spec, sources.challenger, sources.entry
    predictions = sources.scorer.predict(sources.holdout.select(sources.scorer.features))
    return ModelCard(
        use_case=entry.slot.use_case,
        model=entry.slot.model,
        segment=entry.slot.segment,
        task=spec.task,
        description=sources.description,
        owner=sources.owner,
        version=entry.version,
        algorithm=challenger.algorithm,
        metric=spec.metric,
        decision=describe_decision(entry, is_champion=sources.is_champion),
        corpus=_corpus(sources),
        metrics=tuple(_metrics(sources, predictions)),
        segments=tuple(_segments(entry, spec)),
        business=_business(entry, spec.business),
        calibration=_calibration(sources, predictions),
        features=tuple(_features(challenger.importances, sources.columns)),
        leaderboard=tuple(_leaderboard(challenger.leaderboard, spec.metric)),
        intended_use=f"Scores for use case {entry.slot.use_case}, segment {entry.slot.segment}: {sources.description}",
        limits=tuple(_limits(sources)),
        stamps=_stamps(challenger),
    )


def describe_decision(entry: LedgerEntry, *, is_champion: bool = False) -> DecisionNote:
    """Return a decision as reports show it."""
    return DecisionNote(
        outcome=entry.outcome,  # type: ignore[arg-type]  # the ledger holds no other; the record checks it
        decision_id=entry.decision_id,
        decided_by=entry.decided_by,
        decided_at_utc=entry.decided_at_utc,
        champion_since_utc=entry.decided_at_utc if is_champion else None,
        previous_version=entry.previous_version,
        reasons=entry.reasons,
        checks=tuple(_check(check) for check in entry.evidence["checks"]),
    )


def _check(check: Mapping[str, Any]) -> CheckResult:
    detail = str(check["detail"])
    parted = _BOUND.fullmatch(detail)
    return CheckResult(
        name=check["name"],
        has_passed=check["is_passed"],
        observed=parted["observed"] if parted else detail,
        required=parted["required"] if parted else "",
    )


def _corpus(sources: CardSources) -> CorpusNote:
    facts = sources.corpus.facts
    return CorpusNote(
        table=sources.corpus_table,
        label=describe_label(sources.spec.label),
        as_of_days=tuple(_as_of_days(sources.corpus)),
        parts=tuple(_part(name, facts["parts"][name]) for name in PARTS),
        excluded_rows=_excluded(facts),
    )


def _excluded(facts: Mapping[str, Any]) -> dict[str, int]:
    """Return the rows left out by reason; of anomalies, how many as-of days were judged is part of the reason."""
    removed: Mapping[str, int] = facts["anomalies_removed"]
    others = int(facts["left_out_rows"]) - sum(removed.values())
    judged = f"{facts['anomaly_days_judged']} as-of days judged"
    anomalous = {f"anomalous subscriber-day, {reason} ({judged})": rows for reason, rows in removed.items()}
    return {"outside the population, or sampled out": others, **(anomalous or {f"anomalous ({judged})": 0})}


def _as_of_days(corpus: Manifest) -> list[dt.date]:
    return sorted(
        dt.date.fromisoformat(day) for part in corpus.facts["parts"].values() for day in part["as_of_days"]
    )


def _part(name: str, part: Mapping[str, Any]) -> CorpusPart:
    days = sorted(dt.date.fromisoformat(day) for day in part["as_of_days"])
    return CorpusPart(
        name=name,
        first_as_of=days[0] if days else None,
        last_as_of=days[-1] if days else None,
        row_count=part["rows"],
        positive_count=part["positives"],
    )


def _metrics(sources: CardSources, predictions: NDArray[np.float64]) -> list[MetricNote]:
    spec, y = sources.spec, sources.holdout.y
    baseline = sources.entry.evidence["figures"]["baseline"] or {}
    notes = []
    values = measure_all(spec.task, y, predictions, spec.quantile)
    intervals = measure_intervals(values, y, predictions, seed=spec.seed, quantile=spec.quantile)
    for name, (low, high) in intervals.items():
        has_champion = name == spec.metric and sources.entry.previous_version is not None
        notes.append(
            MetricNote(
                name=name,
                unit=METRICS[name].unit,
                value=values[name],
                low=low,
                high=high,
                champion_value=baseline.get("metric") if has_champion else None,
                is_higher_better=METRICS[name].is_higher_better,
            )
        )
    return notes


def _segments(entry: LedgerEntry, spec: ModelSpec) -> list[SegmentNote]:
    figures = entry.evidence["figures"]
    return [
        SegmentNote(
            column=segment["column"],
            value=segment["value"],
            row_count=segment["rows"],
            gain=segment["gain"],
            is_tolerated=segment["gain"] is not None and segment["gain"] >= -spec.gate.segment_tolerance,
        )
        for segment in figures["segments"]
    ]


def _business(entry: LedgerEntry, business: BusinessSpec | None) -> BusinessNote | None:
    figures = entry.evidence["figures"]
    value = (figures["challenger"] or {}).get("business")
    if business is None or value is None:
        return None
    return BusinessNote(
        name=business.name,
        unit="USD per 1,000 entities",
        value=value,
        champion_value=(figures["baseline"] or {}).get("business") if entry.previous_version else None,
        assumptions=(
            f"the {business.contact_share:.0%} with the highest scores are contacted for "
            f"{business.contact_cost_usd} USD each; "
            f"{business.retention_rate:.0%} of those who would have left stay and bring {business.saved_margin_usd} USD"
        ),
    )


def _calibration(sources: CardSources, predictions: NDArray[np.float64]) -> CalibrationNote | None:
    figures = sources.entry.evidence["figures"]["challenger"] or {}
    error = figures.get("calibration_error")
    if sources.spec.task != "binary" or error is None:
        return None
    method = (
        "Platt scaling on the validation part"
        if sources.scorer.calibration
        else "none: it did not lower the log loss"
    )
    return CalibrationNote(error=error, method=method, bins=tuple(_bins(sources.holdout.y, predictions)))


def _bins(y: NDArray[np.float64], predictions: NDArray[np.float64]) -> list[ReliabilityBin]:
    order = np.argsort(predictions, kind="stable")
    return [
        ReliabilityBin(
            mean_predicted=float(predictions[rows].mean()),
            observed_share=float(y[rows].mean()),
            row_count=len(rows),
        )
        for rows in np.array_split(order, min(RELIABILITY_BINS, max(len(order), 1)))
        if len(rows)
    ]


def _features(importances: Mapping[str, float], columns: Mapping[str, tuple[str, str]]) -> list[FeatureNote]:
    ranked = sorted(importances.items(), key=lambda pair: -pair[1])
    return [
        FeatureNote(
            name=name,
            importance=min(max(share, 0.0), 1.0),
            unit=columns.get(name, ("", ""))[0],
            formula=columns.get(name, ("", ""))[1],
        )
        for name, share in ranked
    ]


def _leaderboard(rows: Sequence[Mapping[str, Any]], metric: str) -> list[CandidateNote]:
    return [
        CandidateNote(
            algorithm=row["algorithm"],
            value=row.get(metric),
            standard_error=row.get("standard_error"),
            fit_seconds=row.get("cpu_seconds"),
            is_chosen=row["chosen"],
            failure=row["error"],
        )
        for row in rows
    ]


def _limits(sources: CardSources) -> list[str]:
    days = _as_of_days(sources.corpus)
    ageing = "a lasting change of either makes them stale"
    limits = [f"Predictions describe the population and the products of the training window; {ageing}."]
    if days:
        limits.append(
            f"Learned from {len(days)} as-of days between {min(days)} and {max(days)}; seasons outside "
            f"of them are unknown to it."
        )
    else:
        limits.append("Learned from a snapshot without dates: how it ages cannot be told from the corpus.")
    skipped = sources.entry.evidence["figures"]["segments_skipped"]
    if skipped:
        limits.append(f"Too few rows to judge: {', '.join(skipped)}.")
    return limits


def _stamps(challenger: Challenger) -> Stamps:
    stamps = challenger.stamps
    return Stamps(
        bundle_sha256=challenger.bundle_sha256,
        corpus_sha256=challenger.corpus_sha256,
        config_sha256=stamps["config_sha256"],
        feed_versions_sha256=stamps["feed_versions_sha256"],
        environment_lock_sha256=stamps["environment_lock_sha256"],
        git_commit=stamps["git_commit"],
        is_git_dirty=stamps["is_git_dirty"],
        dagster_run_id=stamps["dagster_run_id"],
        mlflow_run=challenger.run_id,
    )
