"""Which settings differ between two states of a file.

Belongs here: the comparison of plain values, key by key. Does not belong here: what a difference means (change_plan).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SettingChange:
    """One setting that differs. Lists are compared as a whole.

    Attributes:
        path: keys that lead to it.
        before: JSON value, None where there was none.
        after: JSON value, None where there is none.
    """

    path: tuple[str, ...]
    before: Any
    after: Any

    @property
    def text(self) -> str:
        """The change on one line; of lists, only what is added and removed."""
        return f"{'.'.join(self.path)}: {self._values()}"

    def _values(self) -> str:
        if isinstance(self.before, list) and isinstance(self.after, list):
            added = [f"+ {item}" for item in self.after if item not in self.before]
            removed = [f"- {item}" for item in self.before if item not in self.after]
            return ", ".join([*added, *removed]) or "in another order"
        return f"{_shown(self.before)} -> {_shown(self.after)}"


def _shown(value: Any) -> str:
    return "nothing" if value is None or value in ({}, []) else str(value)


def compare_settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[SettingChange, ...]:
    """Return the settings that differ between two mappings of JSON values, in the order of the newer one."""
    found: list[SettingChange] = []
    _compare((), before, after, found)
    return tuple(found)


def _compare(
    at: tuple[str, ...], before: Mapping[str, Any], after: Mapping[str, Any], found: list[SettingChange]
) -> None:
    for key in dict.fromkeys([*after, *before]):
        old, new = before.get(key), after.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            _compare((*at, key), old, new, found)
        elif old != new:
            found.append(SettingChange((*at, key), old, new))
