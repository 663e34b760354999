"""Contact history: offers sent to each subscriber and their answers.

Belongs here: sums over `feeds/offers_sent`. Does not belong here: which offer to send next (domain.offers).
"""

from __future__ import annotations

from mlops_assets.domain.features.keys import SUBSCRIBER_KEY
from mlops_assets.domain.features.table import FeatureTable, TableInput
from mlops_assets.domain.features.window import SlidingWindow, WindowSum

_WINDOW = SlidingWindow(
    source=TableInput("feeds/offers_sent", {"subscriber_id": "integer", "is_accepted": "boolean"}, days=30),
    key="subscriber_id",
    sums={
        "n_offers": WindowSum("offers sent", "count", lambda rows: rows.subscriber_id.notnull()),
        "n_offers_accepted": WindowSum(
            "offers accepted by the end of the day they were sent", "count", lambda rows: rows.is_accepted
        ),
    },
    is_one_row_per_key=False,
)

OFFERS_30D = FeatureTable(
    name="etl/offers_30d",
    description=(
        "Offers sent in the last 30 days, one row per subscriber who was contacted. Fresh when the day's "
        "campaign log is in; without it the day's features and scores are not made."
    ),
    owner="team:campaigns",
    kind="state",
    keys=("subscriber_id",),
    columns=_WINDOW.documentation(SUBSCRIBER_KEY, of="offers"),
    recipe=_WINDOW,
    version="1",
)
