"""A group's own model, shrunk towards the pooled one by the size of the group.

Belongs here: the weighted mean of two scorers and the note of it in a bundle's stamps. Does not belong here:
fitting either of them.

The group's bundle holds its own model only, and names the pooled version by hash: a thousand groups would
otherwise store the pooled model a thousand times. What is judged is what is served: the same two models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.domain.errors import LearningError
from mlops_assets.domain.learning.algorithms import Signature
from mlops_assets.domain.learning.bundle import Scorer
from mlops_assets.domain.learning.exposure import Exposure, join_exposures

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mlops_assets.domain.learning.dataset import Dataset

OWN_SHARE, POOLED_VERSION, POOLED_SHA256 = "own_share", "pooled_version", "pooled_sha256"


@dataclass(frozen=True)
class PooledVersion:
    """The pooled model that a group's own one was blended with."""

    version: str
    bundle_sha256: str


def own_share(train_rows: int, shrinkage_rows: float) -> float:
    """Return the weight of a group's own model: n / (n + shrinkage_rows), 0 without rows."""
    return train_rows / (train_rows + shrinkage_rows) if train_rows else 0.0


def blend_stamps(share: float, pooled: PooledVersion | None) -> dict[str, Any]:
    """Return what a group's bundle records about its blend; all weight is its own without a pooled model."""
    if pooled is None:
        return {OWN_SHARE: 1.0, POOLED_VERSION: None, POOLED_SHA256: None}
    return {OWN_SHARE: share, POOLED_VERSION: pooled.version, POOLED_SHA256: pooled.bundle_sha256}


def read_pooled(stamps: Mapping[str, Any]) -> PooledVersion | None:
    """Return the pooled version that a bundle's stamps name, None if it stands alone."""
    sha256 = stamps.get(POOLED_SHA256)
    return PooledVersion(str(stamps[POOLED_VERSION]), str(sha256)) if sha256 else None


@dataclass(frozen=True, eq=False)
class GroupScorer:
    """What a group is scored with: own model and, with the rest of the weight, the pooled one.

    Attributes:
        own: the group's model; its stamps name the share and the pooled version.
        pooled: that version; None only if the stamps name none.
    """

    own: Scorer
    pooled: Scorer | None

    def __post_init__(self) -> None:
        """Refuse another pooled model than the one that was judged."""
        wanted = read_pooled(self.own.stamps)
        found = self.pooled.bundle_sha256 if self.pooled else None
        if found != (wanted.bundle_sha256 if wanted else None):
            named = wanted.bundle_sha256[:12] if wanted else "none"
            raise LearningError(
                f"a group's model meets pooled bundle {(found or 'none')[:12]}",
                where=f"bundle {self.own.bundle_sha256[:12]}",
                expected=f"pooled bundle {named}, with which it was judged",
                remedy="load the pooled version that the bundle's stamps name",
            )

    @property
    def bundle_sha256(self) -> str:
        """Identity of the group's bundle, which covers the name of the pooled one."""
        return self.own.bundle_sha256

    @property
    def share(self) -> float:
        """Weight of the group's own model."""
        return float(self.own.stamps.get(OWN_SHARE, 1.0))

    @property
    def signature(self) -> Signature:
        """What both models ask for, the pooled one's features first."""
        own, pooled = self.own.signature, self.pooled.signature if self.pooled else None
        if pooled is None:
            return own
        features = tuple(dict.fromkeys([*pooled.features, *own.features]))
        texts = {*pooled.categorical, *own.categorical}
        return Signature(
            own.task, features, tuple(f for f in features if f in texts), own.classes, own.quantile
        )

    @property
    def exposure(self) -> Exposure:
        """Rows that either model has seen; LearningError if one knows days, the other keys."""
        return join_exposures(self.own.exposure, self.pooled.exposure) if self.pooled else self.own.exposure

    def predict(self, dataset: Dataset, threads: int = 1) -> NDArray[np.float64]:
        """Return the weighted mean of both predictions; shapes as in `Scorer.predict`."""
        own = self.own.predict(dataset.select(self.own.features), threads)
        if self.pooled is None:
            return own
        return self.mix(own, self.pooled.predict(dataset.select(self.pooled.features), threads))

    def mix(self, own: NDArray[np.float64], pooled: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the weighted mean of predictions of the same rows."""
        return self.share * own + (1.0 - self.share) * pooled
