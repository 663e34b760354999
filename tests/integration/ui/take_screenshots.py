"""Take the pictures of docs/images again: `python -m tests.integration.ui.take_screenshots HOME OUT`.

Belongs here: which pages of a data root are shown, and how large the files may be. Does not belong here: how one gets
to a page (dagster_pages, mlflow_pages). HOME is a copy of one that `make demo` has lived through: servers write there.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from tests.integration.ui import dagster_pages, mlflow_pages
from tests.integration.ui.browser import DESKTOP, PHONE, Scheme, open_browser, open_page
from tests.integration.ui.servers import serve_dagster, serve_mlflow
from tests.integration.ui.tracked import read_newest_version

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_MAX_BYTES = 300_000
_PHONE_LENGTH, _DESKTOP_LENGTH = 2000, 1400  # pixels of a long page that are kept
_GROUPS = ["shared", "churn", "network_event", "personalized_offer", "operation"]
_MODEL = "churn.churn_risk.pe"
Step = Callable[["Page"], object]


def dagster_steps(address: str) -> Iterator[tuple[str, Step]]:
    """Yield the name of a picture and how one gets to what it shows."""
    day = "2026-09-08"  # of the demo: a usage file in another unit is held
    yield "lineage", partial(dagster_pages.show_lineage, address=address, groups=_GROUPS)
    yield "group", partial(dagster_pages.show_group, address=address, group="churn", assets=["churn_risk"])
    model = partial(dagster_pages.show_asset, address=address, asset="model/churn/churn_risk")
    yield "challenger", partial(model, facts=["leaderboard"])
    yield "chart", lambda page: (model(page, facts=["leaderboard"]), dagster_pages.show_picture(page))
    yield (
        "checks",
        partial(dagster_pages.show_checks, address=address, asset="feeds/usage", checks=["contract"]),
    )
    yield (
        "partitions",
        partial(dagster_pages.show_partition, address=address, asset="feeds/usage", partition=day),
    )
    yield "sensors", partial(dagster_pages.show_sensors, address=address, sensors=["feed_arrival"])
    yield "reason", partial(dagster_pages.show_reason, address=address, sensor="drift_churn")
    yield "runs", partial(dagster_pages.show_runs, address=address, job="daily_graph")


def mlflow_steps(home: Path, address: str) -> Iterator[tuple[str, Step]]:
    """Yield the same for MLflow."""
    version = read_newest_version(home, _MODEL)
    experiment = version.experiment_id
    yield (
        "mlflow_experiment",
        partial(
            mlflow_pages.show_experiment, address=address, experiment_id=experiment, facts=["churn_risk pe"]
        ),
    )
    yield (
        "mlflow_version",
        partial(
            mlflow_pages.show_version,
            address=address,
            model=_MODEL,
            version=version.version,
            facts=["algorithm"],
        ),
    )


def report_pages(home: Path) -> Iterator[tuple[str, Path, tuple[int, int], Scheme]]:
    """Yield the name of a picture, the newest page of its kind, the size of the screen, light or dark."""
    reports = home / "reports"
    summary = _newest(reports, "run_summaries/*.html")
    yield "summary", summary, DESKTOP, "light"
    yield "summary_phone", summary, PHONE, "dark"
    yield "model_card", _newest(reports, f"model_cards/{_MODEL}/*.html"), DESKTOP, "light"
    yield "retraining_report", _newest(reports, f"retraining/{_MODEL}/*.html"), DESKTOP, "light"
    yield "quality_report", _newest(reports, "quality_summary/*/????-??-??.html"), DESKTOP, "light"
    yield "anomalies_dark", _newest(reports, "plan_usage/pe/*/*.html"), DESKTOP, "dark"


def _newest(folder: Path, pattern: str) -> Path:
    return max(folder.glob(pattern))


def save_picture(png: bytes, path: Path, length: int) -> None:
    """Save a picture of at most a length in pixels, with as few colours as bring it below the largest size."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture = picture.crop((0, 0, picture.width, min(picture.height, length)))
    for colours in (256, 128, 64, 32):
        stream = io.BytesIO()
        picture.quantize(colours, dither=Image.Dither.NONE).save(stream, format="png", optimize=True)
        if stream.tell() <= _MAX_BYTES:
            path.write_bytes(stream.getvalue())
            return
    raise ValueError(f"{path} does not fit {_MAX_BYTES:,} bytes")


def take(browser: Browser, home: Path, out: Path) -> None:
    """Take every picture."""
    out.mkdir(parents=True, exist_ok=True)
    for name, file, size, scheme in report_pages(home):
        with open_page(browser, size, scheme) as page:
            page.goto(file.as_uri())
            length = _PHONE_LENGTH if size == PHONE else _DESKTOP_LENGTH
            save_picture(page.screenshot(full_page=True), out / f"{name}.png", length)
    with serve_mlflow(home) as address:
        _take_steps(browser, mlflow_steps(home, address), out)
    with serve_dagster(home) as address:
        _take_steps(browser, dagster_steps(address), out)


def _take_steps(browser: Browser, steps: Iterator[tuple[str, Step]], out: Path) -> None:
    for name, show in steps:
        with open_page(browser, (1440, 900)) as page:
            mlflow_pages.choose_training(page)
            show(page)
            save_picture(page.screenshot(), out / f"{name}.png", _DESKTOP_LENGTH)


if __name__ == "__main__":
    with open_browser() as chromium:
        take(chromium, Path(sys.argv[1]).resolve(), Path(sys.argv[2]))
