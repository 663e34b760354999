"""The operator's network devices: what makes them hot, old and broken.

Belongs here: the SQL of tables `fleet` (state of each device at the start of a day) and `telemetry` (its
hours: 24, or 23 or 25 when the clocks change). Does not belong here: subscribers.

Physics, per device, all effects scaled by its group's own sensitivities (so that groups break for different
reasons and no single model suits all):
- load = capacity share x daily profile x weekday x noise; temperature = ambient (season, hour)
    + cooling x load.
- wear grows by wear_per_day x (heat above 42 degrees + load above 75 % + age + buggy firmware) x noise.
- failure in a day: sigmoid(failure_logit + failure_wear_effect x wear + the group's own causes), or suddenly with
  a small constant probability. A group's own causes are load, age and cooling of a device against the usual, each
  with a weight and a sign of the group: one design dies of load and another of idling, one early and another late.
  Severity 1-3 rises with wear; the repair takes wear away.
- errors per hour: geometric with mean error_mean x exp(error_wear_effect x wear): they rise before a failure, by
  as much as the group's design reports; level and rise differ by group.
"""

from __future__ import annotations

import datetime as dt
import math

from mlops_assets.domain.feeds.contract import Geography
from mlops_assets.sandbox.day_calendar import DayClock, DayMood
from mlops_assets.sandbox.parameters import BehaviourParameters
from mlops_assets.sandbox.population import REGIONS
from mlops_assets.sandbox.sql_engine import SqlText, draw_evenly, fill, key_of

_VENDORS = ("arda", "boreal", "cumbre", "delta")
_MODELS = ("m10", "m20", "x5", "x7", "r300")
_TECHNOLOGIES = ("4g", "5g", "3g")

_NEW_DEVICES = """
SELECT CAST(i AS INTEGER) AS n, h, $code || '-' || lpad(i::VARCHAR, 6, '0') AS device_id, group_n,
    $vendor || '-' || $model || '-' || $technology || CASE WHEN group_n >= 60
        THEN '-' || (group_n // 60) ELSE '' END
        AS device_group,
    $region AS region,
    $first_day::DATE - CAST($age_days * uniform(h, 'age') AS INTEGER) AS installed_date,
    CAST(3.8e-1 + 3.2e-1 * uniform(h, 'load') AS FLOAT) AS base_load,
    CAST(9000e0 * exp(4e-1 * normal(h, 'capacity')) AS FLOAT) AS capacity_mb,
    CAST($load_celsius * exp(2e-1 * normal(h, 'cooling')) AS FLOAT) AS cooling_celsius,
    CAST(exp($group_sensitivity_sd * normal(g, 'heat')) AS FLOAT) AS heat_sensitivity,
    CAST(exp($group_sensitivity_sd * normal(g, 'load')) AS FLOAT) AS load_sensitivity,
    CAST(exp($group_sensitivity_sd * normal(g, 'age')) AS FLOAT) AS age_sensitivity,
    CAST(exp($group_sensitivity_sd * normal(g, 'firmware')) AS FLOAT) AS firmware_sensitivity,
    CAST(2.3e0 * uniform(h, 'wear') AS FLOAT) AS wear
FROM (
    SELECT i, hash(xor(hash(i), $fleet_key)) AS h, CAST(i % $groups AS INTEGER) AS group_n,
        hash(xor(hash(i % $groups), $group_key)) AS g
    FROM range($first_n, $end_n) AS t(i)
)
"""

_TELEMETRY = """
CREATE OR REPLACE TABLE telemetry AS
WITH device_day AS (
    SELECT *, ($day - installed_date) / 365.25e0 AS age_years, hash(xor(hash(group_n), $group_key)) AS g,
        hash(xor(h, $day_key)) AS d, $firmware_n AS firmware_n,
        uniform(hash(xor(hash(group_n % 4), $firmware_key)),
            'bug ' || $firmware_n) < $buggy_firmware_share AS is_buggy,
        uniform(hash(xor(h, $day_key)), 'failure') < greatest($sudden_failure_per_day,
            sigmoid($failure_logit + $failure_wear_effect * wear + $failure_group_effect * (
                normal(g, 'load cause') * (base_load - 5.4e-1) / 9.2e-2
                + normal(g, 'age cause') * clamp(age_years - 2.5e0, -2.5e0, 2.5e0) / 1.5e0
                + normal(g, 'cooling cause') * ln(cooling_celsius / $load_celsius) / 2e-1))) AS fails,
        exp($error_group_sd * normal(g, 'error level')) AS error_level,
        clamp(1e0 + $error_group_sd * normal(g, 'error rise'), 0e0, 2e0) AS error_rise,
        CAST(floor(uniform(hash(xor(h, $day_key)), 'hour') * $hours) AS INTEGER) AS failure_hour
    FROM fleet
), grave AS (
    SELECT *, CASE WHEN fails THEN 1 + (uniform(d, 'severity') < 2e-1 + 2e-1 * least(wear, 2e0))::INTEGER
        + (uniform(d, 'severity') < 2e-2 + 7e-2 * least(wear, 2e0))::INTEGER ELSE 0 END AS severity
    FROM device_day
), hours AS (
    SELECT *, hash(xor(d, hash(hour))) AS k,
        severity = 3 AND hour BETWEEN failure_hour AND failure_hour + 3 AS is_down
    FROM (SELECT *, unnest(range($hours))::INTEGER AS hour FROM grave)
), loaded AS (
    SELECT *, CASE WHEN is_down THEN 0e0 ELSE clamp(base_load * $mood * list_extract($profile, hour % 24 + 1)
        * exp(1e-1 * normal(d, 'day load') + 7e-2 * normal(k, 'load')), 1e-2, 1e0) END AS load_share
    FROM hours
)
SELECT n, device_id, hour, k, severity, wear, age_years, is_buggy, firmware_n, load_share,
    CAST(load_share * capacity_mb * 1024e0 AS BIGINT) AS traffic_kb,
    CAST($ambient + $daily_celsius * cos(2.617993877991494e-1 * (hour - 15)) + cooling_celsius * load_share
        + 8e-1 * normal(k, 'temperature') AS FLOAT) AS temperature_celsius,
    CAST(least(geometric($error_mean * error_level * exp($error_wear_effect * error_rise * wear) * (5e-1 + load_share)
        * CASE WHEN is_buggy THEN 1.5e0 ELSE 1e0 END, uniform(k, 'errors')), 5000e0) AS INTEGER)
            AS error_count,
    CASE WHEN hour = failure_hour THEN severity ELSE 0 END AS event_severity
FROM loaded
ORDER BY n, hour
"""

_NEXT_FLEET = """
CREATE OR REPLACE TABLE fleet AS
SELECT f.* REPLACE (CAST(CASE severity WHEN 3 THEN 0e0 WHEN 2 THEN 2.5e-1 * f.wear WHEN 1 THEN 6e-1
    * f.wear ELSE f.wear END
    + $wear_per_day * exp($wear_noise_sd * normal(f.h, $wear_purpose)) * (3e-1
        + heat_sensitivity * greatest(hottest - 42e0, 0e0) / 8e0
        + load_sensitivity * greatest(top_load - 7.5e-1, 0e0) / 1.2e-1
        + age_sensitivity * age_years / 8e0
        + CASE WHEN is_buggy THEN 1.2e0 * firmware_sensitivity ELSE 0e0 END) AS FLOAT) AS wear)
FROM fleet f JOIN (
    SELECT n, any_value(severity) AS severity, max(temperature_celsius) AS hottest, max(load_share)
        AS top_load,
        any_value(age_years) AS age_years, any_value(is_buggy) AS is_buggy
    FROM telemetry GROUP BY n
) t ON t.n = f.n
ORDER BY f.n
"""


def devices_wanted(behaviour: BehaviourParameters, subscribers: int, devices: int | None) -> int:
    """Return the fleet's size: as given, or by the number of subscribers with a minimum."""
    if devices is not None:
        return devices
    fleet = behaviour.fleet
    return max(fleet.devices_min, subscribers // fleet.subscribers_per_device)


def groups_wanted(behaviour: BehaviourParameters, devices: int) -> int:
    """Return the number of device groups (vendor, model, technology) that a fleet of this size has."""
    fleet = behaviour.fleet
    return max(min(fleet.groups_min, devices), min(fleet.groups_max, devices // fleet.devices_per_group))


def new_devices_sql(
    geography: Geography,
    behaviour: BehaviourParameters,
    *,
    seed: int,
    first_n: int,
    end_n: int,
    groups: int,
    first_day: dt.date,
    age_days: float,
) -> str:
    """Return the SELECT of devices first_n..end_n-1, installed up to `age_days` before `first_day`."""
    return fill(
        _NEW_DEVICES,
        behaviour.fleet.model_dump(),
        code=geography.code.upper(),
        fleet_key=key_of(seed, geography.code, "fleet"),
        group_key=key_of(seed, "groups"),
        first_n=first_n,
        end_n=end_n,
        groups=groups,
        first_day=first_day,
        age_days=age_days,
        region=draw_evenly(REGIONS, "h", "region"),
        vendor=_nth(_VENDORS, "group_n % 4"),
        model=_nth(_MODELS, "group_n // 4 % 5"),
        technology=_nth(_TECHNOLOGIES, "group_n // 20 % 3"),
    )


def _nth(names: tuple[str, ...], index: str) -> SqlText:
    return SqlText("[" + ", ".join(f"'{name}'" for name in names) + f"][{index} + 1]")


def telemetry_sql(
    geography: Geography,
    behaviour: BehaviourParameters,
    *,
    seed: int,
    day: dt.date,
    mood: DayMood,
    clock: DayClock,
) -> str:
    """Return the statement that creates the hours of every device; hour 0 ended at 00:00.

    A day has 24 hours, or 23 or 25 when the clocks change.
    """
    fleet = behaviour.fleet
    profile = [
        round(
            0.72 + 0.52 * math.sin(2 * math.pi * (hour - 13.5) / 24) + 0.12 * math.sin(math.pi * hour / 6), 3
        )
        for hour in range(24)
    ]
    # Warmest in January: southern half.
    season = math.cos(2 * math.pi * (day.timetuple().tm_yday - 20) / 365.25)
    return fill(
        _TELEMETRY,
        fleet.model_dump(),
        day=day,
        day_key=key_of(seed, geography.code, "fleet", day.toordinal()),
        group_key=key_of(seed, "groups"),
        firmware_key=key_of(seed, "firmware"),
        firmware_n=SqlText(firmware_number_sql(behaviour, day)),
        ambient=fleet.ambient_celsius + fleet.seasonal_celsius * season,
        mood=mood.data,
        hours=(clock.end_s - clock.start_s) // 3600,
        profile=SqlText(f"[{', '.join(f'{value!r}e0' for value in profile)}]"),
    )


def firmware_number_sql(behaviour: BehaviourParameters, day: dt.date) -> str:
    """Return SQL for a device's firmware number: every device is upgraded at intervals, at its own phase."""
    days = behaviour.fleet.firmware_days
    return f"CAST(({day.toordinal() - 730_000} + CAST(h % {days} AS INTEGER)) // {days} AS INTEGER)"


def next_fleet_sql(behaviour: BehaviourParameters, day: dt.date) -> str:
    """Return the statement that lets table `fleet` age by the day in table `telemetry`."""
    return fill(_NEXT_FLEET, behaviour.fleet.model_dump(), wear_purpose=f"wear {day.toordinal()}")


def telemetry_time_sql(clock: DayClock) -> str:
    """Return SQL for the end of an hour in UTC epoch seconds."""
    return f"({clock.start_s} + 3600 * hour::BIGINT)"
