"""Usage by plan: the daily totals that the quality stage forecasts.

Belongs here: sums and counts of one day by plan. Does not belong here: forecasts, ranges or judgements of
them (mlops_assets.domain.quality).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlops_assets.domain.features.daily import DailyRecipe
from mlops_assets.domain.features.table import ColumnDoc, FeatureTable, TableInput
from mlops_assets.domain.features.window import whole_sum

if TYPE_CHECKING:
    import ibis.expr.types as ir


def _plan_usage(tables: Mapping[str, ir.Table]) -> ir.Table:
    """Sum usage by the plan that the CRM names at the end of the day; who left today still used it today."""
    people, usage = tables["subscribers"], tables["usage"]
    customers = people.filter(people.status != "prospect", people.plan_code.notnull())
    used = usage.select(
        used_id="subscriber_id",
        used_kb=usage.data_local_kb.fill_null(0) + usage.data_roaming_kb.fill_null(0),
        records="record_count",
    )
    joined = customers.left_join(used, customers.subscriber_id == used.used_id)
    rows = joined.select(
        "plan_code",
        kb=joined.used_kb.fill_null(0),
        records=joined.records.fill_null(0),
        is_user=joined.used_id.notnull().cast("int64"),
        is_customer=(joined.status == "active").cast("int64"),
    )
    return rows.group_by("plan_code").aggregate(
        data_kb=whole_sum(rows.kb),
        sessions=whole_sum(rows.records),
        active_subscribers=whole_sum(rows.is_user),
        subscribers=whole_sum(rows.is_customer),
    )


PLAN_USAGE_DAILY = FeatureTable(
    name="etl/plan_usage_daily",
    description=(
        "Usage of the day by plan, one row per plan with customers. Fresh when the day's usage and CRM snapshot "
        "are in; without them the day's quality stage has nothing to judge."
    ),
    owner="team:data-platform",
    kind="daily",
    keys=("plan_code",),
    columns={
        "plan_code": ColumnDoc("text", "plan at the end of the day", role="key"),
        "data_kb": ColumnDoc("integer", "data volume at home and roaming", "KB", "info"),
        "sessions": ColumnDoc("integer", "delivered usage records", "count", "info"),
        "active_subscribers": ColumnDoc("integer", "subscribers with a usage record", "count", "info"),
        "subscribers": ColumnDoc("integer", "customers at the end of the day", "count", "info"),
    },
    recipe=DailyRecipe(
        inputs=(
            TableInput(
                "feeds/usage",
                {
                    "subscriber_id": "integer",
                    "data_local_kb": "integer",
                    "data_roaming_kb": "integer",
                    "record_count": "integer",
                },
            ),
            TableInput(
                "feeds/subscribers", {"subscriber_id": "integer", "status": "text", "plan_code": "text"}
            ),
        ),
        expression=_plan_usage,
    ),
    version="1",
)
