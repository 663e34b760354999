"""Runs as executions of Cloud Run jobs: started once, watched without killing what lives, stopped.

Belongs here: Dagster's RunLauncher over cloud_run_api. Does not belong here: the worker (`mlops execute-run`), the jobs
(deploy/), or what is done about runs without a worker (Dagster's run monitoring, sensors/orphans).

A run is executed twice if a live one is taken for dead, so silence, errors and unknown states count as running; only
Cloud Run's own word that an execution is over or not there ends a run. A start whose answer is lost is looked for
before it is tried again; should both executions begin nevertheless, the worker's claim lets in one (run_worker).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dagster import Field, StringSource
from dagster._core.events import EngineEventData
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, RunLauncher, WorkerStatus
from dagster._serdes import ConfigurableClass

from mlops_assets.config import names
from resources.cloud_run_api import (
    GOOGLE,
    CloudRunApi,
    CloudRunBusyError,
    CloudRunError,
    CloudRunUnclearError,
    Execution,
)

if TYPE_CHECKING:
    from dagster import DagsterRun
    from dagster._serdes import ConfigurableClassData

# Of a stand-in for the API on this machine, as STORAGE_EMULATOR_HOST is for Google's storage.
EMULATOR_VARIABLE = "CLOUD_RUN_EMULATOR_HOST"
COMMAND = ("mlops", "execute-run")
_WAIT_S = 2.0


class CloudRunLauncher(RunLauncher, ConfigurableClass):
    """Starts each run in the Cloud Run job of its size; named in dagster.yaml by `mlops config render`.

    Args:
        project: id of the project that has the jobs.
        region: of the jobs.
        jobs: their names by size.
        default_size: of a run without the tag `mlops/size`.
        patience_s: how long a launch is tried while Cloud Run does not answer, seconds.
        inst_data: of Dagster.
    """

    def __init__(
        self,
        project: str,
        region: str,
        jobs: Mapping[str, str],
        default_size: str,
        patience_s: float,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        self._inst_data = inst_data
        self._parent, self._jobs = f"projects/{project}/locations/{region}/jobs", dict(jobs)
        self._default_size, self._patience_s = default_size, patience_s
        self._api = CloudRunApi(os.environ.get(EMULATOR_VARIABLE) or GOOGLE)
        super().__init__()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """What dagster.yaml says."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return what dagster.yaml may say."""
        return {
            "project": StringSource,
            "region": StringSource,
            "jobs": Field({"s": str, "m": str, "l": str}),
            "default_size": Field(str, default_value="m", is_required=False),
            "patience_s": Field(float, default_value=60.0, is_required=False),
        }

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> CloudRunLauncher:
        """Return the launcher that dagster.yaml describes."""
        return cls(inst_data=inst_data, **config_value)

    def job_of(self, run: DagsterRun) -> str:
        """Return the job of a run's size; an unknown size counts as the default."""
        size = run.tags.get(names.TAG_SIZE, self._default_size)
        return f"{self._parent}/{self._jobs.get(size, self._jobs[self._default_size])}"

    def launch_run(self, context: LaunchRunContext) -> None:
        """Start a run's execution, once.

        Raises:
            CloudRunError: nothing was started; the run fails and says why.
        """
        run = context.dagster_run
        job, is_repeated = self.job_of(run), names.TAG_LAUNCH in run.tags
        self._instance.add_run_tags(run.run_id, {names.TAG_LAUNCH: job.rpartition("/")[2]})
        name = self._start_once(job, run.run_id, may_be_there=is_repeated)
        if name is None:
            self._say(
                run,
                f"Cloud Run does not say whether it started an execution of {job}. The run goes on if it did; "
                "otherwise it is failed once its time to start is over.",
            )
            return
        self._instance.add_run_tags(run.run_id, {names.TAG_EXECUTION: name})
        self._say(run, "Started in Cloud Run.", {"execution": name})

    def _start_once(self, job: str, run_id: str, *, may_be_there: bool) -> str | None:
        """Return the name of the run's execution; None if one was asked for and cannot be seen."""
        give_up_s = time.monotonic() + self._patience_s
        while True:
            try:
                if may_be_there and (found := self._api.find(job, run_id)):
                    return found.name
                return self._api.start(job, [*COMMAND, run_id], run_id)
            except (CloudRunBusyError, CloudRunUnclearError) as error:
                may_be_there |= isinstance(error, CloudRunUnclearError)
                if time.monotonic() + _WAIT_S > give_up_s:
                    if may_be_there:
                        return None
                    raise
                time.sleep(_WAIT_S)

    def terminate(self, run_id: str) -> bool:
        """Stop a run's execution; of a run that is finished, only what is left of it.

        Returns False if nothing ran, or if Cloud Run cannot be asked: Dagster's cancel timeout ends the run then, and
        the sensor of orphans stops the execution.
        """
        run = self._instance.get_run_by_id(run_id)
        if run is None:
            return False
        if not run.is_finished:
            self._instance.report_run_canceling(run)
        try:
            is_stopping = sum(self._api.cancel(name) for name in self._live(run)) > 0
        except CloudRunError as error:
            self._say(run, f"The execution could not be stopped: {error}")
            return False
        if not is_stopping and not run.is_finished:
            # A worker that comes later finds the run canceled, and leaves.
            self._instance.report_run_canceled(run, "There is no execution that would have to be stopped.")
        return is_stopping

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Yes."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Say whether a run's execution lives; whatever is not known for sure counts as alive."""
        name = run.tags.get(names.TAG_WORKER) or run.tags.get(names.TAG_EXECUTION)
        if not name:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "its execution is not known yet")
        try:
            found = self._api.read(name)
        except CloudRunError as error:
            return CheckRunHealthResult(WorkerStatus.RUNNING, f"not known: {error}")
        if found is None:
            return CheckRunHealthResult(WorkerStatus.FAILED, f"{name} is not there", run_worker_id=name)
        status = {
            "running": WorkerStatus.RUNNING,
            "succeeded": WorkerStatus.SUCCESS,
            "failed": WorkerStatus.FAILED,
        }[found.status]
        return CheckRunHealthResult(status, found.text or None, run_worker_id=name)

    def get_run_worker_debug_info(
        self,
        run: DagsterRun,
        include_container_logs: bool | None = True,  # noqa: FBT001, FBT002 - Dagster's
    ) -> str | None:
        """Return what Cloud Run says about a run's executions, and where their output is."""
        del include_container_logs  # they are behind the link
        try:
            found = list(self._executions(run))
        except CloudRunError as error:
            return f"Cloud Run cannot be asked: {error}"
        lines = [f"{one.name}: {one.text or one.status}. Output: {one.log_uri}" for one in found]
        return "\n".join(lines) or None

    def _live(self, run: DagsterRun) -> list[str]:
        return [one.name for one in self._executions(run) if one.status == "running"]

    def _executions(self, run: DagsterRun) -> Iterator[Execution]:
        """Yield the executions of a run: one, or two if a start was repeated."""
        known = dict.fromkeys(
            run.tags[tag] for tag in (names.TAG_WORKER, names.TAG_EXECUTION) if tag in run.tags
        )
        for name in known:
            if found := self._api.read(name):
                yield found
        if (
            not known
            and names.TAG_LAUNCH in run.tags
            and (found := self._api.find(self.job_of(run), run.run_id))
        ):
            yield found

    def _say(self, run: DagsterRun, message: str, facts: Mapping[str, Any] | None = None) -> None:
        self._instance.report_engine_event(
            message, run, EngineEventData(dict(facts or {})), cls=self.__class__
        )
