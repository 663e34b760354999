"""A new geography from its lines of YAML to its first champion: announced by the plan, then come by itself."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from mlops_assets.commands.replay import Replay
from mlops_assets.commands.sandbox import sandbox_arguments
from mlops_assets.sandbox.simulation import advance
from tests.integration.command_line import CommandLine
from tests.integration.loop.conftest import NEXT_DAY, Loop
from tests.integration.loop.test_third_geography import COLOMBIA
from tests.integration.small_operator import FIRST_DAY, GEOGRAPHIES, READY_DAY, RESTLESS, slot_in

HISTORY_DAYS = (READY_DAY - FIRST_DAY).days + 1
LAST_DAY = NEXT_DAY + dt.timedelta(days=HISTORY_DAYS)


def commit_all(repository: Path) -> None:
    """Make a repository of a folder, with everything in it committed."""
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@operator.example"]
    for words in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-q", "-m", "as it is"]):
        subprocess.run(["git", "-C", str(repository), *words], check=True, capture_output=True)


@pytest.mark.slow
def test_a_few_lines_lead_to_a_first_champion(
    own: Loop, tmp_path: Path, mlops: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = Path(shutil.copytree(own.configs, tmp_path / "repository" / "configs"))
    commit_all(configs.parent)
    with (configs / "geographies.yaml").open("a") as file:
        file.write(COLOMBIA)
    mlops.use(own.home, configs)
    told = mlops("config", "plan", "--against", "HEAD", "--json")
    assert (told.status, told.err) == (2, "")
    announced = json.loads(told.out)
    assert [(s["use_case"], s["model"], s["segment"], s["action"]) for s in announced["slots"]] == [
        ("churn", "churn_risk", "co", "added")
    ]
    expected = (
        f"first champion of churn/churn_risk in co: trained by itself after {HISTORY_DAYS} days of data"
    )
    assert announced["consequences"][0].startswith(expected)

    changed = Loop(own.home, configs)
    ledger = changed.workspace.platform.ledger
    before = [ledger.champion(slot_in(code)) for code in GEOGRAPHIES]
    advance(**sandbox_arguments(changed.workspace), days=HISTORY_DAYS, behaviour=RESTLESS)
    monkeypatch.setenv("DAGSTER_HOME", str(own.home / "dagster_home"))
    with changed.workspace.open_instance() as instance:
        results = Replay(changed.workspace, instance).run(NEXT_DAY, LAST_DAY, lambda _: None)
    decided = {str(r.day): [(e.slot.segment, e.outcome) for e in r.decisions] for r in results if r.decisions}
    assert decided == {str(LAST_DAY): [("co", "promoted")]}
    assert ledger.champion(slot_in("co")) is not None
    assert [ledger.champion(slot_in(code)) for code in GEOGRAPHIES] == before
