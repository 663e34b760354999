"""A model registry in memory.

Belongs here: what the Protocol promises, as plainly as possible. Does not belong here: anything a test
wants to provoke; subclass it in that test.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops_assets.domain.errors import LearningError, RegistryError, StorageError
from mlops_assets.domain.ports import FinishedRun, RegisteredVersion


@dataclass
class FakeRun:
    """One run; the attributes with `logged_` are there for assertions."""

    experiment: str
    run_name: str
    parent_run_id: str | None
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    status: str = "RUNNING"
    logged_params: dict[str, str] = field(default_factory=dict)
    logged_metrics: dict[str, float] = field(default_factory=dict)
    logged_tags: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    def params(self, values: Mapping[str, Any]) -> None:
        """Record hyperparameters."""
        text = {
            k: v if isinstance(v, str) else json.dumps(v, sort_keys=True, default=str)
            for k, v in values.items()
        }
        self.logged_params.update(text)

    def metrics(self, values: Mapping[str, float]) -> None:
        """Record finite metric values."""
        for key, value in values.items():
            if not math.isfinite(value):
                raise LearningError(f"metric {key} is {value}", where=self.run_id, expected="a finite number")
        self.logged_metrics.update(values)

    def folder(self, local: Path, artifact_path: str) -> None:
        """Keep a copy of every file of a folder."""
        if not local.is_dir():
            raise RegistryError("there is no folder to upload", where=str(local))
        for path in sorted(local.rglob("*")):
            if path.is_file():
                self.files[f"{artifact_path}/{path.relative_to(local).as_posix()}"] = path.read_bytes()


class FakeModelRegistry:
    """Runs, versions and aliases in dictionaries; `runs`, `aliases_by_name` are there for assertions."""

    def __init__(self) -> None:
        self.runs: dict[str, FakeRun] = {}
        self.aliases_by_name: dict[str, dict[str, str]] = {}
        self._versions: dict[str, list[tuple[RegisteredVersion, str]]] = {}

    @contextmanager
    def run(
        self, experiment: str, run_name: str, tags: Mapping[str, str], parent_run_id: str | None = None
    ) -> Iterator[FakeRun]:
        """Open a run; a failed block marks it FAILED."""
        run = FakeRun(experiment, run_name, parent_run_id, logged_tags=dict(tags))
        self.runs[run.run_id] = run
        run.status = "FAILED"
        yield run
        run.status = "FINISHED"

    def track_children(self, experiment: str, parent_run_id: str, runs: Sequence[FinishedRun]) -> list[str]:
        """Keep many finished runs; none of them if one is refused."""
        made = []
        for run in runs:
            child = FakeRun(experiment, run.name, parent_run_id, logged_tags=dict(run.tags))
            child.params(run.params)
            child.metrics(run.metrics)
            if run.folder is not None:
                child.folder(run.folder, run.artifact_path)
            child.status = "FAILED" if run.is_failed else "FINISHED"
            made.append(child)
        self.runs |= {child.run_id: child for child in made}
        return [child.run_id for child in made]

    def register(
        self, name: str, run_id: str, artifact_path: str, bundle_sha256: str, tags: Mapping[str, str]
    ) -> RegisteredVersion:
        """Register a logged folder once."""
        versions = self._versions.get(name, [])
        for known, _ in versions:
            if (known.run_id, known.bundle_sha256) == (run_id, bundle_sha256):
                return known
        run = self.runs.get(run_id)
        if run is None or not any(path.startswith(f"{artifact_path}/") for path in run.files):
            raise RegistryError("there is nothing to register", where=f"run {run_id}, {artifact_path!r}")
        stamps = {**tags, "bundle_sha256": bundle_sha256}
        made = RegisteredVersion(name, str(len(versions) + 1), run_id, bundle_sha256, stamps)
        self._versions[name] = [*versions, (made, artifact_path)]
        return made

    def version(self, name: str, version: str) -> RegisteredVersion:
        """Return a version."""
        return self._find(name, version)[0]

    def download(self, version: RegisteredVersion, target: Path) -> Path:
        """Write the files of a version to an empty folder."""
        if target.exists() and any(target.iterdir()):
            raise StorageError("a bundle would overwrite existing files", where=str(target))
        _, artifact_path = self._find(version.name, version.version)
        for path, content in self.runs[version.run_id].files.items():
            if path.startswith(f"{artifact_path}/"):
                file = target / path.removeprefix(f"{artifact_path}/")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
        return target

    def project_aliases(self, name: str, champion: str | None, challenger: str | None) -> None:
        """Set or remove both aliases."""
        if name not in self._versions:
            raise RegistryError("unknown model", where=name)
        wanted = {"champion": champion, "challenger": challenger}
        for version in filter(None, wanted.values()):
            self._find(name, version)
        self.aliases_by_name[name] = {alias: version for alias, version in wanted.items() if version}

    def aliases(self, name: str) -> dict[str, str]:
        """Return alias to version."""
        return dict(self.aliases_by_name.get(name, {}))

    def run_url(self, run_id: str) -> str:
        """Return MLflow's own URI."""
        return f"runs:/{run_id}"

    def _find(self, name: str, version: str) -> tuple[RegisteredVersion, str]:
        for known in self._versions.get(name, []):
            if known[0].version == version:
                return known
        raise RegistryError("there is no such version", where=f"{name}, version {version}")
