"""The agents' store on Google Cloud Storage: the objects `<segment>/<use case>_<yyyymmdd>.csv`.

Belongs here: where delivered offers lie. Does not belong here: what a file holds (mlops_assets.domain.offers.delivery).
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from resources.agents_store import require_plain_names

if TYPE_CHECKING:
    from mlops_assets.domain.offers.delivery_ports import DeliveryId
    from resources.file_cache import FileCache
    from resources.object_store import ObjectStore


class GcsAgentsStore:
    """Implements `AgentsStore`; a file is there as a whole or not at all.

    Args:
        store: the objects from which the operator's systems take the offers.
        cache: local copies.
    """

    def __init__(self, store: ObjectStore, cache: FileCache) -> None:
        self.store, self.cache = store, cache

    def find(self, delivery: DeliveryId) -> Path | None:
        """Return a local copy of the delivered file, or None. Raises StorageError."""
        name = _name(delivery)
        found = self.store.find(name)
        if found is None:
            return None
        copy = f"{delivery.segment}/{found.generation}/{delivery.file_name}"
        return self.cache.fetch(copy, found.size_bytes, lambda target: self.store.download(name, target))

    def deliver(self, delivery: DeliveryId, source: Path) -> Path:
        """Copy a finished file into the store in place of the one that is there; return a local copy.

        Raises:
            StorageError: a name is not allowed, or the store cannot be reached; the old file is as it was, or the
                new one is there although its answer was lost.
        """
        generation = self.store.write(_name(delivery), source.read_bytes())
        copy, size_bytes = f"{delivery.segment}/{generation}/{delivery.file_name}", source.stat().st_size
        return self.cache.fetch(copy, size_bytes, lambda target: shutil.copyfile(source, target))

    def withdraw(self, delivery: DeliveryId) -> bool:
        """Remove a file; return whether there was one. Raises StorageError."""
        was_there = self.store.find(_name(delivery)) is not None
        self.store.delete(_name(delivery))
        return was_there


def _name(delivery: DeliveryId) -> str:
    require_plain_names(delivery)
    return f"{delivery.segment}/{delivery.file_name}"
