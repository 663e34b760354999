"""A day of proposals for a million prospects: the part of offer_scale that goes from the lake to the lake.

People, contacts and purchases are made up; ten features stand for the scores of input models, which the daily run has
made already. The policy has one boosted model for each of twenty-one offers. Cost is that of `propose_day`: states,
rules, contact policy, scores, budget, random draws, reasons and rows. The day is refused as failed unless every limit
holds and the checks of the graph find no fault.

Belongs here: a lake of the right size, and what a day costs in it. Does not belong here: whether proposals are good.
"""

from __future__ import annotations

import datetime as dt
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from mlops_assets.domain.offers.serving_policy import LoadedPolicy
    from mlops_assets.domain.offers.state_scores import OfferSetting
    from mlops_assets.domain.ports import Lake, LedgerEntry, ModelSlot

_DAY, _SEGMENT, _SEED = dt.date(2026, 3, 1), "cl", 1
_FEATURES = (
    "balance_main_acc",
    "data_local_mb",
    "topup_usd",
    "plan_price_usd",
    "avg_topup_amt",
    "avg_freq",
    "activity_ratio",
    "data_trend_ratio",
    "top3_app_usage_ratio",
    "call_minutes",
)
_PLANS, _DISCOUNTS = 7, (0.0, 0.1, 0.25)
_KEY = "ab" * 32


def propose(prospects: int) -> dict[str, Any]:
    """Make a lake in a temporary folder, propose for its people, return cost and what came out."""
    from benchmarks.measuring import BenchmarkFailedError, Usage
    from mlops_assets.domain.offers.daily_offers import OfferPorts, propose_day
    from mlops_assets.domain.offers.proposal_checks import count_faults
    from resources.duckdb_engine import DuckDbEngine
    from resources.lake import LocalLake

    with tempfile.TemporaryDirectory() as folder:
        lake = LocalLake(Path(folder) / "lake")
        engine = DuckDbEngine(2, "2GB", Path(folder) / "spill", [Path(folder)])
        setting = _setting(prospects)
        loaded = _policy(setting)
        _fill(lake, prospects)
        ports = OfferPorts(lake, engine, _NoModels(), _OneChampion())  # type: ignore[arg-type]
        start = Usage.taken()
        outcome = propose_day(setting, _DAY, ports, lambda _: loaded, threads=2)
        cpu_s = Usage.taken().since(start).cpu_s
        if outcome.manifest is None:
            raise BenchmarkFailedError(outcome.detail)
        faults = count_faults(setting.spec.catalogue, outcome.partition, lake=lake, engine=engine)
        facts = outcome.manifest.facts
        return {
            "cpu_s": cpu_s,
            "rows": outcome.manifest.row_count,
            "offers": facts["offers"],
            "gap": facts["gap"],
            "filled": {name: facts["used"][name] / limit for name, limit in facts["limits"].items()},
            "faults": faults.repeated + faults.unsound_chances + faults.forbidden,
        }


def _setting(prospects: int) -> OfferSetting:
    from mlops_assets.domain.learning.spec import CorpusSpec
    from mlops_assets.domain.offers.offers_spec import OffersSpec
    from mlops_assets.domain.offers.state_scores import OfferSetting

    catalogue = {
        "plans": [{"plan_code": f"plan_{n}", "discounts": list(_DISCOUNTS)} for n in range(_PLANS)],
        "eligible": "status = 'active' and tenure_days >= 14",
        "budget": {"contacts_per_day": prospects // 50, "discount_usd_per_day": prospects * 0.002},
    }
    spec = OffersSpec.model_validate({"catalogue": catalogue, "state": {"features": list(_FEATURES)}})
    corpus = {
        "table": "etl/subscriber_features",
        "entity_key": "subscriber_id",
        "filter_equals": {"status": "active"},
        "split": {"kind": "time"},
    }
    return OfferSetting("offer_scale", _SEGMENT, CorpusSpec.model_validate(corpus), spec, ())


class _NoModels:
    """A registry that nobody asks: the states have no scores."""


class _OneChampion:
    """A ledger whose one policy was promoted before all days."""

    def history(self, slot: ModelSlot) -> list[LedgerEntry]:
        """Return its promotion."""
        from mlops_assets.domain.ports import LedgerEntry

        decided = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        return [
            LedgerEntry(
                "first", slot, "promoted", "1", _KEY, None, "benchmark", decided, None, _KEY, ("a benchmark",)
            )
        ]


def _fill(lake: Lake, prospects: int) -> None:
    """Publish a snapshot, the catalogue, and 28 days in which one in a hundred is contacted."""
    import numpy as np
    import pyarrow as pa

    chance = np.random.default_rng(_SEED)
    ids = np.arange(prospects, dtype=np.int64) * 3 + 1
    _publish(lake, "etl/subscriber_features", _DAY, _people(ids, chance))
    plans = {
        "plan_code": [f"plan_{n}" for n in range(_PLANS)],
        "family": ["data"] * _PLANS,
        "price_usd_cents": [200 + 100 * n for n in range(_PLANS)],
        "margin_usd_cents": [120 + 60 * n for n in range(_PLANS)],
        "validity_days": [7] * _PLANS,
        "allowance_kb": [1024] * _PLANS,
    }
    _publish(lake, "feeds/plans", _DAY, pa.table(plans))
    for back in range(28):
        day = _DAY - dt.timedelta(days=back)
        contacted, buyers = (
            chance.choice(ids, prospects // 100),
            chance.choice(ids, prospects // 20, replace=False),
        )
        answers = chance.random(len(contacted)) < 0.1
        sent = pa.table({"subscriber_id": contacted, "is_accepted": answers})
        _publish(lake, "feeds/offers_sent", day, sent)
        ones, none = np.ones(len(buyers), dtype=np.int64), np.zeros(len(buyers), dtype=np.int64)
        bought = pa.table({"subscriber_id": buyers, "n_plans": ones, "n_boosters": none})
        _publish(lake, "etl/purchases_daily", day, bought)


def _people(ids: np.ndarray[Any, Any], chance: np.random.Generator) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    from mlops_assets.domain.features.subscriber_features import SUBSCRIBER_FEATURES

    rows, columns = len(ids), {}
    for name, kind in SUBSCRIBER_FEATURES.stored_types().items():
        if name == "subscriber_id":
            columns[name] = pa.array(ids)
        elif kind == "string":
            columns[name] = pa.DictionaryArray.from_arrays(np.zeros(rows, np.int8), ["active"]).cast(
                pa.string()
            )
        elif kind == "boolean":
            columns[name] = pa.array(chance.random(rows) < 0.5)
        elif kind.startswith("int"):
            columns[name] = pa.array(chance.integers(0, 60, rows).astype(kind))
        else:
            columns[name] = pa.array(chance.gamma(2.0, 5.0, rows).astype(kind))
    return pa.table(columns)


def _publish(lake: Lake, table: str, day: dt.date, rows: pa.Table) -> None:
    import pyarrow.parquet as pq

    from mlops_assets.domain.ports import PartitionId

    with lake.write(PartitionId(table, _SEGMENT, day), _KEY) as writer:
        pq.write_table(rows, writer.file("data"), compression="snappy")
        writer.commit(row_count=rows.num_rows)


def _policy(setting: OfferSetting) -> LoadedPolicy:
    """Return a policy of sixty small trees an offer, each worth something to a part of the people."""
    import numpy as np
    from catboost import CatBoostRegressor

    from mlops_assets.domain.offers.decision_data import OfferAction
    from mlops_assets.domain.offers.offer_choices import list_choices
    from mlops_assets.domain.offers.policies import DistilledPolicy
    from mlops_assets.domain.offers.serving_policy import LoadedPolicy
    from mlops_assets.domain.offers.state_design import design_columns
    from mlops_assets.domain.offers.tree_models import TreeModel

    chance = np.random.default_rng(_SEED)
    plans = {f"plan_{n}": OfferAction(f"plan_{n}", "data") for n in range(_PLANS)}
    choices = list_choices(setting.spec.catalogue, plans)
    design = chance.gamma(2.0, 5.0, (4000, len(design_columns(setting.layout)))).astype(np.float32)
    models = [TreeModel("mean", np.zeros(1))]
    for position in range(1, len(choices)):
        worth = (design[:, position % len(_FEATURES)] - 12.0) / 10.0 + chance.normal(0, 0.3, len(design))
        booster = CatBoostRegressor(
            iterations=60, depth=4, random_seed=position, verbose=False, allow_writing_files=False
        )
        booster.fit(design, worth)
        models.append(TreeModel("mean", np.zeros(1), booster))
    return LoadedPolicy(DistilledPolicy("agent", choices, setting.layout.columns, tuple(models)))
