"""What an injected fault did: the one measure of all rows of the fault table.

Belongs here: the counts, services that rows share, the pass criterion. Does not belong here: any fault.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tests.integration.cloud import gcs_server, postgres_server
from tests.integration.cloud.gcs_server import GcsServer
from tests.integration.cloud.postgres_server import PostgresServer


@dataclass
class Outcome:
    """What was found after one repetition.

    Attributes:
        injected: faults, at least one.
        lost: things that were accepted before and are gone or damaged.
        doubled: things that are there twice.
        silent: faults that had an effect and were told to nobody.
        stuck: things that did not work again once the fault was over.
        notes: what went wrong, for people.
    """

    injected: int = 0
    lost: int = 0
    doubled: int = 0
    silent: int = 0
    stuck: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def failures(self) -> int:
        """How much of the criterion is broken: nothing lost, nothing doubled, it says what happened, it goes on."""
        return self.lost + self.doubled + self.silent + self.stuck + (self.injected == 0)

    def count(self, kind: str, is_wrong: object, note: str) -> None:
        """Add to a count if something is wrong."""
        if is_wrong:
            setattr(self, kind, getattr(self, kind) + 1)
            self.notes.append(f"{kind}: {note}")

    def __add__(self, other: Outcome) -> Outcome:
        """Return both together."""
        counts = {
            name: getattr(self, name) + getattr(other, name)
            for name in ("injected", "lost", "doubled", "silent", "stuck")
        }
        return Outcome(**counts, notes=[*self.notes, *other.notes])


class Services:
    """Real services of this machine, each started when a row asks for it."""

    @cached_property
    def postgres(self) -> PostgresServer:
        """A PostgreSQL server of its own."""
        server = PostgresServer.create()
        server.start()
        return server

    @cached_property
    def gcs(self) -> GcsServer:
        """A fake-gcs-server."""
        server = GcsServer()
        server.start()
        return server

    def stop(self) -> None:
        """Stop what was started."""
        if "postgres" in self.__dict__:
            self.postgres.destroy()
        if "gcs" in self.__dict__:
            self.gcs.stop()


Row = Callable[[Path, Services, random.Random], Outcome]


def roll(seed: int) -> random.Random:
    """Return dice that fall the same way each time."""
    return random.Random(seed)  # noqa: S311 - to choose faults, not secrets


def why_missing() -> str:
    """Return why the services cannot be started here; empty if they can."""
    return postgres_server.why_missing() or gcs_server.why_missing()
