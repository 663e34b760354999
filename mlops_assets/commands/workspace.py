"""What every command needs: configuration, resources and the Dagster instance of one data root.

Belongs here: opening them once, in one process, before others start. Does not belong here: using them.
"""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlops_assets.config.loader import load_project
from mlops_assets.config.models import ProjectConfig
from resources.atomic_files import write_atomic
from resources.dagster_instance import render_instance
from resources.environments import Platform, data_root, open_platform

if TYPE_CHECKING:
    import dagster as dg


@dataclass(frozen=True)
class Workspace:
    """One data root with its configuration."""

    home: Path
    config: ProjectConfig

    @classmethod
    def of_one_process(cls, home: Path, config: ProjectConfig) -> Workspace:
        """Return a workspace whose steps run one after another here, each with all cores of the environment."""
        executor = config.environment.executor.model_copy(update={"kind": "in_process"})
        return cls(home, config.with_environment(executor=executor))

    def covering(self, last: dt.date) -> Workspace:
        """Return a workspace whose calendar reaches `last`: the data's days count, not the machine's clock."""
        calendar = self.config.environment.calendar
        needed = (last - dt.datetime.now(dt.UTC).date()).days + 1
        if needed <= calendar.days_ahead:
            return self
        calendar = calendar.model_copy(update={"days_ahead": needed})
        return Workspace(self.home, self.config.with_environment(calendar=calendar))

    @cached_property
    def platform(self) -> Platform:
        """Return the resources of the environment."""
        return open_platform(self.config.environment, self.home)

    def where(self, place: str) -> str:
        """Return the address of a folder of `storage`: below the data root, or in the bucket."""
        storage = self.config.environment.storage
        if storage.kind == "local":
            return str(self.home / place)
        bucket = storage.landing_bucket if place == storage.landing else ""
        return f"gs://{bucket or storage.bucket}/{place}"

    @property
    def dagster_home(self) -> Path:
        """Return the folder of the Dagster instance: below the data root, as in the Makefile.

        DAGSTER_HOME does not count: runs in one instance and data of another root would be half a history.
        """
        return self.home / "dagster_home"

    @cached_property
    def definitions(self) -> dg.Definitions:
        """Return the graph over this workspace's resources."""
        from mlops_assets.definitions import build_defs

        return build_defs(self.config, resources=self.platform.as_resources())

    def open_instance(self) -> dg.DagsterInstance:
        """Open the Dagster instance; its stores are created here, by one process."""
        import dagster as dg

        foreign = os.environ.get("DAGSTER_HOME")
        if foreign and Path(foreign).resolve() != self.dagster_home.resolve():
            click.echo(f"DAGSTER_HOME={foreign} is not used; the history is in {self.dagster_home}", err=True)
        self.dagster_home.mkdir(parents=True, exist_ok=True)
        settings = self.dagster_home / "dagster.yaml"
        is_own = (
            self.config.environment.database.kind == "sqlite"
        )  # people may change the file of their laptop
        if not (is_own and settings.exists()):
            write_atomic(settings, render_instance(self.config.environment).encode())
        os.environ["DAGSTER_HOME"] = str(self.dagster_home)
        return dg.DagsterInstance.from_config(str(self.dagster_home))


def open_workspace() -> Workspace:
    """Return the workspace that MLOPS_HOME, MLOPS_ENVIRONMENT and MLOPS_CONFIG_PATHS name."""
    return Workspace.of_one_process(data_root(), load_project())
