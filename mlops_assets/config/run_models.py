"""Where runs are executed, and how a process writes its log.

Belongs here: the section `runs` of an environment's file, and what it refuses. Does not belong here: launching anything
(package `resources`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mlops_assets.domain.model_base import Record

RunSize = Literal["s", "m", "l"]
LogForm = Literal["text", "json"]
# https://cloud.google.com/resource-manager/docs/creating-managing-projects; empty where there is none.
ProjectId = Annotated[str, Field(pattern=r"^([a-z][a-z0-9-]{4,28}[a-z0-9])?$")]
Region = Annotated[str, Field(pattern=r"^([a-z]+(-[a-z]+)+[0-9]+)?$", max_length=40)]
JobName = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,47}[a-z0-9])?$")]


class JobsBySize(Record):
    """Names of the Cloud Run jobs of the three sizes of a run; each job says what a size means.

    Attributes:
        s: job of small runs: what follows a decision.
        m: job of middle runs: days.
        l: job of large runs: trainings.
    """

    s: JobName = "run-s"
    m: JobName = "run-m"
    l: JobName = "run-l"  # noqa: E741 - the size


class RunsConfig(Record):
    """Where a run is executed.

    Attributes:
        kind: `local`, a process of the machine on which the run was launched; `cloud_run`, an execution of a Cloud Run
            job.
        project: id of the Google Cloud project that has the jobs.
        region: of the jobs.
        jobs: by size.
        default_size: of a run whose job does not say one (tag `mlops/size`).
        patience_s: how long a launch is tried while Cloud Run does not answer, seconds.
    """

    kind: Literal["local", "cloud_run"] = "local"
    project: ProjectId = ""
    region: Region = ""
    jobs: JobsBySize = JobsBySize()
    default_size: RunSize = "m"
    patience_s: float = Field(60.0, gt=0.0, le=240.0)  # within `start_timeout_seconds` of the run monitoring

    @model_validator(mode="after")
    def _names_its_jobs(self) -> RunsConfig:
        missing = [name for name in ("project", "region") if not getattr(self, name)]
        if self.kind == "cloud_run" and missing:
            raise ValueError(
                f"{', '.join(f'`{name}`' for name in missing)} missing: kind `cloud_run` needs it"
            )
        return self
