"""Faults, each injected many times into real services: what was lost, doubled, kept silent about, or stuck afterwards.

Belongs here: which rows there are, how often, and the counts. Does not belong here: injecting or judging; that is done
by tests/integration/faults, whose tests run the rows as well.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measuring import BenchmarkSkippedError, Goal, Line
from mlops_assets.domain.errors import PlatformError

if TYPE_CHECKING:
    from tests.integration.faults.outcome import Outcome, Row, Services

REPETITIONS, QUICK_REPETITIONS = 20, 2
AWAY_S, QUICK_AWAY_S = (5.0, 30.0, 60.0), (5.0,)


def run(*, quick: bool) -> Iterator[Line]:
    """Yield one line a row: failures of the criterion in all repetitions."""
    from tests.integration.faults.outcome import Services, why_missing

    if reason := why_missing():
        raise BenchmarkSkippedError(reason)
    services, repetitions = Services(), QUICK_REPETITIONS if quick else REPETITIONS
    try:
        for part, row in build_rows(QUICK_AWAY_S if quick else AWAY_S).items():
            yield measure_row(part, row, services, repetitions, is_quick=quick)
    finally:
        services.stop()


def build_rows(away_s: tuple[float, ...]) -> dict[str, Row]:
    """Return the rows by name; the quick ones first."""
    from tests.integration.faults import run_rows, store_rows

    disk = {"disk full": store_rows.fill_the_disk} if store_rows.may_mount() else {}
    return {
        "model file damaged": store_rows.damage_a_model,
        "mail server 451, 554, 421, drop after DATA": store_rows.fail_the_mail_server,
        "object store 503, 412, lost answer": store_rows.fail_the_object_store,
        **disk,
        "32 promotions at once": store_rows.promote_all_at_once,
        **{f"database away {s:g} s, stores": store_rows.make_database_row(s) for s in away_s},
        "worker killed": run_rows.kill_a_worker,
        "worker and database killed": run_rows.kill_everything,
        "answer lost, two workers": run_rows.start_two_workers,
        **{f"database away {s:g} s, run": run_rows.make_database_row(s) for s in away_s},
        "everything on a laptop killed": run_rows.kill_a_laptop,
        "two daemons, leader killed": run_rows.kill_a_daemon,
    }


def measure_row(part: str, row: Row, services: Services, repetitions: int, *, is_quick: bool) -> Line:
    """Repeat a row and return its line; a repetition that does not come to its end is a failure."""
    from tests.integration.faults.outcome import Outcome

    start, total = time.perf_counter(), Outcome()
    for number in range(repetitions):
        total += _repeat_once(row, services, number)
    return Line(
        name="fault_table",
        part=part,
        value=float(total.failures),
        unit="failures",
        goal=Goal("value", 0.0),
        sizes={"repetitions": repetitions},
        seconds=time.perf_counter() - start,
        is_quick=is_quick,
        facts={
            "injected": total.injected,
            "lost": total.lost,
            "doubled": total.doubled,
            "silent": total.silent,
            "stuck": total.stuck,
            "notes": "; ".join(total.notes[:5]),
        },
    )


def _repeat_once(row: Row, services: Services, number: int) -> Outcome:
    from tests.integration.faults.outcome import Outcome, roll

    with tempfile.TemporaryDirectory() as folder:
        try:
            return row(Path(folder), services, roll(number))
        except (AssertionError, PlatformError) as error:
            return Outcome(injected=1, stuck=1, notes=[str(error)[:500]])
