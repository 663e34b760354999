"""The slots of a fleet's groups beside that of the pooled model.

Belongs here: how a group's slot is named, and whose it is. Does not belong here: who is champion in it.

Geographies and `all` have no dot, so that the part before the first one is the segment of the pooled model.
"""

from __future__ import annotations

import re
from hashlib import blake2b

from mlops_assets.domain.ports import ModelSlot

_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_LONGEST_SLUG = 30


def group_segment(segment: str, group: str) -> str:
    """Return the segment of a group's slot: geography, dot, group.

    A group whose name is no plain lower-case word is spelt in plain characters and told apart by a hash.
    """
    if _PLAIN.fullmatch(group):
        return f"{segment}.{group}"
    slug = re.sub(r"[^a-z0-9]+", "-", group.lower()).strip("-")[:_LONGEST_SLUG].strip("-") or "group"
    return f"{segment}.{slug}-{blake2b(group.encode(), digest_size=4).hexdigest()}"


def group_slot(pooled: ModelSlot, group: str) -> ModelSlot:
    """Return the slot of a group's own model beside that of the pooled one."""
    return ModelSlot(pooled.use_case, pooled.model, group_segment(pooled.segment, group))


def pooled_segment(segment: str) -> str:
    """Return the segment of the pooled model beside which a slot's model is; a pooled one's is its own."""
    return segment.partition(".")[0]
