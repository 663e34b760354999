"""`mlops sandbox`: an operator is started, lives on and has accidents, by command."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.command_line import CommandLine
from tests.integration.small_operator import GEOGRAPHIES, day_number

INIT = ("sandbox", "init", "--subscribers", 100, "--devices", 5, "--days", 1)


def delivered(home: Path) -> list[str]:
    """Return the delivered files, `geography/name`."""
    landing = home / "landing"
    return sorted(path.relative_to(landing).as_posix() for path in landing.rglob("*") if path.is_file())


def test_operator_is_started_and_lives_on(tmp_path: Path, mlops: CommandLine) -> None:
    mlops.use(tmp_path)
    told = mlops(*INIT)
    assert (told.status, told.err) == (0, "")
    assert [line.split()[:2] for line in told.out.splitlines()[:-1]] == [
        [str(day_number(0)), code] for code in GEOGRAPHIES
    ]
    assert str(tmp_path / "landing") in told.out.splitlines()[-1]
    first = delivered(tmp_path)
    assert len(first) == 2 * 9
    told = mlops("sandbox", "day")
    assert told.status == 0
    assert [line.split()[0] for line in told.out.splitlines()] == [str(day_number(1))] * 2
    second = delivered(tmp_path)
    assert set(first) < set(second)
    assert len(second) == 2 * len(first)


def test_other_operator_in_the_same_place_is_refused(tmp_path: Path, mlops: CommandLine) -> None:
    mlops.use(tmp_path)
    assert mlops(*INIT).status == 0
    before = delivered(tmp_path)
    told = mlops(*INIT, "--seed", 5)
    assert told.status == 1
    assert told.err.startswith("error: ")
    assert "Traceback" not in told.err
    assert delivered(tmp_path) == before


def test_day_without_operator_says_what_to_do(tmp_path: Path, mlops: CommandLine) -> None:
    mlops.use(tmp_path)
    told = mlops("sandbox", "day")
    assert told.status == 1
    assert "there is no sandbox" in told.err
    assert "mlops sandbox init" in told.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--first-day", "2026-08-02"], "before calendar.first_day"),
        (["--subscribers", "99"], "x>=100"),
        (["--days", "-1"], "x>=0"),
    ],
)
def test_impossible_operator_is_refused(
    tmp_path: Path, mlops: CommandLine, words: list[str], says: str
) -> None:
    mlops.use(tmp_path)
    told = mlops("sandbox", "init", *words)
    assert told.status == 2
    assert says in told.err
    assert not list(tmp_path.iterdir())


def test_scripted_accident_happens_on_its_day(tmp_path: Path, mlops: CommandLine) -> None:
    mlops.use(tmp_path)
    assert mlops(*INIT).status == 0
    words = ("sandbox", "events", "add", "missing_file", "--geography", "pe", "--from", day_number(1))
    told = mlops(*words, "--set", "feed=usage")
    assert (told.status, told.out) == (0, f"scripted missing_file from {day_number(1)}\n")
    listed = mlops("sandbox", "events", "list").out.splitlines()
    assert [line for line in listed if "missing_file feed=usage" in line and " pe " in line]
    assert mlops("sandbox", "day").status == 0
    names = [name for name in delivered(tmp_path) if f"{day_number(1):%Y%m%d}" in name]
    assert f"cl/usage_{day_number(1):%Y%m%d}.parquet" in names
    assert f"pe/consumo_{day_number(1):%Y%m%d}.parquet" not in names


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["earthquake", "--from", "2026-08-20"], 2, "'earthquake' is not one of"),
        (
            ["missing_file", "--geography", "xx", "--from", "2026-08-20"],
            2,
            "unknown: 'xx'; one of cl, pe",
        ),
        (["missing_file"], 2, "--from"),
        (["missing_file", "--from", "2026-08-20", "--set", "feed"], 2, "'feed' is not NAME=VALUE"),
        (["missing_file", "--from", "2026-08-20", "--set", "fed=usage"], 2, "did you mean 'feed'"),
        (["missing_file", "--from", "2026-08-20", "--to", "2026-08-19"], 2, "lies before first_day"),
        (["missing_file", "--from", "2026-08-03"], 1, "that day is already delivered"),
    ],
)
def test_impossible_event_is_refused(
    home: Path, mlops: CommandLine, words: list[str], status: int, says: str
) -> None:
    mlops.use(home)
    told = mlops("sandbox", "events", "add", *words)
    assert told.status == status
    assert says in told.err
    assert mlops("sandbox", "events", "list").out == "no events\n"
