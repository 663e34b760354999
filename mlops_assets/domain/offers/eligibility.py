"""Which offers each person may get: one row per prospect and action, `no_offer` always among them.

Offers of a day rest on what was known at the end of the day before: the snapshot of features, the catalogue
(`feeds/plans`: a plan that is not in it is withdrawn) and the contacts of the days before (`feeds/offers_sent`).

| case | outcome |
|---|---|
| empty catalogue, or no plan of it sold that day | everybody has `no_offer` and nothing else |
| quiet day, cap reached, cool-down | the person has `no_offer` and nothing else |
| prospect without history | rules on columns that are null do not hold; `no_offer` and offers without such a rule |
| snapshot or catalogue of the day before missing | TableInputError |
| contacts of an earlier day missing | counted as none, and the day is named in `EligibilityPlan.missing_days` |

Belongs here: the expression and what it is read from. Does not belong here: choosing among the offers.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING

from mlops_assets.domain.errors import TableInputError
from mlops_assets.domain.features.subscriber_features import SUBSCRIBER_FEATURES
from mlops_assets.domain.features.table import ViewPlan, unbound
from mlops_assets.domain.feeds.contract import ColumnType
from mlops_assets.domain.offers.catalogue_spec import OfferCatalogueSpec
from mlops_assets.domain.offers.eligibility_check import check_rule, rule_columns
from mlops_assets.domain.offers.eligibility_syntax import (
    Between,
    Column,
    Comparison,
    Condition,
    Junction,
    Membership,
    Negation,
    Rule,
    list_columns,
)
from mlops_assets.domain.offers.eligibility_syntax import Literal as RuleLiteral
from mlops_assets.domain.offers.offer_tables import CONTACTS_TABLE, PLANS_TABLE
from mlops_assets.domain.offers.reconciliation import NO_OFFER
from mlops_assets.domain.ports import Lake, PartitionId

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

_CONTACT_COLUMNS: dict[str, ColumnType] = {"subscriber_id": "integer"}
_PLAN_COLUMNS: dict[str, ColumnType] = {
    "plan_code": "text",
    "price_usd_cents": "integer",
    "margin_usd_cents": "integer",
    "validity_days": "integer",
}
_ACTION_COLUMNS: dict[str, ColumnType] = {"action_plan": "text", "discount_share": "decimal"}
_AS_OF_COLUMNS: dict[str, ColumnType] = {
    "offer_day": "date",
    "is_quiet": "boolean",
}


@dataclass(frozen=True)
class EligibilityPlan:
    """What a day's eligible offers would be read from; nothing has been read yet.

    Attributes:
        offer_day: day of the offers; features and catalogue are those of the day before.
        views: partitions of each view.
        missing_days: days of the contact window without a campaign log.
    """

    offer_day: dt.date
    views: Mapping[str, ViewPlan]
    missing_days: tuple[dt.date, ...]


def unbound_views(spec: OfferCatalogueSpec) -> dict[str, ir.Table]:
    """Return the inputs of `eligible` by name, bound to no engine."""
    return {
        "features": unbound("features", feature_columns(spec)),
        "plans": unbound("plans", _PLAN_COLUMNS),
        "contacts": unbound("contacts", {**_CONTACT_COLUMNS, "file_day": "date"}),
        "actions": unbound("actions", _ACTION_COLUMNS),
        "as_of": unbound("as_of", _AS_OF_COLUMNS),
    }


def feature_columns(spec: OfferCatalogueSpec) -> dict[str, ColumnType]:
    """Return the columns of the snapshot that the catalogue's rules name, and the key."""
    texts = [spec.eligible, *(plan.eligible for plan in spec.plans)]
    named = {column.name for text in texts if text for column in list_columns(check_rule(text))}
    docs = rule_columns()
    return {"subscriber_id": "integer", **{name: docs[name].type for name in sorted(named)}}


def eligible(spec: OfferCatalogueSpec, views: Mapping[str, ir.Table]) -> ir.Table:
    """Return prospect x action: subscriber_id, plan_code, discount and what one sale costs and brings.

    Args:
        spec: the catalogue.
        views: as `unbound_views` names them; `actions` has one row per action, `as_of` one row.

    Returns:
        Columns `subscriber_id`, `plan_code`, `discount_share`, `discount_usd_cents`, `price_usd_cents`,
        `margin_usd_cents` (less the discount) and `validity_days` (null for `no_offer`), in no order.
    """
    dated = views["features"].cross_join(views["as_of"])
    # A relation of its own, which can be joined with what is made of it.
    people = _with_contact_policy(spec, dated.select(*dated.columns), views["contacts"])
    plans = views["plans"]
    actions = views["actions"].left_join(plans, views["actions"].action_plan == plans.plan_code)
    rows = people.cross_join(actions)
    is_offer = rows.plan_code.notnull() & rows.may_contact & _rules(spec, rows)
    rows = rows.filter((rows.action_plan == NO_OFFER) | is_offer)
    discount = (rows.price_usd_cents * rows.discount_share).round().cast("int64").fill_null(0)
    return rows.select(
        "subscriber_id",
        plan_code=rows.action_plan,
        discount_share=rows.discount_share,
        discount_usd_cents=discount,
        price_usd_cents=rows.price_usd_cents.fill_null(0),
        margin_usd_cents=rows.margin_usd_cents.fill_null(0) - discount,
        validity_days=rows.validity_days,
    )


def plan_eligibility(
    spec: OfferCatalogueSpec, geography: str, offer_day: dt.date, *, lake: Lake
) -> EligibilityPlan:
    """Return what the eligible offers of a day are read from.

    Raises:
        TableInputError: the snapshot or the catalogue of the day before is not published.
    """
    known_day = offer_day - dt.timedelta(days=1)
    columns = {
        "features": (SUBSCRIBER_FEATURES.name, feature_columns(spec)),
        "plans": (PLANS_TABLE, _PLAN_COLUMNS),
    }
    views = {}
    for view, (table, types) in columns.items():
        partition = PartitionId(table, geography, known_day)
        if lake.manifest(partition) is None:
            raise TableInputError(
                f"the offers of {offer_day} need {partition}, which is not published",
                where=f"{geography}, {offer_day}",
                expected="features and catalogue of the day before",
                remedy="deliver or build it, then run again",
            )
        views[view] = ViewPlan(types, (partition,))
    days = [offer_day - dt.timedelta(days=back) for back in range(spec.contact_policy.history_days, 0, -1)]
    of_days = {day: PartitionId(CONTACTS_TABLE, geography, day) for day in days}
    published = tuple(one for one in of_days.values() if lake.manifest(one) is not None)
    views["contacts"] = ViewPlan(_CONTACT_COLUMNS, published, has_file_day=True)
    missing = tuple(day for day, one in of_days.items() if one not in published)
    return EligibilityPlan(offer_day, views, missing)


def action_rows(spec: OfferCatalogueSpec) -> pa.Table:
    """Return the view `actions`: `no_offer`, then each plan with each of its discounts."""
    import pyarrow as pa

    offers = [(plan.plan_code, discount) for plan in spec.plans for discount in plan.discounts]
    plans, discounts = zip((NO_OFFER, 0.0), *offers, strict=True)
    return pa.table({"action_plan": pa.array(plans, pa.string()), "discount_share": list(discounts)})


def as_of_row(spec: OfferCatalogueSpec, offer_day: dt.date) -> pa.Table:
    """Return the view `as_of`: the day of the offers."""
    import pyarrow as pa

    return pa.table(
        {
            "offer_day": pa.array([offer_day], pa.date32()),
            "is_quiet": [spec.contact_policy.is_quiet(offer_day)],
        }
    )


def _with_contact_policy(spec: OfferCatalogueSpec, people: ir.Table, contacts: ir.Table) -> ir.Table:
    """Add `may_contact`; the window of the cap ends with the day of the offers."""
    policy = spec.contact_policy
    daily = contacts.group_by("subscriber_id", "file_day").aggregate(n_contacts=contacts.count())
    history = daily.select("file_day", "n_contacts", contacted=daily.subscriber_id)
    dated = people.select("subscriber_id", "offer_day").inner_join(
        history, people.subscriber_id == history.contacted
    )
    age_days = dated.offer_day.delta(dated.file_day, unit="day")
    counted = dated.group_by("contacted").aggregate(
        in_window=(age_days < policy.window_days).ifelse(dated.n_contacts, 0).sum().cast("int64"),
        last_age_days=age_days.min(),
    )
    rows = people.left_join(counted, people.subscriber_id == counted.contacted)
    is_below_cap = rows.in_window.fill_null(0) < policy.contacts_max
    is_cool = (rows.last_age_days >= policy.cool_down_days).fill_null(True)
    judged = rows.mutate(may_contact=is_below_cap & is_cool & ~rows.is_quiet)
    return judged.drop("contacted", "in_window", "last_age_days")


def _rules(spec: OfferCatalogueSpec, rows: ir.Table) -> ir.Value:
    """Return whether the rules of the row's plan hold; unknown counts as no."""
    import ibis

    shared = to_expression(check_rule(spec.eligible), rows) if spec.eligible else ibis.literal(True)
    by_plan = [
        (rows.action_plan == plan.plan_code, to_expression(check_rule(plan.eligible), rows))
        for plan in spec.plans
        if plan.eligible
    ]
    own = ibis.cases(*by_plan, else_=True) if by_plan else ibis.literal(True)
    return (shared & own).fill_null(False)


def to_expression(rule: Rule, rows: ir.Table) -> ir.Value:
    """Return a checked rule as a boolean expression over a table's columns; null where it is not known."""
    if isinstance(rule, Junction):
        return reduce(and_ if rule.is_all else or_, (to_expression(part, rows) for part in rule.parts))
    if isinstance(rule, Negation):
        return ~to_expression(rule.part, rows)
    return _condition(rule, rows)


def _condition(condition: Condition, rows: ir.Table) -> ir.Value:
    column = _operand(condition.column, rows)
    if isinstance(condition, Membership):
        held = column.isin(list(condition.values))
        return ~held if condition.is_negated else held
    if isinstance(condition, Between):
        held = column.between(condition.low, condition.high)
        return ~held if condition.is_negated else held
    return _compare(column, condition, rows)


def _compare(column: ir.Value, condition: Comparison, rows: ir.Table) -> ir.Value:
    import operator

    signs = {
        "=": operator.eq,
        "!=": operator.ne,
        "<": operator.lt,
        "<=": operator.le,
        ">": operator.gt,
        ">=": operator.ge,
    }
    return signs[condition.sign](column, _operand(condition.other, rows))


def _operand(operand: Column | RuleLiteral, rows: ir.Table) -> ir.Value:
    """Return a column (booleans as 1 and 0) or a literal."""
    if not isinstance(operand, Column):
        return operand
    column = rows[operand.name]
    return column.cast("int64") if column.type().is_boolean() else column
