"""One page of each kind that people read, from samples.

Belongs here: kinds and their samples. Does not belong here: how they are looked at (the tests).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from mlops_assets.domain.mail_ports import MailEntry
from mlops_assets.domain.ports import LedgerEntry
from mlops_assets.domain.reporting.alert_mail import make_alert_messages
from mlops_assets.domain.reporting.anomaly_report_page import render_anomaly_html, render_anomaly_mail
from mlops_assets.domain.reporting.fleet_report_page import render_fleet_html
from mlops_assets.domain.reporting.ladder_report_page import make_ladder_message, render_ladder_html
from mlops_assets.domain.reporting.lineage_page import LineageNode, render_lineage_page
from mlops_assets.domain.reporting.list_pages import render_ledger_page, render_mails_page
from mlops_assets.domain.reporting.mail import MailMessage, make_csv_attachment, render_mail
from mlops_assets.domain.reporting.mail_preview import render_mail_preview
from mlops_assets.domain.reporting.model_card_page import render_model_card_html
from mlops_assets.domain.reporting.offer_report_page import render_offer_html
from mlops_assets.domain.reporting.quality_summary_page import render_summary_html, render_summary_mail
from mlops_assets.domain.reporting.report_index import build_report_index
from mlops_assets.domain.reporting.report_mail import MailBody, render_mail_body
from mlops_assets.domain.reporting.retraining_report_page import (
    make_retraining_message,
    render_retraining_html,
)
from mlops_assets.domain.reporting.run_summary import render_run_summary_html
from mlops_assets.domain.reporting.tables import Mark, make_table
from mlops_assets.domain.reporting.utilisation_page import render_utilisation_html
from tests.unit.domain.reporting import (
    test_alert_mail,
    test_fleet_report,
    test_ladder_report,
    test_list_pages,
    test_offer_report,
    test_quality_summary,
    test_retraining_report_page,
    test_utilisation,
)
from tests.unit.domain.reporting.sample_anomalies import make_report as make_anomalies
from tests.unit.domain.reporting.sample_cards import make_card
from tests.unit.domain.reporting.sample_mails import NOW, SENDER
from tests.unit.domain.reporting.sample_summaries import make_summary
from tests.unit.resources.ledger_writer import make_entry

_TO = ("quality@operator.example",)
_DAY = dt.date(2026, 9, 20)
_LONG_NAME = "personalized_offer/topup_amount_usd_cents/without_a_place_to_break"


def _preview(html: str) -> str:
    """Return a mail as a browser shows it, with a file in it."""
    attachment = make_csv_attachment("offers_of_a_week.csv", ["day", "offers"], [["2026-09-20", 5]])
    message = MailMessage(
        "quality/daily_summary", "cl/2026-09-20", "Quality", html, "text", _TO, (attachment,)
    )
    return render_mail_preview(
        render_mail(message, message.mail_keys()[0], sender=SENDER, written_at_utc=NOW)
    )


def _mail_of_long_words() -> str:
    """Return the mail of a held delivery in its worst form: a hash and a name without a place to break."""
    table = make_table("Findings", ["What was found", "Suspected cause"], [(_LONG_NAME, "values " * 30)])
    commands = [(f"mlops feeds release usage cl 2026-09-08 --sha256 {64 * 'a'}", "uses exactly these bytes")]
    body = MailBody(
        "Held: usage of cl", Mark("Held", "bad"), lines=[90 * "="], tables=[table], commands=commands
    )
    return _preview(render_mail_body(body, data_day=_DAY))


def _alert() -> str:
    return _preview(next(make_alert_messages([test_alert_mail.RUN], [], _TO)).html)


def _index() -> str:
    card = render_model_card_html(make_card()).encode()
    names = ("model_cards/a/version-1.html", "model_cards/a/version-2.html", "model_cards/a/version-10.csv")
    return build_report_index([*((name, card) for name in names), (f"{_LONG_NAME}.parquet", b"")])


def _ledger() -> str:
    entries: list[LedgerEntry] = [
        make_entry(str(number), None, reasons=(_LONG_NAME,)) for number in (1, 2, 10)
    ]
    return render_ledger_page(entries, lambda one: f"retraining/version-{one.version}.html")


def _mails() -> str:
    entries: list[MailEntry] = [test_list_pages.mail(number, f"subject {number}") for number in (1, 2, 10)]
    return render_mails_page(entries, lambda one: f"../mail/{one.number}.html", _DAY)


def _lineage() -> str:
    nodes = [
        LineageNode(key="feeds/usage", stage="feeds", group="shared"),
        LineageNode(key="etl/usage_daily", stage="etl", group="shared", parents=("feeds/usage",)),
        LineageNode(key=f"model/{_LONG_NAME}", stage="model", group="churn", parents=("etl/usage_daily",)),
    ]
    return render_lineage_page(nodes, ("feeds", "etl", "model"), _DAY)


def _utilisation() -> str:
    steps = ("model/churn/churn_risk", "etl/profile", "feeds/usage")
    return render_utilisation_html(test_utilisation.build(*map(test_utilisation.step, steps)))


REPORTS: dict[str, Callable[[], str]] = {
    "index": _index,
    "ledger": _ledger,
    "mails": _mails,
    "lineage": _lineage,
    "run_summary": lambda: render_run_summary_html(make_summary()),
    "model_card": lambda: render_model_card_html(make_card()),
    "anomalies": lambda: render_anomaly_html(make_anomalies()),
    "retraining": lambda: render_retraining_html(test_retraining_report_page.make_report()),
    "ladder": lambda: render_ladder_html(test_ladder_report.make_report()),
    "fleet": lambda: render_fleet_html(test_fleet_report.report()),
    "offers": lambda: render_offer_html(test_offer_report.make_week()),
    "daily_summary": lambda: render_summary_html(test_quality_summary.make_daily()),
    "utilisation": _utilisation,
}
MAILS: dict[str, Callable[[], str]] = {
    "anomaly_mail": lambda: _preview(render_anomaly_mail(make_anomalies())),
    "summary_mail": lambda: _preview(render_summary_mail(test_quality_summary.make_daily())),
    "retraining_mail": lambda: _preview(
        make_retraining_message(test_retraining_report_page.make_report(), _TO).html
    ),
    "long_mail": _mail_of_long_words,
    "alert_mail": _alert,
    "ladder_mail": lambda: _preview(make_ladder_message(test_ladder_report.make_report(), _TO).html),
}
