"""The folder into which an operator drops its feed files: `<root>/<geography>/<file name>`.

Belongs here: finding and listing delivered files. Does not belong here: reading them.
"""

from __future__ import annotations

import re
import stat
from pathlib import Path

from mlops_assets.domain.errors import StorageError
from mlops_assets.domain.ports import LandedFile

_GEOGRAPHY = re.compile(r"[a-z][a-z0-9]{1,15}", re.ASCII)
_FILE_NAME = re.compile(r"(?!.*\.\.)[A-Za-z0-9_-][A-Za-z0-9_.-]{0,200}", re.ASCII)


class LocalLandingZone:
    """Implements `ports.LandingZone`; files named `.*` or `*.part` are still being written and not seen."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def find(self, geography: str, file_name: str) -> LandedFile | None:
        """Return the delivered file, or None.

        Raises:
            StorageError: the geography or the name is not allowed as part of a path.
        """
        require_file_name(file_name)
        return None if is_unfinished(file_name) else _landed(self._folder(geography) / file_name)

    def list(self, geography: str) -> list[LandedFile]:
        """Return all delivered files of a geography by name."""
        folder = self._folder(geography)
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        found = [_landed(folder / name) for name in names if not is_unfinished(name)]
        return [file for file in found if file is not None]

    def _folder(self, geography: str) -> Path:
        folder = self.root / require_geography(geography)
        if folder.is_symlink():
            raise StorageError(
                "a geography's folder in the landing zone is a link",
                where=str(folder),
                expected="a folder",
                remedy="mount what it points to here, or have the files delivered into a folder",
                is_retryable=False,
            )
        return folder


def require_file_name(file_name: str) -> None:
    """Refuse what cannot be a delivered file's name. Raises StorageError."""
    if not _FILE_NAME.fullmatch(file_name):
        raise StorageError(
            f"{file_name!r} is not allowed as file name",
            expected="letters, digits, `_`, `-` and `.`",
            remedy="correct `file_pattern` in the feed's YAML",
            is_retryable=False,
        )


def require_geography(geography: str) -> str:
    """Return a geography's code; refuse what is none. Raises StorageError."""
    if not _GEOGRAPHY.fullmatch(geography):
        raise StorageError(
            f"{geography!r} is not allowed as geography",
            expected="a code such as `cl`",
            is_retryable=False,
        )
    return geography


def is_unfinished(name: str) -> bool:
    """Whether a file of this name is still being written."""
    return name.startswith(".") or name.endswith(".part")


def _landed(path: Path) -> LandedFile | None:
    """Return the file's record; None for what is no regular file (or a link out of the zone)."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    return LandedFile(path, status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None
