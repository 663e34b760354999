"""A process that delivers mails, for the tests that kill it.

`python -m tests.unit.resources.mail_deliverer OUTBOX FOLDER NOW` writes each mail's number to standard output once
its file is there, and waits a moment before the outbox may note it.
"""

from __future__ import annotations

import datetime as dt
import sys
import time
from pathlib import Path

from mlops_assets.domain.mail_ports import OutgoingMail
from resources.mail_outbox import SqliteOutbox
from resources.mailbox import LocalMailbox
from tests.unit.domain.reporting.sample_mails import SENDER


class SlowMailbox:
    """A mailbox whose server takes its time to answer."""

    def __init__(self, folder: Path) -> None:
        self.mailbox = LocalMailbox(folder)

    def send(self, mail: OutgoingMail) -> None:
        """Write the mail, say so, and answer late."""
        self.mailbox.send(mail)
        sys.stdout.write(f"{mail.number}\n")
        sys.stdout.flush()
        time.sleep(0.02)


def main() -> None:
    """Read the arguments and deliver what is due."""
    outbox, folder, now = sys.argv[1:]
    SqliteOutbox(Path(outbox), SENDER).deliver_due(
        SlowMailbox(Path(folder)), dt.datetime.fromisoformat(now), budget_s=60.0
    )


if __name__ == "__main__":
    main()
