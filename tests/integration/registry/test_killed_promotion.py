"""A promotion killed at each of its steps: the old state or the new one, and a command says which and repairs."""

from __future__ import annotations

import datetime as dt
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_assets.domain.learning.approval import ApprovalSpec
from mlops_assets.domain.learning.promotion import judge_challenger
from mlops_assets.domain.learning.training import read_challenger, train_challenger
from tests.integration.command_line import CommandLine
from tests.integration.registry.promotion_killer import GATE, STEPS, open_stores, promote
from tests.integration.small_operator import build_once, copy_home
from tests.unit.domain.learning.samples import FEATURES
from tests.unit.domain.learning.small_world import DECIDED, SLOT, STAMPS, SmallWorld, make_request

PROJECT = Path(__file__).resolve().parents[3]
NAME = SLOT.registered_name
# What a person approves takes the same way to the aliases, so that three steps are enough there.
CASES = [("gate", step) for step in STEPS] + [
    pytest.param("person", step, marks=pytest.mark.slow)
    for step in ("before_record", "in_transaction", "after_record")
]


def _build(home: Path) -> None:
    """Make version 1 champion and train a better version 2."""
    world = SmallWorld(home)
    world.publish_corpus()
    lake, registry, ledger = open_stores(home)
    for features in (FEATURES[:2], FEATURES):
        request = make_request(features=features)
        challenger = train_challenger(request, lake=lake, registry=registry, stamps=STAMPS)
        if challenger.version == "1":
            entry = judge_challenger(
                challenger,
                make_request(features=features, **GATE),
                lake=lake,
                registry=registry,
                ledger=ledger,
                decided_at_utc=DECIDED,
            )
            assert entry.outcome == "promoted", entry.reasons
    world.engine.close()


@pytest.fixture(scope="module")
def duel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with a champion and a better challenger; only to be copied."""
    return build_once(tmp_path_factory, "duel", _build)


@pytest.fixture
def own_home(duel: Path, tmp_path: Path) -> Path:
    """A copy of the test's own."""
    return copy_home(duel, tmp_path / "home")


def leave_pending(home: Path) -> None:
    """Let the gate leave version 2 to a person."""
    lake, registry, ledger = open_stores(home)
    entry = judge_challenger(
        read_challenger(lake, SLOT),
        make_request(**GATE),
        lake=lake,
        registry=registry,
        ledger=ledger,
        decided_at_utc=dt.datetime.now(dt.UTC),  # commands live by the clock: it must not be overdue
        approval=ApprovalSpec(mode="manual"),
    )
    assert entry.outcome == "pending"


@pytest.mark.parametrize(("action", "step"), CASES)
def test_death_leaves_old_or_new_and_the_next_command_says_which(
    own_home: Path, mlops: CommandLine, action: str, step: str
) -> None:
    if action == "person":
        leave_pending(own_home)
    killed = subprocess.run(
        [sys.executable, "-m", "tests.integration.registry.promotion_killer", str(own_home), action, step],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    _, registry, ledger = open_stores(own_home)
    version = "2" if STEPS[step] else "1"
    ledger.verify()
    champion = ledger.champion(SLOT)
    assert champion is not None
    assert champion.version == version
    is_behind = registry.aliases(NAME)["champion"] != version
    assert is_behind == (step in {"after_record", "before_first_alias"})

    mlops.use(own_home)
    told = mlops("champions", "--json")
    assert told.status == 0, told
    slots = {f"{one['use_case']}.{one['model']}.{one['segment']}": one for one in json.loads(told.out)}
    assert slots[NAME]["version"] == version
    assert (f"repaired: {NAME}" in told.err) == (
        is_behind or (action == "gate" and step == "after_first_alias")
    )
    assert registry.aliases(NAME)["champion"] == version
    assert "repaired" not in mlops("champions").err

    assert promote(own_home, action).version == "2", "trying again ends as if nobody had died"
    assert registry.aliases(NAME) == {"champion": "2", "challenger": "2"}
    ledger.verify()
