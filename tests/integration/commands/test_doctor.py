"""`mlops doctor`: what it finds, that it always answers, and that it changes nothing."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test
from dagster._daemon.types import DaemonHeartbeat

from mlops_assets.cli import cli
from mlops_assets.commands import doctor_machine
from mlops_assets.commands.findings import Finding
from mlops_assets.commands.workspace import Workspace, open_workspace
from mlops_assets.config.run_plan import slots
from mlops_assets.domain.mail_ports import MailRejectedError
from resources.own_runs import TAG_PROCESS, own_process
from tests.conventions.repository import ROOT
from tests.fakes.mail import FakeTransport
from tests.integration.command_line import CommandLine
from tests.integration.small_operator import copy_configs
from tests.unit.domain.reporting.sample_mails import NOW, make_message
from tests.unit.resources.ledger_writer import make_entry

AN_HOUR_AGO_AND_MORE_S = 2 * doctor_machine.LEFTOVER_AGE_S


@pytest.fixture
def workspace(tmp_path: Path, mlops: CommandLine) -> Workspace:
    """An empty data root."""
    mlops.use(tmp_path / "var")
    return open_workspace()


def look(mlops: CommandLine) -> tuple[int, dict[str, list[Finding]]]:
    """Run the doctor and return its status and its findings by what was looked at."""
    told = mlops("doctor", "--json")
    found: dict[str, list[Finding]] = {}
    for one in json.loads(told.out)["findings"]:
        found.setdefault(one["part"], []).append(Finding(**one))
    return told.status, found


def wrong(found: dict[str, list[Finding]]) -> dict[str, str]:
    """Return the level of everything that is not as it should be."""
    return {part: one.level for part, some in found.items() for one in some if one.level != "ok"}


def content(home: Path) -> dict[str, str]:
    """Return the hash of every file."""
    files = (path for path in sorted(home.rglob("*")) if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_empty_home_is_fine_and_stays_empty(workspace: Workspace, mlops: CommandLine) -> None:
    told = mlops("doctor")
    lines = told.out.splitlines()
    assert told.status == 0, told
    assert all(re.match(r"(ok|warning) +\S", line) for line in lines[:-1])
    assert re.fullmatch(r"0 problems, \d+ warnings, \d+ ok", lines[-1])
    assert "`mlops sandbox init` simulates an operator" in told.out
    assert not workspace.home.exists()


def test_looking_changes_nothing(workspace: Workspace, mlops: CommandLine) -> None:
    platform = workspace.platform
    platform.ledger.record(make_entry("1", None, slot=next(slots(workspace.config))))
    platform.outbox.entries()
    with workspace.open_instance() as instance:
        create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED)
    before = content(workspace.home)
    assert len(before) > 3
    status, found = look(mlops)
    assert content(workspace.home) == before
    assert status == 1
    assert wrong(found) == {"champions": "problem", "deployment": "warning"}, "its model was never registered"
    assert found["runs"][0].found == "1 under way", "nobody knows that it is not"


def test_run_of_a_killed_command_is_told(workspace: Workspace, mlops: CommandLine) -> None:
    machine = own_process().rsplit("@", 2)[0]
    with workspace.open_instance() as instance:
        tags = {TAG_PROCESS: f"{machine}@{os.getpid()}@1.0"}
        create_run_for_test(instance, tags=tags, status=dg.DagsterRunStatus.STARTED)
        instance.add_daemon_heartbeat(DaemonHeartbeat(0.0, "SENSOR", "a daemon of long ago"))
    _, found = look(mlops)
    assert wrong(found) == {"runs": "warning", "daemon": "warning"}
    assert "their command was killed" in found["runs"][0].found
    assert found["daemon"][0].found == "it has not reported since 1970-01-01 00:00 UTC"


def test_damaged_ledger_is_a_problem_and_the_rest_is_looked_at(
    workspace: Workspace, mlops: CommandLine
) -> None:
    ledger = workspace.home / workspace.config.environment.ledger.database
    ledger.parent.mkdir(parents=True)
    ledger.write_bytes(b"no database" * 100)
    status, found = look(mlops)
    assert status == 1
    assert wrong(found)["ledger"] == "problem"
    assert {"mails", "Dagster", "disk"} <= set(found)


def test_older_and_newer_schemas_are_told(workspace: Workspace, mlops: CommandLine) -> None:
    workspace.platform.ledger.record(make_entry("1", None, slot=next(slots(workspace.config))))
    ledger = workspace.home / workspace.config.environment.ledger.database
    for version, level in ((1, "warning"), (99, "problem")):
        with closing(sqlite3.connect(ledger)) as connection, connection:
            connection.execute(f"PRAGMA user_version = {version}")
        (told,) = look(mlops)[1]["schema of the promotion ledger"]
        assert told.level == level
        assert ("mlops migrate" in told.remedy) == (level == "warning")


def test_decision_of_the_future_means_a_wrong_clock(workspace: Workspace, mlops: CommandLine) -> None:
    ahead = dt.datetime.now(dt.UTC) + dt.timedelta(days=2)
    slot = next(slots(workspace.config))
    workspace.platform.ledger.record(make_entry("1", None, slot=slot, decided_at_utc=ahead))
    assert wrong(look(mlops)[1])["clock"] == "problem"


def test_leftovers_of_interrupted_writes_are_counted(workspace: Workspace, mlops: CommandLine) -> None:
    folder = workspace.home / "lake" / "feeds"
    folder.mkdir(parents=True)
    old, young = folder / f".{'a' * 16}.tmp.parquet", folder / f".{'b' * 16}.tmp.parquet"
    for path in (old, young):
        path.write_bytes(b"half")
    long_ago = old.stat().st_mtime - AN_HOUR_AGO_AND_MORE_S
    os.utime(old, (long_ago, long_ago))
    (told,) = look(mlops)[1]["interrupted writes"]
    assert (told.level, told.found.split(",")[0]) == ("warning", "1 temporary files or folders")
    assert str(old) in told.found


def test_mail_that_was_given_up_is_a_problem(workspace: Workspace, mlops: CommandLine) -> None:
    outbox = workspace.platform.outbox
    outbox.enqueue(make_message(recipients=("gone@operator.example",)), NOW)
    outbox.deliver_due(FakeTransport([MailRejectedError("550 no such user")]), NOW)
    (told,) = look(mlops)[1]["mails"]
    assert (told.level, told.remedy) == ("problem", "mlops mailbox retry")


def test_configuration_that_does_not_load_is_a_problem(
    tmp_path: Path, mlops: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlops.use(tmp_path / "var")
    (tmp_path / "more" / "feeds").mkdir(parents=True)
    (tmp_path / "more" / "feeds" / "bad.yaml").write_text("name: 3\n")
    monkeypatch.setenv("MLOPS_CONFIG_PATHS", str(tmp_path / "more"))
    status, found = look(mlops)
    assert (status, wrong(found)) == (1, {"configuration": "problem"})
    assert "bad.yaml" in found["configuration"][0].found


def test_secrets_and_servers_of_the_environment_are_tried(
    tmp_path: Path, mlops: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = copy_configs(tmp_path / "configs")
    local = configs / "environments" / "local.yaml"
    mail = "{kind: smtp, host: localhost, port: 9, username: me, password_variable: MLOPS_TEST_PASSWORD}"
    local.write_text(f"{local.read_text()}mail: {mail}\n")
    mlops.use(tmp_path / "var", configs)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "elsewhere"))
    status, found = look(mlops)
    assert status == 1
    assert wrong(found) == {"secrets": "problem", "mail server": "problem", "DAGSTER_HOME": "warning"}
    assert found["secrets"][0].remedy == "export MLOPS_TEST_PASSWORD=..."
    monkeypatch.setenv("MLOPS_TEST_PASSWORD", "secret")
    monkeypatch.delenv("DAGSTER_HOME")
    assert wrong(look(mlops)[1]) == {"mail server": "problem"}


@pytest.mark.parametrize(("free", "level"), [(10**11, "ok"), (10**9, "warning"), (10**8, "problem")])
def test_full_disk_is_told(
    free: int, level: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr(doctor_machine.shutil, "disk_usage", lambda _: usage)
    levels = {one.part: one.level for one in doctor_machine.check_disk(workspace.home)}
    assert levels["disk"] == level


@pytest.mark.parametrize(
    ("runtime", "everything", "levels"),
    [
        ("click==0.1", "click==0.1", ["warning"]),
        ("no-such-package==1", "no-such-package==1", ["problem"]),
        ("", "no-such-package==1", ["ok"]),
        ("", 'no-such-package==1 ; sys_platform == "none"', ["ok"]),
    ],
    ids=["other version", "missing", "of developers", "of another system"],
)
def test_packages_are_compared_with_the_lock(
    runtime: str, everything: str, levels: list[str], tmp_path: Path
) -> None:
    for name, lines in (("requirements-runtime.lock", runtime), ("requirements.lock", everything)):
        (tmp_path / name).write_text(
            f"# a lock\n{lines} \\\n    --hash=sha256:00\n" if lines else "# a lock\n"
        )
    assert [one.level for one in doctor_machine.check_packages(tmp_path)] == levels


def named_commands() -> Iterator[str]:
    """Yield the `mlops` commands that the doctor names."""
    for path in sorted((ROOT / "mlops_assets" / "commands").glob("doctor*.py")):
        yield from re.findall(r"[\"'`]mlops ([a-z][a-z -]*)", path.read_text())


@pytest.mark.parametrize("words", sorted(set(named_commands())))
def test_remedies_name_real_commands(words: str) -> None:
    command: click.Command = cli
    for word in words.split(" -", maxsplit=1)[0].split():
        if not isinstance(command, click.Group):
            break  # the rest are arguments
        assert word in command.commands
        command = command.commands[word]
