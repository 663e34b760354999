"""Judged rows, anomaly reports and feed cells for tests and for looking at the pages."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

from mlops_assets.domain.reporting.anomaly_report import AnomalyReport, build_series_lines
from mlops_assets.domain.reporting.series_words import ORDINARY, SERIES_WORDS, find_word

DAY = dt.date(2024, 2, 14)
PLANS = ("P10", "P30", "P99_HD", "PREPAID", "WEEKEND", "FAMILY", "IOT")


def make_judged(series: str, days: int = 60, *, level_mb: float = 450.0) -> list[dict[str, Any]]:
    """Return ordinary judged rows of a series for the days up to `DAY`."""
    return [make_judgement(series, DAY - dt.timedelta(days=back), level_mb) for back in reversed(range(days))]


def make_judgement(series: str, day: dt.date, level_mb: float, **changes: Any) -> dict[str, Any]:
    """Return one judged row: a weekly rhythm, inside its range; `changes` replace its fields."""
    middle = level_mb * (1 + 0.15 * math.sin(2 * math.pi * day.toordinal() / 7))
    noise = 0.06 * math.sin(1.7 * day.toordinal() + len(series))
    return {
        "series": series,
        "target_day": day,
        "value_mb": middle * (1 + noise),
        "low_mb": 0.84 * middle,
        "high_mb": 1.17 * middle,
        "residual_z": noise,
        "is_outside": False,
        "is_removed": False,
        "reason": "",
        **changes,
    }


def make_outside(series: str = "P10", value_mb: float = 600.0, **changes: Any) -> dict[str, Any]:
    """Return the row of the operator's example on `DAY`: 380 <= 600 <= 525."""
    found = {"value_mb": value_mb, "low_mb": 380.0, "high_mb": 525.0, "is_outside": True, "residual_z": 0.4}
    return make_judgement(series, DAY, 450.0, **{**found, "reason": "above_range", **changes})


def make_kernel(
    series: str, days: int = 30, *, level_mb: float = 450.0, **changes: Any
) -> list[dict[str, Any]]:
    """Return the kernel rows of a series, made on `DAY` for the days after it."""
    return [
        {
            "series": series,
            "target_day": DAY + dt.timedelta(days=ahead),
            "horizon_days": ahead,
            "low_mb": 0.84 * level_mb,
            "high_mb": (1.17 + ahead / 200) * level_mb,
            "status": "ok",
            **changes,
        }
        for ahead in range(1, days + 1)
    ]


def make_report(**changes: Any) -> AnomalyReport:
    """Return a report with anomalies, series of every kind, a held feed and a verdict."""
    judged = [row for plan in PLANS for row in make_judged(plan)]
    days = {(row["series"], row["target_day"]): row for row in judged}
    days["P10", DAY] = make_outside()
    days["WEEKEND", DAY] = make_outside("WEEKEND", 9_800.0, is_removed=True, residual_z=3.1)
    early = DAY - dt.timedelta(days=20)
    days["IOT", early] = make_judgement(
        "IOT", early, 450.0, value_mb=120.0, is_outside=True, reason="below_range"
    )
    days["NEW_5G", DAY] = make_judgement("NEW_5G", DAY, 1.0, **_no_range(), value_mb=3.5, status="new")
    days["OLD_3G", DAY] = make_judgement("OLD_3G", DAY, 1.0, **_no_range(), value_mb=0.0, status="ended")
    kernel = [row for plan in PLANS for row in make_kernel(plan)]
    fields: dict[str, Any] = {
        "monitor": "plan_usage",
        "geography": "cl",
        "day": DAY,
        "series": build_series_lines(days.values(), day=DAY, kernel=kernel),
        "feeds": [
            {"feed": "usage", "status": "healthy"},
            {"feed": "topups", "status": "held", "findings": ["amount is 1000 times what it was"]},
            {"feed": "devices", "status": "missing"},
        ],
        "subscribers": {"checked": 1940, "outside": {"above_range": 71, "below_range": 12}, "removed": {}},
        "drift": {
            "kind": "one_off_event",
            "reasons": ["2 of 7 series outside on 1 of the last 4 healthy days"],
        },
    }
    return AnomalyReport.model_validate({**fields, **changes})


def _no_range() -> dict[str, Any]:
    return {"low_mb": None, "high_mb": None, "is_outside": None, "residual_z": math.nan}


def has_word(status: str) -> bool:
    """Return whether a status needs no word, or is described."""
    return status in ORDINARY or find_word(status) in SERIES_WORDS.values()
