"""Who is told of feeds."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from mlops_assets.config.loader import load_project
from mlops_assets.config.models import AlertsConfig, ProjectConfig
from mlops_assets.config.recipients import feed_recipients, monitor_recipients


def project(**recipients: list[str]) -> ProjectConfig:
    """Return the project with two monitors: `plans` of usage and subscribers, `money` of top-ups."""
    config = load_project()
    base = config.monitors["plan_usage"].model_copy(
        update={"features": type(config.monitors["plan_usage"].features)()}
    )
    tables = {"plans": "etl/plan_usage_daily", "money": "feeds/topups"}
    monitors = {
        name: base.model_copy(update={"name": name, "table": table, "recipients": recipients.get(name, [])})
        for name, table in tables.items()
    }
    return config.model_copy(update={"monitors": monitors})


def test_a_feed_is_the_business_of_the_monitors_that_read_it() -> None:
    config = project(plans=["b@x.example", "a@x.example"], money=["c@x.example"])
    assert feed_recipients(config, "usage") == ["a@x.example", "b@x.example"]
    assert feed_recipients(config, "subscribers") == ["a@x.example", "b@x.example"]
    assert feed_recipients(config, "topups") == ["c@x.example"]


@pytest.mark.parametrize("feed", ["dna", "plans"])
def test_what_no_monitor_reads_is_everybodys_business(feed: str) -> None:
    config = project(plans=["a@x.example"], money=["c@x.example", "a@x.example"])
    assert feed_recipients(config, feed) == monitor_recipients(config) == ["a@x.example", "c@x.example"]


def test_a_monitor_without_recipients_leaves_no_feed_untold() -> None:
    assert feed_recipients(project(money=["c@x.example"]), "usage") == ["c@x.example"]
    assert feed_recipients(project(), "usage") == []


def test_nobody_is_alerted_by_default_and_only_addresses_are_accepted() -> None:
    assert load_project().environment.alerts.recipients == []
    with pytest.raises(ValidationError, match="recipients"):
        AlertsConfig.model_validate({"recipients": ["on call\nBcc: x@x.example"]})
