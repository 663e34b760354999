"""What `mlops doctor` looks at of the machine: Python, packages, configuration, variables, disk.

Belongs here: checks that need no store. Does not belong here: stores (doctor_stores), runs (doctor_runs).
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from mlops_assets.commands.findings import Finding, ok, problem, warning
from mlops_assets.config.loader import PROJECT_CONFIGS, config_roots
from mlops_assets.config.models import Environment
from resources.environments import check_engine
from resources.store_inspection import find_leftovers, missing_abilities, nearest_existing

ROOT = PROJECT_CONFIGS.parent
OLDEST_PYTHON, FIRST_UNTRIED_PYTHON = (3, 11), (3, 14)
_LITTLE_BYTES, _TOO_LITTLE_BYTES = 5_000_000_000, 500_000_000
LEFTOVER_AGE_S = 3600.0
_NAMES_SHOWN = 5
_LOCKED = re.compile(
    r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\\n]+)(?: *; *([^\\\n]+?))?\s*\\?$", re.MULTILINE
)


def check_python() -> Iterator[Finding]:
    """Compare the interpreter with those that the product is made for."""
    version = ".".join(map(str, sys.version_info[:3]))
    if OLDEST_PYTHON <= sys.version_info[:2] < FIRST_UNTRIED_PYTHON:
        yield ok("python", version)
    else:
        yield problem("python", f"{version}; 3.11 to 3.13 are supported", "make setup PYTHON=python3.13")


def check_packages(root: Path = ROOT) -> Iterator[Finding]:
    """Compare the installed packages with the lock; those of developers may be missing."""
    lock, needed = root / "requirements.lock", root / "requirements-runtime.lock"
    if not lock.is_file() or not needed.is_file():
        yield ok("packages", "there is no lock file beside the code, so nothing to compare with")
        return
    wanted, missing, other = _locked(lock), [], []
    for name, version in wanted.items():
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
            continue
        if found != version:
            other.append(f"{name} {found} (locked: {version})")
    if needed_and_missing := sorted(set(missing) & set(_locked(needed))):
        yield problem("packages", f"missing: {_some(needed_and_missing)}", "make setup")
    if other:
        yield warning("packages", f"other versions than tested: {_some(sorted(other))}", "make setup")
    if not needed_and_missing and not other:
        left_out = f"; {len(missing)} tools of developers are not installed" if missing else ""
        yield ok("packages", f"{len(wanted) - len(missing)} are as locked{left_out}")


def _locked(path: Path) -> dict[str, str]:
    """Return the versions that a lock wants on this machine."""
    from packaging.markers import Marker

    found = _LOCKED.findall(path.read_text(encoding="utf-8"))
    return {name: version for name, version, marker in found if not marker or Marker(marker).evaluate()}


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more


def check_variables(environment: Environment, dagster_home: Path) -> Iterator[Finding]:
    """Look for secrets that the environment names, folders of configuration, and another Dagster instance."""
    wanted = [environment.database.password_variable, environment.mail.password_variable]
    for variable in filter(None, wanted):
        if os.environ.get(variable):
            yield ok("secrets", f"{variable} is set")
        else:
            yield problem("secrets", f"{variable} is not set", f"export {variable}=...")
    for folder in config_roots()[1:]:
        if not folder.is_dir():
            yield problem(
                "configuration",
                f"{folder} of MLOPS_CONFIG_PATHS is not there",
                "create it, or take it out of MLOPS_CONFIG_PATHS",
            )
    foreign = os.environ.get("DAGSTER_HOME")
    if foreign and Path(foreign).resolve() != dagster_home.resolve():
        yield warning(
            "DAGSTER_HOME",
            f"it names {foreign}, which no command uses; runs of a `dagster` started by hand would be kept there",
            f"export DAGSTER_HOME={dagster_home}",
        )


def check_engine_ready(environment: Environment) -> Iterator[Finding]:
    """See whether this machine has what the engine of the environment needs."""
    check_engine(environment)
    yield ok("engine", environment.engine.kind)


def check_disk(home: Path) -> Iterator[Finding]:
    """Look at the folder of all data: may it be written, is there room, can its file system keep what is written."""
    folder = nearest_existing(home)
    if not os.access(folder, os.W_OK | os.X_OK):
        yield problem("MLOPS_HOME", f"{folder} cannot be written", f"chown -R $USER {folder}")
        return
    yield ok("MLOPS_HOME", f"{home}" if folder == home else f"{home} is new; {folder} can be written")
    free = shutil.disk_usage(folder).free
    told = f"{free / 1e9:.1f} GB free"
    if free < _LITTLE_BYTES:
        make = problem if free < _TOO_LITTLE_BYTES else warning
        yield make(
            "disk", told, f"free space, or move the data and name their folder in MLOPS_HOME (now {home})"
        )
    else:
        yield ok("disk", told)
    if lacks := missing_abilities(folder):
        yield warning("file system", f"{folder} lacks {'; '.join(lacks)}", "put MLOPS_HOME on a local disk")
    else:
        yield ok("file system", "has what atomic writes need")


def check_leftovers(folders: list[Path]) -> Iterator[Finding]:
    """Count what interrupted writes left behind."""
    found = [path for folder in folders for path in find_leftovers(folder, LEFTOVER_AGE_S)]
    if not found:
        yield ok("interrupted writes", "none left anything behind")
        return
    size = sum(path.lstat().st_size for path in found)
    yield warning(
        "interrupted writes",
        f"{len(found)} temporary files or folders, {size / 1e6:.1f} MB, such as {found[0]}; nobody reads them",
        "the next write beside them sweeps them (`mlops run`); or delete them",
    )
