"""Names that somebody typed: refused with those that are known, if they are not.

Belongs here: refusing a name. Does not belong here: what a command knows, or completing words (completion).
"""

from __future__ import annotations

from collections.abc import Iterable

import click


def require_known(name: str, known: Iterable[str], hint: str) -> None:
    """Raise click.BadParameter unless the name is known.

    Args:
        name: as typed.
        known: names that there are.
        hint: the argument or option, as its help shows it.
    """
    names = sorted(known)
    if name not in names:
        raise click.BadParameter(f"unknown: {name!r}; one of {', '.join(names)}", param_hint=hint)
