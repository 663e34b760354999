"""`mlops mailbox`: what it lists, shows, opens and sends again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from mlops_assets.cli import cli
from mlops_assets.commands.mailbox import deliver_due_mails
from mlops_assets.commands.workspace import Workspace, open_workspace
from mlops_assets.domain.mail_ports import MailRejectedError, MailUnknownError
from tests.fakes.mail import FakeTransport
from tests.unit.domain.reporting.sample_mails import NOW, make_message


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    return open_workspace()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["mailbox", *arguments])


def queue(workspace: Workspace) -> None:
    """One sent mail and a dead one."""
    outbox = workspace.platform.outbox
    outbox.enqueue(make_message(), NOW)
    deliver_due_mails(workspace.platform)
    outbox.enqueue(make_message(recipients=("gone@operator.example",)), NOW)
    outbox.deliver_due(FakeTransport([MailRejectedError("550 no such user")]), NOW)


def test_an_empty_mailbox_says_so(workspace: Workspace) -> None:
    assert run().output == "no mails\n"
    assert run("list", "--json").output.strip() == "[]"
    assert run("retry").output == "no mail is due\n"
    assert not (workspace.home / "mail").exists()


def test_a_list_shows_dead_mails_with_their_reason(workspace: Workspace) -> None:
    queue(workspace)
    dead, reason, sent, total = run().output.splitlines()
    assert "dead" in dead
    assert "gone@operator.example" in dead
    assert reason.strip() == "! 550 no such user"
    assert "sent" in sent
    assert total == "1 sent, 1 dead"
    assert [line["number"] for line in json.loads(run("list", "--json").output)] == [2, 1]
    assert len(json.loads(run("list", "--json", "--state", "dead").output)) == 1


def test_a_mail_is_shown_as_text(workspace: Workspace) -> None:
    queue(workspace)
    assert "(380 <= 600 <= 525)" in run("show", "1").output
    shown = json.loads(run("show", "1", "--json").output)
    assert (shown["state"], shown["recipient"]) == ("sent", "quality@operator.example")
    assert "(380 <= 600 <= 525)" in shown["text"]


def test_a_mail_is_opened_as_a_page(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    queue(workspace)
    opened: list[str] = []
    monkeypatch.setattr(click, "launch", lambda url: opened.append(url) or 0)
    assert run("open", "2").exit_code == 0
    (path,) = (workspace.home / "mail" / "mailbox" / "opened").glob("000002-*.html")
    assert opened == [path.as_uri()]
    assert json.loads(run("open", "2", "--json").output)["path"] == str(path)
    assert len(opened) == 1


def test_an_unknown_mail_is_an_error_with_a_remedy(workspace: Workspace) -> None:
    queue(workspace)
    for command in ("show", "open", "retry"):
        error = run(command, "9").exception
        assert isinstance(error, MailUnknownError), command
        assert "mlops mailbox list" in str(error)


def test_retry_sends_what_was_not_sent(workspace: Workspace) -> None:
    queue(workspace)
    result = run("retry")
    assert (result.exit_code, result.output) == (0, "1 sent\n")
    assert {entry.state for entry in workspace.platform.outbox.entries()} == {"sent"}


def test_retry_of_a_number_sends_newer_content(workspace: Workspace) -> None:
    queue(workspace)
    workspace.platform.outbox.enqueue(make_message(text="newer"), NOW)
    assert "changed since it was sent; `mlops mailbox retry 1`" in run().output
    assert [line["number"] for line in json.loads(run("retry", "1", "--json").output)] == [1]
    (file,) = (workspace.home / "mail" / "mailbox").glob("000001-*.eml")
    assert b"newer" in file.read_bytes()


def test_a_retry_that_fails_is_told_by_the_exit_status(workspace: Workspace) -> None:
    queue(workspace)
    box = workspace.home / "mail" / "mailbox"
    shutil.rmtree(box)
    box.write_text("a file in the way")
    result = run("retry", "1", "2")
    assert result.exit_code == 1
    first, finding, waiting = result.output.splitlines()
    assert first == "1 failed"
    assert finding.startswith("mail 1 (")
    assert waiting.startswith("mail 2 waits: the server is down")
