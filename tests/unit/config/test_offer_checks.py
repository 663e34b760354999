"""What `offers:` names must exist elsewhere; each finding says file, line, expectation and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets.config.loader import load_project
from mlops_assets.config.models import ProjectConfig
from mlops_assets.config.offer_checks import CLOCK_NAMES, REMEMBERED_DAYS
from mlops_assets.domain.errors import ConfigError
from mlops_assets.domain.offers.decision_data import CLOCKS, HISTORY_WEEKS, STEP_DAYS
from tests.unit.config.conftest import Edit

FILE = "use_cases/personalized_offer.yaml"


def load(configs: Path) -> ProjectConfig:
    """Load a copy as if it were the project's."""
    return load_project([configs], "local")


def refuse(configs: Path, place: str) -> str:
    """Return the text with which a copy is refused, once, at a place."""
    with pytest.raises(ConfigError) as caught:
        load(configs)
    text = str(caught.value)
    assert place in text
    assert "1 problem" in text
    return text


def test_project_offers_every_plan_of_its_geographies(configs: Path) -> None:
    config = load(configs)
    for code, settings in config.use_cases["personalized_offer"].items():
        assert settings.offers is not None
        offered = {plan.plan_code for plan in settings.offers.catalogue.plans}
        assert offered == set(config.geographies[code].plan_codes.values()) - {"prepaid_base"}
        assert len(settings.models) >= 7
        assert set(settings.offers.state.scores) == {*settings.models, "churn/churn_risk"}


def test_clocks_are_those_of_the_states() -> None:
    assert set(CLOCKS) == CLOCK_NAMES
    assert (HISTORY_WEEKS + 1) * STEP_DAYS == REMEMBERED_DAYS


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "{plan_code: data_s,",
            "{plan_code: dato_s,",
            ["unknown plan code 'dato_s'", "did you mean 'data_s'"],
        ),
        (
            "features: [plan_price_usd,",
            "features: [plan_price,",
            [
                "state feature 'plan_price' of etl/subscriber_features: unknown feature",
                "did you mean 'plan_price_usd'",
            ],
        ),
        (
            "features: [plan_price_usd,",
            "features: [subscriber_id,",
            ["state feature 'subscriber_id'", "key column"],
        ),
        (
            "features: [plan_price_usd,",
            "features: [plan_family,",
            ["'plan_family' is a text column", "remove it"],
        ),
        (
            "features: [plan_price_usd,",
            "features: [tenure_days,",
            ["'tenure_days' is a clock, which every state has"],
        ),
        (
            "      - topup_propensity\n",
            "      - topup_propensty\n",
            [
                "unknown model of personalized_offer in cl 'topup_propensty'",
                "unknown model of personalized_offer in pe",
                "did you mean 'topup_propensity'",
            ],
        ),
        ("- churn/churn_risk", "- chrun/churn_risk", ["unknown use case 'chrun'", "did you mean 'churn'"]),
        ("- churn/churn_risk", "- churn/risk", ["unknown model of churn in cl 'risk'"]),
        (
            "name: offer_agent",
            "name: topup_propensity",
            ["the agent has the name of the model topup_propensity"],
        ),
        (
            "history_weeks: 8",
            "history_weeks: 3",
            ["3 weeks of history do not hold one contact window of 28 days", "expected: at least 4 weeks"],
        ),
        (
            "window_days: 28",
            "window_days: 36",
            ["looks back further than a state remembers: 36 days", "expected: at most 35 days"],
        ),
    ],
)
def test_finding_names_line_and_remedy(
    configs: Path, edit: Edit, old: str, new: str, expected: list[str]
) -> None:
    edit(FILE, old, new)
    line = (configs / FILE).read_text().partition(new.strip())[0].count("\n") + 1
    with pytest.raises(ConfigError) as caught:
        load(configs)
    text = str(caught.value)
    assert f"personalized_offer.yaml:{line}" in text
    for part in expected:
        assert part in text


def test_feature_with_the_name_of_a_score(configs: Path, edit: Edit) -> None:
    edit(FILE, "- churn/churn_risk", "- churn/topup_usd")
    with pytest.raises(ConfigError, match="state feature 'topup_usd' has the name of a score of the state"):
        load(configs)


def test_score_of_a_use_case_that_a_geography_does_not_run(configs: Path, edit: Edit) -> None:
    edit(
        "geographies.yaml",
        "usd_per_unit: 0.27\n    use_cases: [churn, personalized_offer, network_event]",
        "usd_per_unit: 0.27\n    use_cases: [personalized_offer]",
    )
    text = refuse(configs, "personalized_offer.yaml:")
    assert "pe does not run churn, whose churn_risk is part of the state" in text
    assert "list churn under the `use_cases` of pe" in text


def test_score_of_a_use_case_that_is_not_scored_daily(configs: Path, edit: Edit) -> None:
    edit("use_cases/churn.yaml", "owner: team", "score_daily: false\nowner: team")
    text = refuse(configs, "personalized_offer.yaml:")
    assert "churn is not scored daily" in text
    assert "set `score_daily: true` in churn" in text


def test_score_of_other_entities(configs: Path, edit: Edit) -> None:
    devices = "{table: etl/device_features, entity_key: device_id}"
    label = "{kind: event, table: feeds/device_telemetry, horizon_days: 7}"
    model = f"{{task: binary, label: {label}, features: [load_ratio_mean_7d], metric: roc_auc}}"
    (configs / "use_cases" / "faults.yaml").write_text(
        f"name: faults\ndescription: x\nowner: team:network\ncorpus: {devices}\nmodels:\n  risk: {model}\n"
    )
    path = configs / "geographies.yaml"
    path.write_text(path.read_text().replace("network_event]", "network_event, faults]"))
    edit(FILE, "- churn/churn_risk", "- churn/churn_risk\n      - faults/risk")
    with pytest.raises(ConfigError, match="faults/risk scores each device_id"):
        load(configs)


def test_geography_that_sells_nothing_of_the_catalogue(configs: Path, edit: Edit) -> None:
    edit("geographies.yaml", "P0: prepaid_base,", "P0: prepaid_base, P77: night_s,")
    plans = "offers: {catalogue: {plans: [{plan_code: night_s}]}}"
    edit(
        "geographies.yaml", "name: Chile", f"name: Chile\n    overrides: {{personalized_offer: {{{plans}}}}}"
    )
    text = refuse(configs, "geographies.yaml:")
    assert "cl sells no plan of the catalogue" in text
    assert "override `offers.catalogue.plans` for cl" in text


def test_plan_sold_elsewhere_is_no_finding(configs: Path, edit: Edit) -> None:
    """A plan that one of two geographies sells is offered there alone."""
    edit("geographies.yaml", "P31: voice_s, ", "")
    assert "voice_s" not in load(configs).geographies["pe"].plan_codes.values()


def test_offers_to_rows_of_another_table(configs: Path, edit: Edit) -> None:
    edit(FILE, "table: etl/subscriber_features", "table: etl/profile")
    with pytest.raises(ConfigError) as caught:
        load(configs)
    assert "offers cannot be made to rows of etl/profile" in str(caught.value)


def test_offers_without_geographies(configs: Path, edit: Edit) -> None:
    edit(FILE, "owner: team", "segment_by: none\nowner: team")
    with pytest.raises(ConfigError) as caught:
        load(configs)
    assert "offers are made by geography" in str(caught.value)
