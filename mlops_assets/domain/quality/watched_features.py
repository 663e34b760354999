"""Which tables are watched for moved features, and how their values are counted.

Belongs here: one line per watched table, and the features of a day's usage. Does not belong here: counting
(feature_histograms.py) or comparing (feature_watch.py).

The features that models read are windows of weeks: they move late. A day's usage moves at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlops_assets.domain.features.devices import DEVICE_FEATURES
from mlops_assets.domain.features.subscriber_features import SUBSCRIBER_FEATURES
from mlops_assets.domain.features.table import FeatureTable, TableInput
from mlops_assets.domain.quality.feature_histograms import feature_histograms, histogram_table

if TYPE_CHECKING:
    import ibis.expr.types as ir

_APPS = ("facebook", "whatsapp", "youtube", "tiktok", "instagram")
_COUNTED = ("calls_onnet", "calls_offnet", "call_seconds", "sms_onnet", "sms_offnet")
_USAGE = TableInput(
    "feeds/usage",
    {
        **dict.fromkeys(("data_local_kb", "data_roaming_kb", *_COUNTED), "integer"),
        **dict.fromkeys((f"app_{app}_kb" for app in _APPS), "integer"),
    },
)
_KB_PER_MB = 1024.0


def _usage_features(rows: ir.Table) -> Mapping[str, ir.Value]:
    """Return volumes and counts of a subscriber's day, and the share of each application in the volume."""
    data_kb = rows.data_local_kb.fill_null(0) + rows.data_roaming_kb.fill_null(0)
    shares = {
        f"app_{app}_share": rows[f"app_{app}_kb"].cast("float64") / data_kb.nullif(0).cast("float64")
        for app in _APPS
    }
    return {
        "data_mb": data_kb.cast("float64") / _KB_PER_MB,
        "data_roaming_mb": rows.data_roaming_kb.cast("float64") / _KB_PER_MB,
        "calls": rows.calls_onnet.fill_null(0) + rows.calls_offnet.fill_null(0),
        "call_seconds": rows.call_seconds,
        "sms": rows.sms_onnet.fill_null(0) + rows.sms_offnet.fill_null(0),
        **shares,
    }


# What is watched -> its histograms.
WATCHED_TABLES: dict[str, FeatureTable] = {
    "feeds/usage": histogram_table(_USAGE, _usage_features, "1"),
    SUBSCRIBER_FEATURES.name: feature_histograms(SUBSCRIBER_FEATURES),
    DEVICE_FEATURES.name: feature_histograms(DEVICE_FEATURES),
}
