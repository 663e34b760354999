"""A small simulated operator, delivered once for all tests that only read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from mlops_assets.domain.feeds.contract import FeedContract, Geography
from mlops_assets.sandbox import simulation
from mlops_assets.sandbox.parameters import BehaviourParameters, PopulationParameters
from mlops_assets.sandbox.sandbox_state import SandboxState

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
FIRST_DAY = dt.date(2026, 1, 5)
# Days before the first delivered one make the world stationary and cost as much as any other.
SHORT_PAST = BehaviourParameters(population=PopulationParameters(burn_in_days=1))


def contracts(*names: str) -> list[FeedContract]:
    found = [
        FeedContract(**yaml.safe_load(path.read_text()))
        for path in sorted((CONFIGS / "feeds").glob("*.yaml"))
    ]
    return [contract for contract in found if not names or contract.name in names]


def geographies(*codes: str) -> list[Geography]:
    listed = yaml.safe_load((CONFIGS / "geographies.yaml").read_text())["geographies"]
    return [Geography(code=code, **listed[code]) for code in codes or ("cl", "pe")]


@dataclass(frozen=True)
class Operator:
    """A sandbox under a temporary folder, with what its commands need."""

    folder: Path
    contracts: list[FeedContract]
    geographies: list[Geography]

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def landing(self) -> Path:
        return self.folder / "landing"

    def _arguments(self) -> tuple[Any, ...]:
        chains = {g.code: [g.code, *([g.like] if g.like else [])] for g in self.geographies}
        return self.root, self.landing, self.contracts, self.geographies, chains

    def start(self, *, subscribers: int = 600, days: int = 2, **more: Any) -> SandboxState:
        more = {"first_day": FIRST_DAY, "events": [], "seed": 7, "behaviour": SHORT_PAST, **more}
        return simulation.init_sandbox(*self._arguments(), subscribers=subscribers, days=days, **more)

    def advance(self, **more: Any) -> SandboxState:
        return simulation.advance(*self._arguments(), **{"behaviour": SHORT_PAST, **more})

    def file(self, feed: str, day: int, geography: str = "cl") -> Path:
        contract = next(c for c in self.contracts if c.name == feed).for_geography([geography])
        return self.landing / geography / contract.file_name(FIRST_DAY + dt.timedelta(days=day))

    def files(self) -> dict[str, bytes]:
        return {str(p.relative_to(self.landing)): p.read_bytes() for p in sorted(self.landing.rglob("*.*"))}

    def named(self, folder: Path) -> Operator:
        return replace(self, folder=folder)


def _reader(source: Path | object) -> str:
    if not isinstance(source, Path):
        return str(source)
    is_csv = source.suffix == ".csv"
    return f"read_csv('{source}', all_varchar=true)" if is_csv else f"read_parquet('{source}')"


def query(sql: str, **sources: object) -> list[tuple[Any, ...]]:
    """Run SQL in which `{name}` stands for the file(s) of a path, or for any other text."""
    readers = {name: _reader(source) for name, source in sources.items()}
    with duckdb.connect(config={"threads": 1}) as connection:
        return connection.execute(sql.format(**readers)).fetchall()


def one(sql: str, **sources: object) -> Any:
    return query(sql, **sources)[0][0]


@pytest.fixture
def build_operator(tmp_path: Path) -> Callable[..., Operator]:
    """Return a maker of operators with some of the feeds and geographies."""

    def build(*feeds: str, codes: tuple[str, ...] = ("cl",), folder: str = "a") -> Operator:
        return Operator(tmp_path / folder, contracts(*feeds), geographies(*codes))

    return build


@pytest.fixture(scope="session")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """Ten days of all feeds of 2,000 subscribers in two geographies."""
    operator = Operator(tmp_path_factory.mktemp("delivered"), contracts(), geographies())
    operator.start(subscribers=2000, days=10)
    return operator
