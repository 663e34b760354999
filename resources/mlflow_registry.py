"""The model registry on MLflow: tracked runs, registered versions, aliases.

Belongs here: how runs and versions are written to and read from MLflow. Does not belong here: who is
champion (resources.promotion_ledger; the aliases only repeat it) or how a bundle is laid out and verified
(mlops_assets.domain.learning).

Every call names its experiment and run: MLflow's global "active run" and "current tracking address" are
never touched, so that steps of one process cannot write into each other's runs.
"""

from __future__ import annotations

import re
import shutil
import threading
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote

from mlops_assets.domain.errors import RegistryError, StorageError
from mlops_assets.domain.ports import RegisteredVersion
from resources.atomic_files import NO_SPACE, explained_write, fsync_dir, make_folder, temporary_path
from resources.mlflow_children import track_in_one_transaction
from resources.mlflow_run import PARENT_TAG, BufferedRun
from resources.mlflow_store import (
    explained_as_registry_error,
    open_client,
    shown_address,
    sqlite_file,
    store_lock,
    upgrade_database,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion
    from sqlalchemy import URL

    from mlops_assets.domain.ports import FinishedRun

_SHA256_TAG = "bundle_sha256"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,249}")
_RUN_ID = re.compile(r"[0-9a-f]{32}")


class MlflowRegistry:
    """Tracked runs and registered model versions in MLflow.

    The store is opened (and a SQLite store created or upgraded, by one process only) at the first use.
    Open it in each process for itself: a SQLite connection does not survive a fork.

    Args:
        tracking_uri: `sqlite:///FILE`, the address of an MLflow server, or a function that returns the URL of a
            PostgreSQL database; it is called at the first use, since it reads a password.
        artifact_root: folder or URI below which new experiments put their artifacts; None leaves it to
            the server, or to a folder `artifacts` beside the SQLite file.
        ui_url: address under which people reach the MLflow pages, for links; the server's own if None.
    """

    def __init__(
        self,
        tracking_uri: str | Callable[[], URL],
        artifact_root: str | Path | None = None,
        ui_url: str | None = None,
    ) -> None:
        self._address = tracking_uri
        self.artifact_root = str(artifact_root) if artifact_root else None
        is_page = isinstance(tracking_uri, str) and tracking_uri.startswith("http")
        self.ui_url = ui_url or (str(tracking_uri) if is_page else None)
        self._client_once: MlflowClient | None = None
        self._experiment_ids: dict[str, str] = {}
        self._guard = threading.Lock()

    @property
    def tracking_uri(self) -> str:
        """The address that MLflow is given; it may hold a password, so never show it."""
        if isinstance(self._address, str):
            return self._address
        return self._address().render_as_string(hide_password=False)

    def open(self) -> None:
        """Create the store if needed, or upgrade a file, before several processes want it at once."""
        self._client()

    def prepare(self) -> str:
        """Create or upgrade the store; return its state in words. Raises RegistryError."""
        upgrade_database(self.tracking_uri)
        self.open()
        return "at the schema of this MLflow"

    @contextmanager
    def run(
        self, experiment: str, run_name: str, tags: Mapping[str, str], parent_run_id: str | None = None
    ) -> Iterator[BufferedRun]:
        """Open a run, nested under `parent_run_id` if given; a failed block marks it FAILED.

        Parameters, metrics and tags are written in one transaction when the block ends.

        Raises:
            RegistryError: MLflow refuses or cannot be reached.
        """
        client = self._client()
        nesting = {PARENT_TAG: parent_run_id} if parent_run_id else {}
        with explained_as_registry_error(f"experiment {experiment}"):
            experiment_id = self._experiment_id(client, experiment)
            created = client.create_run(experiment_id, run_name=run_name, tags={**tags, **nesting})
        buffered = BufferedRun(client, created.info.run_id)
        status = "FAILED"
        try:
            yield buffered
            status = "FINISHED"
        finally:
            buffered.close(status)

    def track_children(self, experiment: str, parent_run_id: str, runs: Sequence[FinishedRun]) -> list[str]:
        """Track many finished runs under one parent; return their ids, in order.

        A SQLite store takes all of them in one transaction; a server is called for each.

        Raises:
            LearningError: a metric is not finite.
            RegistryError: MLflow refuses or cannot be reached.
        """
        if not runs:
            return []
        if sqlite_file(self.tracking_uri):
            return track_in_one_transaction(self._client(), parent_run_id, runs)
        return [self._track_child(experiment, parent_run_id, run) for run in runs]

    def _track_child(self, experiment: str, parent_run_id: str, run: FinishedRun) -> str:
        client, tags = self._client(), {**run.tags, PARENT_TAG: parent_run_id}
        with explained_as_registry_error(f"experiment {experiment}"):
            experiment_id = self._experiment_id(client, experiment)
            created = client.create_run(experiment_id, run_name=run.name, tags=tags)
        buffered = BufferedRun(client, created.info.run_id)
        buffered.params(run.params)
        buffered.metrics(run.metrics)
        if run.folder is not None:
            buffered.folder(run.folder, run.artifact_path)
        buffered.close("FAILED" if run.is_failed else "FINISHED")
        return buffered.run_id

    def register(
        self, name: str, run_id: str, artifact_path: str, bundle_sha256: str, tags: Mapping[str, str]
    ) -> RegisteredVersion:
        """Register the bundle logged at `artifact_path` of a run.

        Idempotent per (name, bundle_sha256, run_id): a repeated call returns the version made first, with
        the tags given first.

        Raises:
            RegistryError: the run holds no such folder, or the name is not acceptable.
        """
        _require_plain(name, run_id)
        client = self._client()
        where = f"{name}, run {run_id}"
        # Locked between looking for the version and creating it.
        with explained_as_registry_error(where), store_lock(self.tracking_uri):
            known = self._find(client, name, run_id, bundle_sha256)
            if known is not None:
                return known
            source = self._require_bundle(client, client.get_run(run_id), artifact_path)
            _create_name_once(client, name)
            stamps = {**tags, _SHA256_TAG: bundle_sha256}
            made = client.create_model_version(name, source, run_id, tags=stamps, await_creation_for=0)
            return _to_record(made)

    def version(self, name: str, version: str) -> RegisteredVersion:
        """Return a version.

        Raises:
            RegistryError: there is no such version, or the platform did not register it.
        """
        remedy = f"the MLflow pages (`make mlflow`) show the versions of {name}"
        with explained_as_registry_error(f"{name}, version {version}", remedy):
            return _to_record(self._client().get_model_version(name, version))

    def download(self, version: RegisteredVersion, target: Path) -> Path:
        """Copy the bundle folder to `target` and return it; the reader of the bundle verifies hashes.

        Args:
            version: what `register` or `version` returned.
            target: folder to create; a complete copy appears there at once, or nothing.

        Raises:
            RegistryError: the artifacts are gone from the store.
            StorageError: `target` already holds something, or there is no room for it.
        """
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise StorageError(
                "a bundle would overwrite existing files",
                where=str(target),
                expected="an absent or empty folder",
                remedy="name another folder or empty this one",
                is_retryable=False,
            )
        make_folder(target.parent)
        staging = temporary_path(target)
        try:
            with explained_write(target):
                self._copy_bundle(version, staging).replace(target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        fsync_dir(target.parent)
        return target

    def project_aliases(self, name: str, champion: str | None, challenger: str | None) -> None:
        """Make the aliases `champion` and `challenger` say what the ledger says; None removes one.

        Raises:
            RegistryError: the model or the version is not registered.
        """
        client = self._client()
        with explained_as_registry_error(name, "register the version before its alias is set"):
            current = {alias: str(v) for alias, v in client.get_registered_model(name).aliases.items()}
            for alias, wanted in (("champion", champion), ("challenger", challenger)):
                if wanted == current.get(alias):
                    continue
                if wanted is None:
                    client.delete_registered_model_alias(name, alias)
                else:
                    client.set_registered_model_alias(name, alias, wanted)

    def aliases(self, name: str) -> dict[str, str]:
        """Return alias to version of a registered model. Raises RegistryError if it is unknown."""
        with explained_as_registry_error(name):
            return {alias: str(v) for alias, v in self._client().get_registered_model(name).aliases.items()}

    def run_url(self, run_id: str) -> str:
        """Return the run's page if the MLflow pages have an address, else MLflow's own `runs:/` URI.

        Raises:
            RegistryError: there is no such run.
        """
        if self.ui_url is None:
            return f"runs:/{run_id}"
        with explained_as_registry_error(f"run {run_id}"):
            experiment_id = self._client().get_run(run_id).info.experiment_id
        return f"{self.ui_url.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}"

    def _client(self) -> MlflowClient:
        with self._guard:
            if self._client_once is None:
                self._client_once = open_client(self.tracking_uri, self._artifact_uri())
            return self._client_once

    def _artifact_uri(self, *below: str) -> str | None:
        """Return the URI of a folder below the artifact root."""
        database = sqlite_file(self.tracking_uri)
        root = self.artifact_root or (str(database.parent / "artifacts") if database else None)
        if root is None:
            return None
        base = root.rstrip("/") if "://" in root else Path(root).absolute().as_uri()
        return "/".join((base, *below))

    def _experiment_id(self, client: MlflowClient, name: str) -> str:
        """Return the experiment's id, creating it if needed; another process may be quicker."""
        from mlflow.exceptions import MlflowException

        if name in self._experiment_ids:
            return self._experiment_ids[name]
        found = client.get_experiment_by_name(name)
        if found is None:
            try:
                client.create_experiment(name, artifact_location=self._artifact_uri(quote(name, safe="")))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            found = client.get_experiment_by_name(name)
        if found is None or found.lifecycle_stage != "active":
            raise RegistryError(
                f"the experiment {name} was deleted",
                where=shown_address(self.tracking_uri),
                expected="an active experiment",
                remedy=f"mlflow experiments restore --experiment-id {found.experiment_id if found else '?'}",
            )
        self._experiment_ids[name] = str(found.experiment_id)
        return self._experiment_ids[name]

    def _find(
        self, client: MlflowClient, name: str, run_id: str, bundle_sha256: str
    ) -> RegisteredVersion | None:
        found = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
        same = [version for version in found if version.tags.get(_SHA256_TAG) == bundle_sha256]
        return _to_record(min(same, key=lambda version: int(version.version))) if same else None

    def _require_bundle(self, client: MlflowClient, run: Run, artifact_path: str) -> str:
        """Return the address of the logged folder."""
        path = PurePosixPath(artifact_path)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise _no_bundle(run.info.run_id, artifact_path, "the path is not a relative folder")
        if not client.list_artifacts(run.info.run_id, path.as_posix()):
            raise _no_bundle(run.info.run_id, artifact_path, "the run holds no such folder")
        return f"{run.info.artifact_uri}/{path.as_posix()}"

    def _copy_bundle(self, version: RegisteredVersion, staging: Path) -> Path:
        from mlflow.artifacts import download_artifacts

        with explained_as_registry_error(f"{version.name}, version {version.version}"):
            uri = self._client().get_model_version_download_uri(version.name, version.version)
            try:
                return Path(
                    download_artifacts(
                        artifact_uri=uri, dst_path=str(staging), tracking_uri=self.tracking_uri
                    )
                )
            except OSError as error:
                if error.errno in NO_SPACE:
                    raise
                raise RegistryError(
                    f"the files of the version are gone or unreadable: {error.strerror or error}",
                    where=uri,
                    expected="the folder that was registered",
                    remedy="restore the artifact folder from its backup, or retrain and promote anew",
                ) from error


def _create_name_once(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _to_record(version: ModelVersion) -> RegisteredVersion:
    bundle_sha256 = version.tags.get(_SHA256_TAG)
    if not bundle_sha256 or not version.run_id:
        raise RegistryError(
            "the version carries no hash of its bundle or no run",
            where=f"{version.name}, version {version.version}",
            expected="a version that the platform registered",
            remedy="register models through the platform only; this one cannot be verified before loading",
        )
    return RegisteredVersion(
        name=version.name,
        version=str(version.version),
        run_id=version.run_id,
        bundle_sha256=bundle_sha256,
        tags=dict(version.tags),
    )


def _require_plain(name: str, run_id: str) -> None:
    """Refuse names that would need quoting in MLflow's search language."""
    if _NAME.fullmatch(name) and _RUN_ID.fullmatch(run_id):
        return
    raise RegistryError(
        "a registered model needs a plain name and the id of a run",
        where=f"name {name!r}, run {run_id!r}",
        expected="letters, digits, `.`, `_`, `-`; 32 hex digits",
        remedy="use ModelSlot.registered_name and the id that `run` gave",
    )


def _no_bundle(run_id: str, artifact_path: str, fact: str) -> RegistryError:
    return RegistryError(
        f"there is nothing to register: {fact}",
        where=f"run {run_id}, {artifact_path!r}",
        expected="a folder logged with RunLogger.folder",
        remedy="log the bundle in the run, then register it",
    )
