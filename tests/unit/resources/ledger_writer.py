"""A process that promotes as fast as it can, for the tests that kill it or let many compete.

`python -m tests.unit.resources.ledger_writer FILE loop` prints each version once it is recorded;
`... FILE once WORKER` waits for a line on standard input, then tries one promotion.
"""

from __future__ import annotations

import datetime as dt
import itertools
import sys
from pathlib import Path
from typing import Any

from mlops_assets.domain.errors import StaleChampionError
from mlops_assets.domain.ports import LedgerEntry, ModelSlot, PromotionLedger
from resources.promotion_ledger import SqlitePromotionLedger

SLOT = ModelSlot("churn", "churn_30d", "cl")


def make_entry(
    version: str, previous: str | None, *, slot: ModelSlot = SLOT, **changes: object
) -> LedgerEntry:
    """Return a promotion of `version` over `previous`."""
    fields: dict[str, Any] = {
        "decision_id": f"{slot.registered_name}:{version}",
        "slot": slot,
        "outcome": "promoted",
        "version": version,
        "bundle_sha256": "ab" * 32,
        "previous_version": previous,
        "decided_by": "gate",
        "decided_at_utc": dt.datetime(2024, 3, 1, 12, 0, tzinfo=dt.UTC),
        "as_of_day": dt.date(2024, 2, 29),
        "evidence_sha256": "cd" * 32,
        "reasons": ("gain 0.012 [0.004, 0.019]",),
        "evidence": {"metric": "roc_auc", "challenger": 0.81, "segments": [{"name": "plan", "gain": 0.01}]},
    }
    return LedgerEntry(**{**fields, **changes})


def promote_for_ever(ledger: PromotionLedger) -> None:
    """Promote one version after the other on top of what is there."""
    champion = ledger.champion(SLOT)
    previous = champion.version if champion else None
    for number in itertools.count(int(previous or 0) + 1):
        ledger.record(make_entry(str(number), previous))
        previous = str(number)
        sys.stdout.write(f"{previous}\n")
        sys.stdout.flush()


def promote_once(ledger: PromotionLedger, worker: str) -> None:
    """Try to become the first champion and say how it went."""
    sys.stdin.readline()
    try:
        ledger.record(make_entry(worker, None))
    except StaleChampionError:
        sys.stdout.write("stale\n")
    else:
        sys.stdout.write("won\n")


def main() -> None:
    """Read the arguments."""
    ledger = SqlitePromotionLedger(Path(sys.argv[1]))
    if sys.argv[2] == "loop":
        promote_for_ever(ledger)
    else:
        promote_once(ledger, sys.argv[3])


if __name__ == "__main__":
    main()
