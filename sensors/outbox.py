"""Sensor: mails are due, deliver them.

Belongs here: one round of deliveries a tick. Does not belong here: what is due or tried again (the outbox).
"""

import datetime as dt

import dagster as dg

from mlops_assets.config import names
from mlops_assets.domain.mail_ports import MailTransport, Outbox

# A tick is cut off after 60 s; one delivery that hangs may take the rest.
BUDGET_S = 20.0


def build_outbox_sensor() -> dg.SensorDefinition:
    """Return the sensor that delivers due mails; it starts no runs."""

    @dg.sensor(
        name=names.OUTBOX_SENSOR,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Delivers the mails that are due. What the server refuses: `mlops mailbox`.",
    )
    def outbox_delivery(
        context: dg.SensorEvaluationContext,
        outbox: dg.ResourceParam[Outbox],
        mail: dg.ResourceParam[MailTransport],
    ) -> dg.SkipReason:
        report = outbox.deliver_due(mail, dt.datetime.now(tz=dt.UTC), budget_s=BUDGET_S)
        for finding in report.findings():
            context.log.warning(finding)
        return dg.SkipReason(report.text())

    return outbox_delivery
