"""Charts as inline SVG."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from mlops_assets.domain.reporting.charts import draw_importances, draw_importances_png, draw_reliability

PROJECT = Path(__file__).parents[4]
SHARES = [("days_to_expiry", 0.6), ("a<b & $c$", 0.3), ("none", 0.0)]
POINTS = [(0.01, 0.02, 500), (0.1, 0.08, 100)]


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - our own text


CHARTS = [draw_importances(SHARES, title="Importance"), draw_reliability(POINTS, title="Reliability")]


@pytest.mark.parametrize("svg", CHARTS)
def test_a_chart_speaks_and_takes_the_pages_colours(svg: str) -> None:
    root = parse(svg)
    title, description = root[0], root[1]
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-labelledby"] == f"{title.attrib['id']} {description.attrib['id']}"
    assert title.text in {"Importance", "Reliability"}
    assert "%" in (description.text or "")
    assert "width" not in root.attrib
    assert "viewBox" in root.attrib
    assert "currentColor" in svg
    assert "var(--accent)" in svg
    assert "#0" not in svg
    assert "<dc:date" not in svg


def test_labels_are_text_as_given() -> None:
    texts = [one.text for one in parse(CHARTS[0]).iter("{http://www.w3.org/2000/svg}text")]
    assert "a<b & $c$" in texts
    assert "60.0 %" in texts


def test_the_same_data_gives_the_same_bytes_in_another_process() -> None:
    code = (
        "import sys; from mlops_assets.domain.reporting.charts import *\n"
        f"sys.stdout.write(draw_importances({SHARES!r}, title='Importance'))"
    )
    again = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT, check=True
    )
    assert again.stdout == CHARTS[0]


def test_the_picture_is_a_png_and_the_same_each_time() -> None:
    png = draw_importances_png(SHARES, title="Importance")
    assert png.startswith(b"\x89PNG\r\n")
    assert png == draw_importances_png(SHARES, title="Importance")
    assert b"matplotlib" not in png.lower()


def test_nothing_to_draw_is_still_a_chart() -> None:
    parse(draw_importances([], title="x"))
    parse(draw_reliability([], title="x"))
    parse(draw_importances([("constant", 0.0)], title="x"))


def test_importing_the_renderers_loads_no_plotting_library() -> None:
    code = (
        "import sys, mlops_assets.domain.reporting.model_card_page\n"
        "import mlops_assets.domain.reporting.run_summary, mlops_assets.domain.reporting.report_index\n"
        "sys.exit(bool({'matplotlib', 'jinja2', 'dagster'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=PROJECT).returncode == 0
