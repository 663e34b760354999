"""Usage windows: what each subscriber did with data, voice and messages.

Belongs here: sums over `feeds/usage`. Does not belong here: ratios of them (subscriber_features.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mlops_assets.domain.features.keys import SUBSCRIBER_KEY
from mlops_assets.domain.features.table import FeatureTable, TableInput
from mlops_assets.domain.features.window import SlidingWindow, WindowSum

if TYPE_CHECKING:
    import ibis.expr.types as ir

_SUMMED = {
    "data_local_kb": ("data volume at home", "KB"),
    "data_roaming_kb": ("data volume while roaming", "KB"),
    "app_facebook_kb": ("volume of Facebook", "KB"),
    "app_whatsapp_kb": ("volume of WhatsApp", "KB"),
    "app_youtube_kb": ("volume of YouTube", "KB"),
    "app_tiktok_kb": ("volume of TikTok", "KB"),
    "app_instagram_kb": ("volume of Instagram", "KB"),
    "calls_onnet": ("calls inside the operator's network", "count"),
    "calls_offnet": ("calls to other networks", "count"),
    "call_seconds": ("duration of all calls", "second"),
    "sms_onnet": ("messages inside the operator's network", "count"),
    "sms_offnet": ("messages to other networks", "count"),
}


def _column(name: str) -> Callable[[ir.Table], ir.Value]:
    return lambda rows: rows[name]


def _data_kb(rows: ir.Table) -> ir.Value:
    return rows.data_local_kb.fill_null(0) + rows.data_roaming_kb.fill_null(0)


def _calls(rows: ir.Table) -> ir.Value:
    return rows.calls_onnet.fill_null(0) + rows.calls_offnet.fill_null(0)


_WINDOW = SlidingWindow(
    source=TableInput(
        "feeds/usage", {"subscriber_id": "integer", **dict.fromkeys(_SUMMED, "integer")}, days=30
    ),
    key="subscriber_id",
    sums={
        **{name: WindowSum(text, unit, _column(name)) for name, (text, unit) in _SUMMED.items()},
        "data_kb_7d": WindowSum("data volume at home and roaming", "KB", _data_kb, days=7),
        "calls_7d": WindowSum("calls to all networks", "count", _calls, days=7),
        "active_days_7d": WindowSum(
            "days with usage", "day", lambda rows: rows.subscriber_id.notnull(), days=7
        ),
    },
    is_one_row_per_key=True,
)

USAGE_30D = FeatureTable(
    name="etl/usage_30d",
    description=(
        "Usage of the last 30 days (and of the last 7, for trends), one row per subscriber with any. Fresh "
        "when the day's usage file is in; without it the day's features and scores are not made."
    ),
    owner="team:data-platform",
    kind="state",
    keys=("subscriber_id",),
    columns=_WINDOW.documentation(SUBSCRIBER_KEY, of="usage"),
    recipe=_WINDOW,
    version="2",
)
