"""What a Markdown page is made of, as far as checks and the site need it: blocks of code, links, anchors.

Belongs here: reading and rewriting text. Does not belong here: where a link should lead (page_links),
running a block (tests/documents).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_FENCE = re.compile(r"^(?P<indent> *)(?P<mark>`{3,})(?P<info>[^`\n]*)$")
_INFO = re.compile(r'^\s*(?P<language>[\w-]*)\s*(?:title="(?P<title>[^"]*)")?\s*$')
_COMMENT = re.compile(r"^\s*<!--\s*(?P<words>.*?)\s*-->\s*$")
_LINK = re.compile(r"(?P<image>!?)\[(?P<label>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^()\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(?P<text>.+?)(?: +\{#(?P<anchor>[\w-]+)\})? *#*$", re.MULTILINE)


@dataclass(frozen=True)
class CodeBlock:
    """A fenced block.

    Attributes:
        language: first word behind the fence; empty for none.
        title: `title="..."` behind the fence: the file that the block shows; empty for none.
        comment: the HTML comment on the line before the fence; empty for none.
        line: line number of the fence, from 1.
        lines: content without the fence's indentation.
    """

    language: str
    title: str
    comment: str
    line: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """Return the content with a line break at the end of each line."""
        return "".join(f"{line}\n" for line in self.lines)


@dataclass(frozen=True)
class TextLink:
    """A link or image: its label, and its target as written."""

    label: str
    target: str
    is_image: bool


@dataclass
class _OpenBlock:
    language: str
    title: str
    comment: str
    line: int
    indent: int
    mark: str
    lines: list[str] = field(default_factory=list)


def find_blocks(text: str) -> list[CodeBlock]:
    """Return every fenced block in order; one that is never closed ends with the text."""
    blocks, before = [], ""
    current: _OpenBlock | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        fence = _FENCE.match(line)
        if current is not None:
            if fence and fence["mark"] == current.mark and not fence["info"].strip():
                blocks.append(_closed(current))
                current = None
            else:
                current.lines.append(line[min(current.indent, len(line) - len(line.lstrip())) :])
        elif fence:
            current = _opened(fence, before, number)
        before = line
    return [*blocks, _closed(current)] if current else blocks


def _opened(fence: re.Match[str], before: str, number: int) -> _OpenBlock:
    info, comment = _INFO.match(fence["info"]), _COMMENT.match(before)
    return _OpenBlock(
        language=info["language"] if info else fence["info"].split()[0],
        title=(info["title"] or "") if info else "",
        comment=comment["words"] if comment else "",
        line=number,
        indent=len(fence["indent"]),
        mark=fence["mark"],
    )


def _closed(block: _OpenBlock) -> CodeBlock:
    return CodeBlock(block.language, block.title, block.comment, block.line, tuple(block.lines))


def without_code(text: str) -> str:
    """Return the text at its length, with blocks of code and code between backticks blanked."""
    lines, mark = [], ""
    for line in text.split("\n"):
        fence = _FENCE.match(line)
        if not mark and not fence:
            lines.append(re.sub(r"`[^`]+`", lambda found: " " * len(found[0]), line))
            continue
        lines.append(" " * len(line))
        if not mark and fence:
            mark = fence["mark"]
        elif fence and fence["mark"] == mark and not fence["info"].strip():
            mark = ""
    return "\n".join(lines)


def find_links(text: str) -> list[TextLink]:
    """Return links and images outside code, in order."""
    return [link for _, link in _places_of_links(text)]


def rewrite_links(text: str, change: Callable[[TextLink], str]) -> str:
    """Return the text with each link outside code replaced by what `change` makes of it, as Markdown."""
    pieces, end = [], 0
    for place, link in _places_of_links(text):
        pieces += [text[end : place.start], change(link)]
        end = place.stop
    return "".join([*pieces, text[end:]])


def _places_of_links(text: str) -> Iterator[tuple[slice, TextLink]]:
    for found in _LINK.finditer(without_code(text)):
        label = text[found.start("label") : found.end("label")]
        yield slice(*found.span()), TextLink(label, found["target"], bool(found["image"]))


def find_anchors(text: str) -> set[str]:
    """Return the anchors of the headings, as code hosts name them: a repeated heading gets a number."""
    seen: dict[str, int] = {}
    anchors = set()
    for heading in _HEADING.finditer(_without_blocks(text)):
        slug = heading["anchor"] or make_anchor(heading["text"])
        number = seen.get(slug, 0)
        seen[slug] = number + 1
        anchors.add(f"{slug}-{number}" if number else slug)
    return anchors


def _without_blocks(text: str) -> str:
    """Return the text without fenced blocks; words between backticks stay, they are part of headings."""
    pairs = zip(text.split("\n"), without_code(text).split("\n"), strict=True)
    return "\n".join(line for line, plain in pairs if plain.strip())


def make_anchor(heading: str) -> str:
    """Return a heading's anchor: lower case, without punctuation and markup, blanks as hyphens."""
    words = _LINK.sub(lambda m: m["label"], heading)
    return re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
