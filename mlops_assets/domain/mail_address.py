"""What a mail address is, for configuration and for mails.

Belongs here: the pattern and its typed form. Does not belong here: mails (domain.reporting.mail).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

ADDRESS_PATTERN = (
    r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$"
)
MAX_ADDRESS_LENGTH = 254  # RFC 5321, 4.5.3.1.3 less the angle brackets
MailAddress = Annotated[str, Field(max_length=MAX_ADDRESS_LENGTH, pattern=ADDRESS_PATTERN)]
