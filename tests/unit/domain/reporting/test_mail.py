"""Mails: nothing gets into a header, equal input gives equal bytes, nobody is named."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import email
import email.policy
import io
import re
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.domain.reporting.mail import (
    MAX_MAIL_BYTES,
    MAX_SUBJECT_LENGTH,
    MailAttachment,
    MailKey,
    MailMessage,
    MailRefusedError,
    hash_content,
    make_csv_attachment,
    make_message_id,
    render_mail,
)
from mlops_assets.domain.reporting.mail_preview import read_mail_text, render_mail_preview
from tests.unit.domain.reporting.sample_mails import KEY, NOW, PAGE, SENDER, make_message

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
CHART = MailAttachment("trend.png", "image/png", PICTURE)
TABLE = make_csv_attachment("plans.csv", ["plan", "low_mb"], [["HD-30", 1.5], ["=cmd|' /C calc'!A0", -2]])


def render(message: MailMessage | None = None) -> bytes:
    return render_mail(message or make_message(), KEY, sender=SENDER, written_at_utc=NOW)


def parse(content: bytes) -> EmailMessage:
    parsed = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def test_a_mail_says_what_it_was_given() -> None:
    mail = parse(render())
    assert mail["From"] == SENDER
    assert mail["To"] == KEY.recipient
    assert mail["Subject"] == "Quality of 2026-09-01, Chile: 2 anomalies"
    assert mail["Date"].datetime == NOW
    assert mail["Auto-Submitted"] == "auto-generated"
    text, page = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert page is not None
    assert text.get_content().replace("\r\n", "\n") == make_message().text
    assert page.get_content().replace("\r\n", "\n") == PAGE
    assert mail.get_content_type() == "multipart/alternative"


def test_attachments_come_back_as_they_were() -> None:
    mail = parse(render(make_message(attachments=(TABLE, CHART))))
    table, picture = mail.iter_attachments()
    assert (table.get_filename(), table.get_content_type()) == ("plans.csv", "text/csv")
    assert table.get_payload(decode=True) == TABLE.content
    assert (picture.get_filename(), picture.get_content_type()) == ("trend.png", "image/png")
    assert picture.get_payload(decode=True) == PICTURE


def test_equal_input_gives_equal_bytes() -> None:
    message = make_message(attachments=(TABLE, CHART))
    assert render(message) == render(dataclasses.replace(message))
    assert render(message) != render(make_message(attachments=(CHART,)))


def test_any_server_takes_the_bytes() -> None:
    """Seven bits, CRLF only, no line longer than 998 (RFC 5321 and 5322)."""
    content = render(make_message(html=PAGE + "<!-- " + "ñ" * 5000 + " -->", attachments=(TABLE, CHART)))
    assert max(content) < 128
    assert b"\0" not in content
    lines = content.split(b"\r\n")
    assert not any(b"\n" in line or b"\r" in line for line in lines)
    assert max(map(len, lines)) <= 998


@given(
    subject=st.text(
        st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=200
    ).filter(lambda text: text.strip() == text and "  " not in text)
)
def test_any_subject_comes_back_and_adds_no_header(subject: str) -> None:
    message = make_message(subject=subject) if not re.search(r"\+[1-9]\d{9}", subject) else make_message()
    mail = parse(render(message))
    assert str(mail["Subject"]).split() == message.subject.split()
    assert set(mail.keys()) == set(parse(render()).keys())


@pytest.mark.parametrize("bad", ["\r", "\n", "\r\n", "\0", "\x0b", "\x85", "\u2028", "\u2029"])
@pytest.mark.parametrize("field", ["report", "partition", "subject", "recipients"])
def test_nothing_breaks_out_of_a_header(field: str, bad: str) -> None:
    value = f"a{bad}Bcc: everyone@operator.example"
    with pytest.raises(MailRefusedError, match="cannot be sent"):
        make_message(**{field: (value,) if field == "recipients" else value})


@pytest.mark.parametrize("bad", ["a\r\nb", "a\0b", "../a.csv", "a/b.csv", ".hidden", "", 'a"b.csv', "ñ.csv"])
def test_file_names_are_plain(bad: str) -> None:
    with pytest.raises(MailRefusedError, match="attachment's name"):
        MailAttachment(bad, "image/png", b"")


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "quality",
        "a b@operator.example",
        "Quality <quality@operator.example>",
        "a@b, c@d",
        "a@-b.example",
        "a..b@c.example",
        "ñ@operator.example",
        "a@b\n",
        f"a@{'b' * 250}.example",
        "team:quality",
    ],
)
def test_what_is_no_address_is_refused(bad: str) -> None:
    with pytest.raises(MailRefusedError, match="no mail address"):
        make_message(recipients=(bad,))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"subject": " "}, "subject has 1 characters"),
        ({"subject": "a" * (MAX_SUBJECT_LENGTH + 1)}, "subject has 201 characters"),
        ({"subject": "\ud800"}, "not Unicode"),
        ({"html": ""}, "html is empty"),
        ({"text": "\n"}, "text is empty"),
        ({"text": "a\0b"}, "text holds NUL"),
        ({"report": "Quality report"}, "report name"),
        ({"report": "../quality"}, "report name"),
        ({"partition": "día"}, "partition"),
        ({"attachments": (MailAttachment("a.png", "image/png", bytes(MAX_MAIL_BYTES)),)}, "bytes"),
    ],
)
def test_what_cannot_be_mailed_is_refused_with_its_reason(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(MailRefusedError, match=reason):
        make_message(**changes)


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(MailRefusedError, match="no zone"):
        render_mail(make_message(), KEY, sender=SENDER, written_at_utc=NOW.replace(tzinfo=None))


@pytest.mark.parametrize("column", ["subscriber_id", "MSISDN", "Subscriber ID", " imsi ", "phone-number"])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_a_table_of_persons_is_refused(column: str, delimiter: str) -> None:
    with pytest.raises(MailRefusedError, match="identifies persons"):
        make_csv_attachment("people.csv", ["plan", column], [["HD", 1]])
    with pytest.raises(MailRefusedError, match="identifies persons"):
        MailAttachment(
            "people.csv", "text/csv", f'plan{delimiter}"{column}"\r\nHD{delimiter}1'.encode("utf-8-sig")
        )


@pytest.mark.parametrize("field", ["subject", "text", "html"])
def test_a_telephone_number_is_refused(field: str) -> None:
    with pytest.raises(MailRefusedError, match="telephone number"):
        make_message(**{field: "most by +56912345678"})


@pytest.mark.parametrize(
    "file",
    [
        make_csv_attachment("plans.csv", ["plan", "note"], [["HD", "+56912345678"]]),
        MailAttachment("page.html", "text/html", b"<p>most by +56912345678</p>"),
    ],
)
def test_a_telephone_number_in_a_file_is_refused(file: MailAttachment) -> None:
    with pytest.raises(
        MailRefusedError, match=f"{file.name}.*telephone number|telephone number.*{file.name}"
    ):
        make_message(attachments=(file,))


@pytest.mark.parametrize(
    "harmless", ["gain +1,234,567,890 MB", "gain +1234567890.5", "600268 offers", "2026-09-01T00:00:00+00:00"]
)
def test_figures_are_no_telephone_numbers(harmless: str) -> None:
    assert make_message(text=harmless).text == harmless


def test_a_csv_holds_values_and_no_formulas() -> None:
    rows = [
        ["=1+1", -5, -1.5e-7, None],
        [" @SUM(A1)", True, float("nan"), dt.date(2026, 9, 1)],
        ["-", 0, 1.0, "a,b"],
    ]
    content = make_csv_attachment("x.csv", ["plan", "change", "gain", "day"], rows).content
    read = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    assert read == [
        ["plan", "change", "gain", "day"],
        ["'=1+1", "-5", "-0.00000015", ""],
        ["' @SUM(A1)", "True", "", "2026-09-01"],
        ["'-", "0", "1.0", "a,b"],
    ]


def test_a_ragged_table_is_refused() -> None:
    with pytest.raises(MailRefusedError, match="ragged"):
        make_csv_attachment("x.csv", ["plan", "day"], [["HD"]])


def test_the_message_id_is_that_of_report_partition_and_recipient() -> None:
    assert make_message_id(KEY, SENDER) == parse(render())["Message-ID"]
    assert re.fullmatch(r"<[0-9a-f]{32}@operator\.example>", make_message_id(KEY, SENDER))
    others = [
        dataclasses.replace(KEY, report="quality/weekly_summary"),
        dataclasses.replace(KEY, partition="pe/2026-09-01"),
        dataclasses.replace(KEY, recipient="other@operator.example"),
        MailKey("quality", "daily_summary/cl/2026-09-01", KEY.recipient),
    ]
    assert len({make_message_id(key, SENDER) for key in (KEY, *others)}) == 5
    assert make_message_id(KEY, SENDER) == parse(render(make_message(text="newer")))["Message-ID"]


def test_long_addresses_are_not_broken() -> None:
    sender = f"mlops@{'mail-' * 10}x.operator.example"
    key = dataclasses.replace(KEY, recipient=f"{'quality-' * 7}x@{'sub-' * 14}x.operator.example")
    mail = parse(
        render_mail(make_message(recipients=(key.recipient,)), key, sender=sender, written_at_utc=NOW)
    )
    assert mail["To"] == key.recipient
    assert mail["From"] == sender
    assert mail["Message-ID"].strip() == make_message_id(key, sender)


def test_the_content_hash_is_of_what_is_read() -> None:
    message = make_message()
    assert hash_content(message) == hash_content(dataclasses.replace(message, recipients=("a@b.example",)))
    changes: list[dict[str, object]] = [
        {"subject": "x"},
        {"html": "<p>x</p>"},
        {"text": "x"},
        {"attachments": (TABLE,)},
        {"attachments": (dataclasses.replace(TABLE, content=b"plan\nHD"),)},
    ]
    hashes = {hash_content(make_message(**change)) for change in changes}
    assert len(hashes | {hash_content(message)}) == 6


def test_a_recipient_gets_one_mail() -> None:
    keys = make_message(recipients=("b@x.example", "A@x.example", "a@X.example")).mail_keys()
    assert [key.recipient for key in keys] == ["b@x.example", "a@x.example"]


def test_the_preview_is_the_page_with_its_files() -> None:
    preview = render_mail_preview(render(make_message(subject="<b>5 < 6</b>", attachments=(TABLE, CHART))))
    assert 'href="data:image/png;base64,' in preview
    assert 'download="plans.csv"' in preview
    assert "&lt;b&gt;5 &lt; 6&lt;/b&gt;" in preview
    assert "<b>5" not in preview
    assert preview.startswith("<!DOCTYPE html>")
    assert preview.index("Content-Security-Policy") < preview.index("<title>")
    assert preview.index("<body>") < preview.index("<header") < preview.index("<h1>")


@pytest.mark.parametrize("html", ["<p>bare</p>", "<html><head></head>bare</html>"])
def test_a_page_without_frame_gets_one(html: str) -> None:
    preview = render_mail_preview(render(make_message(html=html)))
    assert preview.count("Content-Security-Policy") == 1
    assert preview.count("<header") == 1


def test_the_text_is_for_a_terminal() -> None:
    text = read_mail_text(render(make_message(attachments=(TABLE,))))
    assert f"To: {KEY.recipient}" in text
    assert "Attachments: plans.csv" in text
    assert text.endswith("(380 <= 600 <= 525)")
