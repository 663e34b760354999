"""The day's alert list for the people who look after the devices: as a mail and as a file.

Belongs here: how it is laid out. Does not belong here: which devices are on it and why (learning.fleet_alerts).

Devices are named; nobody's data are in it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlops_assets.domain.model_base import Record
from mlops_assets.domain.reporting.formats import (
    format_count,
    format_counted,
    format_money,
    format_name,
    format_share,
)
from mlops_assets.domain.reporting.mail import MailMessage, make_csv_attachment
from mlops_assets.domain.reporting.report_mail import MailBody, render_mail_body, render_mail_text
from mlops_assets.domain.reporting.tables import Mark, Table, make_table

COLUMNS = ("rank", "group", "probability", "expected_saving_usd", "model", "version", "reasons")
_FOOTER = "Devices of the network only, no data of any subscriber."
_HOW = (
    "Probability: of an event within the horizon. Expected saving: probability x cost of a missed event less "
    "(1 - probability) x cost of a false alarm. Reasons: values that raise the probability most, by how many points "
    "it would fall if the value were the usual one (in brackets) of the device's group, one value at a time."
)
_NO_REASON = "no single value explains it"


class AlertList(Record):
    """A segment's alerts of a day, in order.

    Attributes:
        use_case, model, segment, day: of the scores.
        entity: column that names a device.
        rows: as `publish_alerts` writes them; `key` is the device.
        scored: devices.
        worth: devices worth looking at, those beyond the capacity included.
        capacity_per_day: of the team.
        not_loadable: models that could not be asked for reasons.
    """

    use_case: str
    model: str
    segment: str
    day: dt.date
    entity: str
    rows: tuple[dict[str, Any], ...]
    scored: int
    worth: int
    capacity_per_day: int
    not_loadable: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Heading and subject."""
        return f"Alerts of {self.day.isoformat()}: {format_name(self.model)}, {self.segment}"

    @property
    def saving_usd(self) -> float:
        """Expected saving of looking at the whole list."""
        return sum(float(row["saving_usd"]) for row in self.rows)


def render_alert_csv(alerts: AlertList) -> str:
    """Return the list as CSV, a line for each device."""
    return make_csv_attachment("alerts.csv", _headings(alerts), list(_csv_rows(alerts))).content.decode(
        "utf-8-sig"
    )


def make_alert_message(alerts: AlertList, recipients: Sequence[str]) -> MailMessage:
    """Return the mail; a segment and day have one, however often they are run."""
    body = MailBody(
        title=alerts.title,
        verdict=_verdict(alerts),
        tables=[make_alert_table(alerts)],
        notes=[*describe_alerts(alerts), _HOW],
        footer=_FOOTER,
    )
    name = f"alerts_{alerts.use_case}_{alerts.segment}_{alerts.day.isoformat()}.csv"
    return MailMessage(
        report=f"fleet/{alerts.use_case}/{alerts.model}/alerts",
        partition=f"{alerts.segment}/{alerts.day.isoformat()}",
        subject=alerts.title,
        html=render_mail_body(body, data_day=alerts.day),
        text=render_mail_text(body, data_day=alerts.day),
        recipients=tuple(recipients),
        attachments=(make_csv_attachment(name, _headings(alerts), list(_csv_rows(alerts))),),
    )


def _verdict(alerts: AlertList) -> Mark:
    if not alerts.rows:
        return Mark("No device is worth an alert", "good")
    return Mark(f"{format_counted(len(alerts.rows), 'device')} to look at", "neutral")


def describe_alerts(alerts: AlertList) -> list[str]:
    """Return how many were scored, what the list is expected to save, and what is not on it, in sentences."""
    sentences = [
        (
            f"{format_count(alerts.scored)} devices were scored, {format_count(alerts.worth)} are worth an alert; "
            f"looking at those listed is expected to save {format_money(alerts.saving_usd)} USD."
        )
    ]
    if (beyond := alerts.worth - len(alerts.rows)) > 0:
        sentences.append(
            f"{format_count(beyond)} more are beyond the capacity of {alerts.capacity_per_day} a day and not listed."
        )
    if alerts.not_loadable:
        named = ", ".join(alerts.not_loadable)
        sentences.append(f"Without reasons, because their model could not be loaded: {named}.")
    return sentences


def make_alert_table(alerts: AlertList) -> Table:
    """Return the list, most to be saved first."""
    headings = ["#Rank", "Device", "Group", "#Probability", "#Expected saving, USD", "Model", "Why"]
    return make_table(
        "Devices to look at",
        headings,
        [
            (
                str(row["alert_rank"]),
                str(row["key"]),
                row["group"] or "none",
                format_share(row["score"]),
                format_money(row["saving_usd"]),
                f"{row['model_segment']} version {row['model_version']}",
                describe_reasons(row["reasons"]),
            )
            for row in alerts.rows
        ],
    )


def describe_reasons(reasons: Sequence[Mapping[str, Any]]) -> str:
    """Return the reasons in words: `errors per day 41 (usual 3): 22 points; ...`."""
    return "; ".join(map(_describe_reason, reasons)) or _NO_REASON


def _describe_reason(one: Mapping[str, Any]) -> str:
    name, points = str(one["feature"]).replace("_", " "), 100 * one["score_drop"]
    return f"{name} {one['value']} (usual {one['usual']}): {points:.1f} points"


def _headings(alerts: AlertList) -> tuple[str, ...]:
    return (COLUMNS[0], alerts.entity, *COLUMNS[1:])


def _csv_rows(alerts: AlertList) -> Iterator[tuple[object, ...]]:
    for row in alerts.rows:
        yield (
            row["alert_rank"],
            row["key"],
            row["group"],
            round(float(row["score"]), 6),
            row["saving_usd"],
            row["model_segment"],
            row["model_version"],
            describe_reasons(row["reasons"]),
        )
