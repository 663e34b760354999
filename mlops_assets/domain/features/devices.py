"""Device health: a week of telemetry beside the inventory, what changed, and how the neighbours are.

Belongs here: device windows, the firmware's age and the device snapshot. Does not belong here: subscribers.

Maxima cannot slide, so the window keeps exact integers instead: sums of daily maxima in thousandths, and
counts of days above a limit; means are derived in the snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from mlops_assets.domain.features.daily import DailyRecipe
from mlops_assets.domain.features.keys import DEVICE_KEY
from mlops_assets.domain.features.last_change import LastChange
from mlops_assets.domain.features.table import ColumnDoc, FeatureTable, TableInput
from mlops_assets.domain.features.window import DAYS_PRESENT, SlidingWindow, WindowSum

if TYPE_CHECKING:
    import ibis.expr.types as ir

HOT_CELSIUS = 60.0
HIGH_LOAD_SHARE = 0.8
SEVERE_EVENT = 2


def _thousandths(value: ir.Value) -> ir.Value:
    return (value * 1000).round().cast("int64")


_TELEMETRY = TableInput(
    "feeds/device_telemetry",
    {
        "device_id": "text",
        "traffic_kb": "integer",
        "load_share_max": "decimal",
        "temperature_celsius_max": "decimal",
        "error_count": "integer",
        "event_severity_max": "integer",
    },
)
_WINDOW = SlidingWindow(
    source=replace(_TELEMETRY, days=7),
    key="device_id",
    sums={
        "traffic_kb": WindowSum("volume carried", "KB", lambda rows: rows.traffic_kb),
        "error_count": WindowSum("errors", "count", lambda rows: rows.error_count),
        "load_permille": WindowSum(
            "daily highest load in thousandths", "count", lambda rows: _thousandths(rows.load_share_max)
        ),
        "temperature_millicelsius": WindowSum(
            "daily highest temperature in thousandths of a degree",
            "count",
            lambda rows: _thousandths(rows.temperature_celsius_max),
        ),
        "temperature_days": WindowSum(
            "days with a temperature", "day", lambda rows: rows.temperature_celsius_max.notnull()
        ),
        "hot_days": WindowSum(
            f"days with {HOT_CELSIUS:g} degrees or more",
            "day",
            lambda rows: rows.temperature_celsius_max >= HOT_CELSIUS,
        ),
        "high_load_days": WindowSum(
            f"days with load {HIGH_LOAD_SHARE:g} or more",
            "day",
            lambda rows: rows.load_share_max >= HIGH_LOAD_SHARE,
        ),
        "severe_days": WindowSum(
            f"days with an event of severity {SEVERE_EVENT} or more",
            "day",
            lambda rows: rows.event_severity_max >= SEVERE_EVENT,
        ),
    },
    is_one_row_per_key=True,
)

DEVICE_7D = FeatureTable(
    name="etl/device_7d",
    description=(
        "Telemetry of the last 7 days, one row per device that reported. Fresh when the day's telemetry is "
        "in; without it devices are not scored."
    ),
    owner="team:network",
    kind="state",
    keys=("device_id",),
    columns=_WINDOW.documentation(DEVICE_KEY, of="telemetry"),
    recipe=_WINDOW,
    version="1",
)


DEVICE_FIRMWARE = FeatureTable(
    name="etl/device_firmware",
    description=(
        "Firmware of each device ever listed, and since when it has it, one row each. Fresh with each inventory; a "
        "day without one carries the day before forward."
    ),
    owner="team:network",
    kind="state",
    keys=("device_id",),
    columns={
        "device_id": DEVICE_KEY,
        "firmware": ColumnDoc("text", "latest firmware version", role="info"),
        "firmware_since_day": ColumnDoc("date", "first file day with this version in a row", role="info"),
    },
    recipe=LastChange(
        source=TableInput(
            "feeds/devices", {"device_id": "text", "firmware": "text"}, days=0, is_required=False
        ),
        key="device_id",
        changed_day="firmware_since_day",
        attribute="firmware",
    ),
    version="1",
)


def _with_neighbours(rows: ir.Table) -> ir.Table:
    """Add what the other devices of the region and of the group report today; null without any other."""
    import ibis

    region, group = ibis.window(group_by=rows.region), ibis.window(group_by=rows.device_group)
    has_event = (rows.event_severity_max > 0).cast("int64")

    def mean_of_others(value: ir.Value, peers: ir.Value) -> ir.Value:
        others = value.count().over(peers) - value.notnull().cast("int64")
        return (value.sum().over(peers) - value.fill_null(0)) / others.nullif(0)

    return rows.mutate(
        region_event_share=mean_of_others(has_event, region),
        region_load_share=mean_of_others(rows.load_share_max, region),
        group_errors_today=mean_of_others(rows.error_count_today, group),
    )


def _device_features(tables: Mapping[str, ir.Table]) -> ir.Table:
    devices = tables["devices"]
    week = tables["device_7d"].rename(week_device_id="device_id")
    firmware = tables["device_firmware"].rename(state_device_id="device_id")
    today = tables["device_telemetry"].rename(
        today_device_id="device_id", error_count_today="error_count", traffic_kb_today="traffic_kb"
    )
    rows = (
        devices.left_join(week, devices.device_id == week.week_device_id)
        .left_join(today, devices.device_id == today.today_device_id)
        .left_join(firmware, devices.device_id == firmware.state_device_id)
        .cross_join(tables["as_of"])
    )
    rows = _with_neighbours(rows)
    days_present = rows[f"device_7d_{DAYS_PRESENT}"].nullif(0)
    load_mean = rows.load_permille / rows.active_days.nullif(0) / 1000
    temperature_mean = rows.temperature_millicelsius / rows.temperature_days.nullif(0) / 1000
    return rows.select(
        *("device_id", "device_group", "region", "firmware", "event_severity_max", "load_share_max"),
        "temperature_celsius_max",
        age_days=rows.day.delta(rows.installed_date, unit="day"),
        traffic_mb_per_day=rows.traffic_kb.fill_null(0) / days_present / 1024,
        errors_per_day=rows.error_count.fill_null(0) / days_present,
        load_share_mean=load_mean,
        temperature_celsius_mean=temperature_mean,
        hot_days=rows.hot_days.fill_null(0),
        high_load_days=rows.high_load_days.fill_null(0),
        severe_days=rows.severe_days.fill_null(0),
        reporting_days=rows.active_days.fill_null(0),
        days_since_report=rows.day.delta(rows.last_day, unit="day"),
        errors_today=rows.error_count_today,
        errors_trend_ratio=rows.error_count_today / (rows.error_count / rows.active_days.nullif(0)).nullif(0),
        traffic_trend_ratio=rows.traffic_kb_today / (rows.traffic_kb / rows.active_days.nullif(0)).nullif(0),
        load_share_change=rows.load_share_max - load_mean,
        temperature_celsius_change=rows.temperature_celsius_max - temperature_mean,
        firmware_age_days=rows.day.delta(rows.firmware_since_day, unit="day"),
        region_event_share=rows.region_event_share,
        region_load_share=rows.region_load_share,
        group_errors_today=rows.group_errors_today,
    )


DEVICE_FEATURES = FeatureTable(
    name="etl/device_features",
    description=(
        "State of each device in the inventory at the end of the day, one row each. Fresh when inventory and "
        "telemetry of the day are in; without them devices are not scored."
    ),
    owner="team:network",
    kind="snapshot",
    keys=("device_id",),
    columns={
        "device_id": DEVICE_KEY,
        "device_group": ColumnDoc("text", "vendor, model and technology"),
        "region": ColumnDoc("text", "where it stands"),
        "firmware": ColumnDoc("text", "firmware version"),
        "age_days": ColumnDoc("integer", "day - day of installation", "day"),
        "load_share_max": ColumnDoc("decimal", "highest hourly load of the day; null if silent", "share"),
        "temperature_celsius_max": ColumnDoc(
            "decimal", "highest hourly temperature of the day; null if silent", "celsius"
        ),
        "event_severity_max": ColumnDoc(
            "integer", "most severe event of the day, 0 none; null if silent", "count"
        ),
        "traffic_mb_per_day": ColumnDoc("decimal", "volume of 7 days / delivered days of the 7", "MB"),
        "errors_per_day": ColumnDoc("decimal", "errors of 7 days / delivered days of the 7", "count"),
        "load_share_mean": ColumnDoc(
            "decimal", "mean of the daily highest loads; null if silent for 7 days", "share"
        ),
        "temperature_celsius_mean": ColumnDoc(
            "decimal", "mean of the daily highest temperatures; null without any in 7 days", "celsius"
        ),
        "hot_days": ColumnDoc("integer", f"days of 7 with {HOT_CELSIUS:g} degrees or more", "day"),
        "high_load_days": ColumnDoc("integer", f"days of 7 with load {HIGH_LOAD_SHARE:g} or more", "day"),
        "severe_days": ColumnDoc(
            "integer", f"days of 7 with an event of severity {SEVERE_EVENT} or more", "day"
        ),
        "reporting_days": ColumnDoc("integer", "days of 7 with telemetry", "day"),
        "days_since_report": ColumnDoc(
            "integer", "day - last day with telemetry; null if silent for 7 days", "day"
        ),
        "errors_today": ColumnDoc("integer", "errors of the day; null if silent", "count"),
        "errors_trend_ratio": ColumnDoc(
            "decimal", "errors of the day / mean of the reporting days of 7; null if silent or without any"
        ),
        "traffic_trend_ratio": ColumnDoc(
            "decimal", "volume of the day / mean of the reporting days of 7; null if silent or without any"
        ),
        "load_share_change": ColumnDoc("decimal", "load_share_max - load_share_mean", "share"),
        "temperature_celsius_change": ColumnDoc(
            "decimal", "temperature_celsius_max - temperature_celsius_mean", "celsius"
        ),
        "firmware_age_days": ColumnDoc(
            "integer", "day - first day with the present firmware, as far as it was listed", "day"
        ),
        "region_event_share": ColumnDoc(
            "decimal",
            "share of the region's other reporting devices with an event today; null without",
            "share",
        ),
        "region_load_share": ColumnDoc(
            "decimal", "mean highest load of the region's other devices today; null without any", "share"
        ),
        "group_errors_today": ColumnDoc(
            "decimal", "mean errors today of the group's other devices; null without any", "count"
        ),
    },
    recipe=DailyRecipe(
        inputs=(
            TableInput(
                "feeds/devices",
                {
                    "device_id": "text",
                    "device_group": "text",
                    "region": "text",
                    "firmware": "text",
                    "installed_date": "date",
                },
            ),
            _TELEMETRY,
            DEVICE_FIRMWARE.read("device_id", "firmware_since_day"),
            DEVICE_7D.read(facts=(DAYS_PRESENT,)),
        ),
        expression=_device_features,
    ),
    version="2",
    is_compact=True,
)
