"""Which days of the simulated operator may come ahead, and that they are the same days then."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import Executor, Future
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlops_assets.commands import operator_process
from mlops_assets.commands.operator_process import OperatorProcess, may_deliver_ahead
from mlops_assets.commands.sandbox import sandbox_arguments
from mlops_assets.commands.workspace import Workspace
from mlops_assets.config.loader import load_project
from mlops_assets.config.policy_slots import policy_slots
from mlops_assets.sandbox.simulation import init_sandbox
from tests.unit.resources.ledger_writer import make_entry

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_DAY = dt.date(2026, 8, 3)


def day(number: int) -> dt.date:
    return FIRST_DAY + dt.timedelta(days=number)


class HereAndNow(Executor):
    """A pool that does everything at once in this process, and counts."""

    def __init__(self) -> None:
        self.asked: list[dt.date] = []

    def submit(self, act: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """Do it and return what came of it."""
        self.asked.append(arguments[1])
        future: Future[Any] = Future()
        future.set_result(act(*arguments, **named))
        return future


def start(home: Path) -> Workspace:
    config = load_project()
    workspace = Workspace(home, config.model_copy(update={"geographies": {"cl": config.geographies["cl"]}}))
    init_sandbox(
        **sandbox_arguments(workspace), subscribers=100, first_day=FIRST_DAY, days=0, seed=3, events=[]
    )
    return workspace


def landed(home: Path) -> dict[str, str]:
    files = sorted(path for path in (home / "landing").rglob("*") if path.is_file())
    return {str(path.relative_to(home)): sha256(path.read_bytes()).hexdigest() for path in files}


def test_days_that_come_ahead_are_the_same_days(tmp_path: Path) -> None:
    one_by_one, ahead = start(tmp_path / "one"), start(tmp_path / "ahead")
    pool = HereAndNow()
    operator = OperatorProcess(pool)  # type: ignore[arg-type]  # an executor like any other
    for number in range(2):
        operator.wait(one_by_one, day(number))
    assert pool.asked == [day(0), day(1)]
    pool = HereAndNow()
    operator = OperatorProcess(pool)  # type: ignore[arg-type]
    operator.order_ahead(ahead, day(1))
    for number in range(2):
        operator.wait(ahead, day(number))
    assert pool.asked == [day(1)], "what is asked for is not asked for twice"
    files = landed(tmp_path / "one")
    assert len(files) >= 18
    assert landed(tmp_path / "ahead") == files


def test_nothing_comes_ahead_once_something_is_offered(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, load_project())
    slot = next(iter(policy_slots(workspace.config)))
    assert may_deliver_ahead(workspace)
    workspace.platform.ledger.record(make_entry("1", None, slot=slot, outcome="rejected"))
    assert may_deliver_ahead(workspace), "a policy that is not used offers nothing"
    workspace.platform.ledger.record(make_entry("2", None, slot=slot, outcome="promoted"))
    assert not may_deliver_ahead(workspace)
    pool = HereAndNow()
    OperatorProcess(pool).order_ahead(workspace, day(0))  # type: ignore[arg-type]
    assert pool.asked == []


def test_an_operator_that_fails_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(tmp_path, load_project())
    failed: Future[None] = Future()
    failed.set_exception(OSError("disk full"))
    operator = OperatorProcess(HereAndNow())  # type: ignore[arg-type]
    monkeypatch.setattr(operator_process.OperatorProcess, "order", lambda *_: None)
    operator._ordered[day(2)] = failed
    with pytest.raises(OSError, match="disk full"):
        operator.wait(workspace, day(1))


def test_whoever_wants_to_know_is_told_of_days_that_were_delivered(tmp_path: Path) -> None:
    workspace, told = start(tmp_path), list[dt.date]()
    operator = OperatorProcess(HereAndNow(), told.append)  # type: ignore[arg-type]
    operator.order(workspace, day(0))
    assert told == [day(0)]
    failed: Future[None] = Future()
    failed.set_exception(OSError("disk full"))
    operator._tell(day(1), failed)
    assert told == [day(0)], "nothing of a day that failed"
