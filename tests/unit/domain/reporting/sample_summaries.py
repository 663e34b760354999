"""Run summaries for tests and for looking at the page."""

from __future__ import annotations

import datetime as dt
from typing import Any

from mlops_assets.domain.reporting.run_summary import RunSummary

FIRST_DAY = dt.date(2024, 1, 1)


def make_summary(**changes: Any) -> RunSummary:
    """Return the summary of a run over eight days; `changes` replace its fields."""
    fields: dict[str, Any] = {
        "first_day": FIRST_DAY,
        "last_day": FIRST_DAY + dt.timedelta(days=7),
        "environment": "local",
        "days": [_day(offset) for offset in range(8)],
        "feeds": [
            _feed(name, geography, rows)
            for name, rows in (("usage", 381_204), ("topups", 40_977), ("plan_purchases", 22_310))
            for geography in ("cl", "pe")
        ],
        "faulty_files": [
            {
                "feed": "topups",
                "geography": "pe",
                "day": FIRST_DAY + dt.timedelta(days=3),
                "state": "refused",
                "reason": "column amount is missing; expected: msisdn, ts, amount; remedy: ask for a new one",
            }
        ],
        "champions": [
            {
                "use_case": "churn",
                "model": "churn_risk",
                "segment": "cl",
                "version": "4",
                "algorithm": "catboost",
                "metric": "roc_auc",
                "value": 0.8124,
            },
            {
                "use_case": "churn",
                "model": "churn_risk",
                "segment": "pe",
                "metric": "roc_auc",
                "note": "too few positives in the holdout: 12, at least 30",
            },
        ],
        "places": [
            {"title": "Reports", "location": "var/reports/index.html", "what": "every report of this run"},
            {
                "title": "Lineage",
                "location": "make dev, then http://127.0.0.1:3000",
                "what": "the asset graph",
            },
        ],
        "elapsed_seconds": 93.4,
        "peak_memory_mb": 812.0,
    }
    return RunSummary.model_validate({**fields, **changes})


def _day(offset: int) -> dict[str, Any]:
    day = FIRST_DAY + dt.timedelta(days=offset)
    outcome = "unchanged" if offset == 0 else "built"
    return {"day": day, "outcome": outcome, "row_count": 111_061, "seconds": 1.3 + offset / 10}


def _feed(feed: str, geography: str, row_count: int) -> dict[str, Any]:
    counts = {"day_count": 8, "row_count": row_count, "quarantined_count": 17}
    return {"feed": feed, "geography": geography, **counts}
