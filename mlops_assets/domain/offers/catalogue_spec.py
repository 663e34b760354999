"""What may be offered, to whom, how often, and for how much: the YAML of an offer catalogue.

    plans:
      - {plan_code: data_m, discounts: [0, 0.1], eligible: "status = 'active' and days_to_expiry <= 7"}
      - {plan_code: booster_1gb}
    eligible: "tenure_days >= 30 or status = 'prospect'"
    contact_policy: {contacts_max: 1, window_days: 28, cool_down_days: 7, quiet_weekdays: [sunday]}
    budget: {discount_usd_per_day: 500, contacts_per_day: 20000}
    fairness: [{by: region, contact_ratio_max: 1.5}]

Prices, margins and validity are those of `feeds/plans` on the day; `no_offer` is an action of every catalogue and is
never listed. A rule that is not known to hold (a column is null: a prospect without history) does not hold.

Belongs here: the typed shape and what can be checked without data. Does not belong here: reading YAML
(mlops_assets.config), rows (eligibility.py), dividing the budget (budget.py).
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from mlops_assets.domain.learning.spec import ColumnName
from mlops_assets.domain.model_base import Record
from mlops_assets.domain.offers.eligibility_check import check_rule, rule_columns
from mlops_assets.domain.offers.eligibility_syntax import RuleSyntaxError
from mlops_assets.domain.offers.reconciliation import NO_OFFER, NOTHING, UNKNOWN

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[Weekday, ...] = (
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
)
_RESERVED = {NO_OFFER, UNKNOWN, NOTHING}


def _require_rule(text: str) -> str:
    if text:
        try:
            check_rule(text)
        except RuleSyntaxError as error:
            raise ValueError(str(error)) from error
    return text


RuleText = Annotated[str, AfterValidator(_require_rule)]
Discount = Annotated[float, Field(ge=0.0, lt=1.0)]
PlanCode = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class OfferedPlan(Record):
    """A plan or booster that may be offered.

    Attributes:
        plan_code: our code, as in `feeds/plans`; on days without it nobody is eligible.
        discounts: shares of the list price, each an action of its own.
        eligible: a rule (`eligibility_syntax`); empty for everybody.
    """

    plan_code: PlanCode
    discounts: tuple[Discount, ...] = Field((0.0,), min_length=1, max_length=10)
    eligible: RuleText = ""

    @model_validator(mode="after")
    def _is_unambiguous(self) -> OfferedPlan:
        if self.plan_code in _RESERVED:
            raise ValueError(f"`{self.plan_code}` is a reserved word, not a plan")
        if len(set(self.discounts)) != len(self.discounts):
            raise ValueError(f"`{self.plan_code}` has a discount twice")
        return self


class ContactPolicy(Record):
    """When a person may be contacted at all.

    In any `window_days` days in a row at most `contacts_max` contacts; at least `cool_down_days` days from one
    contact to the next; nobody on quiet weekdays and days.

    Attributes:
        quiet_weekdays: days of the week without contacts.
        quiet_days: dates without contacts.
    """

    contacts_max: int = Field(1, ge=1, le=60)
    window_days: int = Field(28, ge=1, le=60)
    cool_down_days: int = Field(1, ge=1, le=60)
    quiet_weekdays: tuple[Weekday, ...] = ()
    quiet_days: tuple[dt.date, ...] = ()

    @property
    def history_days(self) -> int:
        """Days before the day of the offers whose contacts matter."""
        return max(self.window_days, self.cool_down_days) - 1

    def is_quiet(self, day: dt.date) -> bool:
        """Return whether nobody may be contacted on a day."""
        return day in self.quiet_days or WEEKDAYS[day.weekday()] in self.quiet_weekdays


class BudgetSpec(Record):
    """What a day may cost; None for no limit.

    `discount_usd_per_day` limits the discounts of the offers made, as if all were accepted.

    Attributes:
        contacts_per_day: most contacts of a day.
    """

    discount_usd_per_day: float | None = Field(None, ge=0.0)
    contacts_per_day: int | None = Field(None, ge=0)


class FairnessBound(Record):
    """Groups of a text or boolean column may differ in their share contacted by at most a ratio.

    Groups of fewer than `people_min` people are not compared.

    Attributes:
        by: column whose values are the groups.
        contact_ratio_max: largest ratio of the shares contacted of two groups.
    """

    by: ColumnName
    contact_ratio_max: float = Field(ge=1.0, le=100.0)
    people_min: int = Field(1_000, ge=1)

    @model_validator(mode="after")
    def _has_groups(self) -> FairnessBound:
        doc = rule_columns().get(self.by)
        if doc is None or doc.type not in ("text", "boolean"):
            raise ValueError(f"`{self.by}` is not a text or boolean feature of etl/subscriber_features")
        return self


class OfferCatalogueSpec(Record):
    """Everything that may be offered in a use case; without plans everybody gets `no_offer`.

    Attributes:
        plans: what may be offered, each plan once.
        eligible: a rule that holds for every offer; empty for everybody.
        contact_policy, budget, fairness: limits.
        contact_policy: how often a person may be contacted.
        budget: what a day may cost.
        fairness: how unequally groups may be contacted.
    """

    plans: tuple[OfferedPlan, ...] = Field((), max_length=50)
    eligible: RuleText = ""
    contact_policy: ContactPolicy = ContactPolicy()
    budget: BudgetSpec = BudgetSpec()
    fairness: tuple[FairnessBound, ...] = ()

    @model_validator(mode="after")
    def _plans_once(self) -> OfferCatalogueSpec:
        codes = [plan.plan_code for plan in self.plans]
        if repeated := sorted({code for code in codes if codes.count(code) > 1}):
            raise ValueError(f"listed twice: {', '.join(repeated)}; list a plan once with all its discounts")
        return self
