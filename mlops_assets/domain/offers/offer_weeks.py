"""What a week brought to people: the first contact, its answer, purchases, leaving; two statements a week.

A contact and a purchase count on the day of their file. A purchase is one by offer if the person accepted an offer of
that plan on that day or on a neighbouring one (either record may come late); all others are organic. The margin is
the plan's of the day, less what was paid below its list price.

Belongs here: the statements and their rows as arrays. Does not belong here: states (offer_states.py), the choice that a
contact was and the chance it had (transitions.py, contact_chances.py).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.domain.features.build import view_source
from mlops_assets.domain.features.table import ViewPlan, unbound
from mlops_assets.domain.feeds.contract import ColumnType
from mlops_assets.domain.offers.decision_data import STEP_DAYS
from mlops_assets.domain.offers.offer_tables import CONTACTS_TABLE, PLANS_TABLE
from mlops_assets.domain.offers.reconciliation import NO_OFFER
from mlops_assets.domain.ports import Lake, PartitionId, TableEngine, ViewSource
from mlops_assets.domain.table_sql import compile_sql

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa
    from numpy.typing import NDArray

_KEY = "subscriber_id"
_NEIGHBOUR_DAYS = 1
_RANK_DIGITS = 12  # of a price in cents, so that texts sort as numbers do
_VIEWS: Mapping[str, tuple[str, dict[str, ColumnType]]] = {
    "contacts": (
        CONTACTS_TABLE,
        {
            _KEY: "integer",
            "offer_id": "text",
            "event_time_utc": "timestamp",
            "plan_code": "text",
            "discount_usd_cents": "integer",
            "propensity": "decimal",
            "is_accepted": "boolean",
        },
    ),
    "purchases": (
        "feeds/plan_purchases",
        {_KEY: "integer", "plan_code": "text", "price_usd_cents": "integer"},
    ),
    "plans": (
        PLANS_TABLE,
        {
            "plan_code": "text",
            "family": "text",
            "price_usd_cents": "integer",
            "margin_usd_cents": "integer",
        },
    ),
    "churned": ("etl/churn_events", {_KEY: "integer"}),
}
# Of the platform's own proposals; a day without them is a day of the campaign's own rules.
_PROPOSAL_COLUMNS: dict[str, ColumnType] = {
    _KEY: "integer",
    "plan_code": "text",
    "no_offer_propensity": "decimal",
}


@dataclass(frozen=True)
class WeekPlan:
    """The partitions of the seven days after an as-of day.

    Attributes:
        as_of_day: day before the week.
        views: partitions of each view.
        inputs: partition to build key.
        missing: required partitions that are not published; with any the week cannot be used.
    """

    as_of_day: dt.date
    views: Mapping[str, ViewPlan]
    inputs: Mapping[str, str]
    missing: tuple[PartitionId, ...]


@dataclass(frozen=True, eq=False)
class WeekOutcomes:
    """What became of some people in a week, in the order of the people asked for.

    Attributes:
        offered_plan: object [people], plan of the first contact; None for none.
        discount_share: float64 [people], of its list price; NaN if the day's catalogue lacks the plan.
        propensity: float64 [people], as logged; NaN if not.
        is_accepted: bool [people].
        contacts: int64 [people], in the whole week.
        margin_usd: float64 [people].
        organic_plan: object [people], dearest plan bought without offer; None for none.
        unpriced: int64 [people], purchases of plans that the day's catalogue lacks; their margin counts as 0.
        is_churned: bool [people].
        own_days: int64 [people], days on which the platform proposed something or `no_offer`.
        own_no_contact: float64 [people], chance of no offer on all of these days up to the first contact, or all;
            NaN if one of them had none.
        own_on_day: float64 [people], chance of an offer on the day of the first contact; NaN without a proposal.
        is_overridden: bool [people], the campaign did not do as proposed, by the first contact or by none.
    """

    offered_plan: NDArray[np.object_]
    discount_share: NDArray[np.float64]
    propensity: NDArray[np.float64]
    is_accepted: NDArray[np.bool_]
    contacts: NDArray[np.int64]
    margin_usd: NDArray[np.float64]
    organic_plan: NDArray[np.object_]
    unpriced: NDArray[np.int64]
    is_churned: NDArray[np.bool_]
    own_days: NDArray[np.int64]
    own_no_contact: NDArray[np.float64]
    own_on_day: NDArray[np.float64]
    is_overridden: NDArray[np.bool_]


def plan_week(segment: str, as_of_day: dt.date, proposals_table: str, *, lake: Lake) -> WeekPlan:
    """Return what the outcomes of the week after a day are read from."""
    days = [as_of_day + dt.timedelta(days=ahead) for ahead in range(1, STEP_DAYS + 1)]
    views, inputs, missing = {}, {}, []
    optional = {"proposals": (proposals_table, _PROPOSAL_COLUMNS)}
    for view, (table, columns) in {**_VIEWS, **optional}.items():
        found = []
        for day in days:
            partition = PartitionId(table, segment, day)
            manifest = lake.manifest(partition)
            if manifest is not None:
                found.append(partition)
                inputs[str(partition)] = manifest.build_key
            elif view not in optional:
                missing.append(partition)
        views[view] = ViewPlan(columns, tuple(found), has_file_day=True)
    return WeekPlan(as_of_day, views, inputs, tuple(missing))


def read_week(plan: WeekPlan, people: NDArray[np.int64], *, lake: Lake, engine: TableEngine) -> WeekOutcomes:
    """Return what the week brought to some people.

    Args:
        plan: of `plan_week`, nothing missing.
        people: int64 [people], each once.
        lake: where the partitions are.
        engine: runs the statements.

    Raises:
        EngineError: an input cannot be read.
    """
    import pyarrow as pa

    views = {name: view_source(view, lake) for name, view in plan.views.items()}
    # Positions come back with the rows, so that nothing has to be looked up.
    positions = np.arange(len(people), dtype=np.int64)
    views["people"] = ViewSource(table=pa.table({"person": people.astype(np.int64), "place": positions}))
    names = {"contacts": ("contacts", "plans", "proposals"), "purchases": ("purchases", "plans", "contacts")}
    contacted = engine.fetch(_first_contacts_sql(engine.dialect), _only(views, names["contacts"]))
    bought = engine.fetch(_purchases_sql(engine.dialect), _only(views, names["purchases"]))
    left = engine.fetch(_churned_sql(engine.dialect), _only(views, ("churned",)))
    return _assemble(plan.as_of_day, len(people), contacted, bought, left)


def _only(views: Mapping[str, ViewSource], names: tuple[str, ...]) -> dict[str, ViewSource]:
    return {name: views[name] for name in (*names, "people")}


def _dated(view: str) -> ir.Table:
    columns = _PROPOSAL_COLUMNS if view == "proposals" else _VIEWS[view][1]
    return unbound(view, {**columns, "file_day": "date"})


def _of_people(view: str) -> ir.Table:
    """Return the rows of the people asked for, with their place."""
    import ibis

    people = ibis.table({"person": "int64", "place": "int64"}, name="people")
    rows = _dated(view)
    return rows.inner_join(people, rows[_KEY] == people.person)


def _sold() -> ir.Table:
    """Return each day's catalogue, each plan once."""
    rows = _dated("plans")
    return rows.group_by(sold_code=rows.plan_code, sold_day=rows.file_day).aggregate(
        list_cents=rows.price_usd_cents.min(), margin_cents=rows.margin_usd_cents.min()
    )


@lru_cache(maxsize=4)
def _first_contacts_sql(dialect: str) -> str:
    """One row per person with a contact or a proposal in the week."""
    import ibis

    contacts, sold = _of_people("contacts"), _sold()
    order = ibis.window(
        group_by=contacts.place, order_by=[contacts.event_time_utc, contacts.offer_id, contacts.plan_code]
    )
    numbered = contacts.mutate(
        number=ibis.row_number().over(order),
        contacts=contacts.place.count().over(ibis.window(group_by=contacts.place)),
    )
    first = numbered.filter(numbered.number == 0)
    priced = first.left_join(sold, [first.plan_code == sold.sold_code, first.file_day == sold.sold_day])
    share = priced.discount_usd_cents.fill_null(0) / priced.list_cents.nullif(0)
    sent = priced.select(
        sent_place="place",
        sent_day="file_day",
        sent_plan="plan_code",
        discount_share=share.cast("float64"),
        propensity="propensity",
        is_accepted=priced.is_accepted.fill_null(False),
        contacts=priced.contacts.cast("int64"),
    )
    joined = sent.outer_join(_proposed(sent), "sent_place")
    return compile_sql(_joined_columns(joined), dialect)


def _joined_columns(joined: ir.Table) -> ir.Table:
    import ibis

    columns = [name for name in joined.columns if name not in ("sent_place", "sent_place_right")]
    place = ibis.coalesce(joined.sent_place, joined.sent_place_right)
    return joined.select(*columns, place=place)


def _proposed(sent: ir.Table) -> ir.Table:
    """Return each person's chances of being left alone, up to the day of the contact."""
    own = _of_people("proposals")
    days = sent.select(day_place="sent_place", day_of_contact="sent_day", plan_of_contact="sent_plan")
    rows = own.left_join(days, own.place == days.day_place)
    is_before = rows.day_of_contact.isnull() | (rows.file_day < rows.day_of_contact)
    is_on_day = (rows.file_day == rows.day_of_contact).fill_null(False)
    is_offer = rows.plan_code != NO_OFFER
    # A proposal that the campaign dropped, or another plan in its place.
    is_dropped = (is_before & is_offer) | (is_on_day & (rows.plan_code != rows.plan_of_contact))
    chance = rows.no_offer_propensity
    # A column a day: in which order an engine adds is its own affair, and changes the last digits of a sum.
    logs = {
        _log_column(weekday): (is_before & (rows.file_day.day_of_week.index() == weekday))
        .ifelse(chance.nullif(0.0).log(), 0.0)
        .sum()
        .fill_null(0.0)
        for weekday in range(STEP_DAYS)
    }
    return rows.group_by(sent_place=rows.place).aggregate(
        own_days=rows.count().cast("int64"),
        lacks_chance=(is_before & (chance.fill_null(0.0) == 0.0)).any(),
        own_on_day=is_on_day.ifelse(1.0 - chance, None).max(),
        is_overridden=is_dropped.fill_null(True).any(),
        **logs,
    )


def _log_column(weekday: int) -> str:
    return f"log_no_contact_{weekday}"


@lru_cache(maxsize=4)
def _purchases_sql(dialect: str) -> str:
    """One row per person who bought: margin, dearest organic plan, purchases without a price."""
    bought, sold, contacts = _of_people("purchases"), _sold(), _dated("contacts")
    priced = bought.left_join(sold, [bought.plan_code == sold.sold_code, bought.file_day == sold.sold_day])
    taken = contacts.filter(contacts.is_accepted.fill_null(False)).select(
        taker=_KEY, taken_plan="plan_code", taken_day="file_day"
    )
    pairs = priced.inner_join(taken, [priced[_KEY] == taken.taker, priced.plan_code == taken.taken_plan])
    distance = pairs.file_day.delta(pairs.taken_day, unit="day")
    # By what identifies a purchase to an offer, not by numbers of rows: an engine may number each copy anew.
    offered = (
        pairs.filter(distance.abs() <= _NEIGHBOUR_DAYS)
        .select(offered_to="taker", offered_plan="taken_plan", offered_day="file_day")
        .distinct()
    )
    marked = priced.left_join(
        offered,
        [
            priced[_KEY] == offered.offered_to,
            priced.plan_code == offered.offered_plan,
            priced.file_day == offered.offered_day,
        ],
    )
    is_organic = marked.offered_to.isnull()
    below_list = (marked.list_cents - marked.price_usd_cents.fill_null(marked.list_cents)).clip(lower=0)
    margin = (marked.margin_cents - below_list).fill_null(0)
    # The dearest of a person: by list price, then by code, both in one text that sorts.
    price = marked.list_cents.fill_null(0).cast("string").lpad(_RANK_DIGITS, "0")
    rank = price + marked.plan_code.fill_null("")
    return compile_sql(
        marked.group_by("place").aggregate(
            margin_cents=margin.sum().cast("!int64"),
            dearest=is_organic.ifelse(rank, None).max(),
            unpriced=marked.sold_code.isnull().cast("int64").sum().cast("!int64"),
        ),
        dialect,
    )


@lru_cache(maxsize=4)
def _churned_sql(dialect: str) -> str:
    return compile_sql(_of_people("churned").select("place").distinct(), dialect)


def _assemble(
    as_of_day: dt.date, people: int, contacted: pa.Table, bought: pa.Table, left: pa.Table
) -> WeekOutcomes:
    at, buyers = contacted["place"].to_numpy(), bought["place"].to_numpy()

    def spread(column: Any, fill: Any, dtype: Any) -> NDArray[Any]:
        filled = np.full(people, fill, dtype=dtype)
        values = contacted[column].to_numpy(zero_copy_only=False)
        is_there = ~np.array(contacted[column].is_null())
        filled[at[is_there]] = values[is_there].astype(dtype)
        return filled

    dearest = np.full(people, None, dtype=object)
    dearest[buyers] = [code[_RANK_DIGITS:] if code else None for code in bought["dearest"].to_pylist()]
    margin, unpriced = np.zeros(people), np.zeros(people, dtype=np.int64)
    margin[buyers] = bought["margin_cents"].to_numpy() / 100.0
    unpriced[buyers] = bought["unpriced"].to_numpy()
    is_churned = np.zeros(people, dtype=np.bool_)
    is_churned[left["place"].to_numpy()] = True
    own_days = spread("own_days", 0, np.int64)
    log_no_contact = np.zeros(people)
    for ahead in range(1, STEP_DAYS + 1):
        weekday = (as_of_day + dt.timedelta(days=ahead)).weekday()
        log_no_contact += spread(_log_column(weekday), np.nan, np.float64)
    own_no_contact = np.exp(log_no_contact)
    own_no_contact[spread("lacks_chance", False, np.bool_)] = np.nan
    return WeekOutcomes(
        offered_plan=spread("sent_plan", None, object),
        discount_share=spread("discount_share", np.nan, np.float64),
        propensity=spread("propensity", np.nan, np.float64),
        is_accepted=spread("is_accepted", False, np.bool_),
        contacts=spread("contacts", 0, np.int64),
        margin_usd=margin,
        organic_plan=dearest,
        unpriced=unpriced,
        is_churned=is_churned,
        own_days=own_days,
        own_no_contact=own_no_contact,
        own_on_day=spread("own_on_day", np.nan, np.float64),
        is_overridden=spread("is_overridden", False, np.bool_),
    )
