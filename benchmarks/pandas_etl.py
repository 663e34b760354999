"""The peer of the table work, second half: the feature snapshot of a day and the point-in-time corpus by pandas.

Idiomatic pandas: merges and group-bys over the homologated frames.

Belongs here: pandas only. Does not belong here: reading files (pandas_feeds), measuring.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.pandas_feeds import APPS, COUNTS, VOLUMES, History

# ---------------------------------------------------------------- features of a day


def _window(rows: pd.DataFrame, day: pd.Timestamp, days: int) -> pd.DataFrame:
    return rows[(rows["file_day"] > day - pd.Timedelta(days=days)) & (rows["file_day"] <= day)]


def _per_subscriber(rows: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    return rows.groupby("subscriber_id")[list(columns)].sum()


def _profile(history: History, day: pd.Timestamp) -> pd.DataFrame:
    people = history.subscribers[history.subscribers["file_day"] == day]
    people = people[people["status"] != "churned"].drop(columns=["file_day", "updated_time_utc"])
    plans = history.plans[history.plans["file_day"] == day][
        ["plan_code", "family", "price_usd_cents", "validity_days", "allowance_kb"]
    ].rename(columns={"family": "plan_family", "validity_days": "plan_validity_days"})
    dna = history.dna[history.dna["file_day"] <= day].sort_values("file_day", kind="stable")
    dna = dna.drop_duplicates("subscriber_id", keep="last").drop(columns="file_day")
    rows = people.merge(plans, on="plan_code", how="left").merge(dna, on="subscriber_id", how="left")
    return rows.set_index("subscriber_id")


def _sums(history: History, day: pd.Timestamp) -> pd.DataFrame:
    """Return all 30-day and 7-day sums by subscriber, zero where there is nothing."""
    usage, topups = _window(history.usage, day, 30), _window(history.topups, day, 30)
    recent, recent_topups = _window(usage, day, 7), _window(topups, day, 7)
    by_usage = usage.groupby("subscriber_id")
    by_topup, app = topups.groupby("subscriber_id"), topups[topups["channel"] == "app"]
    boosters = history.plans[history.plans["family"] == "booster"][["file_day", "plan_code"]].assign(
        is_booster=1
    )
    bought = _window(history.purchases, day, 30).merge(boosters, on=["file_day", "plan_code"], how="left")
    bought["is_booster"] = bought["is_booster"].fillna(0).astype("int64")
    by_purchase, by_offer = (
        bought.groupby("subscriber_id"),
        _window(history.offers, day, 30).groupby("subscriber_id"),
    )
    week = _per_subscriber(recent, ["data_local_kb", "data_roaming_kb", "calls_onnet", "calls_offnet"])
    parts = [
        _per_subscriber(usage, [*VOLUMES, *COUNTS]),
        by_usage.size().rename("active_days"),
        (week["data_local_kb"] + week["data_roaming_kb"]).rename("data_kb_7d"),
        (week["calls_onnet"] + week["calls_offnet"]).rename("calls_7d"),
        recent.groupby("subscriber_id").size().rename("active_days_7d"),
        by_topup.size().rename("n_topups"),
        app.groupby("subscriber_id").size().rename("n_app_topups"),
        by_topup["amount_usd_cents"].sum().rename("topup_cents"),
        recent_topups.groupby("subscriber_id")["amount_usd_cents"].sum().rename("topup_cents_7d"),
        by_purchase["is_booster"].sum().rename("n_boosters"),
        by_purchase.size().rename("n_purchases"),
        by_purchase["price_usd_cents"].sum().rename("purchase_cents"),
        by_offer.size().rename("n_offers"),
        by_offer["is_accepted"].sum().rename("n_offers_accepted"),
    ]
    return pd.concat(parts, axis=1).fillna(0)


def _days_since(rows: pd.DataFrame, day: pd.Timestamp) -> pd.Series:
    last = _window(rows, day, 30).groupby("subscriber_id")["file_day"].max()
    return (day - last).dt.days


def _ratio(numerator: Any, denominator: pd.Series) -> pd.Series:
    return numerator / denominator.where(denominator != 0)


def build_snapshot(history: History, day: dt.date, first_day: dt.date) -> pd.DataFrame:
    """Return all features of a day, one row per active subscriber and prospect."""
    today = pd.Timestamp(day)
    delivered = (day - first_day).days + 1
    people = _profile(history, today)
    s = _sums(history, today).reindex(people.index).fillna(0)
    last = {
        "last_activity_days": history.usage, "days_since_topup": history.topups,
        "days_since_purchase": history.purchases, "days_since_offer": history.offers,
    }  # fmt: skip
    features = {
        **_profile_features(people, today),
        **_usage_features(s, min(30, delivered)),
        **_money_features(s, min(30, delivered)),
        **_trend_features(s, min(30, delivered), min(7, delivered)),
        **{name: _days_since(rows, today).reindex(people.index) for name, rows in last.items()},
    }
    return pd.DataFrame(features, index=people.index).reset_index()


def _profile_features(people: pd.DataFrame, day: pd.Timestamp) -> dict[str, pd.Series]:
    kept = (
        "status", "plan_code", "plan_family", "plan_validity_days", "age_years", "region", "device_type",
        "is_4g_capable", "video_affinity", "social_affinity",
    )  # fmt: skip
    return {
        **{name: people[name] for name in kept},
        "tenure_days": (day - people["activation_date"]).dt.days,
        "days_since_plan": (day - people["plan_start_date"]).dt.days,
        "days_to_expiry": (people["plan_expiry_date"] - day).dt.days,
        "plan_price_usd": people["price_usd_cents"] / 100,
        "plan_allowance_mb": people["allowance_kb"] / 1024,
        "balance_main_acc": people["balance_usd_cents"] / 100,
    }


def _usage_features(s: pd.DataFrame, days: int) -> dict[str, pd.Series]:
    calls = s["calls_onnet"] + s["calls_offnet"]
    apps = s[[f"app_{app}_kb" for app in APPS]]
    total = apps.sum(axis=1)
    ranked = np.sort(apps.to_numpy(), axis=1)
    top3 = pd.Series(ranked[:, 2:].sum(axis=1), index=s.index)
    return {
        "data_local_mb": s["data_local_kb"] / 1024,
        "data_roaming_mb": s["data_roaming_kb"] / 1024,
        "phone_calls_month1": calls,
        "avg_phone_calls": calls / days,
        "call_minutes": s["call_seconds"] / 60,
        "avg_call_minutes": _ratio(s["call_seconds"], calls) / 60,
        "onnet_calls_ratio": _ratio(s["calls_onnet"], calls),
        "sms_onnet": s["sms_onnet"],
        "sms_offnet": s["sms_offnet"],
        "activity_days": s["active_days"],
        "activity_ratio": s["active_days"] / days,
        "top3_app_usage_ratio": _ratio(top3, total),
        **{f"app_{app}_ratio": _ratio(s[f"app_{app}_kb"], total) for app in APPS},
    }


def _money_features(s: pd.DataFrame, days: int) -> dict[str, pd.Series]:
    return {
        "n_topups": s["n_topups"],
        "topup_usd": s["topup_cents"] / 100,
        "avg_topup_amt": _ratio(s["topup_cents"], s["n_topups"]) / 100,
        "avg_freq": 7 * s["n_topups"] / days,
        "app_topups_ratio": _ratio(s["n_app_topups"], s["n_topups"]),
        "n_plans_month1": s["n_purchases"] - s["n_boosters"],
        "n_boosters": s["n_boosters"],
        "purchase_usd": s["purchase_cents"] / 100,
        "n_offers": s["n_offers"],
        "n_offers_accepted": s["n_offers_accepted"],
        "offer_acceptance_ratio": _ratio(s["n_offers_accepted"], s["n_offers"]),
    }


def _trend_features(s: pd.DataFrame, days: int, recent_days: int) -> dict[str, pd.Series]:
    data, calls = s["data_local_kb"] + s["data_roaming_kb"], s["calls_onnet"] + s["calls_offnet"]
    pairs = {
        "data_trend_ratio": (s["data_kb_7d"], data),
        "calls_trend_ratio": (s["calls_7d"], calls),
        "activity_trend_ratio": (s["active_days_7d"], s["active_days"]),
        "topup_trend_ratio": (s["topup_cents_7d"], s["topup_cents"]),
    }
    trends = {name: _ratio(recent / recent_days, whole / days) for name, (recent, whole) in pairs.items()}
    return {"activity_days_7d": s["active_days_7d"], **trends}


# ---------------------------------------------------------------- corpus


def build_corpus(
    history: History,
    parts: Mapping[dt.date, str],
    horizon_days: int,
    first_day: dt.date,
    features: Sequence[str],
) -> pd.DataFrame:
    """Return active subscribers of each as-of day with their features, the label and the part of the split."""
    churned = history.subscribers[history.subscribers["status"] == "churned"]
    frames = []
    for day, part in parts.items():
        as_of = pd.Timestamp(day)
        rows = build_snapshot(history, day, first_day)
        rows = rows[rows["status"] == "active"][["subscriber_id", *features]]
        ahead = churned["file_day"].between(
            as_of + pd.Timedelta(days=1), as_of + pd.Timedelta(days=horizon_days)
        )
        label = rows["subscriber_id"].isin(churned.loc[ahead, "subscriber_id"]).astype("int64")
        frames.append(rows.assign(as_of_day=as_of, split=part, label=label))
    return pd.concat(frames, ignore_index=True).sort_values(["as_of_day", "subscriber_id"])
