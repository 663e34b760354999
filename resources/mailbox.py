"""A folder in place of a mail server: each mail as a file that a mail program opens, and as a page.

Belongs here: the names of the files and writing them. Does not belong here: their content
(`domain.reporting.mail`, `domain.reporting.mail_preview`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.domain.errors import StorageError
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.mail_ports import MailDeferredError, OutgoingMail
from mlops_assets.domain.reporting.mail_preview import render_mail_preview
from resources.atomic_files import write_atomic

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class LocalMailbox:
    """Writes mails into a folder; a mail that is sent again replaces its files.

    Attributes:
        folder: created with the first mail.
    """

    folder: Path

    def send(self, mail: OutgoingMail) -> None:
        """Write the mail as `.eml` and, for a browser, as `.html`.

        Raises:
            MailDeferredError: the disk is full or the folder cannot be written.
        """
        try:
            # The page first: where the mail is, its page is too.
            self.save_page(mail)
            write_atomic(self._path(mail, ".eml"), mail.content)
        except StorageError as error:
            raise MailDeferredError(
                f"the mailbox folder cannot be written: {error.what}",
                where=error.where,
                expected=error.expected,
                remedy=error.remedy,
                is_server_down=True,
            ) from error

    def save_page(self, mail: OutgoingMail) -> Path:
        """Write the page alone and return its path; this is how a mail that went elsewhere is looked at.

        Raises:
            StorageError: the disk is full or the folder cannot be written.
        """
        path = self._path(mail, ".html")
        write_atomic(path, render_mail_preview(mail.content).encode())
        return path

    def page_path(self, mail: OutgoingMail) -> Path:
        """Return where the page of a mail is, if it was sent."""
        return self._path(mail, ".html")

    def _path(self, mail: OutgoingMail, suffix: str) -> Path:
        """Return a name made of number, report and identity; never of a header, which may hold anything."""
        report = re.sub(r"[^a-z0-9_-]+", "-", mail.key.report.lower())[:60].strip("-")
        return self.folder / f"{mail.number:06d}-{report}-{stable_hash(mail.message_id)[:8]}{suffix}"
