"""What is counted from the log: metrics of Cloud Logging over the lines of json_logs.

Belongs here: which lines count, by which labels. Does not belong here: the form of a line (json_logs), or whom an alert
reaches.

Rendered to deploy/log_metrics.yaml by `mlops config render`, one entry a metric in the form of
https://cloud.google.com/logging/docs/reference/v2/rest/v2/projects.metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from mlops_assets.config import names
from resources.dagster_instance import DEPLOY_FOLDER

METRICS_FILE = DEPLOY_FOLDER / "log_metrics.yaml"
_PAYLOAD = "jsonPayload."


@dataclass(frozen=True)
class LogMetric:
    """One metric.

    Attributes:
        name: in Cloud Monitoring, below logging.googleapis.com/user/.
        description: what it counts.
        equal: fields of a line that must have these values.
        begins: fields that must begin so.
        labels: fields by which it is counted.
        value: a field that is summed; lines are counted without one.
    """

    name: str
    description: str
    equal: Mapping[str, str | bool]
    begins: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    value: str = ""

    @property
    def filter(self) -> str:
        """The lines that count, in the language of Cloud Logging."""
        equal = [f"{_PAYLOAD}{name}={_quoted(value)}" for name, value in self.equal.items()]
        begins = [f'{_PAYLOAD}{name}=~"^{start}"' for name, start in self.begins.items()]
        return " AND ".join([*equal, *begins])

    def counts(self, line: Mapping[str, Any]) -> bool:
        """Whether a line counts, by the same rules as `filter`."""
        is_equal = all(line.get(name) == value for name, value in self.equal.items())
        return is_equal and all(str(line.get(name, "")).startswith(one) for name, one in self.begins.items())

    def to_dict(self) -> dict[str, Any]:
        """Return it as the API takes it."""
        descriptor: dict[str, Any] = {
            "metricKind": "DELTA",
            "valueType": "DISTRIBUTION" if self.value else "INT64",
            "labels": [{"key": label, "valueType": "STRING"} for label in self.labels],
        }
        described = {"name": self.name, "description": self.description, "filter": self.filter}
        extractors = {label: f"EXTRACT({_PAYLOAD}{label})" for label in self.labels}
        value = {"valueExtractor": f"EXTRACT({_PAYLOAD}{self.value})"} if self.value else {}
        return {**described, "metricDescriptor": descriptor, "labelExtractors": extractors, **value}


METRICS = (
    LogMetric("mlops_runs_succeeded", "Runs that succeeded.", {"event": "run_success"}, labels=("job",)),
    LogMetric("mlops_runs_failed", "Runs that failed.", {"event": "run_failure"}, labels=("job",)),
    LogMetric(
        "mlops_drift_verdicts",
        "Days whose verdict asks for a retraining.",
        {"event": "asset_check_evaluation", "check": names.CHECK_DRIFT, "passed": False},
        labels=("asset",),
    ),
    LogMetric(
        "mlops_checks_failed",
        "Checks that failed.",
        {"event": "asset_check_evaluation", "passed": False},
        labels=("asset", "check"),
    ),
    LogMetric(
        "mlops_decisions",
        "Decisions about champions.",
        {"event": "decision"},
        labels=("use_case", "model", "outcome", "by"),
    ),
    LogMetric("mlops_mails_dead", "Mails that were given up.", {"event": "mail_dead"}, labels=("report",)),
    LogMetric(
        "mlops_offers",
        "Offers that were proposed for a day.",
        {"event": "asset_materialization"},
        begins={"asset": "offers/"},
        labels=("asset",),
        value="offers",
    ),
)


def render_metrics() -> str:
    """Return the text of deploy/log_metrics.yaml."""
    header = (
        "# What is counted from the log: rendered by `mlops config render` from resources/log_metrics.py.\n"
    )
    return header + yaml.safe_dump({"metrics": [one.to_dict() for one in METRICS]}, sort_keys=False)


def _quoted(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f'"{value}"'
