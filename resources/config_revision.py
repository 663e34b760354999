"""Configuration as git knows it at a revision.

Belongs here: asking git for folders of a commit. Does not belong here: reading YAML (mlops_assets.config.loader).
"""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlops_assets.domain.errors import ConfigError

_TIMEOUT_S = 60


@dataclass(frozen=True)
class RevisionFolders:
    """Folders as they were at a commit.

    Attributes:
        revision: as it was asked for.
        commit: full hash.
        roots: the folders, below a temporary one, in the order in which they were asked for.
        top: the temporary folder that stands for the top of the repository.
    """

    revision: str
    commit: str
    roots: tuple[Path, ...]
    top: Path

    def rename(self, text: str) -> str:
        """Return a message in which files are named as git does, `REVISION:path`, instead of temporary copies."""
        return text.replace(f"{self.top}/", f"{self.revision}:")


@contextmanager
def folders_at(roots: Sequence[Path], revision: str) -> Iterator[RevisionFolders]:
    """Lay out config folders as they were at a revision, for as long as the context lasts.

    A folder outside the first one's repository stays what it is: it has no revision. One that the revision does not
    have is empty.

    Args:
        roots: config folders, the project's first.
        revision: anything that git resolves to a commit.

    Raises:
        ConfigError: git is absent, the first folder is in no repository or not in this revision, or the revision is
            unknown or not all here.
    """
    top = _require_repository(roots[0])
    commit = _require_commit(top, revision)
    with tempfile.TemporaryDirectory(prefix="mlops-config-") as name:
        target = Path(name).resolve()
        found = [_lay_out(root.resolve(), top, commit, target) for root in roots]
        if not any(found[0].iterdir()):
            raise ConfigError(
                f"revision {revision!r} has no {roots[0].resolve().relative_to(top)}",
                where=str(top),
                expected="a revision with configuration",
            )
        yield RevisionFolders(revision, commit, tuple(found), target)


def _require_repository(folder: Path) -> Path:
    done = _git(folder, "rev-parse", "--show-toplevel")
    if done.returncode != 0:
        raise ConfigError(
            "the configuration is in no git repository",
            where=str(folder),
            expected="a checkout, with git installed",
            remedy="compare in a clone of the repository",
        )
    return Path(done.stdout.decode().strip()).resolve()


def _require_commit(top: Path, revision: str) -> str:
    done = _git(top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if done.returncode != 0:
        raise ConfigError(
            f"git knows no commit {revision!r}",
            where=str(top),
            expected="a branch, tag or commit",
            remedy="fetch it first: CI often has a shallow clone (`git fetch --unshallow`)",
        )
    return done.stdout.decode().strip()


def _lay_out(root: Path, top: Path, commit: str, target: Path) -> Path:
    if not root.is_relative_to(top):
        return root
    inside = root.relative_to(top)
    (target / inside).mkdir(parents=True, exist_ok=True)
    listed = _git(top, "ls-tree", commit, "--", inside.as_posix())
    if listed.returncode == 0 and not listed.stdout:
        return target / inside
    done = _git(top, "archive", "--format=tar", commit, "--", inside.as_posix())
    if done.returncode != 0:
        raise ConfigError(
            f"git cannot read {inside} of commit {commit}",
            where=str(top),
            expected="a clone that holds the commit with all its files",
            remedy="fetch it anew: `git fetch --refetch`, or compare in a fresh clone",
        )
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(target, filter="data")
    return target / inside


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = ["git", "-C", str(folder), *arguments]
    try:
        return subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=False)  # noqa: S603 - no shell
    except OSError as error:
        raise ConfigError("git cannot be run", where=str(folder), remedy="install git") from error
    except subprocess.TimeoutExpired as error:
        raise ConfigError(f"git gave no answer within {_TIMEOUT_S} s", where=str(folder)) from error
