"""Reports as files in one folder.

Belongs here: where a report may be written, atomically. Does not belong here: what a report says
(mlops_assets.domain.reporting).
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from mlops_assets.domain.errors import StorageError
from resources.atomic_files import write_atomic

_MAX_NAME_BYTES = 255


class LocalReportStore:
    """Documents below one root folder; readers see the old document or the new one.

    Args:
        root: the folder; created with the first report.
    """

    questions_at_once = 1

    def __init__(self, root: Path) -> None:
        self.root = root

    def save(self, relative_path: str, content: str | bytes) -> Path:
        """Write a report and return its path.

        Args:
            relative_path: below the root, with `/` between folders, such as `churn/cl/model_card.html`.
            content: text (stored as UTF-8) or bytes (a picture, a table file).

        Raises:
            StorageError: the path would leave the root or is not a plain file name, or the disk is full;
                an older report of this name is as it was.
        """
        path = self.root.joinpath(*checked_parts(relative_path))
        if not path.parent.resolve().is_relative_to(self.root.resolve()):
            raise _refused(relative_path, "it leads out of the report folder through a link")
        write_atomic(path, content.encode("utf-8") if isinstance(content, str) else content)
        return path

    def list(self) -> list[str]:
        """Return the relative paths of all reports, sorted; unfinished files are not shown."""
        found = (path.relative_to(self.root) for path in self.root.rglob("*") if path.is_file())
        return sorted(path.as_posix() for path in found if not _is_hidden(path))

    def read(self, relative_path: str, most_bytes: int = -1) -> bytes:
        """Return the content of a report, or its first bytes only.

        Raises:
            StorageError: there is none, or the path is refused.
        """
        path = self.root.joinpath(*checked_parts(relative_path))
        try:
            with path.open("rb") as stream:
                return stream.read(most_bytes)
        except OSError as error:
            raise unreadable_report(str(path)) from error


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def checked_parts(relative_path: str) -> tuple[str, ...]:
    """Return the folders and the file name of a harmless relative path."""
    if any(sign in "\0\\" or "\ud800" <= sign <= "\udfff" for sign in relative_path):
        raise _refused(relative_path, "it contains NUL, a backslash or half a character")
    path = PurePosixPath(relative_path)
    if path.is_absolute() or not path.parts:
        raise _refused(relative_path, "it is absolute or empty")
    if ".." in path.parts or relative_path.endswith("/"):
        raise _refused(relative_path, "it contains `..` or names a folder")
    if any(part.startswith(".") or len(part.encode()) > _MAX_NAME_BYTES for part in path.parts):
        raise _refused(relative_path, "a part of it is hidden or longer than 255 bytes")
    return path.parts


def unreadable_report(where: str) -> StorageError:
    """Return the error for a report that is not there."""
    return StorageError(
        "the report cannot be read",
        where=where,
        expected="a report that `list` shows",
        remedy="run the step that writes it",
        is_retryable=False,
    )


def _refused(relative_path: str, fact: str) -> StorageError:
    return StorageError(
        f"a report cannot have this path: {fact}",
        where=repr(relative_path),
        expected="a relative path with `/`, such as churn/cl/model_card.html",
        remedy="correct the path; nothing was written",
        is_retryable=False,
    )
