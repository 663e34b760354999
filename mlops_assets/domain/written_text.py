"""What people write beside their decisions: a name, a note.

Belongs here: which texts can be kept, shown in a terminal and put into a page. Does not belong here: who may decide
(learning.approval) or where it is recorded.
"""

from __future__ import annotations

import re

MOST_CHARACTERS = 2_000
# Line ends and tabs are fine; other control characters steer a terminal, and halves of characters cannot be stored.
_UNWRITABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def find_text_fault(text: str) -> str:
    """Return why a text cannot be kept, in a clause; empty if it can."""
    if not text.strip():
        return "is empty"
    if len(text) > MOST_CHARACTERS:
        return f"has {len(text)} characters, at most {MOST_CHARACTERS} are kept"
    if _UNWRITABLE.search(text):
        return "holds a control character or half a character"
    return ""
