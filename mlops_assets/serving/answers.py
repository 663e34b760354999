"""What the scoring service answers, as JSON values.

Belongs here: the shape of answers, and scoring one request with one model. Does not belong here: routes, status
codes and limits of HTTP (app).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from mlops_assets.domain.deployment.scoring_request import (
    MOST_FINDINGS,
    Finding,
    RequestRefusedError,
    parse_rows,
    read_rows,
)
from mlops_assets.domain.ports import ModelSlot
from mlops_assets.serving.live_models import LiveModel, LiveModels

Json = dict[str, Any]


def score_request(live: LiveModel, content: bytes, most_rows: int) -> Json:
    """Return the scores of a request's rows, in their order.

    Scores are numbers, or class to probability for a multiclass model.

    Raises:
        RequestRefusedError: the request does not fit the model.
        LearningError: the model gives no finite score.
    """
    scorer = live.packed.scorer
    rows = read_rows(parse_rows(content, most_rows), scorer.signature, scorer.ranges)
    scores = scorer.predict(rows.dataset).tolist()
    if scorer.signature.task == "multiclass":
        scores = [dict(zip(scorer.signature.classes, row, strict=True)) for row in scores]
    return {
        **describe_release(live),
        "task": scorer.signature.task,
        "scores": scores,
        "warnings": [_plain(finding) for finding in rows.warnings],
        "warning_count": rows.warning_count,
    }


def describe_release(live: LiveModel) -> Json:
    """Return which model answers; part of every answer of a slot."""
    slot = live.packed.slot
    return {
        "use_case": slot.use_case,
        "model": slot.model,
        "segment": slot.segment,
        "model_version": live.release.version,
        "bundle_sha256": live.release.bundle_sha256,
    }


def describe_refusal(live: LiveModel, error: RequestRefusedError) -> Json:
    """Return what is wrong with a request, finding by finding."""
    return {
        **describe_release(live),
        "error": error.what,
        "findings": [_plain(finding) for finding in error.findings],
        "findings_shown_at_most": MOST_FINDINGS,
    }


def describe_models(models: LiveModels) -> Json:
    """Return every model that answers, with what a request needs."""
    return {"models": [_describe_model(live) for live in _in_order(models.live.values())]}


def describe_absence(slot: ModelSlot) -> Json:
    """Return that a known slot has no model."""
    return {
        "error": f"no model of {slot.registered_name} is deployed",
        "expected": "a champion in the promotion ledger, activated",
        "remedy": "train until the gate promotes one, then `mlops deploy update`; `mlops deploy show` tells the state",
    }


def describe_unknown(models: LiveModels) -> Json:
    """Return that there is no such slot, and which ones answer; what was asked for may be anything, and is not said."""
    known = [f"{s.use_case}/{s.model}/{s.segment}" for s in models.live]
    return {
        "error": "there is no model of this name",
        "expected": f"one of {', '.join(sorted(known)) or '(none is deployed)'}",
        "remedy": "GET /v1/models lists what answers",
    }


def _describe_model(live: LiveModel) -> Json:
    scorer = live.packed.scorer
    ranges = scorer.ranges
    return {
        **describe_release(live),
        "algorithm": scorer.algorithm,
        "task": scorer.signature.task,
        "decision_id": live.release.decision_id,
        "since_utc": live.since_utc.isoformat(),
        "features": [
            {
                "name": name,
                "kind": "categorical" if name in scorer.signature.categorical else "numeric",
                "training_range": _describe_range(ranges.numeric[name].deciles)
                if ranges and name in ranges.numeric
                else None,
            }
            for name in scorer.signature.features
        ],
        "classes": list(scorer.signature.classes),
    }


def _describe_range(deciles: tuple[float, ...]) -> list[float] | None:
    return [deciles[0], deciles[-1]] if deciles else None


def _in_order(models: Iterable[LiveModel]) -> list[LiveModel]:
    return sorted(models, key=lambda live: live.packed.slot.registered_name)


def _plain(finding: Finding) -> Json:
    return {name: value for name, value in asdict(finding).items() if value != ""}
