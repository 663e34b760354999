"""Values that people with bad intentions, and broken machines, put where a name, a path or a text is expected.

Belongs here: strategies of single values and of documents made of them. Does not belong here: what they are tried on
(the modules attacks_on_*).
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

PATHS = (
    "/etc/passwd", "../../etc/passwd", "..", ".", "", "~/.ssh/id_rsa", "a/../../b", "a//b", "a/./b", "/", "//host/x",
    "C:\\windows\\win.ini", "..\\..\\x", "file:///etc/passwd", "gs://other/x", "a\0b", "a\nb", "a\r\nb", ".hidden",
    "%2e%2e%2f", "..%00/", "\u2025/x", "\uff0e\uff0e/x", "a\u2215b", "cl\u0301", "CON", "nul.txt", "a" * 300, "-rf",
    "*", "{day}", "$(id)", "`id`", "|id", "a;b", "\u202egpj.exe", "x/", "\ufeffx",
)  # fmt: skip
SQL = (
    "'; DROP TABLE decision; --", "x' OR '1'='1", "\"; ATTACH '/etc/passwd' AS a; --", 'a"b', "a'b", "a''b", "\\'",
    "$$x$$", "?", ":name", "%s", "{0}", "/* x */", "--", "') UNION ALL SELECT * FROM read_csv('/etc/passwd') --",
    "COPY x TO '/tmp/x'", "E'\\000'", "x\0y", "\x1a", "NULL", "null", "NaN", "1e400", "0x10", "'||getenv('HOME')||'",
)  # fmt: skip
MARKUP = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", '"><svg onload=alert(1)>', "' onmouseover='x",
    "javascript:alert(1)", "</title><script>x</script>", "<!--", "]]>", "&lt;b&gt;", "{{ 7*7 }}", "{% raw %}",
    "${7*7}", "[x](javascript:alert(1))",
    "![x](http://example.invalid/x.png)", "| a | b |", "``` \n```", "<b>", "\u2028",
    "# x", "a`b",
    "</style><script>x</script>", "</svg><script>x</script>", "<iframe src=//example.invalid>", "a|b",
)  # fmt: skip
FORMULAS = (
    "=1+1", "+1+1", "-1+1", "@SUM(A1)", "=cmd|' /C calc'!A0", "\t=1", "\r=1", "\n=1", " =1", "\uff1d1", "\u00a0=1",
    '=HYPERLINK("http://example.invalid")', ";=1+1", 'a";=1', "a\n=1+1", "\0=1", "'=1", "-1.5", "+1", "a;@x", "a\t=x",
)  # fmt: skip
HEADERS = (
    "x\r\nBcc: a@example.invalid", "x\nSubject: y", "x\rTo: y", "x\r\n\r\nbody", "a\u2028b", "a\x0bb", "a\x85b",
    "=?utf-8?q?x?=",
    "a@example.invalid, b@example.invalid", "<a@example.invalid>", "a@@b", '"a b"@example.invalid',
    "a@[127.0.0.1]", "\x1b[2J", "x" * 1000,
)  # fmt: skip
ODD = (
    "\ud800",
    "\udfff",
    "\U0001f600",
    "\u0000",
    "\x7f",
    "\x1b]0;x\x07",
    "\u200b",
    "a" * 5000,
    "\u0131",
    "\u00df",
    "\u0130",
    "\ufffe",
)

corpus = st.sampled_from((*PATHS, *SQL, *MARKUP, *FORMULAS, *HEADERS, *ODD))
any_text = st.text(st.characters(exclude_categories=()), max_size=40)
hostile_text = st.one_of(corpus, any_text, st.tuples(corpus, corpus).map("".join))
# What arrives from a file or a form is encoded, so it cannot hold half a character.
encodable_text = hostile_text.map(lambda text: text.encode("utf-8", "replace").decode("utf-8"))
numbers = st.one_of(
    st.integers(-(2**70), 2**70), st.floats(), st.sampled_from((0, -1, 2**31, 2**63, 2**64, 1e308, 10**400))
)
scalars: st.SearchStrategy[Any] = st.one_of(st.none(), st.booleans(), numbers, hostile_text, st.dates())
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(hostile_text, inner, max_size=3)),
    max_leaves=6,
)


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Return content with some bytes changed, cut, doubled or inserted."""
    kind = draw(st.sampled_from(("flip", "flip", "flip", "cut", "double", "insert", "other")))
    at = draw(st.integers(0, max(len(content) - 1, 0)))
    if kind == "cut":
        return content[:at]
    if kind == "double":
        return content[:at] + content
    if kind == "insert":
        return content[:at] + draw(st.binary(min_size=1, max_size=20)) + content[at:]
    if kind == "other":
        return draw(st.binary(max_size=200))
    changed = bytearray(content)
    for place in draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        changed[place] = draw(st.integers(0, 255))
    return bytes(changed)
