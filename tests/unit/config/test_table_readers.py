"""Which tables a use case rests on."""

from __future__ import annotations

from mlops_assets.config.loader import load_project
from mlops_assets.config.models import CostConfig, ProjectConfig
from mlops_assets.config.table_readers import tables_by_use_case
from mlops_assets.domain.learning.spec import RetrainingSpec
from mlops_assets.domain.offers.catalogue_spec import OfferCatalogueSpec
from mlops_assets.domain.offers.offers_spec import OffersSpec


def project(**changes: object) -> ProjectConfig:
    """Return the project with one use case in one geography, changed as given."""
    config = load_project()
    settings = config.use_cases["churn"]["cl"]
    return config.model_copy(update={"use_cases": {"churn": {"cl": settings.model_copy(update=changes)}}})


def test_inputs_of_inputs_count_and_unrelated_tables_do_not() -> None:
    read = tables_by_use_case(project())["churn"]
    assert {"etl/subscriber_features", "etl/usage_30d", "feeds/usage", "etl/churn_events"} <= read
    assert {"quality/plan_usage/drift", "quality/subscriber_anomalies"} <= read
    assert not {"feeds/device_telemetry", "etl/device_features"} & read


def test_a_monitor_counts_only_for_those_it_may_retrain() -> None:
    assert "quality/plan_usage/drift" not in tables_by_use_case(project(retraining=RetrainingSpec()))["churn"]


def test_offers_read_what_they_are_compared_with() -> None:
    devices = (
        load_project().use_cases["churn"]["cl"].corpus.model_copy(update={"table": "etl/device_features"})
    )
    models: dict[str, object] = {}
    changes = {"corpus": devices, "models": models, "retraining": RetrainingSpec()}
    without = tables_by_use_case(project(**changes))["churn"]
    offers = OffersSpec(catalogue=OfferCatalogueSpec())
    with_offers = tables_by_use_case(project(**changes, offers=offers))["churn"]
    assert with_offers - without == {"feeds/offers_sent", "feeds/plans"}


def test_every_use_case_is_named() -> None:
    config = load_project()
    assert set(tables_by_use_case(config)) == set(config.use_cases)


def test_a_price_is_an_assumption_until_somebody_sets_it() -> None:
    assert CostConfig().is_assumed
    assert not CostConfig(usd_per_cpu_hour=0.05).is_assumed
