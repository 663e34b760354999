"""Who the subscriber is: customer DNA, which is delivered when it changes and carried forward.

Belongs here: attributes that outlive their day. Does not belong here: sums over days, or attributes that are
delivered every day (subscriber_features reads those from their feed).
"""

from __future__ import annotations

from mlops_assets.domain.features.carry_forward import CarryForward
from mlops_assets.domain.features.keys import SUBSCRIBER_KEY
from mlops_assets.domain.features.table import ColumnDoc, FeatureTable, TableInput
from mlops_assets.domain.feeds.contract import ColumnType

_DELIVERED: dict[str, ColumnType] = {
    "subscriber_id": "integer",
    "age_years": "integer",
    "region": "text",
    "device_type": "text",
    "is_4g_capable": "boolean",
    "video_affinity": "decimal",
    "social_affinity": "decimal",
}
DNA_DOCS = {
    "age_years": ColumnDoc("integer", "age; null if unknown"),
    "region": ColumnDoc("text", "home region; null before the first DNA record"),
    "device_type": ColumnDoc("text", "smartphone, feature_phone or router; null before the first DNA record"),
    "is_4g_capable": ColumnDoc("boolean", "terminal can use 4G or better; null before the first DNA record"),
    "video_affinity": ColumnDoc("decimal", "interest score; null if unknown", "share"),
    "social_affinity": ColumnDoc("decimal", "interest score; null if unknown", "share"),
}


PROFILE = FeatureTable(
    name="etl/profile",
    description=(
        "Latest known customer DNA, one row per subscriber ever delivered. Fresh with each day; a day "
        "without DNA file carries the day before forward."
    ),
    owner="team:customer-insight",
    kind="state",
    keys=("subscriber_id",),
    columns={
        "subscriber_id": SUBSCRIBER_KEY,
        **DNA_DOCS,
        "dna_changed_day": ColumnDoc("date", "file day of the record carried", role="info"),
    },
    recipe=CarryForward(
        source=TableInput("feeds/dna", _DELIVERED, days=0, is_required=False),
        key="subscriber_id",
        changed_day="dna_changed_day",
    ),
    version="2",
    is_compact=True,
)
