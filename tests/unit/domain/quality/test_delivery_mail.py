"""Mails about deliveries that are not used: what they say, once for each delivery, and when they end."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from mlops_assets.domain.feeds.landing import FeedOutcome
from mlops_assets.domain.ports import PartitionId
from mlops_assets.domain.quality.held_deliveries import release_delivery
from mlops_assets.domain.quality.release_ports import FeedRelease
from mlops_assets.domain.reporting.delivery_mail import make_delivery_messages, make_escalation_messages
from mlops_assets.domain.reporting.mail import MailMessage
from tests.fakes.mail import FakeOutbox, FakeTransport
from tests.unit.domain.quality.gate_world import NEXT_DAY, GateWorld

AT = dt.datetime(2026, 9, 1, 8, tzinfo=dt.UTC)
TOLD = ["quality@operator.example", "feeds@operator.example"]


def mails(world: GateWorld, *outcomes: FeedOutcome, feed: str = "usage") -> list[MailMessage]:
    return list(make_delivery_messages(outcomes, {"cl": world.contract(feed)}, TOLD))


def hold(world: GateWorld) -> FeedOutcome:
    world.multiply_volumes(NEXT_DAY, 1024)
    return world.land("usage", NEXT_DAY)


def let_days_pass(world: GateWorld, days: int) -> None:
    """Publish something of a later day: the data's days count."""
    later = PartitionId("feeds/topups", "cl", NEXT_DAY + dt.timedelta(days=days))
    with world.lake.write(later, "0" * 16) as writer:
        writer.commit(row_count=0)


def waiting(world: GateWorld, day: dt.date) -> list[MailMessage]:
    feeds = [world.contract("usage"), world.contract("topups")]
    return list(make_escalation_messages(feeds, {"cl": ["cl"]}, day, world.lake, lambda _: TOLD))


def test_a_held_delivery_says_all_that_a_person_needs(next_day: GateWorld) -> None:
    outcome = hold(next_day)
    (mail,) = mails(next_day, outcome)
    assert (mail.report, mail.partition) == (
        "quality/held_feed",
        f"usage/cl/{NEXT_DAY}/{outcome.raw_sha256[:8]}",
    )
    assert mail.subject == f"Held: usage of cl, {NEXT_DAY}"
    assert mail.recipients == tuple(TOLD)
    release = f"mlops feeds release usage cl {NEXT_DAY} --by YOUR_NAME --note"
    for expected in (
        f"usage_{NEXT_DAY:%Y%m%d}.parquet",
        f"{outcome.counts.delivered:,} delivered",
        "values in another unit than their label says",
        "Until it is released or delivered again, these tables of cl are not built",
        "etl/usage_30d",
        "etl/subscriber_features",
        release,
        outcome.raw_sha256,
    ):
        assert expected in mail.text
        assert expected in mail.html
    assert f"If the file is wrong, have usage_{NEXT_DAY:%Y%m%d}.parquet delivered for cl again" in mail.text
    assert "e+0" not in mail.text, "a person reads no exponents"
    assert "etl/profile" not in mail.text, "customer DNA does not need usage"


def test_a_rerun_mails_nothing_twice(next_day: GateWorld) -> None:
    outbox = FakeOutbox()
    for outcome in (hold(next_day), next_day.land("usage", NEXT_DAY)):
        for mail in mails(next_day, outcome):
            outbox.enqueue(mail, AT)
        outbox.deliver_due(FakeTransport(), AT)
    assert len(outbox.messages) == 2, "both runs have something to say"
    assert len(outbox.entries()) == len(TOLD)
    assert {(entry.state, entry.is_changed_since_sent) for entry in outbox.entries()} == {("sent", False)}


def test_another_broken_file_is_another_mail(next_day: GateWorld) -> None:
    (first,) = mails(next_day, hold(next_day))
    next_day.multiply_volumes(NEXT_DAY, 2)
    (second,) = mails(next_day, next_day.land("usage", NEXT_DAY))
    assert first.partition != second.partition


def test_what_is_used_or_did_not_come_has_no_mail(next_day: GateWorld) -> None:
    landed = next_day.land("usage", NEXT_DAY)
    next_day.file("topups", NEXT_DAY).unlink()
    missing = next_day.land("topups", NEXT_DAY)
    assert [landed.status, missing.status] == ["landed", "missing"]
    assert mails(next_day, landed, next_day.land("usage", NEXT_DAY)) == []
    assert mails(next_day, missing, feed="topups") == []


def test_a_refused_delivery_says_what_to_deliver(next_day: GateWorld) -> None:
    file = next_day.file("usage", NEXT_DAY)
    file.write_bytes(file.read_bytes()[:2000])
    outcome = next_day.land("usage", NEXT_DAY)
    assert outcome.status == "refused"
    (mail,) = mails(next_day, outcome)
    assert mail.report == "quality/held_feed"
    assert mail.subject == f"Refused: usage of cl, {NEXT_DAY}"
    assert f"Have {file.name} delivered for cl again" in mail.text
    assert outcome.findings[0] in mail.text
    assert "feeds release" not in mail.text + mail.html, "a refused file cannot be released"


def test_a_broken_correction_says_that_the_day_keeps_what_it_had(next_day: GateWorld) -> None:
    next_day.land("usage", NEXT_DAY)
    (mail,) = mails(next_day, hold(next_day))
    assert "what was delivered before it stays in use" in mail.text
    assert "are not built" not in mail.text


def test_a_feed_that_no_table_needs(next_day: GateWorld) -> None:
    """Without customer DNA every table of the day is built."""
    file = next_day.file("dna", NEXT_DAY)
    file.write_bytes(b"nothing of this kind\n")
    outcome = next_day.land("dna", NEXT_DAY)
    (mail,) = mails(next_day, outcome, feed="dna")
    assert "the tables of cl" in mail.text
    assert "are built without it" in mail.text


def test_a_refused_snapshot_belongs_to_no_day(next_day: GateWorld) -> None:
    outcome = dataclasses.replace(
        hold(next_day),
        partition=PartitionId("feeds/usage", "all", None),
        status="refused",
        findings=("too short",),
    )
    (mail,) = make_delivery_messages([outcome], {"all": next_day.contract("usage")}, TOLD)
    assert mail.partition == f"usage/all/snapshot/{outcome.raw_sha256[:8]}"
    assert mail.subject == "Refused: usage of all, snapshot"
    assert "nothing that reads usage can be trained" in mail.text
    assert "mlops run" not in mail.text
    assert "Data up to" not in mail.text + mail.html


def test_no_subscriber_is_named(next_day: GateWorld) -> None:
    outcome = hold(next_day)
    health = outcome.health
    assert health is not None
    finding = health.findings[0].model_copy(
        update={"text": "56912345678 used 1 GB. Suspected: SIM 895600000000001"}
    )
    told = dataclasses.replace(outcome, health=health.model_copy(update={"findings": (finding,)}))
    refused = dataclasses.replace(outcome, status="refused", findings=("row 7: 56912345678 is no number",))
    for mail in mails(next_day, told, refused):
        assert "56912345678" not in mail.text + mail.html
        assert "895600000000001" not in mail.text + mail.html


@pytest.mark.parametrize(("days", "count"), [(2, 0), (3, 1), (4, 1)])
def test_a_delivery_that_waits_too_long_is_mailed(next_day: GateWorld, days: int, count: int) -> None:
    hold(next_day)
    let_days_pass(next_day, days)
    found = waiting(next_day, NEXT_DAY + dt.timedelta(days=days))
    assert len(found) == count
    for mail in found:
        assert mail.report == "quality/held_feed_escalation"
        assert mail.subject == f"Still not released: usage of cl, {NEXT_DAY}"
        assert "Held for more than 2 days, and nobody has decided" in mail.text
        assert f"mlops feeds release usage cl {NEXT_DAY}" in mail.text


def test_it_is_mailed_once_however_long_it_waits(next_day: GateWorld) -> None:
    """Each day's run finds it again; the mail does not change with its age, so none is sent twice."""
    hold(next_day)
    outbox = FakeOutbox()
    for days in (3, 4, 5):
        let_days_pass(next_day, days)
        for mail in waiting(next_day, NEXT_DAY + dt.timedelta(days=days)):
            outbox.enqueue(mail, AT)
        outbox.deliver_due(FakeTransport(), AT)
    assert len(outbox.messages) == 3
    assert [(e.state, e.is_changed_since_sent) for e in outbox.entries()] == [("sent", False)] * len(TOLD)


def test_a_released_delivery_is_mailed_no_more(next_day: GateWorld) -> None:
    held = hold(next_day)
    let_days_pass(next_day, 4)
    after = NEXT_DAY + dt.timedelta(days=4)
    assert len(waiting(next_day, after)) == 1
    wanted = FeedRelease("usage", "cl", NEXT_DAY, held.raw_sha256, "operations", AT, "the meter was changed")
    release_delivery(
        next_day.contract("usage"),
        wanted,
        lake=next_day.lake,
        landing=next_day.landing,
        releases=next_day.releases,
    )
    outcome = next_day.land("usage", NEXT_DAY)
    assert outcome.status == "landed"
    assert mails(next_day, outcome, next_day.land("usage", NEXT_DAY)) == []
    assert waiting(next_day, after) == []


def test_a_replayed_day_does_not_know_what_is_held_later(next_day: GateWorld) -> None:
    hold(next_day)
    let_days_pass(next_day, 4)
    assert waiting(next_day, NEXT_DAY - dt.timedelta(days=1)) == []
