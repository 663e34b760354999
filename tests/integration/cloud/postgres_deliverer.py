"""A process that delivers mails from PostgreSQL and is killed once a mail has left.

`python -m tests.integration.cloud.postgres_deliverer URL FOLDER NOW`: the outbox never hears of the delivery.
"""

from __future__ import annotations

import datetime as dt
import os
import signal
import sys
from pathlib import Path

from sqlalchemy import make_url

from mlops_assets.domain.mail_ports import OutgoingMail
from resources.mailbox import LocalMailbox
from resources.postgres_stores import PostgresOutbox
from tests.unit.domain.reporting.sample_mails import SENDER


class DeadlyMailbox:
    """Takes a mail and ends the process."""

    def __init__(self, folder: Path) -> None:
        self.mailbox = LocalMailbox(folder)

    def send(self, mail: OutgoingMail) -> None:
        """Write the mail, then die as by a power cut."""
        self.mailbox.send(mail)
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    url, mail_folder, now = sys.argv[1:]
    outbox = PostgresOutbox(lambda: make_url(url), SENDER)
    outbox.deliver_due(DeadlyMailbox(Path(mail_folder)), dt.datetime.fromisoformat(now))
