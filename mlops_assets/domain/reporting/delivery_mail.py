"""Mails about deliveries that are not used: held by the feed gate, refused by contract, held for too long.

Belongs here: what such a mail says, and which ones a day has. Does not belong here: judging a delivery (landing,
feed_gate), who is told (config.recipients), or sending.

A delivery is named by its bytes: its mail has the hash in its partition, so that a run that is repeated mails
nothing twice, and a corrected file that is broken again is mailed anew.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlops_assets.domain.feeds.contract import FeedContract
from mlops_assets.domain.feeds.delivery_record import feed_partition, held_partition, read_counts
from mlops_assets.domain.feeds.file_homologation import RowCounts
from mlops_assets.domain.feeds.landing import FeedOutcome
from mlops_assets.domain.ports import Lake
from mlops_assets.domain.published import read_manifest
from mlops_assets.domain.quality.feed_gate import FeedHealth, Reason
from mlops_assets.domain.quality.held_deliveries import DeliveryState, find_escalations, find_held
from mlops_assets.domain.reporting.formats import ABSENT, format_count, format_counted, format_day
from mlops_assets.domain.reporting.mail import MailMessage
from mlops_assets.domain.reporting.public_text import mask_identifiers
from mlops_assets.domain.reporting.report_mail import MailBody, render_mail_body, render_mail_text
from mlops_assets.domain.reporting.tables import Cell, Code, Mark, Table, make_table

HELD_REPORT, ESCALATION_REPORT = "quality/held_feed", "quality/held_feed_escalation"
SNAPSHOT = "snapshot"  # stands for the day of a feed without days
SHOWN_FINDINGS = 50
_HASH_LENGTH = 8
_SUSPECTED = "Suspected: "
_CAUSES: dict[Reason, str] = {
    "row_count_low": "a part of the file, or of the network, is missing",
    "row_count_high": "rows of other days or other geographies, or the same rows several times",
    "duplicates": "the same records were exported more than once",
    "copy_of_earlier_day": "an earlier file was sent again under this day's name",
    "unit_factor": "values in another unit than their label says",
    "usage_without_sessions": "values of another unit or another meaning in this column",
    "segment_missing": "the rows of this value were left out, or it is written in another way",
    "nulls_as_zeros": "missing values written as 0",
    "column_emptied": "the column was not filled",
}


@dataclass(frozen=True)
class DeliveryNotice:
    """A delivery that is not used.

    Attributes:
        feed, geography, day: whose delivery; `day` is None for a snapshot.
        file_name: as the operator calls it.
        raw_sha256: hash of the delivered bytes, hex.
        findings: what was found, each with the suspected cause (empty if none is suspected).
        counts: of its rows; `delivered` is 0 if they were not read.
        is_held: by the gate; otherwise it was refused by contract.
        is_replaced_in_use: an earlier delivery of the day is published and stays in use.
        waiting_days: held for more than so many days of data; None for the first mail about it.
    """

    feed: str
    geography: str
    day: dt.date | None
    file_name: str
    raw_sha256: str
    findings: tuple[tuple[str, str], ...]
    counts: RowCounts
    is_held: bool
    is_replaced_in_use: bool
    waiting_days: int | None = None

    @property
    def where(self) -> str:
        """Feed, geography and day, as the commands take them."""
        return f"{self.feed} {self.geography} {self._day}"

    @property
    def partition(self) -> str:
        """Partition of the mail: one for each delivery."""
        return f"{self.feed}/{self.geography}/{self._day}/{self.raw_sha256[:_HASH_LENGTH]}"

    @property
    def title(self) -> str:
        """Subject and heading."""
        what = f"{self.feed} of {self.geography}, {self._day}"
        if self.waiting_days is not None:
            return f"Still not released: {what}"
        return f"{'Held' if self.is_held else 'Refused'}: {what}"

    @property
    def _day(self) -> str:
        return format_day(self.day) if self.day else SNAPSHOT


def make_delivery_messages(
    outcomes: Sequence[FeedOutcome], contracts: Mapping[str, FeedContract], recipients: Sequence[str]
) -> Iterator[MailMessage]:
    """Yield the mail of every held or refused delivery; what is used or was not delivered has none.

    Args:
        outcomes: of one feed and day.
        contracts: by geography (`for_geography` applied).
        recipients: who is told.
    """
    for outcome in outcomes:
        if outcome.status in {"held", "refused"}:
            yield _make_message(_notice(outcome, contracts[outcome.partition.segment]), recipients)


def make_escalation_messages(
    feeds: Sequence[FeedContract],
    chains: Mapping[str, list[str]],
    day: dt.date,
    lake: Lake,
    recipients: Callable[[str], Sequence[str]],
) -> Iterator[MailMessage]:
    """Yield the mail of every delivery that is held for longer than its feed allows.

    Args:
        feeds: daily feeds.
        chains: geography code to itself and the geographies it is like.
        day: day of the run; what was held later is left out.
        lake: where held deliveries wait.
        recipients: feed to those who are told.
    """
    contracts = {feed.name: feed for feed in feeds}
    held = [state for state in find_held(lake, contracts, sorted(chains)) if state.day <= day]
    for one in find_escalations(held, contracts):
        contract = contracts[one.delivery.feed].for_geography(chains[one.delivery.geography])
        notice = _waiting_notice(one.delivery, contract, one.allowed_days, lake)
        yield _make_message(notice, recipients(one.delivery.feed))


def _notice(outcome: FeedOutcome, contract: FeedContract) -> DeliveryNotice:
    is_held = outcome.status == "held"
    texts = tuple((mask_identifiers(text), "") for text in outcome.findings)
    return DeliveryNotice(
        feed=contract.name,
        geography=outcome.partition.segment,
        day=outcome.partition.day,
        file_name=contract.file_name(outcome.partition.day),
        raw_sha256=outcome.raw_sha256,
        findings=_causes(outcome.health) if is_held else texts,
        counts=outcome.counts,
        is_held=is_held,
        is_replaced_in_use=outcome.manifest is not None,
    )


def _waiting_notice(
    state: DeliveryState, contract: FeedContract, allowed_days: int, lake: Lake
) -> DeliveryNotice:
    where = (state.feed, state.geography, state.day)
    held = read_manifest(lake, held_partition(*where))
    return DeliveryNotice(
        feed=state.feed,
        geography=state.geography,
        day=state.day,
        file_name=contract.file_name(state.day),
        raw_sha256=state.raw_sha256,
        findings=_causes(state.health),
        counts=read_counts(held) if held else RowCounts(),
        is_held=True,
        is_replaced_in_use=read_manifest(lake, feed_partition(*where)) is not None,
        waiting_days=allowed_days,
    )


def _causes(health: FeedHealth | None) -> tuple[tuple[str, str], ...]:
    """Return what the gate found, each finding with the cause that it suspects itself, or the usual one."""
    found = []
    for finding in health.findings if health else ():
        text, _, cause = finding.text.partition(_SUSPECTED)
        cause = cause or _CAUSES[finding.reason]
        found.append((mask_identifiers(text.strip().removesuffix(".")), mask_identifiers(cause)))
    return tuple(found)


def _make_message(notice: DeliveryNotice, recipients: Sequence[str]) -> MailMessage:
    body = MailBody(
        title=notice.title,
        verdict=_verdict(notice),
        tables=[_facts_table(notice), _findings_table(notice)],
        notes=list(_list_consequences(notice)),
        commands=list(_list_commands(notice)),
    )
    return MailMessage(
        report=ESCALATION_REPORT if notice.waiting_days is not None else HELD_REPORT,
        partition=notice.partition,
        subject=notice.title,
        html=render_mail_body(body, data_day=notice.day),
        text=render_mail_text(body, data_day=notice.day),
        recipients=tuple(recipients),
    )


def _verdict(notice: DeliveryNotice) -> Mark:
    if notice.waiting_days is not None:
        days = format_counted(notice.waiting_days, "day")
        return Mark(f"Held for more than {days}, and nobody has decided", "bad")
    if notice.is_held:
        return Mark("Held: the file looks broken and is not used", "bad")
    return Mark("Refused: the file does not keep its contract and is not used", "bad")


def _facts_table(notice: DeliveryNotice) -> Table:
    rows: list[tuple[Cell, Cell]] = [
        ("Feed", notice.feed),
        ("Geography", notice.geography),
        ("Day", format_day(notice.day) if notice.day else "none, a snapshot"),
        ("File", Code(notice.file_name)),
        ("State", Mark("held" if notice.is_held else "refused", "bad")),
        ("Rows", _describe_rows(notice)),
    ]
    return make_table("The delivery", ["What", "Which"], rows)


def _describe_rows(notice: DeliveryNotice) -> str:
    counts = notice.counts
    if not counts.delivered and not notice.is_held:
        return "not counted; the file was refused as a whole"
    parts = [f"{format_count(counts.delivered)} delivered", f"{format_count(counts.good)} of them usable"]
    more = {"duplicates": counts.duplicates, "late": counts.late, "in quarantine": counts.quarantined_total}
    return ", ".join([*parts, *(f"{format_count(count)} {what}" for what, count in more.items() if count)])


def _findings_table(notice: DeliveryNotice) -> Table:
    shown, rest = notice.findings[:SHOWN_FINDINGS], len(notice.findings) - SHOWN_FINDINGS
    title = f"Findings; {format_count(rest)} more are not shown" if rest > 0 else "Findings"
    if not notice.is_held:
        return make_table(title, ["What was found"], [(what,) for what, _ in shown])
    rows = [(what, cause or ABSENT) for what, cause in shown]
    return make_table(title, ["What was found", "Suspected cause"], rows)


def _list_consequences(notice: DeliveryNotice) -> Iterator[str]:
    from mlops_assets.domain.features.catalogue import tables_needing

    until = "Until it is released or delivered again" if notice.is_held else "Until it is delivered again"
    tables = ", ".join(tables_needing(notice.feed))
    if notice.is_replaced_in_use:
        yield f"{until}, what was delivered before it stays in use."
    elif notice.day is None:
        yield f"{until}, nothing that reads {notice.feed} can be trained."
    elif tables:
        yield (
            f"{until}, these tables of {notice.geography} are not built for {notice.day}: {tables}. Nothing that "
            "rests on them follows for this day: no scores, no checks of values, no training rows."
        )
    else:
        yield f"{until}, the tables of {notice.geography} for {notice.day} are built without it."
    if notice.day is not None:
        yield "The other feeds and geographies go on. This delivery is no evidence of drift."
    if notice.is_held:
        yield (
            f"If the file is wrong, have {notice.file_name} delivered for {notice.geography} again; the next run takes "
            "it. If it is right, release it."
        )
    else:
        yield (
            f"A refused file cannot be released. Have {notice.file_name} delivered for {notice.geography} again, as "
            "the findings expect it; the next run takes it."
        )


def _list_commands(notice: DeliveryNotice) -> Iterator[tuple[str, str]]:
    if notice.is_held:
        words = f'--by YOUR_NAME --note "WHY IT IS RIGHT" --sha256 {notice.raw_sha256}'
        yield f"mlops feeds show {notice.where}", "the verdict, what it was compared with, the figures"
        yield f"mlops feeds release {notice.where} {words}", "use exactly these bytes, if the file is right"
    if notice.day is not None:
        what = "build the day after a release or a new delivery; where the sensors run, they do it"
        yield "mlops run", what
