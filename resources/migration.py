"""Bringing every store of an environment to the schema of this release, before anything else starts.

Belongs here: the order, the lock, what was done in words. Does not belong here: any schema (each store has its own).

Idempotent: what is up to date stays as it is. Two at once do no harm: the second one waits, then finds nothing to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlops_assets.domain.errors import StorageError
from resources.sql_database import Preparable

if TYPE_CHECKING:
    import dagster as dg

    from resources.environments import Platform
    from resources.process_lock import ProcessLock

LOCK_NAME = "migrate"
_POLL_S = 0.5


def migrate_stores(
    platform: Platform,
    open_instance: Callable[[], dg.DagsterInstance],
    lock: ProcessLock,
    wait_s: float = 900.0,
) -> Iterator[str]:
    """Yield a line for each store, once it is as this release needs it.

    Args:
        platform: the resources of the environment.
        open_instance: opens the Dagster instance, which creates what is missing.
        lock: of all who migrate this environment.
        wait_s: for another one who migrates, seconds.

    Raises:
        StorageError, RegistryError: a store cannot be reached, is damaged, or is of a newer release; those before it
            are done, and the next call goes on.
    """
    with _held(lock, wait_s):
        stores: tuple[tuple[str, object], ...] = (
            ("promotion ledger", platform.ledger),
            ("mail outbox", platform.outbox),
            ("feed releases", platform.releases),
            ("model registry", platform.registry),
        )
        for title, store in stores:
            if isinstance(store, Preparable):
                yield f"{title}: {store.prepare()}"
        with open_instance() as instance:
            before, _ = instance.run_storage.alembic_version() or (None, None)
            instance.upgrade()
            after, newest = instance.run_storage.alembic_version() or (None, None)
            _require_newest(after, newest)
            told = "up to date" if before == after else f"migrated from revision {before}"
            yield f"history of Dagster: {told}, revision {after}"


def _require_newest(found: object, newest: object) -> None:
    if found != newest:
        raise StorageError(
            f"Dagster's tables are at revision {found}",
            where="database of Dagster",
            expected=f"revision {newest}, that of the Dagster that runs here",
            remedy="use the release that wrote them, or a newer one; or restore the database",
            is_retryable=False,
        )


@contextmanager
def _held(lock: ProcessLock, wait_s: float) -> Iterator[None]:
    give_up_s = time.monotonic() + wait_s
    while not lock.try_acquire():
        if time.monotonic() > give_up_s:
            raise StorageError(
                f"another migration has not ended for {wait_s:g} s",
                where=lock.holder() or LOCK_NAME,
                expected="one that ends",
                remedy="see what it waits for, then run `mlops migrate` again",
            )
        time.sleep(_POLL_S)
    try:
        yield
    finally:
        lock.release()
