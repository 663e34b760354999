"""Hostile texts in reports, files and mails: they stay text in every form.

Belongs here: families about what people read. Does not belong here: where it is stored (attacks_on_names).
"""

from __future__ import annotations

import copy
import csv
import functools
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.policy import default
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from mlops_assets.domain.errors import PlatformError
from mlops_assets.domain.reporting.anomaly_report_page import (
    render_anomaly_html,
    render_anomaly_mail,
    render_anomaly_markdown,
)
from mlops_assets.domain.reporting.csv_text import write_csv
from mlops_assets.domain.reporting.fleet_report_page import (
    render_fleet_csv,
    render_fleet_html,
    render_fleet_markdown,
)
from mlops_assets.domain.reporting.ladder_report_page import (
    make_ladder_message,
    render_ladder_html,
    render_ladder_markdown,
)
from mlops_assets.domain.reporting.mail import MailMessage, make_csv_attachment, render_mail
from mlops_assets.domain.reporting.mail_preview import render_mail_preview
from mlops_assets.domain.reporting.model_card_page import render_model_card_html, render_model_card_markdown
from mlops_assets.domain.reporting.offer_report_page import (
    render_offer_csv,
    render_offer_html,
    render_offer_markdown,
)
from mlops_assets.domain.reporting.quality_summary_page import (
    render_summary_csv,
    render_summary_html,
    render_summary_mail,
    render_summary_markdown,
)
from mlops_assets.domain.reporting.report_index import build_report_index
from mlops_assets.domain.reporting.retraining_report_page import (
    make_retraining_message,
    render_retraining_html,
    render_retraining_markdown,
)
from mlops_assets.domain.reporting.run_summary import render_run_summary_html
from mlops_assets.domain.reporting.tables import make_table, to_markdown
from mlops_assets.domain.reporting.utilisation_page import (
    render_utilisation_csv,
    render_utilisation_html,
    render_utilisation_markdown,
)
from tests.security.attack import Attack, EscapeError, Family
from tests.security.hostile_values import FORMULAS, HEADERS, encodable_text, hostile_text
from tests.unit.domain.reporting import (
    test_fleet_report,
    test_ladder_report,
    test_offer_report,
    test_quality_summary,
    test_retraining_report_page,
    test_utilisation,
)
from tests.unit.domain.reporting.sample_anomalies import make_report as make_anomalies
from tests.unit.domain.reporting.sample_cards import make_card
from tests.unit.domain.reporting.sample_mails import NOW, PAGE, SENDER
from tests.unit.domain.reporting.sample_summaries import make_summary

_TO = ("quality@operator.example",)
Render = Callable[[Any], str]
# Report: how it is made, and how it is shown as HTML, Markdown and CSV.
_REPORTS: dict[
    str, tuple[Callable[[], BaseModel], tuple[Render, ...], tuple[Render, ...], tuple[Render, ...]]
] = {
    "card": (make_card, (render_model_card_html,), (render_model_card_markdown,), ()),
    "anomalies": (make_anomalies, (render_anomaly_html, render_anomaly_mail), (render_anomaly_markdown,), ()),
    "run": (make_summary, (render_run_summary_html,), (), ()),
    "retraining": (
        test_retraining_report_page.make_report,
        (render_retraining_html, lambda report: make_retraining_message(report, _TO).html),
        (render_retraining_markdown,),
        (),
    ),
    "ladder": (
        test_ladder_report.make_report,
        (render_ladder_html, lambda report: make_ladder_message(report, _TO).html),
        (render_ladder_markdown,),
        (),
    ),
    "fleet": (test_fleet_report.report, (render_fleet_html,), (render_fleet_markdown,), (render_fleet_csv,)),
    "offers": (
        test_offer_report.make_week,
        (render_offer_html,),
        (render_offer_markdown,),
        (render_offer_csv,),
    ),
    "summary": (
        test_quality_summary.make_daily,
        (render_summary_html, render_summary_mail),
        (render_summary_markdown,),
        (render_summary_csv,),
    ),
    "utilisation": (
        lambda: test_utilisation.build(
            test_utilisation.step("model/churn/churn_risk"), test_utilisation.step("etl/profile")
        ),
        (render_utilisation_html,),
        (render_utilisation_markdown,),
        (render_utilisation_csv,),
    ),
}


class _Skeleton(HTMLParser):
    """Tags, attributes, scripts and styles of a page: what a text may not change."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.comments: list[str] = []
        self.code: list[str] = []
        self._inside = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes |= {f"{tag}.{name}" for name, _ in attrs}
        self.links += [
            value or "" for name, value in attrs if name in {"href", "src", "action", "xlink:href"}
        ]
        self._inside = tag if tag in {"script", "style"} else self._inside

    def handle_endtag(self, tag: str) -> None:
        self._inside = "" if tag == self._inside else self._inside

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.code.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def handle_decl(self, decl: str) -> None:
        if decl.lower() != "doctype html":
            self.comments.append(decl)


# One of them is as dangerous as two, so their number must be that of the harmless report.
_COUNTED = {
    "script",
    "style",
    "meta",
    "link",
    "iframe",
    "object",
    "embed",
    "form",
    "base",
    "img",
    "title",
    "head",
    "body",
}


def require_harmless_page(page: str, harmless: str) -> None:
    """Raise EscapeError if a page has a tag, attribute, script, style or link of another kind than the harmless one."""
    found, known = _Skeleton(page), _Skeleton(harmless)
    if odd := (set(found.tags) - set(known.tags)) | (found.attributes - known.attributes):
        raise EscapeError(f"new markup {sorted(odd)}")
    if odd := {tag for tag in _COUNTED if found.tags[tag] != known.tags[tag]}:
        raise EscapeError(f"another number of {sorted(odd)}")
    if found.code != known.code:
        raise EscapeError("a script or style has changed")
    if found.comments != known.comments:
        raise EscapeError(f"comments {found.comments}")
    if odd := [link for link in found.links if re.match(r"\s*([a-z][a-z0-9+.-]*:|//)", link, re.IGNORECASE)]:
        odd = [link for link in odd if not link.startswith(("data:image/", "cid:", "#"))]
        if odd and set(odd) - set(known.links):
            raise EscapeError(f"links {odd}")


_CODE_SPAN = re.compile(r"(?<![\\`])`[^`\n]*`(?!`)")
_LIVE = re.compile(r"(?<!\\)\]\(|<[a-zA-Z/!?]|(?<!\\)!\[|(?<!\\)\]:")


def require_harmless_markdown(text: str, harmless: str) -> None:
    """Raise EscapeError if Markdown holds a link, a picture or HTML of a value, or more cells than it may."""
    if _LIVE.search(_CODE_SPAN.sub("", text)) and not _LIVE.search(_CODE_SPAN.sub("", harmless)):
        raise EscapeError(f"live Markdown in {text[:200]!r}")
    for line in text.splitlines():
        if line.startswith("|") and len(re.findall(r"(?<!\\)\|", line)) > _most_bars(harmless):
            raise EscapeError(f"a row has more cells: {line[:200]}")


def _most_bars(text: str) -> int:
    return max((len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines()), default=0)


def require_harmless_csv(text: str) -> None:
    """Raise EscapeError if a spreadsheet would compute a cell, whichever separator it takes."""
    cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    _require_no_formula(cells, r"[+-][\d.+-]*$")
    for separator in (";", "\t"):  # the rest of the line then belongs to the number before it
        _require_no_formula(
            [cell for line in text.split("\n") for cell in line.split(separator)], r"[+-][\d.]"
        )


def _require_no_formula(cells: list[str], number: str) -> None:
    for cell in cells:
        bare = cell.strip().strip('"').strip()
        if bare.startswith(tuple("=+-@\uff1d\uff0b\uff0d\uff20")) and not re.match(number, bare):
            raise EscapeError(f"a formula: {cell[:80]!r}")


@functools.cache
def _plain(name: str) -> tuple[dict[str, Any], list[tuple[Any, ...]], type[BaseModel]]:
    report = _REPORTS[name][0]()
    content = report.model_dump(mode="json")
    return content, list(_text_places(content)), type(report)


def _text_places(node: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(node, str):
        yield at
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from _text_places(child, (*at, key))


@st.composite
def _reports(draw: st.DrawFn) -> tuple[str, tuple[tuple[Any, ...], ...], str]:
    """Return which report, which of its texts are replaced, and by what."""
    name = draw(st.sampled_from(sorted(_REPORTS)))
    places = draw(st.lists(st.sampled_from(_plain(name)[1]), min_size=1, max_size=6, unique=True))
    return name, tuple(places), draw(hostile_text)


def _filled(name: str, places: tuple[tuple[Any, ...], ...], text: str) -> BaseModel | None:
    content, _, kind = _plain(name)
    content = copy.deepcopy(content)
    for at in places:
        parent = functools.reduce(lambda node, key: node[key], at[:-1], content)
        parent[at[-1]] = text
    try:
        return kind.model_validate(content)
    except ValidationError:
        return None


@contextmanager
def _documents(_folder: Path) -> Iterator[Attack]:
    harmless = {
        (name, render): render(made())
        for name, (made, *forms) in _REPORTS.items()
        for render in (one for form in forms for one in form)
    }

    def attack(change: tuple[str, tuple[tuple[Any, ...], ...], str]) -> None:
        name, places, text = change
        report = _filled(name, places, text)
        if report is None:
            raise PlatformError("the model of the report refuses the text")
        _, pages, markdowns, files = _REPORTS[name]
        for render in pages:
            require_harmless_page(render(report), harmless[name, render])
        for render in markdowns:
            require_harmless_markdown(render(report), harmless[name, render])
        for render in files:
            require_harmless_csv(render(report))

    yield attack


@contextmanager
def _index(_folder: Path) -> Iterator[Attack]:
    harmless = build_report_index([("churn/cl/card.html", PAGE.encode()), ("x.csv", b"")])

    def attack(texts: tuple[str, str]) -> None:
        title, name = texts
        page = build_report_index(
            [(name.lstrip("/") or "x", f"<title>{title}</title>".encode()), ("x.html", title.encode())]
        )
        require_harmless_page(page, harmless)

    yield attack


@contextmanager
def _spreadsheets(_folder: Path) -> Iterator[Attack]:
    def attack(cells: list[str]) -> None:
        text = write_csv(cells, [cells])
        require_harmless_csv(text)
        if [len(row) for row in csv.reader(io.StringIO(text, newline="")) if row] != [len(cells)] * 2:
            raise EscapeError("a cell became several")
        attached = make_csv_attachment("a.csv", [f"c{number}" for number, _ in enumerate(cells)], [cells])
        require_harmless_csv(attached.content.decode("utf-8-sig"))

    yield attack


@contextmanager
def _tables(_folder: Path) -> Iterator[Attack]:
    harmless = to_markdown(make_table("title", ["a", "b"], [["x", "y"]]))

    def attack(texts: tuple[str, str]) -> None:
        text = to_markdown(make_table(texts[0], ["a", "b"], [[texts[0], texts[1]], [texts[1], "y"]]))
        require_harmless_markdown(text, harmless)
        if len(text.splitlines()) != 4:
            raise EscapeError("a cell became several lines")

    yield attack


_HEADER_NAMES = {
    "from", "to", "subject", "date", "message-id", "auto-submitted", "x-report", "x-partition", "mime-version",
    "content-type", "content-transfer-encoding",
}  # fmt: skip
_mails = st.fixed_dictionaries(
    {},
    optional={
        "subject": st.one_of(st.sampled_from(HEADERS), hostile_text),
        "report": hostile_text,
        "partition": st.one_of(hostile_text, st.sampled_from(HEADERS)),
        "text": encodable_text,
        "recipients": st.lists(
            st.one_of(st.sampled_from(HEADERS), hostile_text, st.sampled_from(_TO)), max_size=3
        ).map(tuple),
    },
)


@contextmanager
def _mail(_folder: Path) -> Iterator[Attack]:
    known = _Skeleton(render_mail_preview(_rendered({})))

    def attack(changes: dict[str, Any]) -> None:
        content = _rendered(changes)
        parsed = message_from_bytes(content, policy=default)
        names = [name.lower() for name in parsed]
        if set(names) - _HEADER_NAMES or len(set(names)) != len(names):
            raise EscapeError(f"headers {names}")
        if parsed["To"].addresses[0].addr_spec.lower() not in {
            one.lower() for one in changes.get("recipients", _TO)
        }:
            raise EscapeError(f"the mail goes to {parsed['To']}")
        if len(parsed["To"].addresses) != 1 or parsed.defects:
            raise EscapeError(f"defects {parsed.defects}, recipients {parsed['To']}")
        subject = changes.get("subject", "Quality").strip()  # spaces around a header are not its own
        if parsed["Subject"] != subject and "=?" not in subject:
            raise EscapeError(f"the subject became {parsed['Subject']!r}")
        found = _Skeleton(render_mail_preview(content))
        if found.tags != known.tags or found.comments != known.comments:
            raise EscapeError("the preview has new markup")

    yield attack


def _rendered(changes: dict[str, Any]) -> bytes:
    fields: dict[str, Any] = {
        "report": "quality/daily_summary",
        "partition": "cl/2026-09-01",
        "subject": "Quality",
        "html": PAGE,
        "text": "x",
        "recipients": _TO,
    }
    message = MailMessage(**{**fields, **changes})
    keys = message.mail_keys()
    if not keys:
        raise PlatformError("a mail to nobody is not queued")
    return render_mail(message, keys[0], sender=SENDER, written_at_utc=NOW)


REPORT_FAMILIES = (
    Family("report_values", _reports(), _documents),
    Family("report_index", st.tuples(encodable_text, encodable_text), _index),
    Family(
        "spreadsheet_cells",
        st.lists(st.one_of(st.sampled_from(FORMULAS), encodable_text), min_size=2, max_size=4),
        _spreadsheets,
    ),
    Family("markdown_cells", st.tuples(encodable_text, encodable_text), _tables),
    Family("mail_headers", _mails, _mail),
)
