"""One browser for all pages, and an operator whose pages are looked at.

Belongs here: fixtures. Does not belong here: what a page must show (the tests).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.loop.conftest import Loop, build_trained
from tests.integration.small_operator import build_once, copy_home
from tests.integration.ui.browser import CHROMIUM, MISSING, open_browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser


# Not for the session: while it runs, its event loop is that of the process, and Dagster wants one of its own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, started once for the tests of a file."""
    if not CHROMIUM:
        pytest.skip(MISSING)
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data root of an operator of two weeks with one training, Dagster's instance with it; servers may write."""
    if not CHROMIUM:
        pytest.skip(MISSING)
    folder = build_once(tmp_path_factory, "trained", build_trained)
    trained = Loop(folder / "home", folder / "configs")
    home = copy_home(trained.home, tmp_path_factory.mktemp("lived") / "home")
    shutil.copytree(trained.home / "dagster_home", home / "dagster_home")
    # Its days were run with one use case; served with all of them, every delivered day would be asked for again.
    shutil.rmtree(home / "landing")
    return home
