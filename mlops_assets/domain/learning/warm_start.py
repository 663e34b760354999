"""The warm start: a champion that is continued with some more trees instead of a model from nothing.

Belongs here: whether a slot's champion may be continued, from which version, and on which rows. Does not belong
here: fitting (the algorithm's plug-in), the contest (leaderboard) or the decision (gate).

Sixty more trees on 30 % of the recent rows cost 13 % of a cold fit and close 93 % of the gap that a shift opened
(docs/adr/0011-warm-start.md). Trees accumulate, and a continued model keeps what it once learned, so every few
retrainings, and after any decision other than a promotion, the cold fits compete too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.domain.learning.algorithms import CONTINUABLE
from mlops_assets.domain.learning.champions import load_version
from mlops_assets.domain.ports import ModelSlot

if TYPE_CHECKING:
    from mlops_assets.domain.learning.bundle import Scorer
    from mlops_assets.domain.learning.dataset import Dataset
    from mlops_assets.domain.learning.spec import ModelSpec, WarmStartSpec
    from mlops_assets.domain.ports import ModelRegistry, PromotionLedger

STAMP = "warm_start"


@dataclass(frozen=True, eq=False)
class WarmStart:
    """What is continued, and how.

    Attributes:
        base: the champion.
        base_version: its registry version.
        trees: most trees that are added.
        recent_share: of the training rows, the newest, that they are fitted on.
        is_alone: the cold fits stay out of this contest.
        since_cold: retrainings in a row without the cold fits, this one included.
    """

    base: Scorer
    base_version: str
    trees: int
    recent_share: float
    is_alone: bool
    since_cold: int

    def to_stamp(self) -> dict[str, Any]:
        """Return what is needed to do it again, and to count."""
        return {
            "base_version": self.base_version,
            "base_bundle_sha256": self.base.bundle_sha256,
            "trees": self.trees,
            "recent_share": self.recent_share,
            "is_alone": self.is_alone,
            "since_cold": self.since_cold,
        }


def plan_warm_start(
    slot: ModelSlot, spec: ModelSpec, config_sha256: str, *, registry: ModelRegistry, ledger: PromotionLedger
) -> tuple[WarmStart | None, str]:
    """Return how the champion is to be continued, None if it is not, and why in words.

    Args:
        slot: use case, model and segment.
        spec: the model; `warm_start` says how often and how much.
        config_sha256: hash of the settings that a challenger would be stamped with; a champion that was trained
            under others is not continued.
        registry: holds the champion's bundle.
        ledger: says who is champion, and how the last decision went.

    Raises:
        ModelIntegrityError: the champion's bundle is not what was promoted.
    """
    policy, current = spec.warm_start, ledger.champion(slot)
    if policy is None or current is None:
        return None, "cold: no warm start is configured" if policy is None else "cold: there is no champion"
    base = load_version(registry, slot, current.version, current.bundle_sha256)
    if obstacle := _find_obstacle(base, spec, policy, config_sha256):
        return None, f"cold: {obstacle}"
    since_cold = int(base.stamps.get(STAMP, {}).get("since_cold", 0)) + 1
    was_promoted = ledger.history(slot)[-1].outcome == "promoted"
    is_alone = was_promoted and since_cold < policy.cold_every
    warm = WarmStart(
        base, current.version, policy.trees, policy.recent_share, is_alone, since_cold if is_alone else 0
    )
    return warm, _describe(warm, was_promoted=was_promoted)


def _find_obstacle(base: Scorer, spec: ModelSpec, policy: WarmStartSpec, config_sha256: str) -> str:
    """Return why a model cannot be continued, empty if it can."""
    algorithm, signature = CONTINUABLE.get(base.algorithm), base.signature
    if algorithm is None or base.algorithm not in spec.algorithms:
        return f"the champion is {base.algorithm}, which is not continued"
    wanted = (spec.task, tuple(spec.features), spec.quantile)
    if (signature.task, signature.features, signature.quantile) != wanted:
        return "the champion has another task or other features"
    if base.stamps.get("config_sha256") != config_sha256:
        return "the champion was trained under other settings"
    if base.exposure.trained_through_day is None:
        return "the champion learned from a snapshot, which has no recent rows"
    trees = algorithm.count_trees(base.model)
    if trees + policy.trees > policy.max_trees:
        return f"the champion has {trees} trees, {policy.trees} more are over the limit of {policy.max_trees}"
    return ""


def _describe(warm: WarmStart, *, was_promoted: bool) -> str:
    version = warm.base_version
    if warm.is_alone:
        return f"warm: version {version} is continued, {warm.since_cold} in a row without the cold fits"
    why = "their turn has come" if was_promoted else "the last decision was no promotion"
    return f"warm and cold: version {version} is continued beside the cold fits, since {why}"


def read_warm_start(stamps: Mapping[str, Any], slot: ModelSlot, registry: ModelRegistry) -> WarmStart | None:
    """Return the warm start that a version's stamps tell of, None if there was none.

    Raises:
        ModelIntegrityError: the version that was continued is not what it was.
        RegistryError: the registry does not have it any more.
    """
    noted = stamps.get(STAMP)
    if noted is None:
        return None
    base = load_version(registry, slot, noted["base_version"], noted["base_bundle_sha256"])
    kept = {name: noted[name] for name in ("base_version", "trees", "recent_share", "is_alone", "since_cold")}
    return WarmStart(base, **kept)


def take_recent_rows(train: Dataset, share: float) -> Dataset:
    """Return the newest rows, at least one: whole as-of days, and of the oldest of them an even sample.

    Args:
        train: rows with as-of days.
        share: of the rows, above 0, at most 1.
    """
    wanted = max(1, round(share * train.rows))
    if train.as_of is None or wanted >= train.rows:
        return train
    border = np.sort(train.as_of)[-wanted]
    newer, same = np.flatnonzero(train.as_of > border), np.flatnonzero(train.as_of == border)
    places = np.linspace(0, len(same) - 1, wanted - len(newer)).round().astype(np.int64)
    return train.take(np.sort(np.concatenate([newer, same[places]])))
