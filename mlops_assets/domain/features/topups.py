"""Top-up windows: how often and how much each subscriber pays in.

Belongs here: sums over `feeds/topups`. Does not belong here: ratios of them (subscriber_features.py).
"""

from __future__ import annotations

from mlops_assets.domain.features.keys import SUBSCRIBER_KEY
from mlops_assets.domain.features.table import FeatureTable, TableInput
from mlops_assets.domain.features.window import SlidingWindow, WindowSum

_WINDOW = SlidingWindow(
    source=TableInput(
        "feeds/topups",
        {"subscriber_id": "integer", "amount_usd_cents": "integer", "channel": "text"},
        days=30,
    ),
    key="subscriber_id",
    sums={
        "n_topups": WindowSum("top-ups", "count", lambda rows: rows.subscriber_id.notnull()),
        "n_app_topups": WindowSum("top-ups through the app", "count", lambda rows: rows.channel == "app"),
        "topup_usd_cents": WindowSum("amount topped up", "usd_cent", lambda rows: rows.amount_usd_cents),
        "topup_usd_cents_7d": WindowSum(
            "amount topped up", "usd_cent", lambda rows: rows.amount_usd_cents, days=7
        ),
    },
    is_one_row_per_key=False,
)

TOPUPS_30D = FeatureTable(
    name="etl/topups_30d",
    description=(
        "Top-ups of the last 30 days (and of the last 7, for trends), one row per subscriber with any. Fresh "
        "when the day's top-up file is in; without it the day's features and scores are not made."
    ),
    owner="team:data-platform",
    kind="state",
    keys=("subscriber_id",),
    columns=_WINDOW.documentation(SUBSCRIBER_KEY, of="top-ups"),
    recipe=_WINDOW,
    version="2",
)
