"""The mailbox folder: readable names, whole files, no way out of the folder."""

from __future__ import annotations

import dataclasses
import email
import email.policy
import errno
import os
from pathlib import Path

import pytest

from mlops_assets.domain.mail_ports import MailDeferredError, OutgoingMail
from mlops_assets.domain.reporting.mail import make_message_id, render_mail
from resources.mailbox import LocalMailbox
from tests.unit.domain.reporting.sample_mails import KEY, NOW, SENDER, make_message


@pytest.fixture
def mail() -> OutgoingMail:
    content = render_mail(make_message(), KEY, sender=SENDER, written_at_utc=NOW)
    return OutgoingMail(12, KEY, make_message_id(KEY, SENDER), SENDER, content)


def test_a_mail_is_a_file_and_a_page(tmp_path: Path, mail: OutgoingMail) -> None:
    LocalMailbox(tmp_path / "box").send(mail)
    message, page = sorted((tmp_path / "box").iterdir())
    assert message.name.startswith("000012-quality-daily_summary-")
    assert (message.suffix, page.suffix) == (".eml", ".html")
    assert message.stem == page.stem
    assert message.read_bytes() == mail.content
    parsed = email.message_from_bytes(message.read_bytes(), policy=email.policy.default)
    assert parsed["Message-ID"] == mail.message_id
    assert "<h1>Señal &amp; día</h1>" in page.read_text(encoding="utf-8")


def test_a_repetition_replaces_the_files(tmp_path: Path, mail: OutgoingMail) -> None:
    mailbox = LocalMailbox(tmp_path)
    mailbox.send(mail)
    newer = render_mail(make_message(text="newer"), KEY, sender=SENDER, written_at_utc=NOW)
    mailbox.send(dataclasses.replace(mail, content=newer))
    assert len(list(tmp_path.iterdir())) == 2
    assert next(tmp_path.glob("*.eml")).read_bytes() == newer


def test_an_outbox_that_began_anew_replaces_no_old_mail(tmp_path: Path, mail: OutgoingMail) -> None:
    mailbox = LocalMailbox(tmp_path)
    other = dataclasses.replace(KEY, partition="pe/2026-09-01")
    mailbox.send(mail)
    mailbox.send(dataclasses.replace(mail, key=other, message_id=make_message_id(other, SENDER)))
    assert len(list(tmp_path.glob("*.eml"))) == 2


@pytest.mark.parametrize("report", ["../../escape", "/etc/passwd", "a\0b", "x" * 500, "Ñandú", ""])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, mail: OutgoingMail, report: str) -> None:
    box = tmp_path / "box"
    LocalMailbox(box).send(dataclasses.replace(mail, key=dataclasses.replace(KEY, report=report)))
    assert len(list(box.iterdir())) == 2
    assert list(tmp_path.iterdir()) == [box]


def test_a_full_disk_defers_the_mail(
    tmp_path: Path, mail: OutgoingMail, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(MailDeferredError, match="full") as caught:
        LocalMailbox(tmp_path).send(mail)
    assert caught.value.is_server_down
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_defers_the_mail(tmp_path: Path, mail: OutgoingMail) -> None:
    (tmp_path / "box").write_text("not a folder")
    with pytest.raises(MailDeferredError, match="cannot be written"):
        LocalMailbox(tmp_path / "box").send(mail)
