"""The wide snapshot that models of subscribers read.

Belongs here: what the CRM says today, and ratios and units derived from profile and windows. Does not belong
here: sums over days (they are in the window families).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING

from mlops_assets.domain.features.daily import DailyRecipe
from mlops_assets.domain.features.keys import SUBSCRIBER_KEY
from mlops_assets.domain.features.offers import OFFERS_30D
from mlops_assets.domain.features.profile import DNA_DOCS, PROFILE
from mlops_assets.domain.features.purchases import PURCHASES_30D
from mlops_assets.domain.features.table import ColumnDoc, FeatureTable, TableInput
from mlops_assets.domain.features.topups import TOPUPS_30D
from mlops_assets.domain.features.usage import USAGE_30D
from mlops_assets.domain.features.window import DAYS_PRESENT

if TYPE_CHECKING:
    import ibis.expr.types as ir

_APPS = ("facebook", "whatsapp", "youtube", "tiktok", "instagram")
_WINDOWS = (USAGE_30D, TOPUPS_30D, PURCHASES_30D, OFFERS_30D)
_RECENT = "_7d"
_KB_PER_MB = 1024
_CENTS_PER_USD = 100
_DAYS_PER_WEEK = 7


def _joined(tables: Mapping[str, ir.Table]) -> ir.Table:
    """Return present subscribers with plan, profile and windows, their columns prefixed by the view's name.

    The widest window comes first and keeps the subscribers on its right: an engine builds its hash table of
    the right side, and copies that side's columns to every row (measured: 7 % of the whole snapshot).
    """
    present = tables["subscribers"].filter(tables["subscribers"].status != "churned")
    usage, *others = [window.name.rsplit("/", 1)[1] for window in _WINDOWS]
    widest = _prefixed(tables, usage)
    rows = widest.right_join(present, widest[f"{usage}_subscriber_id"] == present.subscriber_id)
    plans = _prefixed(tables, "plans")
    rows = rows.left_join(plans, present.plan_code == plans.plans_plan_code)
    for view in ("profile", *others):
        joined = _prefixed(tables, view)
        rows = rows.left_join(joined, present.subscriber_id == joined[f"{view}_subscriber_id"])
    return rows.cross_join(tables["as_of"])


def _prefixed(tables: Mapping[str, ir.Table], view: str) -> ir.Table:
    return tables[view].rename({f"{view}_{name}": name for name in tables[view].columns})


def _ratio(numerator: ir.Value, denominator: ir.Value) -> ir.Value:
    return numerator / denominator.nullif(0)


def _total(rows: ir.Table, column: str) -> ir.Value:
    """Return a window's sum; without a row in the window nothing happened, which is 0."""
    return rows[column].fill_null(0)


def _days_present(rows: ir.Table, view: str, suffix: str = "") -> ir.Value:
    return rows[f"{view}_{DAYS_PRESENT}{suffix}"]


def _days_since(rows: ir.Table, view: str) -> ir.Value:
    return rows.day.delta(rows[f"{view}_last_day"], unit="day")


def _person_features(rows: ir.Table) -> dict[str, ir.Value]:
    return {
        **{name: rows[name] for name in ("subscriber_id", "status", "plan_code")},
        "plan_family": rows.plans_family,
        "plan_price_usd": rows.plans_price_usd_cents / _CENTS_PER_USD,
        "plan_validity_days": rows.plans_validity_days,
        "plan_allowance_mb": rows.plans_allowance_kb / _KB_PER_MB,
        "balance_main_acc": rows.balance_usd_cents / _CENTS_PER_USD,
        "tenure_days": rows.day.delta(rows.activation_date, unit="day"),
        "days_since_plan": rows.day.delta(rows.plan_start_date, unit="day"),
        "days_to_expiry": rows.plan_expiry_date.delta(rows.day, unit="day"),
        **{name: rows[f"profile_{name}"] for name in DNA_DOCS},
    }


def _usage_features(rows: ir.Table) -> dict[str, ir.Value]:
    def total(name: str) -> ir.Value:
        return _total(rows, f"usage_30d_{name}")

    calls = total("calls_onnet") + total("calls_offnet")
    active_days = total("active_days")
    return {
        "data_local_mb": total("data_local_kb") / _KB_PER_MB,
        "data_roaming_mb": total("data_roaming_kb") / _KB_PER_MB,
        "phone_calls_month1": calls,
        "avg_phone_calls": _ratio(calls, _days_present(rows, "usage_30d")),
        "call_minutes": total("call_seconds") / 60,
        "avg_call_minutes": _ratio(total("call_seconds"), calls) / 60,
        "onnet_calls_ratio": _ratio(total("calls_onnet"), calls),
        "sms_onnet": total("sms_onnet"),
        "sms_offnet": total("sms_offnet"),
        "activity_days": active_days,
        "activity_ratio": _ratio(active_days, _days_present(rows, "usage_30d")),
        "last_activity_days": _days_since(rows, "usage_30d"),
    }


def _app_features(rows: ir.Table) -> dict[str, ir.Value]:
    """Return shares of the applications' volume.

    The three largest of five are all but the two smallest, and the sum of the two smallest is the least sum
    of any pair: no sorting, portable, and cheap.
    """
    import ibis

    volumes = [_total(rows, f"usage_30d_app_{app}_kb") for app in _APPS]
    all_apps = volumes[0] + volumes[1] + volumes[2] + volumes[3] + volumes[4]
    two_smallest = ibis.least(*(one + other for one, other in combinations(volumes, 2)))
    shares = {
        f"app_{app}_ratio": _ratio(volume, all_apps) for app, volume in zip(_APPS, volumes, strict=True)
    }
    return {"top3_app_usage_ratio": _ratio(all_apps - two_smallest, all_apps), **shares}


def _trend_features(rows: ir.Table) -> dict[str, ir.Value]:
    """Return (7-day mean per day) / (30-day mean per day)."""

    def trend(view: str, recent: str, whole: ir.Value) -> ir.Value:
        mean_7d = _ratio(_total(rows, f"{view}_{recent}"), _days_present(rows, view, _RECENT))
        return _ratio(mean_7d, _ratio(whole, _days_present(rows, view)))

    data = _total(rows, "usage_30d_data_local_kb") + _total(rows, "usage_30d_data_roaming_kb")
    calls = _total(rows, "usage_30d_calls_onnet") + _total(rows, "usage_30d_calls_offnet")
    topups = _total(rows, "topups_30d_topup_usd_cents")
    return {
        "activity_days_7d": _total(rows, "usage_30d_active_days_7d"),
        "data_trend_ratio": trend("usage_30d", "data_kb_7d", data),
        "calls_trend_ratio": trend("usage_30d", "calls_7d", calls),
        "activity_trend_ratio": trend("usage_30d", "active_days_7d", _total(rows, "usage_30d_active_days")),
        "topup_trend_ratio": trend("topups_30d", "topup_usd_cents_7d", topups),
    }


def _money_features(rows: ir.Table) -> dict[str, ir.Value]:
    n_topups, amount = _total(rows, "topups_30d_n_topups"), _total(rows, "topups_30d_topup_usd_cents")
    return {
        "n_topups": n_topups,
        "topup_usd": amount / _CENTS_PER_USD,
        "avg_topup_amt": _ratio(amount, n_topups) / _CENTS_PER_USD,
        "avg_freq": _ratio(n_topups * _DAYS_PER_WEEK, _days_present(rows, "topups_30d")),
        "app_topups_ratio": _ratio(_total(rows, "topups_30d_n_app_topups"), n_topups),
        "days_since_topup": _days_since(rows, "topups_30d"),
        "n_plans_month1": _total(rows, "purchases_30d_n_plans"),
        "n_boosters": _total(rows, "purchases_30d_n_boosters"),
        "purchase_usd": _total(rows, "purchases_30d_purchase_usd_cents") / _CENTS_PER_USD,
        "days_since_purchase": _days_since(rows, "purchases_30d"),
    }


def _offer_features(rows: ir.Table) -> dict[str, ir.Value]:
    n_offers, accepted = _total(rows, "offers_30d_n_offers"), _total(rows, "offers_30d_n_offers_accepted")
    return {
        "n_offers": n_offers,
        "n_offers_accepted": accepted,
        "offer_acceptance_ratio": _ratio(accepted, n_offers),
        "days_since_offer": _days_since(rows, "offers_30d"),
    }


def _subscriber_features(tables: Mapping[str, ir.Table]) -> ir.Table:
    rows = _joined(tables)
    return rows.select(
        **_person_features(rows),
        **_usage_features(rows),
        **_app_features(rows),
        **_trend_features(rows),
        **_money_features(rows),
        **_offer_features(rows),
    )


_PERSON_DOCS = {
    "status": ColumnDoc("text", "active or prospect at the end of the day"),
    "plan_code": ColumnDoc("text", "current plan"),
    "plan_family": ColumnDoc("text", "family of the plan; null if the day's catalogue lacks it"),
    "plan_price_usd": ColumnDoc(
        "decimal", "list price of the plan on the day; null if not in the catalogue", "usd"
    ),
    "plan_validity_days": ColumnDoc("integer", "validity of the plan; null if not in the catalogue", "day"),
    "plan_allowance_mb": ColumnDoc(
        "decimal", "data included in the plan; null if not in the catalogue", "MB"
    ),
    "balance_main_acc": ColumnDoc("decimal", "main account balance at the end of the day", "usd"),
    "tenure_days": ColumnDoc("integer", "day - activation; null for prospects", "day"),
    "days_since_plan": ColumnDoc("integer", "day - start of the plan; null without plan start", "day"),
    "days_to_expiry": ColumnDoc("integer", "expiry - day, negative once expired; null without expiry", "day"),
}
_USAGE_DOCS = {
    "data_local_mb": ColumnDoc("decimal", "sum(data_local_kb) of 30 days / 1024", "MB"),
    "data_roaming_mb": ColumnDoc("decimal", "sum(data_roaming_kb) of 30 days / 1024", "MB"),
    "phone_calls_month1": ColumnDoc("integer", "calls to all networks in 30 days", "count"),
    "avg_phone_calls": ColumnDoc(
        "decimal", "phone_calls_month1 / delivered days of the 30; calls a day", "count"
    ),
    "call_minutes": ColumnDoc("decimal", "sum(call_seconds) of 30 days / 60", "minute"),
    "avg_call_minutes": ColumnDoc(
        "decimal", "call_minutes / phone_calls_month1; null without calls", "minute"
    ),
    "onnet_calls_ratio": ColumnDoc(
        "decimal", "on-net calls / phone_calls_month1; null without calls", "share"
    ),
    "sms_onnet": ColumnDoc("integer", "messages inside the network in 30 days", "count"),
    "sms_offnet": ColumnDoc("integer", "messages to other networks in 30 days", "count"),
    "activity_days": ColumnDoc("integer", "days with usage among the last 30", "day"),
    "activity_ratio": ColumnDoc("decimal", "activity_days / delivered days of the 30", "share"),
    "last_activity_days": ColumnDoc(
        "integer", "day - last day with usage; null without any in 30 days", "day"
    ),
}
_APP_DOCS = {
    "top3_app_usage_ratio": ColumnDoc(
        "decimal",
        "volume of the three most used applications / of all five, 30 days; null without any",
        "share",
    ),
    **{
        f"app_{app}_ratio": ColumnDoc(
            "decimal", f"volume of {app} / of all five applications; null without any", "share"
        )
        for app in _APPS
    },
}
_TREND_DOCS = {
    "activity_days_7d": ColumnDoc("integer", "days with usage among the last 7", "day"),
    "data_trend_ratio": ColumnDoc("decimal", "data a day in 7 days / in 30 days; null without data in 30"),
    "calls_trend_ratio": ColumnDoc("decimal", "calls a day in 7 days / in 30 days; null without calls in 30"),
    "activity_trend_ratio": ColumnDoc(
        "decimal", "share of active days in 7 / in 30 days; null without any in 30"
    ),
    "topup_trend_ratio": ColumnDoc(
        "decimal", "top-up amount a day in 7 / in 30 days; null without top-ups in 30"
    ),
}
_MONEY_DOCS = {
    "n_topups": ColumnDoc("integer", "top-ups in 30 days", "count"),
    "topup_usd": ColumnDoc("decimal", "amount topped up in 30 days", "usd"),
    "avg_topup_amt": ColumnDoc("decimal", "topup_usd / n_topups; null without top-ups", "usd"),
    "avg_freq": ColumnDoc("decimal", "7 * n_topups / delivered days of the 30; top-ups a week", "count"),
    "app_topups_ratio": ColumnDoc(
        "decimal", "top-ups through the app / n_topups; null without top-ups", "share"
    ),
    "days_since_topup": ColumnDoc(
        "integer", "day - last day with a top-up; null without any in 30 days", "day"
    ),
    "n_plans_month1": ColumnDoc("integer", "plans bought in 30 days, boosters excluded", "count"),
    "n_boosters": ColumnDoc("integer", "boosters bought in 30 days", "count"),
    "purchase_usd": ColumnDoc("decimal", "paid for plans and boosters in 30 days", "usd"),
    "days_since_purchase": ColumnDoc(
        "integer", "day - last day with a purchase; null without any in 30 days", "day"
    ),
}
_OFFER_DOCS = {
    "n_offers": ColumnDoc("integer", "offers received in 30 days", "count"),
    "n_offers_accepted": ColumnDoc("integer", "of these, accepted on the day they were sent", "count"),
    "offer_acceptance_ratio": ColumnDoc(
        "decimal", "n_offers_accepted / n_offers; null without offers", "share"
    ),
    "days_since_offer": ColumnDoc(
        "integer", "day - last day with an offer; null without any in 30 days", "day"
    ),
}

_SUBSCRIBERS = TableInput(
    "feeds/subscribers",
    {
        "subscriber_id": "integer",
        "status": "text",
        "activation_date": "date",
        "plan_code": "text",
        "plan_start_date": "date",
        "plan_expiry_date": "date",
        "balance_usd_cents": "integer",
    },
)
_PLANS = TableInput(
    "feeds/plans",
    {
        "plan_code": "text",
        "family": "text",
        "price_usd_cents": "integer",
        "validity_days": "integer",
        "allowance_kb": "integer",
    },
)

SUBSCRIBER_FEATURES = FeatureTable(
    name="etl/subscriber_features",
    description=(
        "All features of each active subscriber and prospect as known at the end of the day, one row each. "
        "Fresh when the day's CRM snapshot, plan catalogue and windows are in; without it the day has no scores "
        "and no corpus can use it."
    ),
    owner="team:data-science",
    kind="snapshot",
    keys=("subscriber_id",),
    columns={
        "subscriber_id": SUBSCRIBER_KEY,
        **_PERSON_DOCS,
        **DNA_DOCS,
        **_USAGE_DOCS,
        **_APP_DOCS,
        **_TREND_DOCS,
        **_MONEY_DOCS,
        **_OFFER_DOCS,
    },
    recipe=DailyRecipe(
        inputs=(
            _SUBSCRIBERS,
            _PLANS,
            PROFILE.read("subscriber_id", *DNA_DOCS, is_required=False),
            USAGE_30D.read(facts=(DAYS_PRESENT, DAYS_PRESENT + _RECENT)),
            TOPUPS_30D.read(facts=(DAYS_PRESENT, DAYS_PRESENT + _RECENT)),
            PURCHASES_30D.read(),
            OFFERS_30D.read(),
        ),
        expression=_subscriber_features,
    ),
    version="3",
    is_compact=True,
)
