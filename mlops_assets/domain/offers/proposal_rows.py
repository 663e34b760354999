"""The rows of a day's proposals: one row per person of the population.

| column | content |
|---|---|
| `subscriber_id` | subscriber number |
| `plan_code` | plan or booster proposed, or `no_offer` |
| `discount_share`, `discount_usd_cents` | discount of the list price, and the same at the day's price |
| `model_version` | version of the policy |
| `expected_acceptance` | chance of a sale; null without an offer |
| `expected_margin_usd_cents` | margin less discount times that chance |
| `advantage_usd` | worth over no offer by the policy; null if it does not know the offer |
| `stratum` | control, random or policy |
| `propensity`, `no_offer_propensity` | chance that this choice had, and that of leaving the person alone |
| `propensities` | chance of every choice of the catalogue, in the order of the manifest's fact `choices` |
| `eligible` | whether each of these choices was allowed, the contact policy included |
| `reasons` | reason codes, strongest first, as one text with blanks |

Belongs here: columns and their values. Does not belong here: decisions (daily_decisions.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.domain.offers.decision_data import NO_ACTION, OfferAction
from mlops_assets.domain.offers.exploration import STRATA

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ChunkOfProposals:
    """Some people's decisions.

    Attributes:
        customers: int64 [people].
        actions: int16 [people], positions in the choices.
        chances: float64 [people x choices].
        allowed: bool [people x choices].
        scores: float32 [people x choices], -inf where not allowed or not known.
        strata: int8 [people].
        acceptances: float64 [people], NaN for none.
        reasons: one list per person.
    """

    customers: NDArray[np.int64]
    actions: NDArray[np.int16]
    chances: Floats
    allowed: NDArray[np.bool_]
    scores: NDArray[np.float32]
    strata: NDArray[np.int8]
    acceptances: Floats
    reasons: Sequence[Sequence[str]]


def make_rows(chunk: ChunkOfProposals, choices: Sequence[OfferAction], version: str) -> pa.Table:
    """Return the rows of a chunk as an Arrow table."""
    import pyarrow as pa

    rows, taken = np.arange(len(chunk.actions)), chunk.actions
    cents = np.array([round(100 * one.discount_usd) for one in choices], dtype=np.int64)
    margins = np.array([100 * one.net_margin_usd for one in choices])
    advantage = chunk.scores[rows, taken].astype(np.float64)
    columns: dict[str, Any] = {
        "subscriber_id": pa.array(chunk.customers),
        "plan_code": _texts([one.plan_code for one in choices], taken),
        "discount_share": pa.array(np.array([one.discount_share for one in choices])[taken]),
        "discount_usd_cents": pa.array(cents[taken]),
        "model_version": _texts([version], np.zeros(len(taken), dtype=np.int16)),
        "expected_acceptance": _nullable(chunk.acceptances),
        "expected_margin_usd_cents": _nullable(chunk.acceptances * margins[taken]),
        "advantage_usd": _nullable(np.where(np.isfinite(advantage), advantage, np.nan)),
        "stratum": _texts(STRATA, chunk.strata),
        "propensity": pa.array(chunk.chances[rows, taken]),
        "no_offer_propensity": pa.array(chunk.chances[:, NO_ACTION]),
        "propensities": _lists(chunk.chances.astype(np.float32)),
        "eligible": _lists(chunk.allowed),
        "reasons": pa.array([" ".join(codes) for codes in chunk.reasons], pa.string()),
    }
    return pa.table(columns)


def _texts(values: Sequence[str], places: NDArray[Any]) -> pa.Array:
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(
        pa.array(places.astype(np.int16)), pa.array(list(values), pa.string())
    )


def _nullable(values: Floats) -> pa.Array:
    import pyarrow as pa

    return pa.array(values, mask=np.isnan(values))


def _lists(matrix: NDArray[Any]) -> pa.Array:
    """Return one list a row."""
    import pyarrow as pa

    offsets = np.arange(len(matrix) + 1, dtype=np.int32) * matrix.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(matrix.ravel()))
