"""Every subscriber's number is a canary: outside the lake, what was delivered and what is delivered, none is found."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from mlops_assets.commands.replay import Replay
from mlops_assets.commands.workspace import Workspace
from tests.integration.loop.conftest import Loop
from tests.integration.small_operator import FIRST_DAY, GEOGRAPHIES, churn_project
from tests.security.identifier_search import IdentifierSearch

# Tables of persons, deliveries of the operator, and the simulated operator itself.
MAY_HOLD = ("lake", "landing", "sandbox", "deployment/offers")
_EXTRA_CELLS = ",x,x,x;x;x;x"  # too many, whichever the delimiter


def _identifiers(home: Path) -> set[int]:
    """Return the number of every subscriber of every geography, as delivered."""
    found: set[int] = set()
    for geography in GEOGRAPHIES:
        contract = churn_project().feeds["subscribers"].for_geography([geography])
        source = contract.column("subscriber_id").source
        pattern = contract.file_pattern.replace("{day}", "*")
        before = len(found)
        for path in (home / "landing" / geography).glob(pattern):
            is_parquet = contract.format == "parquet"
            options = pc.ParseOptions(delimiter=contract.delimiter)
            table = pq.read_table(path) if is_parquet else pc.read_csv(path, parse_options=options)
            found |= {int(number) for number in table.column(source).to_pylist()}
        assert len(found) > before, f"no numbers of {geography}"
    return found


def _file(home: Path, geography: str, feed: str, day: dt.date) -> Path:
    contract = churn_project().feeds[feed].for_geography([geography])
    return home / "landing" / geography / contract.file_name(day)


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
def test_no_number_of_a_bad_delivery_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files without header, with a row too long, with numbers that are none, are refused and reported without them."""
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster_home"))
    numbers = _identifiers(home)
    _spoil(home)
    workspace = Workspace.of_one_process(home, churn_project())
    with workspace.open_instance() as instance:
        (result,) = Replay(workspace, instance).run(FIRST_DAY, FIRST_DAY, lambda _: None)
    assert {(one.feed, one.geography) for one in result.refused} == {
        ("topups", "cl"),
        ("topups", "pe"),
        ("usage", "cl"),
    }
    assert IdentifierSearch(numbers).in_folder(home, MAY_HOLD) == []
    assert not [line for line in result.findings if any(str(number) in line for number in numbers)]


def _spoil(home: Path) -> None:
    topups = _file(home, "cl", "topups", FIRST_DAY)
    topups.write_bytes(b"".join(topups.read_bytes().splitlines(keepends=True)[1:]))
    other = _file(home, "pe", "topups", FIRST_DAY)
    lines = other.read_text().splitlines()
    other.write_text("\n".join([*lines, f"{lines[-1]}{_EXTRA_CELLS}", *lines[1:3]]) + "\n")
    usage = _file(home, "cl", "usage", FIRST_DAY)
    table = pq.read_table(usage)
    spoiled = pa.array([f"{number}x" for number in table.column("MSISDN").to_pylist()])
    pq.write_table(table.set_column(table.column_names.index("MSISDN"), "MSISDN", spoiled), usage)
