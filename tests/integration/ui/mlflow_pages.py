"""MLflow's pages as a person walks through them; each step waits for what that person looks for.

Belongs here: where a page is, what must be in sight. Does not belong here: what else a test asks of it, or where
pictures are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page


# As after pressing "Model training".
_CHOSEN = {"mlflow.workflowType_v1": '"machine_learning"'}
# MLflow asks for these although there are no accounts, and a version of ours is a bundle without its `MLmodel` file.
_EXPECTED = (
    "/users/current",
    "get-artifact?path=MLmodel",
    "Failed to load resource: the server responded with a status of 404",
    "ResizeObserver loop completed",  # Chromium's word for a page that lays itself out again
)
_DRAWN_MS = 1500  # the pages poll for as long as they are open, so no silence can be waited for


def choose_training(page: Page) -> None:
    """Choose the view of trained models for all pages that are opened from now on."""
    for name, value in _CHOSEN.items():
        page.add_init_script(f"localStorage.setItem({name!r}, {value!r})")


def leave_expected(troubles: list[str]) -> list[str]:
    """Return the troubles of a page without those that every MLflow of this kind has."""
    return [one for one in troubles if not any(part in one for part in _EXPECTED)]


def show_experiments(page: Page, address: str, experiments: list[str]) -> None:
    """Show all experiments."""
    page.goto(f"{address}/#/experiments")
    _await(page, experiments)


def show_experiment(page: Page, address: str, experiment_id: str, facts: list[str]) -> None:
    """Show the runs of an experiment."""
    page.goto(f"{address}/#/experiments/{experiment_id}/runs")
    _await(page, facts)


def show_tracked_run(page: Page, address: str, experiment_id: str, run_id: str, facts: list[str]) -> None:
    """Show one tracked run: parameters, metrics, tags."""
    page.goto(f"{address}/#/experiments/{experiment_id}/runs/{run_id}")
    _await(page, facts)


def show_model(page: Page, address: str, model: str, facts: list[str]) -> None:
    """Show the versions of a registered model with their aliases."""
    page.goto(f"{address}/#/models/{model}")
    _await(page, facts)


def show_version(page: Page, address: str, model: str, version: str, facts: list[str]) -> None:
    """Show one version of a registered model: aliases, tags, source run."""
    page.goto(f"{address}/#/models/{model}/versions/{version}")
    _await(page, facts)


def _await(page: Page, facts: list[str]) -> None:
    for fact in facts:
        expect(page.get_by_text(fact).first).to_be_visible()
    page.wait_for_timeout(_DRAWN_MS)
    assistant = page.get_by_role("button", name="Close", exact=True)
    if assistant.count():  # it takes a third of the page, and asks services beyond this machine
        assistant.last.click()
        page.wait_for_timeout(_DRAWN_MS / 3)
