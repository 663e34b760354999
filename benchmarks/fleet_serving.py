"""What a fleet serves, measured on labelled rows beside the pooled model alone.

Belongs here: predictions by the ledger's champions for the holdout of a corpus. Does not belong here: worlds
(device_fleets) or goals (fleet_*).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.measuring import BenchmarkFailedError
from mlops_assets.domain.learning.champions import current_champion, load_version
from mlops_assets.domain.learning.corpus import CorpusRequest
from mlops_assets.domain.learning.corpus_reader import load_corpus
from mlops_assets.domain.learning.evaluators import EVALUATORS, bootstrap
from mlops_assets.domain.learning.fleet_scoring import load_blend
from mlops_assets.domain.learning.fleet_training import FleetStores
from mlops_assets.domain.learning.slots import group_segment
from mlops_assets.domain.learning.training import slot_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops_assets.domain.learning.dataset import Dataset

_ROUNDS = 300


@dataclass(frozen=True)
class Served:
    """A metric of what is served and of the pooled model, and their difference over devices resampled.

    `gain` is positive where the fleet is better; its interval has 95 %. `standard_error` is that of `served`.
    """

    served: float
    pooled: float
    gain: float
    gain_low: float
    gain_high: float
    standard_error: float
    rows: int
    rows_by_own_model: int


def measure_served(
    champions: CorpusRequest, stores: FleetStores, metric: str, labelled: CorpusRequest | None = None
) -> Served:
    """Measure on the holdout of a corpus; `labelled` names another corpus than the one that was trained on."""
    wanted = labelled or champions
    rows = load_corpus(wanted.partition, stores.lake, wanted.corpus, wanted.model)["holdout"]
    pooled, served, own_rows = predict_served(champions, stores, rows)
    prepare = EVALUATORS[metric]
    evaluators = [prepare(rows.y, predictions, None) for predictions in (served, pooled)]
    units = np.unique(rows.keys.astype(str), return_inverse=True)[1].astype(np.int64)
    drawn = bootstrap(evaluators, units, _ROUNDS, seed=0)
    sign = -1.0 if metric in ("log_loss", "brier") else 1.0
    first, second = (evaluate(np.ones(rows.rows)) for evaluate in evaluators)
    low, high = np.quantile(sign * (drawn[0] - drawn[1]), [0.025, 0.975])
    gain, error = sign * (first - second), float(drawn[0].std(ddof=1))
    return Served(first, second, gain, float(low), float(high), error, rows.rows, own_rows)


def predict_served(
    request: CorpusRequest, stores: FleetStores, rows: Dataset
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Return the pooled champion's predictions, the fleet's, and how many of these are by an own model."""
    slot, fleet = slot_of(request), request.model.fleet
    histories = stores.ledger.histories(slot.use_case, slot.model)
    entry = current_champion(histories.get(slot.segment, ()))
    if entry is None or fleet is None:
        raise BenchmarkFailedError("there is no pooled champion, or no fleet")
    pooled = load_version(stores.registry, slot, entry.version, entry.bundle_sha256)
    predictions = pooled.predict(rows.select(pooled.features))
    served, own_rows = predictions.copy(), 0
    column = rows.categories[fleet.group_column]
    for code, group in enumerate(column.vocabulary):
        champion = current_champion(histories.get(group_segment(slot.segment, group), ()))
        at = np.flatnonzero(column.codes == code)
        if champion is None or not len(at):
            continue
        blend = load_blend(champion, slot, stores.registry)
        served[at] = blend.predict(rows.take(at).select(blend.signature.features))
        own_rows += len(at)
    return predictions, served, own_rows
