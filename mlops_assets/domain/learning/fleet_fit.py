"""One group of a fleet: fit the candidates, pick, compare with the pooled model and with the group's champion.

Belongs here: what happens to a single group, in whichever process; what goes wrong is a result, never an
exception. Does not belong here: the order of groups (fleet_training) or what is decided about them
(fleet_promotion).
"""

from __future__ import annotations

import datetime as dt
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.domain.learning.algorithms.protocol import FIT_ERRORS
from mlops_assets.domain.learning.bundle import Scorer, load_bundle, save_bundle
from mlops_assets.domain.learning.evidence import gather_evidence
from mlops_assets.domain.learning.exposure import exposure_of
from mlops_assets.domain.learning.fleet_blend import (
    GroupScorer,
    PooledVersion,
    blend_stamps,
    own_share,
    read_pooled,
)
from mlops_assets.domain.learning.fleet_comparison import measure_p_value
from mlops_assets.domain.learning.fleet_groups import GroupOutcome, GroupRows, find_obstacle
from mlops_assets.domain.learning.gate import GateEvidence
from mlops_assets.domain.learning.leaderboard import Entry, Leaderboard, run_leaderboard
from mlops_assets.domain.learning.metrics import measure
from mlops_assets.domain.learning.spec import FleetSpec, ModelSpec
from mlops_assets.domain.learning.training_ranges import measure_ranges

if TYPE_CHECKING:
    from mlops_assets.domain.learning.dataset import Dataset


@dataclass(frozen=True, eq=False)
class FleetSite:
    """What all groups of a training share; sent to each worker once.

    Attributes:
        spec: of the model; has a fleet.
        pooled: scorers of pooled versions by bundle hash: the champion's and those that group champions name, as far
            as they can be loaded.
        champion: the pooled champion; None if there is none, then a constant takes its place.
        trained_through_day: exposure of every model of a time split; None for a hash split.
        stamps: origin of the bundles, JSON values.
        folder: where bundles are written, one folder per group.
    """

    spec: ModelSpec
    pooled: Mapping[str, Scorer]
    champion: PooledVersion | None
    trained_through_day: dt.date | None
    stamps: Mapping[str, Any]
    folder: Path

    @property
    def fleet(self) -> FleetSpec:
        """The fleet's settings."""
        if self.spec.fleet is None:
            raise TypeError("a model with a fleet is expected")
        return self.spec.fleet

    @property
    def pooled_champion(self) -> Scorer | None:
        """The pooled champion's scorer."""
        return self.pooled[self.champion.bundle_sha256] if self.champion else None


@dataclass(frozen=True, eq=False)
class GroupTask:
    """One group's rows and, if it has one, the bundle of its own champion: folder and hash.

    `fault`: why that bundle is not there; the group cannot be judged then.
    """

    rows: GroupRows
    segment: str
    champion: tuple[Path, str] | None = None
    fault: str = ""


@dataclass(frozen=True)
class EntryFigures:
    """One candidate of a group: what the leaderboard knows of it, without the model.

    `holdout_metric` is measured after the choice and enters no decision; NaN if it could not be.
    """

    algorithm: str
    hyperparameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    standard_error: float
    cpu_seconds: float
    error: str
    is_chosen: bool
    holdout_metric: float = math.nan


@dataclass(frozen=True)
class GroupResult:
    """What came out of one group.

    Attributes:
        name: value of the group column.
        segment: of its slot.
        part_rows: rows by part.
        obstacle: why no model of its own was tried or made; None if there is one.
        detail: the same in words, or why this candidate was picked.
        entries: candidates, best first.
        algorithm: of the chosen one.
        share: weight of its own model in the group's predictions.
        folder: its saved bundle.
        bundle_sha256: of the bundle.
        importances: share of each feature.
        against_pooled: the blend against the pooled champion (or a constant) on the group's holdout.
        against_champion: the blend against the group's own champion; None without one.
        p_value: of "not better than the pooled model", one-sided.
        cpu_seconds: spent on the group.
    """

    name: str
    segment: str
    part_rows: Mapping[str, int]
    obstacle: GroupOutcome | None = None
    detail: str = ""
    entries: tuple[EntryFigures, ...] = ()
    algorithm: str = ""
    share: float = 0.0
    folder: Path | None = None
    bundle_sha256: str = ""
    importances: Mapping[str, float] = field(default_factory=dict)
    against_pooled: GateEvidence | None = None
    against_champion: GateEvidence | None = None
    p_value: float = 1.0
    cpu_seconds: float = 0.0


def fit_group(site: FleetSite, task: GroupTask) -> GroupResult:
    """Fit and compare; an error of data or libraries becomes the obstacle `failed` of this group alone."""
    start = time.process_time()
    rows = task.rows
    result = GroupResult(rows.name, task.segment, {name: part.rows for name, part in rows.parts.items()})
    if task.fault:
        result = replace(result, obstacle="failed", detail=task.fault)
    elif obstacle := find_obstacle(rows, site.fleet, site.spec.task):
        result = replace(result, obstacle=obstacle[0], detail=obstacle[1])
    else:
        try:
            result = _fit(site, task, result)
        except FIT_ERRORS as error:
            detail = f"{type(error).__name__}: {error}"
            result = replace(result, obstacle="failed", detail=detail)
    return replace(result, cpu_seconds=time.process_time() - start)


def spec_of_group(spec: ModelSpec) -> ModelSpec:
    """Return the specification of a group's own model: no group column, the fleet's candidates and gate."""
    fleet = spec.fleet
    if fleet is None:
        raise TypeError("a model with a fleet is expected")
    own = [name for name in spec.features if name != fleet.group_column]
    changes = {"features": own, "gate": fleet.gate, "fleet": None}
    return spec.model_copy(update=changes | ({"algorithms": fleet.algorithms} if fleet.algorithms else {}))


def _fit(site: FleetSite, task: GroupTask, result: GroupResult) -> GroupResult:
    rows, spec = task.rows, spec_of_group(site.spec)
    # A small validation part has a wide standard error: the rule that suits large models would pick a constant.
    board = run_leaderboard(spec, rows.train, rows.validation, prefers_simple=False)
    share = own_share(rows.train.rows, site.fleet.shrinkage_rows)
    exposure = exposure_of(site.trained_through_day, rows.train, rows.validation)
    own = board.challenger(exposure, group_stamps(site, rows.name, share))
    own = replace(own, ranges=measure_ranges(rows.train.select(spec.features)))
    folder = site.folder / task.segment
    blend = GroupScorer(replace(own, bundle_sha256=save_bundle(folder, own)), site.pooled_champion)
    against_pooled = gather_evidence(blend, site.pooled_champion, rows.holdout, spec)
    return replace(
        result,
        detail=board.reason,
        entries=_figures(board, rows.holdout, spec),
        algorithm=board.best.algorithm,
        share=blend.share,
        folder=folder,
        bundle_sha256=blend.bundle_sha256,
        importances=own.importances,
        against_pooled=against_pooled,
        against_champion=_compare_with_champion(site, task, blend, spec),
        p_value=measure_p_value(against_pooled, spec.gate.confidence, _independent(rows.holdout, spec)),
    )


def _compare_with_champion(
    site: FleetSite, task: GroupTask, blend: GroupScorer, spec: ModelSpec
) -> GateEvidence | None:
    if task.champion is None:
        return None
    own = load_bundle(*task.champion)
    wanted = read_pooled(own.stamps)
    champion = GroupScorer(own, site.pooled.get(wanted.bundle_sha256) if wanted else None)
    return gather_evidence(blend, champion, task.rows.holdout, spec)


def group_stamps(site: FleetSite, group: str, share: float) -> dict[str, Any]:
    """Return the stamps of a group's bundle: origin, group, and what it is blended with."""
    return {**site.stamps, "group": group, **blend_stamps(share, site.champion)}


def _figures(board: Leaderboard, holdout: Dataset, spec: ModelSpec) -> tuple[EntryFigures, ...]:
    rows = holdout.select(spec.features)
    return tuple(
        EntryFigures(
            algorithm=entry.algorithm,
            hyperparameters=entry.hyperparameters,
            metrics=entry.metrics,
            standard_error=entry.standard_error,
            cpu_seconds=entry.cpu_seconds,
            error=entry.error,
            is_chosen=entry is board.best,
            holdout_metric=_measure_on(rows, entry, spec),
        )
        for entry in board.entries
    )


def _measure_on(rows: Dataset, entry: Entry, spec: ModelSpec) -> float:
    if entry.model is None:
        return math.nan
    try:
        predictions = entry.model.predict(rows)
    except FIT_ERRORS:
        return math.nan
    if entry.calibration is not None:
        predictions = entry.calibration.apply(predictions)
    return measure(spec.metric, rows.y, predictions, spec.quantile)


def _independent(holdout: Dataset, spec: ModelSpec) -> int:
    """Return how many independent rows the comparison rests on, at most: entities, or rows of the rarer classes."""
    entities = len(np.unique(holdout.keys.astype(str)))
    if spec.task not in ("binary", "multiclass"):
        return entities
    counts: Sequence[int] = np.unique(holdout.y, return_counts=True)[1].tolist()
    return min(entities, sum(counts) - max(counts)) if counts else 0
