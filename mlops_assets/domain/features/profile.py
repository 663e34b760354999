"""Who the subscriber is on the day: status, plan, balance and customer DNA.

Belongs here: attributes of the day and those carried forward. Does not belong here: sums over days.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlops_assets.domain.features.carry_forward import CarryForward
from mlops_assets.domain.features.daily import DailyRecipe
from mlops_assets.domain.features.keys import SUBSCRIBER_KEY
from mlops_assets.domain.features.table import ColumnDoc, FeatureTable, TableInput
from mlops_assets.domain.feeds.contract import ColumnType

if TYPE_CHECKING:
    import ibis.expr.types as ir

_DNA_COLUMNS: dict[str, ColumnType] = {
    "subscriber_id": "integer",
    "age_years": "integer",
    "region": "text",
    "device_type": "text",
    "is_4g_capable": "boolean",
    "video_affinity": "decimal",
    "social_affinity": "decimal",
}
_DNA_DOCS = {
    "age_years": ColumnDoc("integer", "age; null if unknown"),
    "region": ColumnDoc("text", "home region; null before the first DNA record"),
    "device_type": ColumnDoc("text", "smartphone, feature_phone or router; null before the first DNA record"),
    "is_4g_capable": ColumnDoc("boolean", "terminal can use 4G or better; null before the first DNA record"),
    "video_affinity": ColumnDoc("decimal", "interest score; null if unknown", "share"),
    "social_affinity": ColumnDoc("decimal", "interest score; null if unknown", "share"),
}


def _profile(tables: Mapping[str, ir.Table]) -> ir.Table:
    people = tables["subscribers"]
    present = people.filter(people.status != "churned")
    plans = tables["plans"].select(
        catalogue_code="plan_code",
        plan_family="family",
        plan_price_usd_cents="price_usd_cents",
        plan_validity_days="validity_days",
        plan_allowance_kb="allowance_kb",
    )
    dna = tables["dna_state"].rename(dna_subscriber_id="subscriber_id")
    joined = (
        present.left_join(plans, present.plan_code == plans.catalogue_code)
        .left_join(dna, present.subscriber_id == dna.dna_subscriber_id)
        .cross_join(tables["as_of"])
    )
    return joined.mutate(
        tenure_days=joined.day.delta(joined.activation_date, unit="day"),
        days_since_plan=joined.day.delta(joined.plan_start_date, unit="day"),
        days_to_expiry=joined.plan_expiry_date.delta(joined.day, unit="day"),
    )


DNA_STATE = FeatureTable(
    name="etl/dna_state",
    description=(
        "Latest known customer DNA, one row per subscriber ever delivered. Fresh with each day; a day "
        "without DNA file carries the day before forward."
    ),
    owner="team:customer-insight",
    kind="state",
    keys=("subscriber_id",),
    columns={
        "subscriber_id": SUBSCRIBER_KEY,
        **_DNA_DOCS,
        "dna_changed_day": ColumnDoc("date", "file day of the record carried", role="info"),
    },
    recipe=CarryForward(
        source=TableInput("feeds/dna", _DNA_COLUMNS, days=0, is_required=False),
        key="subscriber_id",
        changed_day="dna_changed_day",
    ),
    version="1",
)

PROFILE = FeatureTable(
    name="etl/profile",
    description=(
        "Active subscribers and prospects at the end of the day with plan, balance and DNA, one row each. "
        "Fresh when the day's CRM snapshot and plan catalogue are in; without them nobody is scored."
    ),
    owner="team:customer-insight",
    kind="daily",
    keys=("subscriber_id",),
    columns={
        "subscriber_id": SUBSCRIBER_KEY,
        "status": ColumnDoc("text", "active or prospect at the end of the day"),
        "plan_code": ColumnDoc("text", "current plan"),
        "plan_family": ColumnDoc("text", "family of the plan; null if the day's catalogue lacks it"),
        "plan_price_usd_cents": ColumnDoc("integer", "list price of the plan on the day", "usd_cent"),
        "plan_validity_days": ColumnDoc("integer", "validity of the plan", "day"),
        "plan_allowance_kb": ColumnDoc("integer", "data included in the plan", "KB"),
        "balance_usd_cents": ColumnDoc("integer", "main account balance at the end of the day", "usd_cent"),
        "tenure_days": ColumnDoc("integer", "day - activation; null for prospects", "day"),
        "days_since_plan": ColumnDoc("integer", "day - start of the plan; null without plan start", "day"),
        "days_to_expiry": ColumnDoc(
            "integer", "expiry - day, negative once expired; null without expiry", "day"
        ),
        **_DNA_DOCS,
    },
    recipe=DailyRecipe(
        inputs=(
            TableInput(
                "feeds/subscribers",
                {
                    "subscriber_id": "integer",
                    "status": "text",
                    "activation_date": "date",
                    "plan_code": "text",
                    "plan_start_date": "date",
                    "plan_expiry_date": "date",
                    "balance_usd_cents": "integer",
                },
            ),
            TableInput(
                "feeds/plans",
                {
                    "plan_code": "text",
                    "family": "text",
                    "price_usd_cents": "integer",
                    "validity_days": "integer",
                    "allowance_kb": "integer",
                },
            ),
            DNA_STATE.read("subscriber_id", *_DNA_DOCS, is_required=False),
        ),
        expression=_profile,
    ),
    version="1",
)
