"""Lines of the log: what Cloud Logging needs, what is counted, and what must not be in it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from resources import json_logs
from resources.json_logs import LOGGER, JsonLines, configure_logs, log_fact
from resources.log_metrics import METRICS, METRICS_FILE, render_metrics


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    """What this process logs as JSON."""
    found: list[dict[str, Any]] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(json.loads(self.format(record)))

    handler, logger = Collector(), logging.getLogger(LOGGER)
    handler.setFormatter(JsonLines())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield found
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def counted(lines: list[dict[str, Any]]) -> dict[str, int]:
    """Return how many lines each metric counts."""
    return {one.name: sum(map(one.counts, lines)) for one in METRICS}


def test_a_fact_is_a_line_with_its_values(lines: list[dict[str, Any]]) -> None:
    log_fact("mail_dead", severity="ERROR", number=3, report="alerts")
    (line,) = lines
    assert line["severity"] == "ERROR"
    assert line["message"] == "mail_dead, number 3, report alerts"
    assert (line["event"], line["number"], line["report"]) == ("mail_dead", 3, "alerts")
    assert line["time"].endswith("+00:00")
    assert counted(lines)["mlops_mails_dead"] == 1


def test_without_json_nothing_changes() -> None:
    before = list(logging.getLogger(LOGGER).handlers)
    configure_logs("text")
    assert logging.getLogger(LOGGER).handlers == before


def test_json_is_set_up_once(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger(LOGGER)
    before, level = list(logger.handlers), logger.level
    try:
        configure_logs("json")
        configure_logs("json")
        log_fact("decision", outcome="promoted")
    finally:
        logger.handlers, level_now = before, logger.level
        logger.setLevel(level)
    assert level_now == logging.INFO
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["outcome"] == "promoted"


@pytest.mark.parametrize("number", ["56912345678", "+56912345678", "1234567890123"])
def test_what_may_be_a_subscriber_is_masked(lines: list[dict[str, Any]], number: str) -> None:
    error = ValueError(f"no plan for {number}")
    logging.getLogger(LOGGER).error("subscriber %s has 1234 rows", number, exc_info=error)
    assert number.lstrip("+") not in json.dumps(lines)
    assert lines[0]["message"] == f"subscriber {json_logs.MASK} has 1234 rows"
    assert "ValueError" in lines[0]["exception"]


def test_a_number_is_masked_also_where_a_line_is_cut(lines: list[dict[str, Any]]) -> None:
    logging.getLogger(LOGGER).error("%s 56912345678 and more", "x" * 7_992)
    assert len(lines[0]["message"]) == 8_000
    assert "5691" not in lines[0]["message"]


def test_metrics_are_rendered_and_count_by_fields_that_lines_have() -> None:
    assert METRICS_FILE.read_text() == render_metrics(), "run `mlops config render`"
    rendered = yaml.safe_load(render_metrics())["metrics"]
    assert len({one["name"] for one in rendered}) == len(METRICS)
    for metric in rendered:
        labels = {label["key"] for label in metric["metricDescriptor"]["labels"]}
        assert set(metric["labelExtractors"]) == labels
        assert "jsonPayload.event=" in metric["filter"]
