"""A walk through MLflow over an operator that has lived two weeks: runs, versions, who is champion."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.ui import mlflow_pages
from tests.integration.ui.browser import DESKTOP, open_page, watch
from tests.integration.ui.servers import serve_mlflow
from tests.integration.ui.tracked import TrackedVersion, read_newest_version

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.integration, pytest.mark.slow]

MODEL = "churn.churn_risk.cl"


@pytest.fixture(scope="module")
def address(lived: Path, browser: Browser) -> Iterator[str]:
    """MLflow as `mlops mlflow` starts it."""
    assert browser.is_connected()
    with serve_mlflow(lived) as address:
        yield address


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page on which nothing went wrong that the person at it would not notice."""
    with open_page(browser, DESKTOP) as page:
        troubles = watch(page)
        mlflow_pages.choose_training(page)
        yield page
        assert mlflow_pages.leave_expected(troubles) == []


@pytest.fixture
def tracked(lived: Path) -> TrackedVersion:
    """What the store knows about the model's version, read beside the pages."""
    return read_newest_version(lived, MODEL)


def test_experiments_are_use_cases(page: Page, address: str, tracked: TrackedVersion) -> None:
    mlflow_pages.show_experiments(page, address, ["churn"])
    mlflow_pages.show_experiment(page, address, tracked.experiment_id, ["churn_risk cl", "churn_risk pe"])


def test_a_tracked_run_shows_what_was_measured(page: Page, address: str, tracked: TrackedVersion) -> None:
    facts = ["churn_risk cl", "validation_roc_auc", tracked.metric_text]
    mlflow_pages.show_tracked_run(page, address, tracked.experiment_id, tracked.run_id, facts)


def test_a_model_shows_which_version_is_champion(page: Page, address: str, tracked: TrackedVersion) -> None:
    mlflow_pages.show_model(page, address, MODEL, [f"Version {tracked.version}", "champion"])


def test_a_version_shows_from_what_it_was_made(page: Page, address: str, tracked: TrackedVersion) -> None:
    facts = ["champion", "corpus_sha256", tracked.tags["corpus_sha256"], "algorithm"]
    mlflow_pages.show_version(page, address, MODEL, tracked.version, facts)
