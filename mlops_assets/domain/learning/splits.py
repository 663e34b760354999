"""Which rows train, validate and test.

Belongs here: pure planning of as-of days and of hash splits. Does not belong here: reading corpora, or
deciding whether a finished model has seen a row (exposure.py).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, Any

from mlops_assets.domain.errors import CorpusError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mlops_assets.domain.learning.spec import HashSplit, TimeSplit

PARTS = ("train", "validation", "holdout")
_MAX_LABEL_CLASSES = 20
_CONTINUOUS_BINS = 10


@dataclass(frozen=True)
class SplitPlan:
    """As-of days of each part, oldest first; label windows of a part end by the next part's first day."""

    train: tuple[dt.date, ...]
    validation: tuple[dt.date, ...]
    holdout: tuple[dt.date, ...]
    horizon_days: int

    @property
    def trained_through_day(self) -> dt.date:
        """Last day whose labels train or validation have seen; holdout as-of days are not before it."""
        return self.validation[-1] + dt.timedelta(days=self.horizon_days)

    @property
    def days(self) -> tuple[dt.date, ...]:
        """All as-of days, oldest first."""
        return self.train + self.validation + self.holdout

    def part_of(self, day: dt.date) -> str:
        """Return train, validation or holdout; CorpusError for a day outside the plan."""
        for part, days in zip(PARTS, (self.train, self.validation, self.holdout), strict=True):
            if day in days:
                return part
        raise CorpusError(
            f"{day} is not an as-of day of this split", expected=f"one of {list(map(str, self.days))}"
        )


def plan_time_split(
    first_day: dt.date,
    last_day: dt.date,
    horizon_days: int,
    split: TimeSplit,
    min_history_days: int,
    is_usable: Callable[[dt.date], bool] = lambda _: True,
) -> SplitPlan:
    """Lay the as-of days backwards from the newest one whose labels are complete.

    Days stay on one grid of `as_of_every_days`, so that the parts do not differ in the phase of the week;
    the gap between parts is the fewest grid steps that cover the horizon. A day that cannot be used (a feed
    was lost on it or in its label window) is passed over; the next older one takes its place.

    Args:
        first_day: first delivered day.
        last_day: last delivered day; the newest holdout as-of is `last_day - horizon_days`.
        horizon_days: length of the label window in days.
        split: how many as-of days each part asks for; train may get fewer, but at least its minimum.
        min_history_days: age in days since `first_day` of the oldest usable as-of day.
        is_usable: whether an as-of day has its features and a complete label window.

    Raises:
        CorpusError: too little history; names the first day on which training will be possible.
    """
    step, gap = split.as_of_every_days, _gap_days(horizon_days, split.as_of_every_days)
    oldest = first_day + dt.timedelta(days=min_history_days)

    def days_back(newest: dt.date, count: int) -> tuple[dt.date, ...]:
        return _days_back(newest, count, step, oldest, is_usable)

    holdout = days_back(last_day - dt.timedelta(days=horizon_days), split.holdout_as_ofs)
    validation = days_back(holdout[0] - dt.timedelta(days=gap), split.validation_as_ofs) if holdout else ()
    train = days_back(validation[0] - dt.timedelta(days=gap), split.train_as_ofs) if validation else ()
    wanted = (split.holdout_as_ofs, split.validation_as_ofs, split.train_as_ofs_min)
    if any(len(days) < count for days, count in zip((holdout, validation, train), wanted, strict=True)):
        possible = first_trainable_day(first_day, horizon_days, split, min_history_days)
        raise CorpusError(
            "too little history to train",
            where=f"{first_day} to {last_day}",
            expected=f"data through {possible} (the first day on which training is possible)",
            remedy="wait for more days (days that a feed was lost on do not count), or lower `min_history_days`, "
            "`horizon_days` or the as-of counts",
        )
    return SplitPlan(train, validation, holdout, horizon_days)


def usable_days(
    days: Collection[dt.date], label_days: Collection[dt.date], horizon_days: int
) -> Callable[[dt.date], bool]:
    """Return whether an as-of day can be used: its features are published and so is its whole label window."""
    known, labelled = frozenset(days), frozenset(label_days)

    def is_usable(day: dt.date) -> bool:
        ahead = (day + dt.timedelta(days=n) for n in range(1, horizon_days + 1))
        return day in known and all(label_day in labelled for label_day in ahead)

    return is_usable


def first_trainable_day(
    first_day: dt.date, horizon_days: int, split: TimeSplit, min_history_days: int
) -> dt.date:
    """Return the earliest last delivered day for which `plan_time_split` succeeds."""
    gap = _gap_days(horizon_days, split.as_of_every_days)
    as_ofs = split.train_as_ofs_min + split.validation_as_ofs + split.holdout_as_ofs
    spans = (as_ofs - 3) * split.as_of_every_days
    return first_day + dt.timedelta(days=min_history_days + 2 * gap + spans + horizon_days)


def hash_split(
    keys: Sequence[Any] | NDArray[Any], labels: NDArray[np.float64], split: HashSplit
) -> NDArray[np.str_]:
    """Assign each row to train, validation or holdout by a keyed hash of its key, within each class.

    The shares hold exactly per class, to one row. The result depends on keys and labels only, not on
    their order. Labels with more than 20 values are stratified by tenths.

    Args:
        keys: entity keys [rows], unique.
        labels: float64 [rows].
        split: shares and seed.

    Raises:
        CorpusError: keys repeat, or the shares leave nothing to train on.
    """
    import numpy as np

    if split.validation_share + split.holdout_share >= 1.0:
        raise CorpusError(
            "validation and holdout leave no rows to train on", expected="shares that sum below 1"
        )
    texts = [str(key) for key in keys]
    if len(set(texts)) != len(texts):
        raise CorpusError(
            f"{len(texts) - len(set(texts))} entity keys repeat",
            expected="one row per entity",
            remedy="a hash split is for snapshots; use a time split, or deduplicate the table",
        )
    ranks = hash_keys(texts, f"split:{split.seed}")
    parts = np.full(len(texts), "train", dtype="<U10")
    strata = _strata(labels)
    for stratum in np.unique(strata):
        rows = np.flatnonzero(strata == stratum)
        ordered = rows[np.argsort(ranks[rows], kind="stable")]
        holdout = round(len(rows) * split.holdout_share)
        both = round(len(rows) * (split.holdout_share + split.validation_share))
        parts[ordered[:holdout]] = "holdout"
        parts[ordered[holdout:both]] = "validation"
    return parts


def hash_keys(texts: Sequence[str], purpose: str) -> NDArray[np.uint64]:
    """Return a stable 64-bit keyed hash (BLAKE2b) of each text; `purpose` separates uses."""
    import numpy as np

    base = blake2b(key=blake2b(purpose.encode(), digest_size=32).digest(), digest_size=8)
    joined = bytearray()
    for text in texts:
        keyed = base.copy()
        keyed.update(text.encode())
        joined += keyed.digest()
    return np.frombuffer(bytes(joined), dtype=">u8").astype(np.uint64)


def _strata(labels: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    if len(np.unique(labels)) <= _MAX_LABEL_CLASSES:
        return labels
    edges = np.quantile(labels, np.linspace(0, 1, _CONTINUOUS_BINS + 1)[1:-1])
    return np.searchsorted(edges, labels, side="right").astype(np.float64)


def _gap_days(horizon_days: int, step_days: int) -> int:
    return -(-horizon_days // step_days) * step_days


def _days_back(
    newest: dt.date, count: int, step_days: int, oldest: dt.date, is_usable: Callable[[dt.date], bool]
) -> tuple[dt.date, ...]:
    """Return at most `count` usable days of the grid, going back from the newest; oldest first."""
    steps = range((newest - oldest).days // step_days + 1)  # empty if the newest is too old
    grid = (newest - dt.timedelta(days=step_days * back) for back in steps)
    return tuple(reversed([*islice((day for day in grid if is_usable(day)), count)]))
