"""Plan activity: purchases of plans and boosters.

Belongs here: the daily aggregate (which knows the day's plan catalogue) and its window. Does not belong
here: ratios (subscriber_features.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlops_assets.domain.features.daily import DailyRecipe
from mlops_assets.domain.features.keys import SUBSCRIBER_KEY
from mlops_assets.domain.features.table import ColumnDoc, FeatureTable, TableInput
from mlops_assets.domain.features.window import SlidingWindow, WindowSum

if TYPE_CHECKING:
    import ibis.expr.types as ir


def _daily_purchases(tables: Mapping[str, ir.Table]) -> ir.Table:
    plans = tables["plans"].select(catalogue_code="plan_code", family="family")
    bought = tables["plan_purchases"]
    known = bought.left_join(plans, bought.plan_code == plans.catalogue_code)
    is_booster = (known.family == "booster").cast("int64").fill_null(0)
    rows = known.select("subscriber_id", "price_usd_cents", is_booster=is_booster)
    return rows.group_by("subscriber_id").aggregate(
        n_plans=(rows.count() - rows.is_booster.sum()).cast("int64"),
        n_boosters=rows.is_booster.sum().cast("int64"),
        purchase_usd_cents=rows.price_usd_cents.sum().cast("int64"),
    )


PURCHASES_DAILY = FeatureTable(
    name="etl/purchases_daily",
    description=(
        "Purchases of the day by kind, one row per subscriber who bought. Fresh when the day's purchases and "
        "plan catalogue are in; without them the windows over purchases stand still."
    ),
    owner="team:data-platform",
    kind="daily",
    keys=("subscriber_id",),
    columns={
        "subscriber_id": SUBSCRIBER_KEY,
        "n_plans": ColumnDoc("integer", "plans bought (all but boosters)", "count", "info"),
        "n_boosters": ColumnDoc("integer", "boosters bought, by the day's catalogue", "count", "info"),
        "purchase_usd_cents": ColumnDoc("integer", "amount paid", "usd_cent", "info"),
    },
    recipe=DailyRecipe(
        inputs=(
            TableInput(
                "feeds/plan_purchases",
                {"subscriber_id": "integer", "plan_code": "text", "price_usd_cents": "integer"},
            ),
            TableInput("feeds/plans", {"plan_code": "text", "family": "text"}),
        ),
        expression=_daily_purchases,
    ),
    version="1",
)

_WINDOW = SlidingWindow(
    source=PURCHASES_DAILY.read(days=30),
    key="subscriber_id",
    sums={
        "n_plans": WindowSum("plans bought (all but boosters)", "count", lambda rows: rows.n_plans),
        "n_boosters": WindowSum("boosters bought", "count", lambda rows: rows.n_boosters),
        "purchase_usd_cents": WindowSum("amount paid", "usd_cent", lambda rows: rows.purchase_usd_cents),
    },
    is_one_row_per_key=True,
)

PURCHASES_30D = FeatureTable(
    name="etl/purchases_30d",
    description=(
        "Purchases of the last 30 days, one row per subscriber with any. Fresh when the day's purchases are "
        "in; without them the day's features and scores are not made."
    ),
    owner="team:data-platform",
    kind="state",
    keys=("subscriber_id",),
    columns=_WINDOW.documentation(SUBSCRIBER_KEY, of="purchases"),
    recipe=_WINDOW,
    version="1",
)
