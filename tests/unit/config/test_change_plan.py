"""A change of the configuration is announced as what it does to feeds, models and decisions."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_assets.config.change_consequences import tell_consequences
from mlops_assets.config.change_plan import ChangePlan, SlotChange, effect_of, plan_change
from mlops_assets.config.loader import load_project_with_sources
from mlops_assets.config.models import UseCase
from mlops_assets.config.setting_changes import SettingChange
from mlops_assets.domain.learning.corpus import CorpusRequest, corpus_identity
from mlops_assets.domain.learning.spec import ModelSpec
from mlops_assets.domain.offers.catalogue_spec import OfferCatalogueSpec
from mlops_assets.domain.offers.offers_spec import OffersSpec
from mlops_assets.domain.ports import ModelSlot
from tests.unit.config.conftest import Edit

Compare = Callable[[], tuple[ChangePlan, list[str]]]
MEXICO = """geographies:
  mx:
    name: Mexico
    timezone: America/Mexico_City
    currency: MXN
    usd_per_unit: 0.05
    like: pe
"""


@pytest.fixture
def compare(configs: Path, tmp_path: Path) -> Compare:
    """Compare the copy, as the test has changed it, with what it was."""
    old = Path(shutil.copytree(configs, tmp_path / "old"))

    def plan() -> tuple[ChangePlan, list[str]]:
        before, after = (load_project_with_sources([root], "local") for root in (old, configs))
        plan = plan_change(before, after, {}, {})
        return plan, tell_consequences(plan, after.config)

    return plan


def test_nothing_and_comments_change_nothing(compare: Compare, edit: Edit) -> None:
    assert compare()[0].is_empty
    edit("use_cases/churn.yaml", "name: churn", "# a comment\nname: churn")
    plan, consequences = compare()
    assert plan.is_empty
    assert consequences == []


def test_new_geography_is_a_first_champion(compare: Compare, edit: Edit) -> None:
    edit("geographies.yaml", "geographies:\n", MEXICO)
    plan, consequences = compare()
    assert {c.action for c in plan.slots} == {"added"}
    assert {c.slot.segment for c in plan.slots} == {"mx"}
    assert plan.slots[0].slot == ModelSlot("churn", "churn_risk", "mx")
    assert [(item.kind, item.name, item.action) for item in plan.items if item.kind == "geography"] == [
        ("geography", "mx", "added")
    ]
    assert all(feed.is_new and feed.geographies == ("mx",) for feed in plan.feeds)
    # 14 days before the first as-of, 7 to the second and 7 to the third, 7 until its labels: the 36th day.
    assert consequences[0].startswith(
        "first champion of churn/churn_risk in mx: trained by itself after 36 days"
    )
    assert consequences[0].endswith("the gate decides")
    assert (
        "first policy of personalized_offer/offer_agent in mx: trained once every model of its state has a champion; "
        "the gate decides, and no offer is made before"
    ) in consequences
    assert any(text.endswith("partitions that are current stay") for text in consequences)


@pytest.mark.parametrize(
    ("old", "new", "effects", "needs_training", "says"),
    [
        ("      - avg_freq\n", "", ("corpus",), True, "another corpus"),
        ("horizon_days: 7", "horizon_days: 5", ("corpus",), True, "another corpus"),
        ("status: active", "status: churned", ("corpus",), True, "other rows are scored"),
        ("calibrate: true", "calibrate: false", ("model",), True, "other fits"),
        ("floor: 0.65", "floor: 0.7", ("gate",), False, "the new gate; nothing is trained"),
        ("segment_columns: [plan_family]", "segment_columns: []", ("corpus",), True, "another corpus"),
        ("contact_share: 0.05", "contact_share: 0.06", ("business",), False, "business figure"),
        ("cooldown_days: 7", "cooldown_days: 8", ("retraining",), False, "the new policy"),
        ("cold_every: 4", "cold_every: 2", ("retraining",), False, "the new policy"),
        (
            "owner: team:cust",
            "approval: {mode: manual}\nowner: team:cust",
            ("approval",),
            False,
            "become manual",
        ),
        ("customer-value@op", "loyalty@op", ("people",), False, "recipients"),
    ],
)
def test_each_setting_has_its_effect(
    compare: Compare,
    edit: Edit,
    old: str,
    new: str,
    effects: tuple[str, ...],
    needs_training: bool,
    says: str,
) -> None:
    edit("use_cases/churn.yaml", old, new)
    plan, consequences = compare()
    assert [(c.slot.segment, c.effects, c.needs_training) for c in plan.slots] == [
        (code, effects, needs_training) for code in ("cl", "pe")
    ]
    assert plan.feeds == ()
    assert len(consequences) == 1
    assert "churn/churn_risk in cl, pe" in consequences[0]
    assert says in consequences[0]


def test_other_alerts_are_told(compare: Compare, edit: Edit) -> None:
    edit("use_cases/network_event.yaml", "capacity_per_day: 20", "capacity_per_day: 25")
    plan, consequences = compare()
    assert {(change.effects, change.needs_training) for change in plan.slots} == {(("scoring",), False)}
    (sentence,) = consequences
    assert sentence.startswith("network_event/")
    assert sentence.endswith(": alerts are chosen by the new costs and capacity from the next day on")


def test_effects_come_in_one_order_those_that_need_training_first(compare: Compare, edit: Edit) -> None:
    edit("use_cases/churn.yaml", "customer-value@op", "loyalty@op")
    edit("use_cases/churn.yaml", "cooldown_days: 7", "cooldown_days: 8")
    edit("use_cases/churn.yaml", "calibrate: true", "calibrate: false")
    plan, _ = compare()
    assert {change.effects for change in plan.slots} == {("model", "retraining", "people")}


def test_scores_that_end_are_told(compare: Compare, edit: Edit) -> None:
    edit("use_cases/churn.yaml", "owner: team:cust", "score_daily: false\nowner: team:cust")
    edit("use_cases/personalized_offer.yaml", "      - churn/churn_risk\n", "")
    plan, consequences = compare()
    churn = [change for change in plan.slots if change.slot.use_case == "churn"]
    assert [(c.slot.segment, c.effects, c.needs_training) for c in churn] == [
        (code, ("scoring",), False) for code in ("cl", "pe")
    ]
    assert "churn/churn_risk in cl, pe: not scored daily any more" in consequences


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "plan_code: voice_s, discounts",
            "plan_code: voice_s, eligible: n_boosters = 0, discounts",
            "who may be",
        ),
        (
            "      - {plan_code: combo_m, discounts: *discounts}\n",
            "",
            "a new plan or discount is offered once",
        ),
        (
            "tenure_days >= 14",
            "tenure_days >= 21",
            "who may be offered what changes with the next day's offers",
        ),
        ("window_days: 28", "window_days: 21", "follow the new limits from the next day's offers on"),
        ("contacts_per_day: 1500", "contacts_per_day: 900", "follow the new limits"),
        ("contact_ratio_max: 1.5", "contact_ratio_max: 1.4", "follow the new limits"),
        ("epsilon: 0.05", "epsilon: 0.1", "drawn anew by the next day's offers"),
        ("data_local_mb, n_plans_month1]", "data_local_mb]", "made anew with the next training of the agent"),
        ("holdout_weeks: 1", "holdout_weeks: 2", "made anew with the next training of the agent"),
        ("  agent:", "  simulator_check: {min_contacts: 100}\n  agent:", "made anew with the next training"),
        ("  agent:", "  gate: {min_gain_usd: 0.1}\n  agent:", "taken by the new gate"),
    ],
)
def test_each_part_of_offers_is_told_once_and_of_the_agent(
    compare: Compare, edit: Edit, old: str, new: str, says: str
) -> None:
    edit("use_cases/personalized_offer.yaml", old, new)
    plan, consequences = compare()
    assert [(c.slot.model, c.slot.segment, c.effects) for c in plan.slots] == [
        ("offer_agent", code, ("offers",)) for code in ("cl", "pe")
    ]
    assert len(consequences) == 1
    assert "personalized_offer/offer_agent in cl, pe" in consequences[0]
    assert says in consequences[0]


def test_plans_of_the_catalogue_are_compared_by_code(compare: Compare, edit: Edit) -> None:
    edit("use_cases/personalized_offer.yaml", "      - {plan_code: combo_m, discounts: *discounts}\n", "")
    plan, _ = compare()
    (text,) = [one.text for one in plan.slots[0].settings]
    assert text.startswith("offers.catalogue.plans.combo_m: ")
    assert text.endswith("-> nothing")


def test_approval_of_a_use_case_covers_its_agent(compare: Compare, edit: Edit) -> None:
    edit("use_cases/personalized_offer.yaml", "owner: team", "approval: {mode: manual}\nowner: team")
    plan, consequences = compare()
    assert {change.effects for change in plan.slots} == {("approval",)}
    assert any("of personalized_offer/offer_agent in cl, pe become manual" in text for text in consequences)


def test_override_touches_its_geography_only(compare: Compare, edit: Edit) -> None:
    edit(
        "geographies.yaml",
        "name: Peru",
        "name: Peru\n    overrides: {churn: {models: {churn_risk: {seed: 9}}}}",
    )
    plan, consequences = compare()
    (change,) = plan.slots
    assert (change.slot.segment, change.effects) == ("pe", ("model",))
    assert [one.text for one in change.settings] == ["models.churn_risk.seed: 7 -> 9"]
    assert consequences[0].startswith("retraining of churn/churn_risk in pe at the next training")


def test_geography_that_stops_is_told(compare: Compare, edit: Edit) -> None:
    edit(
        "geographies.yaml",
        "usd_per_unit: 0.27\n    use_cases: [churn, personalized_offer, network_event]",
        "usd_per_unit: 0.27",
    )
    plan, consequences = compare()
    assert {(c.slot.segment, c.action) for c in plan.slots} == {("pe", "removed")}
    assert {c.slot.use_case for c in plan.slots} == {"churn", "personalized_offer", "network_event"}
    assert "churn/churn_risk in pe: neither trained nor scored any more" in consequences[0]


def test_feed_is_homologated_again_where_its_rows_change(compare: Compare, edit: Edit) -> None:
    edit("feeds/usage.yaml", "source: FECHA_EVENTO", "source: FECHA")
    plan, consequences = compare()
    assert [(feed.feed, feed.geographies, feed.is_new) for feed in plan.feeds] == [("usage", ("pe",), False)]
    assert consequences[0].startswith("feed usage of pe: all delivered days from 2026-08-03 on")


def test_text_of_a_feed_changes_no_row(compare: Compare, edit: Edit) -> None:
    edit("feeds/usage.yaml", "description: Usage records", "description: All usage records")
    plan, consequences = compare()
    assert plan.feeds == ()
    assert [item.settings[0].path for item in plan.items] == [("description",)]
    assert len(consequences) == 1
    assert "partitions that are current stay" in consequences[0]


def test_monitors_and_environments_are_told(compare: Compare, edit: Edit, configs: Path) -> None:
    edit("quality/plan_usage.yaml", "unit: KB", "unit: KB\ndrift: {days: 2}")
    other = (configs / "environments" / "local.yaml").read_text().replace("name: local", "name: night")
    (configs / "environments" / "night.yaml").write_text(other)
    plan, consequences = compare()
    assert [(item.kind, item.name, item.action) for item in plan.items] == [
        ("monitor", "plan_usage", "changed"),
        ("environment", "night", "added"),
    ]
    assert consequences[0].startswith("monitor plan_usage: judges by its new settings")
    assert consequences[1].startswith("environment night: added")


def test_assets_are_compared_by_code_version(configs: Path) -> None:
    same = load_project_with_sources([configs], "local")
    plan = plan_change(same, same, {"a": "1", "b": "1", "c": "1"}, {"b": "1", "c": "2", "d": "1"})
    assert [(one.key, one.action) for one in plan.assets] == [
        ("a", "removed"),
        ("c", "changed"),
        ("d", "added"),
    ]
    assert not plan.is_empty


def test_every_field_has_an_effect() -> None:
    for field in UseCase.model_fields:
        if field != "models":
            assert effect_of((field,))
    for field in ModelSpec.model_fields:
        assert effect_of(("models", "m", field))


def test_corpus_effect_agrees_with_the_identity_of_corpora(configs: Path) -> None:
    """A setting that means another corpus is one that the corpus' identity holds, and the other way round."""
    settings = load_project_with_sources([configs], "local").config.use_cases["churn"]["cl"]
    model = settings.models["churn_risk"]
    identity = corpus_identity(CorpusRequest("churn", "churn_risk", settings.corpus, model, "cl"))
    in_identity = {name for name in ModelSpec.model_fields if name in identity}
    assert in_identity == {n for n in ModelSpec.model_fields if effect_of(("models", "m", n)) == "corpus"}
    assert set(identity) - in_identity == {"partition", "corpus", "segment_columns"}


def test_every_part_of_offers_has_a_consequence(configs: Path) -> None:
    after = load_project_with_sources([configs], "local").config
    parts = [(part, "x") for part in OffersSpec.model_fields if part != "catalogue"]
    for part in [*parts, *(("catalogue", rule) for rule in OfferCatalogueSpec.model_fields)]:
        settings = (SettingChange(("offers", *part), 1, 2),)
        slot = ModelSlot("personalized_offer", "offer_agent", "cl")
        plan = ChangePlan((), (SlotChange(slot, "changed", ("offers",), settings),), (), ())
        (sentence,) = tell_consequences(plan, after)
        assert "personalized_offer/offer_agent in cl" in sentence, part
