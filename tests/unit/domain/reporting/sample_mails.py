"""Mails for tests."""

from __future__ import annotations

import datetime as dt
from typing import Any

from mlops_assets.domain.reporting.mail import MailKey, MailMessage

NOW = dt.datetime(2026, 9, 2, 6, 30, tzinfo=dt.UTC)
SENDER = "mlops@operator.example"
KEY = MailKey("quality/daily_summary", "cl/2026-09-01", "quality@operator.example")
PAGE = (
    "<!DOCTYPE html>\n<html lang='en'>\n<head><title>Quality</title></head>\n"
    "<body><h1>Señal &amp; día</h1></body>\n</html>\n"
)


def make_message(**changes: object) -> MailMessage:
    """Return the daily summary of a day, for one recipient."""
    fields: dict[str, Any] = {
        "report": KEY.report,
        "partition": KEY.partition,
        "subject": "Quality of 2026-09-01, Chile: 2 anomalies",
        "html": PAGE,
        "text": "Señal & día: 2 anomalies => (380 <= 600 <= 525)\n",
        "recipients": (KEY.recipient,),
    }
    return MailMessage(**{**fields, **changes})
