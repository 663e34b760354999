"""A data root with promoted CatBoost models like the churn champion, and the scoring service over it.

Belongs here: what both serving benchmarks need. Does not belong here: measuring.
Registry, ledger, updater and service are the product's own; only the features are drawn at random.
"""

from __future__ import annotations

import datetime as dt
import http.client
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.measuring import PROJECT, BenchmarkFailedError, environment_of
from mlops_assets.config.loader import load_project
from mlops_assets.config.models import ProjectConfig
from mlops_assets.domain.deployment.activation import DeploymentSite, SlotOutcome
from mlops_assets.domain.learning.bundle import Scorer, save_bundle
from mlops_assets.domain.learning.dataset import Dataset, LabelColumn, dataset_from_arrow
from mlops_assets.domain.ports import LedgerEntry, ModelSlot
from mlops_assets.serving.updater import update_agents
from resources.environments import Platform, open_platform

SLOT = ModelSlot("churn", "churn_risk", "cl")
PATH = f"/v1/score/{SLOT.use_case}/{SLOT.model}/{SLOT.segment}"
TEXT_FEATURE = "plan_family"
_START_WITHIN_S = 60.0
_DECIDED = dt.datetime(2026, 9, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class ServingWorld:
    """A data root below `home`."""

    home: Path
    training_rows: int

    @cached_property
    def config(self) -> ProjectConfig:
        """The project's configuration."""
        return load_project(environment="local")

    @cached_property
    def platform(self) -> Platform:
        """The resources of the data root."""
        return open_platform(self.config.environment, self.home)

    @cached_property
    def features(self) -> list[str]:
        """The churn model's features, and a text one, which costs more to score."""
        return [*self.config.use_cases[SLOT.use_case][SLOT.segment].models[SLOT.model].features, TEXT_FEATURE]

    def draw(self, rows: int, seed: int) -> pa.Table:
        """Return random rows with a label that some features tell."""
        random = np.random.default_rng(seed)
        numeric = self.features[:-1]
        numbers = random.gamma(2.0, 10.0, size=(rows, len(numeric)))
        chance = 1 / (1 + np.exp(3.0 - 0.05 * numbers[:, seed % len(numeric)] + 0.03 * numbers[:, -1]))
        label = (random.random(rows) < chance).astype(np.int64)
        numbers[random.random(numbers.shape) < 0.05] = np.nan
        columns = {name: pa.array(numbers[:, i], from_pandas=True) for i, name in enumerate(numeric)}
        families = random.choice(["prepaid", "control", "unlimited"], rows)
        return pa.table({**columns, TEXT_FEATURE: pa.array(families), "label": pa.array(label)})

    def dataset(self, rows: int, seed: int) -> Dataset:
        """Return random rows as a data set."""
        return dataset_from_arrow(self.draw(rows, seed), self.features, LabelColumn("label", "binary"))

    def bodies(self, count: int, seed: int = 99) -> list[bytes]:
        """Return requests of one row each."""
        rows = self.draw(count, seed).drop_columns(["label"]).to_pylist()
        return [json.dumps({"rows": [row]}).encode() for row in rows]

    def train(self, seed: int) -> Scorer:
        """Fit a model with the configured hyperparameters."""
        from mlops_assets.domain.learning.algorithms import ALGORITHMS, FitRequest
        from mlops_assets.domain.learning.calibration import Calibration
        from mlops_assets.domain.learning.exposure import Exposure
        from mlops_assets.domain.learning.training_ranges import measure_ranges

        spec = self.config.use_cases[SLOT.use_case][SLOT.segment].models[SLOT.model]
        train = self.dataset(self.training_rows, seed)
        request = FitRequest("binary", spec.algorithms["catboost"].hyperparameters, seed, threads=2)
        model = ALGORITHMS["catboost"].fit(train, None, request)
        exposure = Exposure(trained_through_day=dt.date(2026, 8, 31))
        return Scorer(
            "catboost", model, Calibration(1.0, 0.0), exposure, {"seed": seed}, ranges=measure_ranges(train)
        )

    def register(self, scorer: Scorer) -> tuple[str, str]:
        """Register a model and return version and bundle hash."""
        registry = self.platform.registry
        with tempfile.TemporaryDirectory() as folder, registry.run(SLOT.use_case, "benchmark", {}) as run:
            bundle_sha256 = save_bundle(Path(folder) / "bundle", scorer)
            run.folder(Path(folder) / "bundle", "bundle")
        made = registry.register(SLOT.registered_name, run.run_id, "bundle", bundle_sha256, {})
        return made.version, bundle_sha256

    def promote(self, version: str, bundle_sha256: str) -> SlotOutcome:
        """Make a registered version champion, and let the updater do the rest."""
        ledger = self.platform.ledger
        current = ledger.champion(SLOT)
        ledger.record(
            LedgerEntry(
                decision_id=f"benchmark-{len(ledger.history(SLOT)) + 1}",
                slot=SLOT,
                outcome="promoted",
                version=version,
                bundle_sha256=bundle_sha256,
                previous_version=current.version if current else None,
                decided_by="benchmark",
                decided_at_utc=_DECIDED,
                as_of_day=dt.date(2026, 8, 31),
                evidence_sha256="e" * 64,
                reasons=("benchmark",),
            )
        )
        site = DeploymentSite(ledger, self.platform.registry, self.platform.deployments, self.platform.outbox)
        now_utc = dt.datetime.now(dt.UTC)
        outcomes = update_agents(self.config, site, self.platform.reports, now_utc)
        (outcome,) = [outcome for outcome in outcomes if outcome.slot == SLOT]
        if outcome.error:
            raise BenchmarkFailedError(f"the champion was not activated: {outcome.error}")
        return outcome

    @contextmanager
    def served(self) -> Iterator[int]:
        """Run `mlops serve` in a process of its own and yield its port."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "mlops_assets.cli", "serve", "--port", str(port)]
        environment = environment_of({"MLOPS_HOME": str(self.home)})
        process = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=sys.stderr)
        try:
            _wait_until_ready(port, process)
            yield port
        finally:
            process.terminate()
            process.wait()


def _wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + _START_WITHIN_S
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            raise BenchmarkFailedError(f"the service ended with status {process.returncode}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    raise BenchmarkFailedError("the service did not become ready")
