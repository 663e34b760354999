"""`mlops config`, `mlops train`, `mlops demo`: what they say, and how they end."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.integration.command_line import CommandLine
from tests.integration.small_operator import copy_configs


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    """A copy of the project's configs."""
    return copy_configs(tmp_path / "configs")


def test_sound_configuration_is_counted(tmp_path: Path, configs: Path, mlops: CommandLine) -> None:
    mlops.use(tmp_path, configs)
    assert mlops("config", "schema").status == 0
    feeds = len(list((configs / "feeds").glob("*.yaml")))
    told = mlops("config", "check")
    assert (told.status, told.err) == (0, "")
    counted = rf"ok: {feeds} feeds, 2 geographies, \d+ use cases with \d+ segments, environment local"
    assert re.fullmatch(rf"{counted} \(there are gcp, local, staging\)\n", told.out)


def test_all_faults_are_told_with_file_and_line(tmp_path: Path, configs: Path, mlops: CommandLine) -> None:
    mlops.use(tmp_path, configs)
    use_case, feed = configs / "use_cases" / "churn.yaml", configs / "feeds" / "topups.yaml"
    use_case.write_text(use_case.read_text().replace("      - avg_freq\n", "      - avg_frequ\n"))
    feed.write_text(feed.read_text().replace("min_rows: 0", "min_row: 0"))
    told = mlops("config", "check")
    assert (told.status, told.out) == (1, "")
    assert told.err.startswith("error: ")
    assert re.search(r"topups\.yaml:\d+", told.err)
    assert "min_row" in told.err
    assert "Traceback" not in told.err
    feed.write_text(feed.read_text().replace("min_row: 0", "min_rows: 0"))
    told = mlops("config", "check")
    assert told.status == 1
    assert re.search(r"churn\.yaml:\d+", told.err)
    assert "avg_freq" in told.err


def test_stale_schema_is_found_and_renewed(tmp_path: Path, configs: Path, mlops: CommandLine) -> None:
    mlops.use(tmp_path, configs)
    assert mlops("config", "schema").status == 0
    schema = configs / "schema" / "feed.json"
    recorded = schema.read_text()
    schema.write_text("{}")
    told = mlops("config", "check")
    assert told.status == 1
    assert "stale schemas: feed.json" in told.err
    assert "mlops config schema" in told.err
    told = mlops("config", "schema")
    assert told.status == 0
    assert str(schema) in told.out
    assert json.loads(schema.read_text()) == json.loads(recorded)
    assert mlops("config", "check").status == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["chrn"], "unknown: 'chrn'; one of churn"),
        (["churn", "--segment", "xx"], "unknown: 'xx'; one of cl, pe"),
        (["churn", "--as-of", "yesterday"], "does not match the format"),
        ([], "Missing argument 'USE_CASE'"),
    ],
)
def test_training_of_something_unknown_is_refused(
    tmp_path: Path, mlops: CommandLine, words: list[str], says: str
) -> None:
    mlops.use(tmp_path)
    told = mlops("train", *words)
    assert told.status == 2
    assert says in told.err
    assert not list(tmp_path.iterdir())


def test_training_without_data_fails_and_says_why(tmp_path: Path, mlops: CommandLine) -> None:
    mlops.use(tmp_path)
    told = mlops("train", "churn", "--segment", "pe")
    assert told.status == 1
    assert told.out.startswith("churn pe: failed\n")
    assert "no day is delivered" in told.out


def test_demo_builds_its_days_and_says_where_to_look(tmp_path: Path, mlops: CommandLine) -> None:
    mlops.use(tmp_path)
    told = mlops("demo", "--subscribers", 1000, "--days", 3)
    assert (told.status, told.err) == (0, ""), told
    assert [status for _, status in told.days] == ["built"] * 3
    for place in ("make dev", "make mlflow", "Landing zone", "Lake", f"everything is kept in {tmp_path}"):
        assert place in told.out
    last = told.out.splitlines()[-1]
    assert last.startswith("1 of 1 chapters came true in ")
    index = Path(last.partition("Start here: ")[2])
    assert index.is_relative_to(tmp_path)
    page = index.read_text()
    linked = re.findall(r'href="([^"#:]+\.html)"', page)
    assert linked
    assert all((index.parent / name).is_file() for name in linked)
    assert "not enough history yet" in told.out
