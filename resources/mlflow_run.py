"""One tracked MLflow run that writes what was recorded in a single transaction.

Belongs here: buffering and writing parameters, metrics and files of one run. Does not belong here:
opening runs or registering versions (resources.mlflow_registry).
"""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any

from mlops_assets.domain.errors import LearningError, RegistryError
from resources.mlflow_store import explained_as_registry_error

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlflow import MlflowClient

PARENT_TAG = "mlflow.parentRunId"  # by which MLflow's pages nest runs


class BufferedRun:
    """One tracked run; what is recorded is kept until the end and then written in one transaction."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self.run_id = run_id
        self._client = client
        self._params: dict[str, str] = {}
        self._metrics: dict[str, float] = {}

    def params(self, values: Mapping[str, Any]) -> None:
        """Record hyperparameters; anything but text is written as JSON."""
        self._params.update({key: to_param(value) for key, value in values.items()})

    def metrics(self, values: Mapping[str, float]) -> None:
        """Record finite metric values. Raises LearningError for NaN and infinities."""
        self._metrics.update(require_finite(values, self.run_id))

    def folder(self, local: Path, artifact_path: str) -> None:
        """Upload a folder of files now.

        Raises:
            RegistryError: `local` is not a folder, or the upload fails.
        """
        if not local.is_dir():
            raise RegistryError(
                "there is no folder to upload",
                where=str(local),
                expected="a folder with the files of the bundle",
                remedy="save the bundle before it is logged",
            )
        with explained_as_registry_error(f"run {self.run_id}"):
            self._client.log_artifacts(self.run_id, str(local), artifact_path)

    def close(self, status: str) -> None:
        """Write what was recorded and end the run; as FAILED if MLflow refuses what was recorded.

        Raises:
            RegistryError: MLflow refuses or cannot be reached.
        """
        from mlflow.entities import Metric, Param
        from mlflow.exceptions import MlflowException

        now_ms = int(time.time() * 1000)
        with explained_as_registry_error(f"run {self.run_id}"):
            try:
                self._client.log_batch(
                    self.run_id,
                    metrics=[Metric(key, value, now_ms, 0) for key, value in self._metrics.items()],
                    params=[Param(key, value) for key, value in self._params.items()],
                )
            except MlflowException:
                self._client.set_terminated(self.run_id, "FAILED")
                raise
            self._client.set_terminated(self.run_id, status)


def to_param(value: object) -> str:
    """Return a parameter as MLflow keeps it: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def require_finite(values: Mapping[str, float], run_id: str) -> dict[str, float]:
    """Return metrics as floats. Raises LearningError for NaN and infinities."""
    for key, value in values.items():
        if not math.isfinite(value):
            raise LearningError(
                f"metric {key} is {value}",
                where=f"run {run_id}",
                expected="a finite number",
                remedy="look at the rows it was computed on: empty, one class only, or overflowing",
            )
    return {key: float(value) for key, value in values.items()}
