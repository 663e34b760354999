"""`mlops run`: exit status, one line a day, days in a range, and what a second attempt does."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from mlops_assets.config.run_plan import day_log_partition
from mlops_assets.domain.ports import PartitionId
from resources.lake import LocalLake
from tests.integration.command_line import CommandLine
from tests.integration.small_operator import FIRST_DAY, GEOGRAPHIES, day_number

DAYS = [day_number(n) for n in range(3)]
NAMES = {"cl": {"usage": "usage", "dna": "dna"}, "pe": {"usage": "consumo", "dna": "dna"}}


def delivered_file(home: Path, geography: str, name: str, day: dt.date) -> Path:
    """Return the one delivered file whose name begins so."""
    (path,) = (home / "landing" / geography).glob(f"{name}_{day:%Y%m%d}.*")
    return path


def withhold(path: Path) -> bytes:
    """Take a delivered file back."""
    held = path.read_bytes()
    path.unlink()
    return held


def test_days_of_the_range_are_built_once(home: Path, mlops: CommandLine) -> None:
    mlops.use(home)
    words = ("run", "--from", DAYS[0], "--to", DAYS[1])
    told = mlops(*words)
    assert (told.status, told.err) == (0, ""), told
    assert told.days == [(str(day), "built") for day in DAYS[:2]]
    *lines, summary = told.out.splitlines()
    assert len(lines) == 2, "one line a day, nothing else"
    assert summary == "2 days: 2 built"
    lake = LocalLake(home / "lake")
    assert lake.days("etl/subscriber_features", "cl") == DAYS[:2], "days after --to are not touched"
    again = mlops(*words)
    assert (again.status, again.days) == (0, [(str(day), "unchanged") for day in DAYS[:2]])
    assert again.out.splitlines()[-1] == "2 days: 2 unchanged"


def test_program_reads_one_object_a_day(home: Path, mlops: CommandLine) -> None:
    mlops.use(home)
    late = delivered_file(home, "pe", "recargas", DAYS[1])
    late.unlink()
    told = mlops("run", "--to", DAYS[1], "--json")
    assert (told.status, told.err) == (3, ""), told
    first, second = map(json.loads, told.out.splitlines())
    assert (first["day"], first["status"], first["refused"]) == (str(DAYS[0]), "built", [])
    assert first["rows"] > 0
    assert first["decisions"] == first["failures"] == first["undelivered"] == []
    (refusal,) = second["refused"]
    assert (second["status"], refusal["feed"], refusal["geography"]) == ("incomplete", "topups", "pe")
    assert refusal["state"] == "missing"


def test_missing_feed_is_told_each_time_until_it_is_there(home: Path, mlops: CommandLine) -> None:
    mlops.use(home)
    late = delivered_file(home, "pe", "recargas", FIRST_DAY)
    held = withhold(late)
    words = ("run", "--to", FIRST_DAY)
    for _ in range(2):
        told = mlops(*words)
        assert (told.status, told.days) == (3, [(str(FIRST_DAY), "incomplete")]), told
        findings = [line for line in told.out.splitlines() if line.startswith("    ! pe: ")]
        assert len(findings) == 1, told.out
        assert "topups" in findings[0] or late.name in findings[0]
    lake, table = LocalLake(home / "lake"), "etl/subscriber_features"
    assert lake.days(table, "cl") == [FIRST_DAY]
    assert lake.days(table, "pe") == []
    late.write_bytes(held)
    told = mlops(*words)
    assert (told.status, told.days) == (0, [(str(FIRST_DAY), "built")]), told
    assert lake.days(table, "pe") == [FIRST_DAY]


def test_failed_day_is_tried_once_a_command_and_resumed_by_the_next(home: Path, mlops: CommandLine) -> None:
    """No geography delivers usage on the first day; the second day is built all the same."""
    mlops.use(home)
    late = [delivered_file(home, code, NAMES[code]["usage"], FIRST_DAY) for code in GEOGRAPHIES]
    held = [withhold(path) for path in late]
    told = mlops("run", "--to", DAYS[1])
    assert told.status == 1
    assert [day for day, _ in told.days] == [str(day) for day in DAYS[:2]], "one line a day"
    assert told.days[0][1] == "failed"
    assert LocalLake(home / "lake").manifest(day_log_partition(FIRST_DAY)) is None
    for path, content in zip(late, held, strict=True):
        path.write_bytes(content)
    told = mlops("run", "--to", DAYS[1])
    assert told.status == 0, told
    assert dict(told.days) == {str(DAYS[0]): "built", str(DAYS[1]): "built"}
    assert mlops("run", "--to", DAYS[1]).days == [(str(day), "unchanged") for day in DAYS[:2]]


def test_feed_that_tables_can_do_without_stops_nothing(home: Path, mlops: CommandLine) -> None:
    """A day without any DNA file carries the profile forward."""
    mlops.use(home)
    for code in GEOGRAPHIES:
        withhold(delivered_file(home, code, NAMES[code]["dna"], DAYS[1]))
    told = mlops("run", "--to", DAYS[1])
    assert told.status == 3, told
    assert told.days == [(str(DAYS[0]), "built"), (str(DAYS[1]), "incomplete")]
    lake = LocalLake(home / "lake")
    for code in GEOGRAPHIES:
        manifests = [lake.manifest(PartitionId("etl/profile", code, day)) for day in DAYS[:2]]
        assert manifests[0] is not None
        assert manifests[1] is not None
        assert manifests[1].row_count == manifests[0].row_count > 0
        assert lake.manifest(PartitionId("etl/subscriber_features", code, DAYS[1])) is not None
    assert lake.manifest(day_log_partition(DAYS[1])) is not None


def test_day_that_nobody_delivered_fails(home: Path, mlops: CommandLine) -> None:
    mlops.use(home)
    told = mlops("run", "--from", "2027-01-01", "--to", "2027-01-01")
    assert (told.status, told.days) == (1, [("2027-01-01", "failed")])
    assert "nothing was delivered for 2027-01-01" in told.out


def test_days_ahead_of_the_clock_are_days(tmp_path: Path, mlops: CommandLine) -> None:
    """Time is the data's: an operator of the far future is simulated and built like any other."""
    mlops.use(tmp_path)
    told = mlops(
        "sandbox", "init", "--subscribers", 100, "--days", 1, "--first-day", "2031-01-06", "--devices", 5
    )
    assert told.status == 0, told
    told = mlops("run")
    assert (told.status, told.days) == (0, [("2031-01-06", "built")]), told


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["--from", "2026-08-04", "--to", "2026-08-03"], 2, "2026-08-03 is before 2026-08-04"),
        (["--from", "2026-08-02"], 2, "before calendar.first_day 2026-08-03"),
        (["--from", "03.08.2026"], 2, "does not match the format"),
        (["--to", "2026-02-30"], 2, "does not match the format"),
        (["--day", "2026-08-03"], 2, "No such option"),
    ],
)
def test_bad_range_is_refused_before_anything_runs(
    home: Path, mlops: CommandLine, words: list[str], status: int, says: str
) -> None:
    mlops.use(home)
    told = mlops("run", *words)
    assert told.status == status
    assert says in told.err
    assert "Traceback" not in told.err
    assert told.out == ""
    assert not (home / "lake").exists()


def test_empty_landing_zone_says_what_to_do(tmp_path: Path, mlops: CommandLine) -> None:
    mlops.use(tmp_path)
    told = mlops("run")
    assert told.status == 1
    assert told.err.startswith("error: no feed file has been delivered; where: ")
    assert "mlops sandbox init" in told.err
