"""Monitors are checked against tables, units, forecasters, watched features and countries before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets.config.loader import load_project
from mlops_assets.domain.errors import ConfigError
from tests.unit.config.conftest import Edit

MONITOR = "quality/plan_usage.yaml"


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        (MONITOR, "table: etl/plan_usage_daily", "table: etl/plan_usage_dayly",
         ["unknown table 'etl/plan_usage_dayly'", "did you mean 'etl/plan_usage_daily'"]),
        (MONITOR, "value: data_kb", "value: data_mb", ["unknown column of etl/plan_usage_daily 'data_mb'"]),
        (MONITOR, "value: data_kb", "value: plan_code", ["plan_code is a text column"]),
        (MONITOR, "series_by: [plan_code]", "series_by: [plan]", ["unknown column of etl/plan_usage_daily 'plan'"]),
        (MONITOR, "unit: KB", "unit: day", ["day (duration) cannot become MB (volume)", "a unit of volume"]),
        (MONITOR, "unit: KB", "unit: KBB", ["unknown unit 'KBB'"]),
        (MONITOR, "unit: KB", "unit: KB\nforecast: {beyond: {kind: profet}}",
         ["forecaster 'profet' is unknown", "did you mean 'prophet'"]),
        (MONITOR, "unit: KB", "unit: KB\nforecast: {largest: {kind: prophet, parameters: {trees: 5}}}",
         ["parameter 'trees' is unknown"]),
        (MONITOR, "unit: KB", "unit: KB\nforecast: {holidays_country: XX}", ["unknown country 'XX'"]),
        (MONITOR, "feeds/usage,", "feeds/usages,", ["unknown watched table 'feeds/usages'"]),
        (MONITOR, "data-quality@operator.example", "data quality", ["recipients"]),
        ("geographies.yaml", "country: CL", "country: XX", ["unknown country 'XX'"]),
    ],
)  # fmt: skip
def test_a_name_without_counterpart_is_refused_with_its_line(
    configs: Path, edit: Edit, file: str, old: str, new: str, expected: list[str]
) -> None:
    edit(file, old, new)
    with pytest.raises(ConfigError) as refused:
        load_project([configs], "local")
    text = str(refused.value)
    assert f"{Path(file).name}:" in text
    for part in expected:
        assert part in text


def test_subscribers_are_judged_by_plans_and_by_one_monitor_only(configs: Path, edit: Edit) -> None:
    text = (configs / MONITOR).read_text()
    second = text.replace("name: plan_usage", "name: plan_again")
    (configs / "quality" / "plan_again.yaml").write_text(second)
    with pytest.raises(ConfigError, match="a second monitor judges single subscribers"):
        load_project([configs], "local")
    (configs / "quality" / "plan_again.yaml").unlink()
    edit(MONITOR, "series_by: [plan_code]", "series_by: [plan_code, plan_code]")
    with pytest.raises(ConfigError, match=r"series_by \[plan_code\]"):
        load_project([configs], "local")


def test_holidays_are_those_of_the_geography_unless_the_monitor_says_otherwise(configs: Path) -> None:
    config = load_project([configs], "local")
    spec = config.monitors["plan_usage"]
    assert {code: g.country for code, g in config.geographies.items()} == {"cl": "CL", "pe": "PE"}
    assert spec.in_country("CL").forecast.holidays_country == "CL"
    assert spec.in_country("") == spec
    none = spec.model_copy(update={"forecast": spec.forecast.model_copy(update={"holidays_country": "none"})})
    assert none.in_country("CL") == none
