"""A process that promotes on PostgreSQL, for the tests that kill it or let many compete.

`python -m tests.integration.cloud.postgres_promoter URL once WORKER` waits for a line on standard input, then tries
one promotion; `... URL die STATEMENT` dies before its n-th statement within a transaction (0: the first; one more than
there are: after the commit).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

from sqlalchemy import make_url

from resources.postgres_schema import PostgresConnection
from resources.postgres_stores import PostgresPromotionLedger
from tests.unit.resources.ledger_writer import make_entry, promote_once


def die_before(statement: int) -> None:
    """End as by a power cut, just before the n-th statement that a store runs."""
    execute, count = PostgresConnection.execute, 0

    def counted(connection: PostgresConnection, *arguments: Any) -> Mapping[str, Any]:
        nonlocal count
        if count == statement:
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1
        return execute(connection, *arguments)

    PostgresConnection.execute = counted  # type: ignore[method-assign, assignment]


def main() -> None:
    """Read the arguments."""
    ledger = PostgresPromotionLedger(lambda: make_url(sys.argv[1]))
    if sys.argv[2] == "once":
        promote_once(ledger, sys.argv[3])
        return
    die_before(int(sys.argv[3]))
    ledger.record(make_entry("2", "1"))
    sys.stdout.write("recorded\n")


if __name__ == "__main__":
    main()
