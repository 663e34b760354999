"""What every command needs: configuration, resources and the Dagster instance of one data root.

Belongs here: opening them once, in one process, before others start. Does not belong here: using them.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.config.loader import load_project
from mlops_assets.config.models import ProjectConfig
from resources.environments import Platform, data_root, open_platform

if TYPE_CHECKING:
    import dagster as dg

INSTANCE_CONFIG = Path(__file__).resolve().parents[2] / "deploy" / "local" / "dagster.yaml"


@dataclass(frozen=True)
class Workspace:
    """One data root with its configuration."""

    home: Path
    config: ProjectConfig

    @classmethod
    def of_one_process(cls, home: Path, config: ProjectConfig) -> Workspace:
        """Return a workspace whose steps run one after another here, each with all cores of the environment."""
        executor = config.environment.executor.model_copy(update={"kind": "in_process"})
        environment = config.environment.model_copy(update={"executor": executor})
        return cls(home, config.model_copy(update={"environment": environment}))

    @cached_property
    def platform(self) -> Platform:
        """Return the resources of the environment."""
        return open_platform(self.config.environment, self.home)

    @property
    def dagster_home(self) -> Path:
        """Return the folder of the Dagster instance; DAGSTER_HOME, or below the data root."""
        return Path(os.environ.get("DAGSTER_HOME") or self.home / "dagster_home")

    @cached_property
    def definitions(self) -> dg.Definitions:
        """Return the graph over this workspace's resources."""
        from mlops_assets.definitions import build_defs

        return build_defs(self.config, resources=self.platform.as_resources())

    def open_instance(self) -> dg.DagsterInstance:
        """Open the Dagster instance; its stores are created here, by one process."""
        import dagster as dg

        self.dagster_home.mkdir(parents=True, exist_ok=True)
        settings = self.dagster_home / "dagster.yaml"
        if not settings.exists():
            shutil.copyfile(INSTANCE_CONFIG, settings)
        os.environ["DAGSTER_HOME"] = str(self.dagster_home)
        return dg.DagsterInstance.from_config(str(self.dagster_home))


def open_workspace() -> Workspace:
    """Return the workspace that MLOPS_HOME, MLOPS_ENVIRONMENT and MLOPS_CONFIG_PATHS name."""
    return Workspace.of_one_process(data_root(), load_project())
