"""The mail about an activation that failed.

Belongs here: what it says. Does not belong here: when it is sent (activation) or how (the outbox).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from mlops_assets.domain.errors import PlatformError
from mlops_assets.domain.ports import LedgerEntry
from mlops_assets.domain.reporting.mail import MailMessage
from mlops_assets.domain.reporting.report_mail import MailBody, render_mail_body
from mlops_assets.domain.reporting.tables import Code, Mark, make_table

REPORT = "deployment/activation_failed"
_MOST_CHARACTERS = 500


def make_activation_mail(
    entry: LedgerEntry,
    error: PlatformError,
    *,
    serving_version: str | None,
    recipients: Sequence[str],
    at_utc: dt.datetime,
) -> MailMessage:
    """Return the mail: one for each decision, however often its activation is tried.

    Args:
        entry: the promotion that could not be activated.
        error: why.
        serving_version: what serves meanwhile; None for nothing.
        recipients: of the use case.
        at_utc: time of the attempt.
    """
    slot = entry.slot
    meanwhile = (
        f"version {serving_version} goes on serving" if serving_version else "nothing serves this slot"
    )
    title = f"{slot.registered_name}: version {entry.version} could not be activated"
    facts = [
        ("Promoted version", entry.version),
        ("Decision", entry.decision_id),
        ("Bundle", entry.bundle_sha256),
        ("Meanwhile", meanwhile),
        *_describe(error),
    ]
    command = ("mlops deploy update", "tries again, once the cause is removed")
    body = MailBody(
        title=title,
        verdict=Mark("activation failed", "bad"),
        tables=[make_table("What happened", ["Fact", "Value"], [(name, Code(text)) for name, text in facts])],
        notes=[
            "The ledger's decision stands; the deployment pointer was left at, or returned to, what served."
        ],
        commands=[command],
    )
    return MailMessage(
        report=REPORT,
        partition=f"{slot.use_case}/{slot.model}/{slot.segment}/{entry.decision_id}",
        subject=title[:200],
        html=render_mail_body(body, data_day=entry.as_of_day or at_utc.date()),
        text="\n".join([title, "", *(f"{name}: {text}" for name, text in facts), "", ": ".join(command)]),
        recipients=tuple(recipients),
    )


def _describe(error: PlatformError) -> list[tuple[str, str]]:
    parts = [
        ("Error", error.what),
        ("Where", error.where),
        ("Expected", error.expected),
        ("Remedy", error.remedy),
    ]
    return [(name, text[:_MOST_CHARACTERS]) for name, text in parts if text]
