"""Each row of the fault table once: nothing lost, nothing doubled, it says what happened, and goes on afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.faults import run_rows, store_rows
from tests.integration.faults.outcome import Outcome, Row, Services, roll, why_missing

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")]


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    if reason := why_missing():
        pytest.skip(reason)
    services = Services()
    yield services
    services.stop()


ROWS: dict[str, Row] = {
    "object store": store_rows.fail_the_object_store,
    "mail server": store_rows.fail_the_mail_server,
    "promotions": store_rows.promote_all_at_once,
    "model file": store_rows.damage_a_model,
    "database": store_rows.make_database_row(3.0),
}


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", ROWS)
def test_a_fault_does_no_harm(name: str, seed: int, services: Services, tmp_path: Path) -> None:
    outcome = ROWS[name](tmp_path, services, roll(seed))
    assert outcome.failures == 0, outcome.notes


@pytest.mark.skipif(not store_rows.may_mount(), reason="only root may mount a small disk")
@pytest.mark.parametrize("seed", range(3))
def test_a_full_disk_does_no_harm(seed: int, services: Services, tmp_path: Path) -> None:
    outcome = store_rows.fill_the_disk(tmp_path, services, roll(seed))
    assert outcome.failures == 0, outcome.notes


KILLED: dict[str, Row] = {
    "worker": run_rows.kill_a_worker,
    "worker and database": run_rows.kill_everything,
    "two workers": run_rows.start_two_workers,
    "database": run_rows.make_database_row(3.0),
    "two daemons": run_rows.kill_a_daemon,
    "a laptop": run_rows.kill_a_laptop,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", KILLED)
def test_a_killed_process_does_no_harm(name: str, services: Services, tmp_path: Path) -> None:
    outcome = KILLED[name](tmp_path, services, roll(1))
    assert outcome.failures == 0, outcome.notes


def test_the_measure_sees_harm() -> None:
    outcome = Outcome(injected=1)
    assert outcome.failures == 0
    outcome.count("lost", [], "not wrong")
    assert outcome.failures == 0
    for kind in ("lost", "doubled", "silent", "stuck"):
        outcome.count(kind, "wrong", "a note")
    assert outcome.failures == 4
    assert (outcome + Outcome(injected=1, lost=2)).failures == 6
    assert Outcome().failures == 1, "a row that injects nothing proves nothing"
