"""Every subscriber's number is a canary: outside the lake, what was delivered and what is delivered, none is found."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.commands.replay import Replay
from tests.integration.loop.conftest import NEXT_DAY, Loop
from tests.security.identifier_search import IdentifierSearch

# Tables of persons, deliveries of the operator, and the simulated operator itself.
MAY_HOLD = ("lake", "landing", "sandbox", "deployment/offers")


def _identifiers(home: Path) -> set[int]:
    return {
        int(number)
        for path in (home / "landing").rglob("subscribers_*.parquet")
        for number in pq.read_table(path).column("MSISDN").to_pylist()
    }


def _file(home: Path, geography: str, feed: str, day: dt.date) -> Path:
    (path,) = (home / "landing" / geography).glob(f"{feed}*{day:%Y%m%d}*")
    return path


@pytest.mark.slow
def test_no_number_leaves_the_lake(trained: Loop) -> None:
    """Weeks of runs, a training and its reports: databases of Dagster and MLflow, models, logs, ledger, mails."""
    home = trained.home
    numbers = _identifiers(home)
    assert len(numbers) > 1000
    places = {path.relative_to(home).parts[0] for path in home.rglob("*") if path.is_file()}
    assert {"dagster_home", "mlflow", "ledger", "reports", "mail", "lake", "landing"} <= places
    search = IdentifierSearch(numbers)
    assert search.in_folder(home, MAY_HOLD) == []
    assert search.in_folder(home / "lake"), "the search has not the right numbers"


@pytest.mark.slow
def test_no_number_of_a_bad_delivery_is_told(own: Loop, replay: Replay) -> None:
    """Files without header, with a row too long, with numbers that are none, are refused and mailed without them."""
    home = own.home
    numbers = _identifiers(home)
    topups = _file(home, "cl", "topups", NEXT_DAY)
    topups.write_bytes(b"".join(topups.read_bytes().splitlines(keepends=True)[1:]))
    other = _file(home, "pe", "topups", NEXT_DAY)
    lines = other.read_text().splitlines()
    other.write_text("\n".join([*lines, f"{lines[-1]};x,x,x,x", *lines[1:3]]) + "\n")
    usage = _file(home, "cl", "usage", NEXT_DAY)
    table = pq.read_table(usage)
    spoiled = pa.array([f"{number}x" for number in table.column("MSISDN").to_pylist()])
    pq.write_table(table.set_column(table.column_names.index("MSISDN"), "MSISDN", spoiled), usage)
    (result,) = replay.run(NEXT_DAY, NEXT_DAY, lambda _: None)
    assert len(result.refused) >= 3
    assert list((home / "mail").rglob("*.eml")), "refused deliveries are mailed"
    search = IdentifierSearch(numbers)
    assert search.in_folder(home, MAY_HOLD) == []
    assert not [line for line in result.findings if any(str(number) in line for number in numbers)]
