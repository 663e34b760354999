"""The agents' store in a local folder.

Belongs here: where delivered offers lie, and that they appear and disappear as a whole. Does not belong here: what a
file holds (mlops_assets.domain.offers.delivery).

    <root>/<segment>/<use case>_<yyyymmdd>.csv
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from mlops_assets.domain.errors import StorageError
from mlops_assets.domain.offers.delivery_ports import DeliveryId
from resources.atomic_files import make_folder, publish, sweep_leftovers, temporary_path

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_LEFTOVER_AGE_S = 3600.0


class LocalAgentsStore:
    """Implements `AgentsStore` below one folder.

    Args:
        root: the folder; created with the first delivery.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def find(self, delivery: DeliveryId) -> Path | None:
        """Return the delivered file, or None."""
        path = self._path(delivery)
        return path if path.is_file() else None

    def deliver(self, delivery: DeliveryId, source: Path) -> Path:
        """Copy a finished file into the store in place of the one that is there.

        Raises:
            StorageError: the disk is full or the folder cannot be written; the old file is as it was.
        """
        path = self._path(delivery)
        make_folder(path.parent)
        part = temporary_path(path)
        try:
            shutil.copyfile(source, part)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise _explained(error, path) from error
        publish(part, path)
        sweep_leftovers(path.parent, _LEFTOVER_AGE_S)
        return path

    def withdraw(self, delivery: DeliveryId) -> bool:
        """Remove a file; return whether there was one. Raises StorageError."""
        path = self._path(delivery)
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _explained(error, path) from error
        return True

    def _path(self, delivery: DeliveryId) -> Path:
        require_plain_names(delivery)
        return self.root / delivery.segment / delivery.file_name


def require_plain_names(delivery: DeliveryId) -> None:
    """Refuse names that could lead out of the store. Raises StorageError."""
    for name in (delivery.use_case, delivery.segment):
        if not _PLAIN.fullmatch(name):
            raise StorageError(
                "offers cannot be delivered under this name",
                where=repr(name[:200]),
                expected="letters, digits, `_` and `-`",
                remedy="correct the name; nothing was written",
                is_retryable=False,
            )


def _explained(error: OSError, path: Path) -> StorageError:
    return StorageError(
        f"the agents' store cannot be used: {error.strerror or error}",
        where=str(path),
        expected="a writable folder with room for the day's offers",
        remedy="check disk, owner and permissions, then run again; what was there is untouched",
    )
