"""Where the running code comes from: git commit and environment lock.

Belongs here: asking git and hashing the lock file. Does not belong here: where stamps are kept.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from mlops_assets.domain.ports import Person

PROJECT = Path(__file__).resolve().parents[1]
UNKNOWN = "unknown"
COMMIT_VARIABLE = "MLOPS_SOURCE_COMMIT"  # set in the image, which holds no repository


class GitProvenance:
    """Implements `ports.CodeProvenance` for a checkout; an image without git says the commit that it was built from."""

    def __init__(self, project: Path = PROJECT) -> None:
        self.project = project

    def stamps(self) -> Mapping[str, Any]:
        """Return git_commit, is_git_dirty and environment_lock_sha256, read once per process."""
        return _read_stamps(self.project)

    def last_author(self, file: Path) -> Person | None:
        """Return who last committed the file; None outside a repository, or if its content is not committed."""
        changes = _git(file.parent, "status", "--porcelain", "--", file.name)
        if changes is None or changes:
            return None
        last = _git(file.parent, "log", "-1", "--format=%an%x00%ae", "--", file.name)
        return _person(*last.split("\0")) if last else None

    def user(self) -> Person | None:
        """Return user.name and user.email of git's settings; None if there is neither."""
        name, email = (_git(self.project, "config", key) or "" for key in ("user.name", "user.email"))
        return _person(name, email) if name or email else None


def _person(name: str, email: str) -> Person:
    return Person(name or email, email)


@lru_cache(maxsize=4)
def _read_stamps(project: Path) -> dict[str, Any]:
    commit = _git(project, "rev-parse", "HEAD")
    changes = _git(project, "status", "--porcelain", "--untracked-files=no") if commit else None
    lock = project / "requirements.lock"
    return {
        "git_commit": commit or os.environ.get(COMMIT_VARIABLE) or UNKNOWN,
        "is_git_dirty": bool(changes),
        "environment_lock_sha256": sha256(lock.read_bytes()).hexdigest() if lock.exists() else UNKNOWN,
    }


def _git(project: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            ["git", "-C", str(project), *arguments],  # noqa: S607 - git is found on the user's path
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
