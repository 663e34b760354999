"""The agents' store: the files from which the operator's campaign system takes the day's offers.

Belongs here: the interface and what a file is called. Does not belong here: content (delivery.py), any implementation
(package `resources`).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, order=True)
class DeliveryId:
    """The offers of one use case, segment and day."""

    use_case: str
    segment: str
    day: dt.date

    @property
    def file_name(self) -> str:
        """Return the name of the file in the segment's folder."""
        return f"{self.use_case}_{self.day:%Y%m%d}.csv"


class AgentsStore(Protocol):
    """One folder per segment; a file is there as a whole or not at all."""

    def find(self, delivery: DeliveryId) -> Path | None:
        """Return the delivered file, or None."""
        ...

    def deliver(self, delivery: DeliveryId, source: Path) -> Path:
        """Copy a finished file into the store in place of the one that is there. Raises StorageError."""
        ...

    def withdraw(self, delivery: DeliveryId) -> bool:
        """Remove a file; return whether there was one. Raises StorageError."""
        ...
