"""What the agent proposed beside what the campaign system sent: one lake table, counts only.

A day has one proposal per prospect, an offer or `no_offer`. Of the contacts that the campaign system logged for a
person that day one counts: the proposed plan if it is among them, otherwise the earliest. So each offer proposed is
*sent as proposed*, replaced by a *different offer*, or met *no offer* at all; and each contact is one of the first
two, *unproposed* (nobody proposed an offer to this person), or a *duplicate contact*. Totals are counted a second
time without the join, so that a fault in matching shows (`reconciliation_day.summarise_day`).

| what is wrong | outcome |
|---|---|
| a plan that the day's catalogue lacks, or none | counted under `unknown`, still compared by its own code |
| a person proposed twice | the first row by plan, version and discount counts, others are `duplicate_proposal` |
| a person contacted twice | further contacts are `duplicate_contact` |
| proposals, campaign log or catalogue of the day missing | no partition: the day is not reconciled, not zero |

A contact counts on the day of its file: one that is logged late is missing on its own day and unproposed later.

Belongs here: the expression and its documentation. Does not belong here: figures made of the counts
(reconciliation_day.py) or the report (reporting.offer_report).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlops_assets.domain.features.daily import DailyRecipe
from mlops_assets.domain.features.table import ENGINE_TYPES, ColumnDoc, FeatureTable, TableInput
from mlops_assets.domain.feeds.contract import ColumnType
from mlops_assets.domain.offers.offer_tables import CONTACTS_TABLE, PLANS_TABLE

if TYPE_CHECKING:
    import ibis.expr.types as ir

NO_OFFER = "no_offer"  # the agent's decision not to contact; a reserved plan code
UNKNOWN, NOTHING = "unknown", "none"
OWNER = "team:campaigns"
# Proposals, without the join; then contacts, without the join; then what became of each.
PROPOSED, DECLINED, DUPLICATE_PROPOSAL, CONTACT = "proposed", "declined", "duplicate_proposal", "contact"
SENT_AS_PROPOSED, DIFFERENT_OFFER, NOT_CONTACTED = "sent_as_proposed", "different_offer", "no_offer"
UNPROPOSED, DUPLICATE_CONTACT = "unproposed", "duplicate_contact"

PROPOSAL_COLUMNS: dict[str, ColumnType] = {
    "subscriber_id": "integer",
    "plan_code": "text",
    "discount_usd_cents": "integer",
    "model_version": "text",
    "expected_acceptance": "decimal",
    "expected_margin_usd_cents": "decimal",
}
_CONTACT_COLUMNS: dict[str, ColumnType] = {
    "offer_id": "text",
    "subscriber_id": "integer",
    "event_time_utc": "timestamp",
    "plan_code": "text",
    "discount_usd_cents": "integer",
    "is_accepted": "boolean",
}
_PLAN_COLUMNS: dict[str, ColumnType] = {"plan_code": "text", "margin_usd_cents": "integer"}
_KEYS = ("kind", "proposed_plan", "sent_plan", "model_version")
COLUMNS = {
    "kind": ColumnDoc("text", "what is counted: see the module", role="key"),
    "proposed_plan": ColumnDoc("text", "plan, `no_offer`, `unknown`; `none` without a proposal", role="key"),
    "sent_plan": ColumnDoc("text", "plan, or `unknown`; `none` without a contact", role="key"),
    "model_version": ColumnDoc("text", "of the proposal; `none` without one", role="key"),
    "offers": ColumnDoc("integer", "proposals or contacts", "count", "info"),
    "other_discount": ColumnDoc(
        "integer", "of them sent as proposed, but with another discount", "count", "info"
    ),
    "accepted": ColumnDoc("integer", "of them accepted by the end of the day", "count", "info"),
    "margin_usd_cents": ColumnDoc("integer", "margin less discount of the accepted ones", "usd_cent", "info"),
    "with_expectation": ColumnDoc(
        "integer", "of them with an expected acceptance and margin", "count", "info"
    ),
    "expected_accepted": ColumnDoc("decimal", "sum of the expected acceptances", "count", "info"),
    "expected_margin_usd_cents": ColumnDoc("decimal", "sum of the expected margins", "usd_cent", "info"),
}

SUMMED = tuple(COLUMNS)[len(_KEYS) + 1 :]


def reconciliation_table(proposals_table: str) -> FeatureTable:
    """Return the table of a use case.

    Args:
        proposals_table: where the agent's proposals are, with PROPOSAL_COLUMNS; e.g.
            `offers/personalized_offer/proposals`. The result goes to `.../reconciliation` beside it.
    """
    proposals = TableInput(proposals_table, PROPOSAL_COLUMNS)
    return FeatureTable(
        name=f"{proposals_table.rpartition('/')[0]}/reconciliation",
        description=(
            "Offers proposed against offers sent, one row per kind, plan proposed, plan sent and model version; no "
            "subscriber. Fresh when the day's proposals, campaign log and catalogue are in; without one of them "
            "the day is not reconciled and the weekly report says so."
        ),
        owner=OWNER,
        kind="daily",
        keys=_KEYS,
        columns=COLUMNS,
        recipe=DailyRecipe(
            inputs=(
                proposals,
                TableInput(CONTACTS_TABLE, _CONTACT_COLUMNS),
                TableInput(PLANS_TABLE, _PLAN_COLUMNS),
            ),
            expression=lambda views: _count_all(views[proposals.view], views["offers_sent"], views["plans"]),
        ),
        version="1",
    )


def _count_all(proposals: ir.Table, contacts: ir.Table, plans: ir.Table) -> ir.Table:
    """Return every count; tables as documented above."""
    import ibis

    numbered = _number_proposals(_in_catalogue(proposals, plans))
    proposed = numbered.filter(numbered.place == 0)
    known = _in_catalogue(contacts, plans)
    matched = _match(known, proposed)
    unmet = proposed.anti_join(contacts, proposed.subscriber_id == contacts.subscriber_id)
    return ibis.union(
        _count(numbered.mutate(kind=_kind_of_proposal(numbered))),
        _count(known.mutate(kind=ibis.literal(CONTACT), proposed_plan=_text(NOTHING))),
        _count(matched.mutate(kind=_kind_of_contact(matched))),
        # Nobody contacted whom the agent would leave alone: agreement, and nothing to report.
        _count(unmet.filter(unmet.own_code != NO_OFFER).mutate(kind=ibis.literal(NOT_CONTACTED))),
    )


def _text(value: str) -> ir.Value:
    import ibis

    return ibis.literal(value)


def _in_catalogue(rows: ir.Table, plans: ir.Table) -> ir.Table:
    """Add `own_code` (never null), `shown_plan` (a plan of the day, `no_offer` or `unknown`) and the plan's margin."""
    margins = plans.select(catalogue_code=plans.plan_code, plan_margin_usd_cents=plans.margin_usd_cents)
    joined = rows.left_join(margins, rows.plan_code == margins.catalogue_code)
    own_code = joined.plan_code.fill_null("")
    is_shown = joined.catalogue_code.notnull() | (own_code == NO_OFFER)
    return joined.mutate(own_code=own_code, shown_plan=is_shown.ifelse(own_code, UNKNOWN))


def _number_proposals(rows: ir.Table) -> ir.Table:
    """Add `place`: 0 for the proposal of a person that counts."""
    import ibis

    order = [rows.own_code, rows.model_version, rows.discount_usd_cents, rows.expected_acceptance]
    place = ibis.row_number().over(group_by=rows.subscriber_id, order_by=order)
    return rows.mutate(
        place=place,
        proposed_plan=rows.shown_plan,
        sent_plan=_text(NOTHING),
        model_version=rows.model_version.fill_null(UNKNOWN),
    )


def _match(contacts: ir.Table, proposed: ir.Table) -> ir.Table:
    """Return each contact with its person's proposal and `place`: 0 for the contact of a person that counts."""
    import ibis

    names = ("proposed_plan", "model_version", "expected_acceptance", "expected_margin_usd_cents")
    offers = proposed.select(
        *names,
        person=proposed.subscriber_id,
        proposed_code=proposed.own_code,
        proposed_discount_usd_cents=proposed.discount_usd_cents,
    )
    rows = contacts.left_join(offers, contacts.subscriber_id == offers.person)
    is_same = (rows.own_code == rows.proposed_code).fill_null(False) & (rows.own_code != "")
    rows = rows.mutate(is_same=is_same.cast("int64"))
    order = [rows.is_same.desc(), rows.event_time_utc, rows.offer_id]
    return rows.mutate(
        place=ibis.row_number().over(group_by=rows.subscriber_id, order_by=order),
        proposed_plan=rows.proposed_plan.fill_null(NOTHING),
        sent_plan=rows.shown_plan,
        model_version=rows.model_version.fill_null(NOTHING),
    )


def _kind_of_proposal(rows: ir.Table) -> ir.Value:
    import ibis

    return ibis.cases(
        (rows.place > 0, DUPLICATE_PROPOSAL), (rows.own_code == NO_OFFER, DECLINED), else_=PROPOSED
    )


def _kind_of_contact(rows: ir.Table) -> ir.Value:
    import ibis

    return ibis.cases(
        (rows.place > 0, DUPLICATE_CONTACT),
        (rows.proposed_code.isnull() | (rows.proposed_code == NO_OFFER), UNPROPOSED),
        (rows.is_same == 1, SENT_AS_PROPOSED),
        else_=DIFFERENT_OFFER,
    )


def _count(rows: ir.Table) -> ir.Table:
    """Return counts and sums by the keys; columns that the rows do not have count as nothing."""
    given: Mapping[str, ir.Value] = _figures(rows)
    facts = rows.select(
        "kind",
        proposed_plan=rows.proposed_plan,
        sent_plan=rows.sent_plan if "sent_plan" in rows.columns else rows.shown_plan,
        model_version=rows.model_version if "model_version" in rows.columns else _text(NOTHING),
        **given,
    )
    sums = {name: facts[name].sum().cast(f"!{engine_type(name)}") for name in given}
    return facts.group_by(*_KEYS).aggregate(offers=facts.count().cast("!int64"), **sums)


def _figures(rows: ir.Table) -> dict[str, ir.Value]:
    import ibis

    zero, nothing = ibis.literal(0, "int64"), ibis.literal(0.0, "float64")
    figures: dict[str, ir.Value] = {
        "other_discount": zero,
        "accepted": zero,
        "margin_usd_cents": zero,
        "with_expectation": zero,
        "expected_accepted": nothing,
        "expected_margin_usd_cents": nothing,
    }
    if "is_accepted" in rows.columns:
        accepted = rows.is_accepted.fill_null(False).cast("int64")
        margin = rows.plan_margin_usd_cents.fill_null(0) - rows.discount_usd_cents.fill_null(0)
        figures |= {"accepted": accepted, "margin_usd_cents": accepted * margin}
    if "expected_acceptance" in rows.columns:
        both = rows.expected_acceptance.notnull() & rows.expected_margin_usd_cents.notnull()
        figures |= {
            "with_expectation": both.cast("int64"),
            "expected_accepted": both.ifelse(rows.expected_acceptance, 0.0),
            "expected_margin_usd_cents": both.ifelse(rows.expected_margin_usd_cents, 0.0),
        }
    if "proposed_discount_usd_cents" in rows.columns:
        other = rows.discount_usd_cents.fill_null(0) != rows.proposed_discount_usd_cents.fill_null(0)
        figures["other_discount"] = (other & (rows.is_same == 1)).cast("int64")
    return figures


def engine_type(name: str) -> str:
    """Return the Ibis type of one of COLUMNS."""
    return ENGINE_TYPES[COLUMNS[name].type]
