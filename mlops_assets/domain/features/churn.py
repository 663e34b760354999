"""Churn as an event: the label of the churn use case.

Belongs here: who left on which day. Does not belong here: features.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlops_assets.domain.features.daily import DailyRecipe
from mlops_assets.domain.features.keys import SUBSCRIBER_KEY
from mlops_assets.domain.features.table import ColumnDoc, FeatureTable, TableInput

if TYPE_CHECKING:
    import ibis.expr.types as ir


def _churned(tables: Mapping[str, ir.Table]) -> ir.Table:
    people = tables["subscribers"]
    return people.filter(people.status == "churned").mutate(last_plan_code=people.plan_code)


CHURN_EVENTS = FeatureTable(
    name="etl/churn_events",
    description=(
        "Subscribers who left on the day, one row each. Fresh when the day's CRM snapshot is in; without it "
        "no corpus whose label window holds the day can be built."
    ),
    owner="team:customer-insight",
    kind="daily",
    keys=("subscriber_id",),
    columns={
        "subscriber_id": SUBSCRIBER_KEY,
        "last_plan_code": ColumnDoc("text", "plan at the time of leaving", role="label"),
    },
    recipe=DailyRecipe(
        inputs=(
            TableInput(
                "feeds/subscribers", {"subscriber_id": "integer", "status": "text", "plan_code": "text"}
            ),
        ),
        expression=_churned,
    ),
    version="1",
)
