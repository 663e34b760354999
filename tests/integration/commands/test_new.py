"""`mlops new`: what it writes goes its whole way: checked, parsed, trained, on the graph."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import dagster as dg
import pyarrow.parquet as pq
import pytest
import yaml

from mlops_assets.config.loader import load_project
from mlops_assets.definitions import build_defs
from mlops_assets.domain.feeds.landing import land_feed
from mlops_assets.domain.learning.algorithms import ALGORITHMS
from resources.duckdb_engine import DuckDbEngine
from resources.lake import LocalLake
from resources.landing_zone import LocalLandingZone
from tests.conventions.repository import ROOT
from tests.integration.command_line import CommandLine, Told
from tests.integration.small_operator import copy_configs
from tests.unit.domain.learning import test_algorithms as contract

DAY = dt.date(2026, 8, 3)
SAMPLE = (
    "SaleID;MSISDN;SoldAt;Amount USD;DataMB;no;Note\n"
    "1;56900000001;03/08/2026 10:00:00;12.50;100;A;\n"
    "2;56900000002;03/08/2026 11:30:00;1.00;20;B;late\n"
    "3;56900000002;03/08/2026 23:50:00;7.25;0;A;\n"
)


@pytest.fixture
def more(tmp_path: Path, mlops: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of configuration beside the project's, as `mlops new` writes into it."""
    mlops.use(tmp_path / "var")
    folder = tmp_path / "more"
    folder.mkdir()
    monkeypatch.setenv("MLOPS_CONFIG_PATHS", str(folder))
    return folder


def require_sound(mlops: CommandLine) -> None:
    """The configuration with what was written passes its check."""
    told = mlops("config", "check")
    assert (told.status, told.err) == (0, ""), told


def sample_file(folder: Path) -> Path:
    """Write a delivery of an operator."""
    path = folder / f"sales_{DAY:%Y%m%d}.csv"
    path.write_text(SAMPLE)
    return path


def test_feed_from_a_sample_is_checked_and_parses_its_delivery(
    more: Path, tmp_path: Path, mlops: CommandLine
) -> None:
    told = mlops("new", "feed", "shop_sales", "--from", sample_file(tmp_path), "--into", more)
    assert told.status == 0, told
    assert told.out.splitlines()[0] == f"wrote {more}/feeds/shop_sales.yaml"
    require_sound(mlops)
    config = load_project()
    feed = config.feeds["shop_sales"]
    assert (feed.delimiter, feed.file_pattern, feed.key) == (";", "sales_{day}.csv", ["sale_id"])
    landing = tmp_path / "landing" / "cl"
    landing.mkdir(parents=True)
    sample_file(landing)
    lake, engine = LocalLake(tmp_path / "lake"), DuckDbEngine(1, "300MB", tmp_path / "spill", [tmp_path])
    outcome = land_feed(
        feed,
        config.geographies["cl"],
        ["cl"],
        DAY,
        landing=LocalLandingZone(tmp_path / "landing"),
        lake=lake,
        engine=engine,
    )
    engine.close()
    assert outcome.status == "landed", outcome.findings
    rows = {row["sale_id"]: row for row in pq.read_table(lake.path(outcome.partition, "data")).to_pylist()}
    assert set(rows) == {1, 2, 3}
    assert (rows[1]["amount_usd"], rows[2]["data_mb"], rows[1]["no"]) == (12.5, 20, "A")
    assert rows[2]["sold_at"].isoformat().startswith("2026-08-03T11:30:00")
    assert (rows[1]["note"], rows[2]["note"]) == (None, "late")


def test_feed_without_a_sample_is_sound_too(more: Path, mlops: CommandLine) -> None:
    told = mlops("new", "feed", "sim_swaps", "--into", more, "--owner", "team:network", "--json")
    assert told.status == 0, told
    assert json.loads(told.out)["written"] == [f"{more}/feeds/sim_swaps.yaml"]
    require_sound(mlops)
    assert load_project().feeds["sim_swaps"].owner == "team:network"


@pytest.mark.parametrize(("file", "cadence"), [("sales_20260803.csv", "daily"), ("sales.csv", "snapshot")])
def test_contract_ends_with_one_line_end(
    file: str, cadence: str, more: Path, tmp_path: Path, mlops: CommandLine
) -> None:
    (tmp_path / file).write_text(SAMPLE)
    assert mlops("new", "feed", "shop_sales", "--from", tmp_path / file, "--into", more).status == 0
    require_sound(mlops)
    assert load_project().feeds["shop_sales"].cadence == cadence
    text = (more / "feeds" / "shop_sales.yaml").read_text()
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_use_case_is_checked_and_on_the_graph(more: Path, mlops: CommandLine) -> None:
    told = mlops("new", "use-case", "win_back", "--geography", "cl", "--into", more)
    assert told.status == 0, told
    require_sound(mlops)
    config = load_project()
    assert list(config.use_cases["win_back"]) == ["cl"]
    assert config.geographies["cl"].use_cases[-1] == "win_back"
    assert "win_back" not in config.geographies["pe"].use_cases
    assets = build_defs(config, resources={}).assets or []
    keys = {
        key.to_user_string() for one in assets if isinstance(one, dg.AssetsDefinition) for key in one.keys
    }
    assert {f"{stage}/win_back/win_back_risk" for stage in ("corpus", "model", "champion")} <= keys
    again = mlops("new", "use-case", "come_back", "--geography", "cl", "--into", more)
    assert again.status == 0, "the second one joins the list of the first"
    require_sound(mlops)


def test_use_case_of_the_project_joins_its_geographies(
    tmp_path: Path, mlops: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = copy_configs(tmp_path / "configs")
    for module in ("commands.scaffolds", "config.loader"):
        monkeypatch.setattr(f"mlops_assets.{module}.PROJECT_CONFIGS", configs)
    mlops.use(tmp_path / "var", configs)
    mlops("config", "schema")
    told = mlops("new", "use-case", "win_back")
    assert told.status == 0, told
    assert f"changed {configs}/geographies.yaml" in told.out
    assert "add to CODEOWNERS: /configs/use_cases/win_back.yaml @operator/ml-platform" in told.out
    require_sound(mlops)
    assert list(load_project([configs]).use_cases["win_back"]) == ["cl", "pe"]
    first = (configs / "use_cases" / "win_back.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=../schema/use_case.json"


def test_geography_that_is_named_twice_is_listed_once(more: Path, mlops: CommandLine) -> None:
    for name in ("win_back", "come_back"):
        told = mlops("new", "use-case", name, "--geography", "cl", "--geography", "cl", "--into", more)
        assert told.status == 0, told
        assert (more / "geographies.yaml").read_text().count(name) == 1


def test_first_use_case_needs_a_geography(
    tmp_path: Path, mlops: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing runs anywhere yet, nobody knows where the first one is to run."""
    configs = copy_configs(tmp_path / "configs")
    lists = yaml.safe_load((configs / "geographies.yaml").read_text())
    for entry in lists["geographies"].values():
        entry["use_cases"] = []
    (configs / "geographies.yaml").write_text(yaml.safe_dump(lists))
    for path in (configs / "use_cases").glob("[!_]*.yaml"):
        path.unlink()
    for module in ("commands.scaffolds", "config.loader"):
        monkeypatch.setattr(f"mlops_assets.{module}.PROJECT_CONFIGS", configs)
    mlops.use(tmp_path / "var", configs)
    told = mlops("new", "use-case", "win_back")
    assert (told.status, "no geography runs a use case yet" in told.err) == (2, True), told
    assert not (configs / "use_cases" / "win_back.yaml").exists()


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("feed", "Shop-Sales"), 1, "cannot be the name of a new feed"),
        (("feed", "usage"), 1, "the feed usage is there already"),
        (("use-case", "churn"), 1, "the use case churn is there already"),
        (("use-case", "win_back", "--geography", "xx"), 2, "unknown: 'xx'; one of cl, pe"),
        (("use-case", "win_back", "--owner", "everybody"), 2, "neither team:NAME nor a mail address"),
        (("algorithm", "linear"), 1, "the algorithm linear is there already"),
        (("algorithm", "class"), 1, "cannot be the name of a new algorithm"),
    ],
)
def test_name_that_cannot_be_is_refused_and_nothing_written(
    more: Path, mlops: CommandLine, words: tuple[str, ...], status: int, says: str
) -> None:
    told = mlops("new", *words, "--into", more)
    assert (told.status, says in told.err) == (status, True), told
    assert list(more.iterdir()) == []


def test_nothing_is_written_over_a_file(
    more: Path, mlops: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLOPS_CONFIG_PATHS")  # so that only the file is in the way
    path = more / "use_cases" / "win_back.yaml"
    path.parent.mkdir()
    path.write_text("mine\n")
    told = mlops("new", "use-case", "win_back", "--into", more)
    assert (told.status, "nothing is written over a file" in told.err) == (1, True)
    assert path.read_text() == "mine\n"
    assert not (more / "geographies.yaml").exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xff\xfe\x00", "UTF-8"),
        (b"", "header"),
        (b"1;2\n3;4\n", "a column's name cannot stand in a contract"),
    ],
    ids=["bytes", "empty", "no header"],
)
def test_sample_that_is_none_is_refused(
    content: bytes, says: str, more: Path, tmp_path: Path, mlops: CommandLine
) -> None:
    path = tmp_path / "sample.csv"
    path.write_bytes(content)
    told = mlops("new", "feed", "shop_sales", "--from", path, "--into", more)
    assert (told.status, says in told.err) == (1, True), told
    assert list(more.iterdir()) == []


@pytest.fixture
def plugin(tmp_path: Path, mlops: CommandLine, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of a new algorithm, loaded as if it lay in the project."""
    mlops.use(tmp_path / "var")
    told: Told = mlops("new", "algorithm", "random_splits", "--into", tmp_path / "src")
    assert told.status == 0, told
    path = tmp_path / "src/mlops_assets/domain/learning/algorithms/random_splits.py"
    spec = spec_from_file_location("mlops_assets.domain.learning.algorithms.random_splits", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_algorithm_keeps_the_contract_of_its_family(
    plugin: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its one line, the contract test trains, stores, loads and judges it for every task that it names."""
    algorithm = plugin.RandomSplitsAlgorithm()
    monkeypatch.setitem(ALGORITHMS, "random_splits", algorithm)
    monkeypatch.setitem(contract.SMALL, "random_splits", {"trees": 20})
    checks, tried = contract.TestContract(), 0
    for task in sorted(algorithm.tasks):
        for name in filter(lambda one: one.startswith("test_"), dir(checks)):
            folder = tmp_path / f"{task}-{name}"
            folder.mkdir()
            check = getattr(checks, name)
            more = {"tmp_path": folder} if "tmp_path" in check.__code__.co_varnames else {}
            check("random_splits", task, **more)
            tried += 1
    assert tried == len(algorithm.tasks) * 9


def test_tests_of_a_new_algorithm_pass_and_can_fail(plugin: ModuleType, tmp_path: Path) -> None:
    written = tmp_path / "src/tests/unit/domain/learning/test_random_splits.py"
    plugin_path = Path(str(plugin.__file__))
    (tmp_path / "conftest.py").write_text(
        "import mlops_assets.domain.learning.algorithms as family\n"
        f"family.__path__.append({str(plugin_path.parent)!r})\n"
    )
    assert run_tests(written, tmp_path) == 0
    source = plugin_path.read_text()
    plugin_path.write_text(source.replace("train.y)", "train.y * 0 + [n % 2 for n in range(train.rows)])"))
    assert run_tests(written, tmp_path) == 1, "a model that learns nothing is noticed"


def run_tests(path: Path, root: Path) -> int:
    """Run the tests of a file in a process of their own."""
    words = ["-q", "-p", "no:cacheprovider", "--import-mode=importlib", f"--rootdir={root}", "-c", os.devnull]
    command = [sys.executable, "-m", "pytest", *words, f"--confcutdir={root}", str(path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=root, env=environment, check=False, capture_output=True).returncode


def test_new_sources_keep_the_style_of_the_house(plugin: ModuleType, tmp_path: Path) -> None:
    folder = Path(str(plugin.__file__)).parents[4]
    rules_of_tests = "D103,INP001,S101"  # which pyproject.toml leaves out for tests/**
    check = ["check", "--no-cache", "--ignore", rules_of_tests]
    for words in (check, ["format", "--check", "--no-cache"]):
        command = [
            sys.executable,
            "-m",
            "ruff",
            *words,
            "--config",
            str(ROOT / "pyproject.toml"),
            str(folder),
        ]
        told = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
        assert told.returncode == 0, told.stdout
