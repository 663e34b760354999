"""Model cards for tests and for looking at the page."""

from __future__ import annotations

import datetime as dt
from typing import Any

from mlops_assets.domain.reporting.model_card import ModelCard

_FEATURES = [
    ("days_to_expiry", 0.262, "days", "plan expiry day minus as-of day; missing without a plan"),
    ("last_activity_days", 0.187, "days", "as-of day minus the last day with a call, a text message or data"),
    ("data_trend_ratio", 0.121, "ratio", "data volume of days 1 to 7 over the mean week of days 8 to 28"),
    ("balance_main_acc", 0.094, "US dollars", "main account balance at the end of the as-of day"),
    ("avg_topup_amt", 0.081, "US dollars", "sum of top-ups over number of top-ups, 30 days"),
    ("activity_days", 0.067, "days", "days with any usage, 30 days"),
    ("tenure_days", 0.052, "days", "as-of day minus activation day"),
    ("avg_phone_calls", 0.039, "calls per day", "outgoing calls over 30"),
    ("top3_app_usage_ratio", 0.031, "share", "data volume of the three largest apps over all data, 30 days"),
    ("n_boosters", 0.024, "count", "booster packs bought, 30 days"),
    ("data_local_mb", 0.021, "MB", "local data volume, 30 days"),
    ("sms_onnet", 0.012, "count", "text messages within the network, 30 days"),
    ("n_plans_month1", 0.009, "count", "plans bought, days 1 to 30"),
]
_CHECKS = [
    ("enough_holdout_rows", True, "18,244 rows, 577 positives", "at least 500 rows, 30 positives"),
    ("floor", True, "0.8124", "at least 0.65"),
    ("gain", True, "+0.0117, interval +0.0041 to +0.0193", "at least 0, and not below -0.005 at 95 %"),
    ("segments", True, "worst: plan family combo, -0.0062", "no segment worse by more than 0.05"),
    ("calibration", True, "0.61 %", "at most 2 %"),
    ("latency", True, "3.1 ms per 1,000 rows", "at most 50 ms per 1,000 rows"),
]


def make_card(**changes: Any) -> ModelCard:
    """Return the card of a promoted churn model; `changes` replace its fields."""
    fields: dict[str, Any] = {
        "use_case": "churn",
        "model": "churn_risk",
        "segment": "cl",
        "task": "binary",
        "description": "Who of today's active subscribers leaves within the next seven days.",
        "owner": "team:customer-value",
        "version": "4",
        "algorithm": "catboost",
        "metric": "roc_auc",
        "decision": {
            "outcome": "promoted",
            "decision_id": "churn.churn_risk.cl:4:5b1f9c0de2a7",
            "decided_by": "gate",
            "decided_at_utc": dt.datetime(2024, 3, 4, 6, 12, tzinfo=dt.UTC),
            "champion_since_utc": dt.datetime(2024, 3, 4, 6, 12, tzinfo=dt.UTC),
            "previous_version": "3",
            "reasons": (
                "ROC AUC rises by 0.0117 on the same holdout; the interval +0.0041 to +0.0193 is above zero",
                "the expected retained margin rises by 38 USD per 1,000 subscribers",
            ),
            "checks": [
                dict(zip(("name", "has_passed", "observed", "required"), c, strict=True)) for c in _CHECKS
            ],
        },
        "corpus": {
            "table": "etl/subscriber_features",
            "label": "1 if etl/churn_events has a row within 7 days after the as-of day, else 0",
            "as_of_days": [dt.date(2024, 1, 22) + dt.timedelta(days=7 * week) for week in range(6)],
            "parts": [
                _part("train", 22, 4, 72_511, 2_361),
                _part("validation", 50, 1, 18_301, 588),
                _part("holdout", 57, 1, 18_244, 577),
            ],
            "excluded_rows": {"quarantined in a feed": 412, "anomalous day": 0},
        },
        "metrics": [
            _metric("roc_auc", 0.8124, 0.7961, 0.8278, 0.8007, is_higher_better=True),
            _metric("log_loss", 0.1183, 0.1117, 0.1251, 0.1204, unit="nats", is_higher_better=False),
            _metric("brier", 0.0289, 0.0270, 0.0309, 0.0292, is_higher_better=False),
        ],
        "segments": [
            _segment("prepaid", 11_802, 0.0139),
            _segment("combo", 4_120, -0.0062),
            _segment("data only", 2_322, 0.0109),
        ],
        "business": {
            "name": "expected_retained_margin_usd_per_1000",
            "unit": "USD per 1,000 subscribers",
            "value": 214.0,
            "champion_value": 176.0,
            "assumptions": "The riskiest 5 % are contacted at 0.20 USD; 30 % of the true leavers stay "
            "and keep a margin of 40 USD.",
        },
        "calibration": {
            "error": 0.0061,
            "method": "Platt scaling, fitted on the validation part",
            "bins": [
                {"mean_predicted": p, "observed_share": o, "row_count": n}
                for p, o, n in [
                    (0.004, 0.003, 6_100),
                    (0.011, 0.012, 4_800),
                    (0.024, 0.021, 3_300),
                    (0.048, 0.052, 2_000),
                    (0.094, 0.088, 1_200),
                    (0.183, 0.197, 844),
                ]
            ],
        },
        "features": [dict(zip(("name", "importance", "unit", "formula"), f, strict=True)) for f in _FEATURES],
        "leaderboard": [
            _candidate("catboost", 0.8168, 0.0079, 4.12, is_chosen=True),
            _candidate("hist_gradient_boosting", 0.8112, 0.0080, 2.94),
            _candidate("random_forest", 0.8049, 0.0083, 3.31),
            _candidate("linear", 0.7893, 0.0086, 0.42),
            _candidate("dummy", 0.5, 0.0, 0.01),
            {"algorithm": "prophet", "value": None, "failure": "does not fit task binary"},
        ],
        "intended_use": "Daily ranking of active prepaid subscribers for retention offers. "
        "Not for credit, pricing or blocking decisions.",
        "limits": [
            "Subscribers younger than 14 days are not scored: their windows are not full.",
            "Trained on six as-of days; holidays outside them are unknown to the model.",
        ],
        "stamps": {
            "bundle_sha256": "5b1f9c0de2a74c33" * 4,
            "corpus_sha256": "0f3a77d1c2b94e58" * 4,
            "config_sha256": "9c41e0a8d7f26b13" * 4,
            "feed_versions_sha256": "e2d8b6a01c9f4735" * 4,
            "environment_lock_sha256": "417fa90c3e6d82b5" * 4,
            "git_commit": "3f2a9b7c1d4e5f60718293a4b5c6d7e8f9012345",
            "is_git_dirty": True,
            "dagster_run_id": "0a9a6a39-96c6-4c39-9f27-0c9d0f6f5f0e",
            "mlflow_run": "runs:/38b9b921a85f4fe290feabe2622cbc9d",
        },
    }
    return ModelCard.model_validate({**fields, **changes})


def _part(name: str, offset_days: int, as_ofs: int, row_count: int, positive_count: int) -> dict[str, Any]:
    first = dt.date(2024, 1, 1) + dt.timedelta(days=offset_days - 1)
    last = first + dt.timedelta(days=7 * (as_ofs - 1))
    counts = {"row_count": row_count, "positive_count": positive_count}
    return {"name": name, "first_as_of": first, "last_as_of": last, **counts}


def _metric(name: str, value: float, low: float, high: float, before: float, **rest: Any) -> dict[str, Any]:
    return {"name": name, "value": value, "low": low, "high": high, "champion_value": before, **rest}


def _segment(value: str, row_count: int, gain: float) -> dict[str, Any]:
    shown = {"column": "plan_family", "value": value, "row_count": row_count}
    return {**shown, "gain": gain, "is_tolerated": True}


def _candidate(algorithm: str, value: float, error: float, seconds: float, **rest: Any) -> dict[str, Any]:
    return {"algorithm": algorithm, "value": value, "standard_error": error, "fit_seconds": seconds, **rest}
