"""Text of reports that reads like a subscriber's number: refused as a name, masked in a sentence.

Belongs here: recognising such a number. Does not belong here: what may be mailed (mail).
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

_SUBSCRIBER_NUMBER = re.compile(r"\d{9,}")  # telephone numbers, IMSI, IMEI: nine digits in a row or more


def refuse_identifiers(text: str) -> str:
    """Return the text; ValueError if it holds what reads like a subscriber's number."""
    if _SUBSCRIBER_NUMBER.search(text):
        raise ValueError("nine or more digits in a row read like a subscriber's number; reports hold none")
    return text


def mask_identifiers(text: str) -> str:
    """Return the text with an ellipsis for what reads like a subscriber's number."""
    return _SUBSCRIBER_NUMBER.sub("\N{HORIZONTAL ELLIPSIS}", text)


PublicName = Annotated[str, AfterValidator(refuse_identifiers)]
PublicText = Annotated[str, AfterValidator(mask_identifiers)]
