"""Resampling of whole customers.

Belongs here: estimates over bootstrap samples of customers. Does not belong here: what is estimated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.domain.offers.off_policy_estimators import Terms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_CELLS_AT_ONCE = 4_000_000  # counts held in memory, 32 MB


def combine(terms: Terms) -> float:
    """Return the estimate on the whole log; NaN where a self-normalised one has no weight at all."""
    return float(_values(_row_sums(terms)[None, :])[0])


def resample(terms: Sequence[Terms], customer_numbers: NDArray[np.int64], rounds: int, seed: int) -> Floats:
    """Estimate on samples of customers drawn with replacement (cluster bootstrap, Davison and Hinkley 1997).

    All estimates see the same samples, so that differences between them are paired. A customer's rows are summed
    once; a round costs one pass over customers, not over rows.

    Args:
        terms: estimates over the same rows.
        customer_numbers: int64 [rows], 0 to customers - 1.
        rounds: number of samples.
        seed: of the draws.

    Returns:
        float64 [estimates x rounds]; NaN where a sample has no weight at all.
    """
    count = int(customer_numbers.max()) + 1
    sums = np.hstack([_customer_sums(one, customer_numbers, count) for one in terms])
    random = np.random.default_rng(seed)
    at_once = max(1, _CELLS_AT_ONCE // count)
    totals = [
        _draw(random, count, min(at_once, rounds - start)) @ sums for start in range(0, rounds, at_once)
    ]
    return np.stack([_values(part) for part in np.split(np.vstack(totals), len(terms), axis=1)])


def _draw(random: np.random.Generator, count: int, rounds: int) -> Floats:
    drawn = [np.bincount(random.integers(0, count, count), minlength=count) for _ in range(rounds)]
    return np.asarray(drawn, dtype=np.float64)


def _columns(terms: Terms) -> tuple[Floats, Floats, Floats, Floats]:
    return np.ones_like(terms.base), terms.base, terms.correction, terms.norm


def _row_sums(terms: Terms) -> Floats:
    return np.array([column.sum() for column in _columns(terms)])


def _customer_sums(terms: Terms, customer_numbers: NDArray[np.int64], count: int) -> Floats:
    columns = [np.bincount(customer_numbers, column, count) for column in _columns(terms)]
    return np.column_stack(columns)


def _values(sums: Floats) -> Floats:
    """Return estimates float64 [samples] of sums [samples x (rows, base, correction, norm)]."""
    rows, base, correction, norm = sums.T
    ratio = np.divide(correction, norm, out=np.full_like(correction, np.nan), where=norm > 0)
    values: Floats = base / rows + ratio
    return values
