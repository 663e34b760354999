"""A mail as a page that a browser shows.

Belongs here: the mail's own HTML under a line that says from whom, to whom and when, with its files as links. Does not
belong here: making the mail (mail) or where the page is kept (`resources.mailbox`).
"""

from __future__ import annotations

import base64
import html
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from email.message import EmailMessage, MIMEPart

_POLICY = (
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
)
_BANNER_STYLE = (
    "margin:0;padding:0.75rem 1.25rem;border-bottom:1px solid #8a94a3;background:#f0f3f7;color:#1b2330;"
    "font:14px/1.6 system-ui,sans-serif;overflow-wrap:anywhere"
)
_LINK_STYLE = "color:#1f4f9f"  # the line is light on a dark screen too
_HEAD = re.compile(r"<head[^>]*>", re.IGNORECASE)
_BODY = re.compile(r"<body[^>]*>", re.IGNORECASE)
_SHOWN_HEADERS = ("From", "To", "Date", "Subject")


def render_mail_preview(content: bytes) -> str:
    """Return a page without outside references: what the recipient sees, with the attachments as links.

    Args:
        content: the mail's RFC 5322 bytes.
    """
    mail = _parse(content)
    page = _page(mail)
    if not _HEAD.search(page):
        page = f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"></head>\n<body>{page}</body>\n</html>\n'
    if not _BODY.search(page):
        page = page.replace("</head>", "</head><body>", 1)
    page = _insert_after(_HEAD, page, f"\n{_POLICY}")
    return _insert_after(_BODY, page, f"\n{_banner(mail)}")


def read_mail_text(content: bytes) -> str:
    """Return a mail's headers of interest and its plain text, for a terminal."""
    mail = _parse(content)
    body = mail.get_body(("plain",))
    names = [part.get_filename() or "" for part in mail.iter_attachments()]
    lines = [f"{name}: {mail[name]}" for name in (*_SHOWN_HEADERS, "Message-ID")]
    if names:
        lines.append(f"Attachments: {', '.join(names)}")
    return "\n".join([*lines, "", _content(body).strip() if body else ""])


def _parse(content: bytes) -> EmailMessage:
    from email import message_from_bytes
    from email.policy import default

    return message_from_bytes(content, policy=default)


def _page(mail: EmailMessage) -> str:
    """Return the HTML body, or the plain text as HTML."""
    body = mail.get_body(("html", "plain"))
    if body is None:
        return ""
    text = _content(body)
    if body.get_content_type() == "text/plain":
        return f'<main><pre style="white-space:pre-wrap">{html.escape(text)}</pre></main>'
    return text


def _content(part: MIMEPart) -> str:
    """Return the text of a part with the line ends of files, not of mail."""
    content: str = part.get_content()
    return content.replace("\r\n", "\n")


def _banner(mail: EmailMessage) -> str:
    facts = [f"<b>{name}</b> {html.escape(str(mail[name]))}" for name in _SHOWN_HEADERS]
    facts += [
        f'<a style="{_LINK_STYLE}" download="{html.escape(part.get_filename() or "file")}" href="{_data_uri(part)}">'
        f"{html.escape(part.get_filename() or 'file')}</a>"
        for part in mail.iter_attachments()
    ]
    return f'<header style="{_BANNER_STYLE}">{"<br>".join(facts)}</header>'


def _data_uri(part: EmailMessage) -> str:
    content = part.get_payload(decode=True)
    encoded = base64.b64encode(content if isinstance(content, bytes) else b"").decode()
    return f"data:{part.get_content_type()};base64,{encoded}"


def _insert_after(pattern: re.Pattern[str], page: str, addition: str) -> str:
    return pattern.sub(lambda match: match[0] + addition, page, count=1)
