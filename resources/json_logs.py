"""Log lines as Cloud Logging reads them: one JSON object a line on standard output.

Belongs here: the form of a line, and setting up a process for it. Does not belong here: what is logged, or what is
counted from it (log_metrics).

The form is https://cloud.google.com/logging/docs/structured-logging: `severity`, `message`, `time`; everything else is
searchable as it is. `run_id` is in every line of a run. Of a materialisation only rows, offers and the outcome are
told, and long numbers in free text are masked: whatever a subscriber is known by does not belong in a log.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dagster import DagsterEvent

    from mlops_assets.config.run_models import LogForm

LOGGER = "mlops_assets"
MASK = "[number]"
_LONG_NUMBER = re.compile(r"(?<![\w.-])\+?\d{8,}(?![\w.-])")
_FACT = "fact"
_MOST_CHARACTERS = 8_000  # Cloud Logging cuts entries above 256 KB
# Python says WARN where Cloud Logging says WARNING.
_SEVERITIES = {"WARN": "WARNING"}
_EVENTS = {
    *("PIPELINE_START", "PIPELINE_SUCCESS", "PIPELINE_FAILURE", "PIPELINE_CANCELED"),
    *("STEP_START", "STEP_SUCCESS", "STEP_FAILURE", "STEP_UP_FOR_RETRY"),
    *("ASSET_MATERIALIZATION", "ASSET_CHECK_EVALUATION"),
}
_OURS = (LOGGER, "dagster", "dagster.daemon", "dagster.code_server", "dagster_webserver")


def log_fact(kind: str, *, severity: str = "INFO", **facts: str | float | bool) -> None:
    """Log something that is counted; without JSON lines nothing is written.

    Args:
        kind: what happened, such as `decision`; the line's `event`.
        severity: of the line.
        facts: names and values; never a subscriber's or a recipient's.
    """
    message = ", ".join([kind, *(f"{name} {value}" for name, value in facts.items())])
    fact = {"event": kind, "severity": severity, **facts}
    logging.getLogger(LOGGER).info(message, extra={_FACT: fact})


class JsonLines(logging.Formatter):
    """One JSON object a record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "severity": _SEVERITIES.get(record.levelname, record.levelname),
            "message": _masked(record.getMessage()),
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(),
            "logger": record.name,
            **dict(_of_run(record)),
            **getattr(record, _FACT, {}),
        }
        if record.exc_info and not isinstance(record.exc_info, str):
            line["exception"] = _masked(self.formatException(record.exc_info))
        return json.dumps(line, default=str)


class WorthALine(logging.Filter):
    """What is worth a line: anything from INFO on, and the events that say how a run goes.

    Dagster logs its events as DEBUG, among many others.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether it is."""
        event = _event_of(record)
        if event is not None:
            return record.levelno >= logging.WARNING or event.event_type_value in _EVENTS
        return record.levelno >= logging.INFO


class _ToOutput(logging.Handler):
    """Writes to standard output, whichever that is at the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stdout.write(self.format(record) + "\n")
        sys.stdout.flush()


def configure_logs(form: LogForm) -> None:
    """Let this process write JSON lines, if its environment says so; repeating it changes nothing."""
    if form != "json":
        return
    own = logging.getLogger(LOGGER)
    if not any(isinstance(handler, _ToOutput) for handler in own.handlers):
        own.addHandler(_ToOutput())
    own.setLevel(logging.INFO)
    for name in _OURS:
        for handler in logging.getLogger(name).handlers:
            handler.setFormatter(JsonLines())


def dagster_log_settings() -> dict[str, Any]:
    """Return the section `python_logs` of dagster.yaml: lines of runs, with their events."""
    return {
        "dagster_handler_config": {
            "handlers": {
                "json_lines": {
                    "class": "logging.StreamHandler",
                    "level": "DEBUG",
                    "stream": "ext://sys.stdout",
                    "formatter": "json_lines",
                    "filters": ["worth_a_line"],
                }
            },
            "filters": {"worth_a_line": {"()": "resources.json_logs.WorthALine"}},
            "formatters": {"json_lines": {"()": "resources.json_logs.JsonLines"}},
        }
    }


def _of_run(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    """Yield what Dagster knows of a line: run, job, step, and the event if it is one."""
    meta = getattr(record, "dagster_meta", None) or {}
    if meta:
        yield "message", _masked(str(meta.get("orig_message") or record.getMessage()))
    for name, key in (("run_id", "run_id"), ("job", "job_name"), ("step", "step_key")):
        if meta.get(key):
            yield name, meta[key]
    if event := _event_of(record):
        yield from _of_event(event)


def _event_of(record: logging.LogRecord) -> DagsterEvent | None:
    meta = getattr(record, "dagster_meta", None) or {}
    found: DagsterEvent | None = meta.get("dagster_event") or getattr(record, "dagster_event", None)
    return found


def _of_event(event: DagsterEvent) -> Iterator[tuple[str, Any]]:
    yield "event", event.event_type_value.lower().replace("pipeline_", "run_")
    yield "severity", "ERROR" if event.is_failure else "INFO"
    if event.is_step_materialization:
        materialization = event.step_materialization_data.materialization
        yield "asset", materialization.asset_key.to_user_string()
        yield "partition", materialization.partition or ""
        yield from _counted({name: found.value for name, found in materialization.metadata.items()})
    elif event.event_type_value == "ASSET_CHECK_EVALUATION":
        check = event.asset_check_evaluation_data
        yield from (("asset", check.asset_key.to_user_string()), ("check", check.check_name))
        yield "passed", check.passed
        if not check.passed:
            yield "severity", _SEVERITIES.get(check.severity.value, check.severity.value)


def _counted(metadata: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield rows, offers and the outcome of a materialisation."""
    if isinstance(rows := metadata.get("dagster/row_count"), int):
        yield "rows", rows
    offers = [
        value for name, value in metadata.items() if name.startswith("offers_") and isinstance(value, int)
    ]
    if offers:
        yield "offers", sum(offers)
    if isinstance(outcome := metadata.get("outcome"), str):
        yield "outcome", outcome


def _masked(text: str) -> str:
    return _LONG_NUMBER.sub(MASK, text)[:_MOST_CHARACTERS]  # in this order: half a number would not be known
