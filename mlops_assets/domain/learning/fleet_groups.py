"""The groups of a fleet: who they are, which rows they have, and whether these can carry a model.

Belongs here: names of groups and their slots, cutting a corpus into groups, the typed reasons for sharing the
pooled model. Does not belong here: fitting (fleet_fit) or decisions (fleet_promotion).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mlops_assets.domain.errors import CorpusError
from mlops_assets.domain.learning.dataset import MISSING, Dataset
from mlops_assets.domain.learning.spec import FleetSpec, Task
from mlops_assets.domain.learning.splits import PARTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What became of a group in a training. The first two have a model of their own afterwards, whoever made it.
GroupOutcome = Literal[
    "promoted", "kept", "pending", "not_better", "too_small", "one_class", "no_holdout", "failed", "stale"
]


@dataclass(frozen=True, eq=False)
class GroupRows:
    """One group's rows of a corpus, with all features: the pooled model reads the group column too."""

    name: str
    parts: Mapping[str, Dataset]

    @property
    def train(self) -> Dataset:
        """Rows to fit on."""
        return self.parts["train"]

    @property
    def validation(self) -> Dataset:
        """Rows for stopping, calibration and choice."""
        return self.parts["validation"]

    @property
    def holdout(self) -> Dataset:
        """Rows that only the gate sees."""
        return self.parts["holdout"]


def cut_groups(parts: Mapping[str, Dataset], fleet: FleetSpec) -> Iterator[GroupRows]:
    """Yield every group that has a row in any part, by name; rows without a group belong to none.

    Rows are sorted by group once; a group's rows are copied when it is reached, so that the memory needed does not
    grow with the number of groups.

    Raises:
        CorpusError: the column is no text feature, or has more values than a fleet may have groups.
    """
    column = fleet.group_column
    ordered = {part: _sort_by_group(parts[part], column) for part in PARTS}
    names = sorted({name for rows in ordered.values() for name in rows} - {MISSING})
    if len(names) > fleet.most_groups:
        raise CorpusError(
            f"{column} has {len(names)} values",
            where="fleet.group_column",
            expected=f"at most {fleet.most_groups} groups (`most_groups`)",
            remedy="name a column of groups (vendor, model, ...), not of single entities",
        )
    empty = np.empty(0, dtype=np.int64)
    for name in names:
        yield GroupRows(
            name, {part: parts[part].take(rows.get(name, empty)) for part, rows in ordered.items()}
        )


def _sort_by_group(rows: Dataset, column: str) -> dict[str, NDArray[np.int64]]:
    """Return each group's rows, int positions in their old order."""
    if column not in rows.categories:
        raise CorpusError(
            f"the group column {column!r} is not a text feature",
            expected="a text column among the model's features",
            remedy="correct `fleet.group_column`, or keep the column as text in the feature table",
        )
    codes = rows.categories[column].codes
    order = np.argsort(codes, kind="stable").astype(np.int64)
    present, starts = np.unique(codes[order], return_index=True)
    pieces = np.split(order, starts[1:]) if len(present) else []
    vocabulary = rows.categories[column].vocabulary
    return {vocabulary[code]: piece for code, piece in zip(present, pieces, strict=True)}


def find_obstacle(group: GroupRows, fleet: FleetSpec, task: Task) -> tuple[GroupOutcome, str] | None:
    """Return why a group cannot have a model of its own, in a word and in words; None if it can be tried."""
    return _find_training_obstacle(group, fleet, task) or _find_holdout_obstacle(group.holdout, fleet, task)


def _find_training_obstacle(
    group: GroupRows, fleet: FleetSpec, task: Task
) -> tuple[GroupOutcome, str] | None:
    train = group.train
    if train.rows < fleet.min_rows:
        return "too_small", f"{train.rows} training rows, {fleet.min_rows} needed"
    if group.validation.rows == 0:
        return "too_small", "no validation row"
    if task not in ("binary", "multiclass"):
        return None
    minority, needed = _minority_rows(train), fleet.min_minority_rows
    if minority == 0:
        return "one_class", f"all {train.rows} training rows have the same label"
    if minority < needed:
        return "too_small", f"{minority} training rows outside the commonest class, {needed} needed"
    return None


def _find_holdout_obstacle(holdout: Dataset, fleet: FleetSpec, task: Task) -> tuple[GroupOutcome, str] | None:
    if holdout.rows < fleet.gate.min_holdout_rows:
        return "no_holdout", f"{holdout.rows} holdout rows, {fleet.gate.min_holdout_rows} needed"
    if task == "binary" and (positives := int(holdout.y.sum())) < fleet.gate.min_holdout_positives:
        return "no_holdout", f"{positives} holdout positives, {fleet.gate.min_holdout_positives} needed"
    return None


def _minority_rows(rows: Dataset) -> int:
    counts = np.unique(rows.y, return_counts=True)[1]
    return int(counts.sum() - counts.max())
