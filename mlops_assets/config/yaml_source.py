"""YAML files with the place of every key, read safely.

Belongs here: parsing with limits, duplicate-key refusal, deep merge and the mapping from a key path to its
place. Does not belong here: what the keys mean (models) or how files relate (cross_checks).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mlops_assets.domain.errors import ConfigError

MAX_BYTES = 1_000_000
MAX_ALIASES = 50
MAX_DEPTH = 20
MAX_VALUES = 20_000  # aliases count each time they are used
_LARGEST_INTEGER = 2**63 - 1
KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class YamlSource:
    """Plain data of a file, or of several merged, and the place (`file:line`) of every key path."""

    path: Path
    data: dict[str, Any]
    places: Mapping[KeyPath, str] = field(repr=False)

    def where(self, key_path: Sequence[str | int]) -> str:
        """Return `file:line` followed by the dotted key.

        Parts that are in no file (a missing key, the tag of a union) are passed over.
        """
        dotted = ".".join(str(part) for part in key_path)
        return f"{self.place(key_path)}{f' {dotted}' if dotted else ''}"

    def place(self, key_path: Sequence[str | int]) -> str:
        """Return `file:line` of a key path, or of the nearest key above it that a file has."""
        known: KeyPath = ()
        for part in key_path:
            if (*known, part) in self.places:
                known = (*known, part)
        return self.places.get(known, f"{self.path}:1")

    def moved(self, start: KeyPath, to: KeyPath) -> dict[KeyPath, str]:
        """Return the places below `start`, as if they lay below `to`."""
        size = len(start)
        return {(*to, *path[size:]): place for path, place in self.places.items() if path[:size] == start}


def read_yaml(path: Path) -> YamlSource:
    """Read one YAML file whose top level is a mapping.

    Raises:
        ConfigError: unreadable, too large, too deep, too many values or aliases, a tag, a merge key, a duplicate
            key, bad syntax or a control character (with its line).
    """
    text = _read_text(path)
    try:
        _require_harmless(text, path)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.reader.ReaderError as error:
        raise _unprintable(error, path, text) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(
            f"YAML syntax: {error.problem}",
            where=f"{path}:{line}",
            remedy="correct the indentation or quoting",
        ) from error
    places: dict[KeyPath, str] = {}
    data = _construct(node, (), places, path) if node is not None else {}
    if not isinstance(data, dict):
        raise ConfigError("the top level is not a mapping", where=f"{path}:1", expected="`key: value` lines")
    return YamlSource(path, data, places)


def _read_text(path: Path) -> str:
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise ConfigError(f"file of {size} bytes", where=str(path), expected=f"at most {MAX_BYTES} bytes")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError("not UTF-8", where=str(path), expected="UTF-8 text") from error
    except OSError as error:
        raise ConfigError(
            f"the file cannot be read: {error.strerror}", where=str(path), expected="a readable file"
        ) from error


def _require_harmless(text: str, path: Path) -> None:
    """Refuse what could exhaust a reader, or make it build something else than plain data; stops at the first."""
    depth = aliases = values = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        where = f"{path}:{event.start_mark.line + 1 if event.start_mark else 1}"
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        aliases += isinstance(event, yaml.AliasEvent)
        values += isinstance(event, yaml.NodeEvent)
        if depth > MAX_DEPTH:
            raise _too_deep(where)
        if aliases > MAX_ALIASES:
            raise ConfigError("too many YAML aliases", where=where, expected=f"at most {MAX_ALIASES}")
        if values > MAX_VALUES:
            raise _too_many(where)
        if tag := getattr(event, "tag", None):
            raise ConfigError(
                f"the YAML tag {tag[:60]!r} is not accepted",
                where=where,
                expected="plain values",
                remedy="remove the tag; quote what should be text",
            )


def _too_deep(where: str) -> ConfigError:
    return ConfigError("nested too deeply", where=where, expected=f"at most {MAX_DEPTH} levels")


def _too_many(where: str) -> ConfigError:
    return ConfigError(
        f"more than {MAX_VALUES} values, aliases counted each time they are used",
        where=where,
        expected="a configuration that a person has written",
    )


def _unprintable(error: yaml.reader.ReaderError, path: Path, text: str) -> ConfigError:
    before = text[: error.position]
    column = len(before) - (before.rfind("\n") + 1) + 1
    return ConfigError(
        f"YAML refuses the character U+{ord(text[error.position]):04X}",
        where=f"{path}:{before.count(chr(10)) + 1}, column {column}",
        expected="printable text",
        remedy='remove the character, or write it as an escape in double quotes, such as "\\x07"',
    )


def _construct(node: yaml.Node, at: KeyPath, places: dict[KeyPath, str], path: Path) -> Any:
    place = f"{path}:{node.start_mark.line + 1}"
    places.setdefault(at, place)
    if len(at) > MAX_DEPTH:  # an alias may hold itself
        raise _too_deep(place)
    if len(places) > MAX_VALUES:
        raise _too_many(place)
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, key_place = _read_key(key_node, path), f"{path}:{key_node.start_mark.line + 1}"
            if key in result:
                raise ConfigError(f"key {key!r} is given twice", where=key_place, remedy="remove one of them")
            places[(*at, key)] = key_place
            result[key] = _construct(value_node, (*at, key), places, path)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_construct(item, (*at, index), places, path) for index, item in enumerate(node.value)]
    return _read_scalar(node, place)


def _read_key(node: yaml.Node, path: Path) -> str:
    place = f"{path}:{node.start_mark.line + 1}"
    if not isinstance(node, yaml.ScalarNode):
        raise ConfigError("a key is a list or a mapping", where=place, expected="a name")
    if node.tag == "tag:yaml.org,2002:merge":
        raise ConfigError(
            "the YAML merge key `<<` is not accepted", where=place, remedy="write the keys out, or use `like`"
        )
    return _require_text(str(node.value), place)


def _read_scalar(node: yaml.Node, place: str) -> Any:
    try:
        value = yaml.SafeLoader("").construct_object(node)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise ConfigError(f"value cannot be read: {error}", where=place) from error
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        raise ConfigError("a whole number is too large", where=place, expected=f"at most {_LARGEST_INTEGER}")
    return _require_text(value, place) if isinstance(value, str) else value


def _require_text(text: str, place: str) -> str:
    """Refuse what no file, database or header can hold: NUL, and halves of characters."""
    if any(sign == "\0" or "\ud800" <= sign <= "\udfff" for sign in text):
        raise ConfigError(
            "a text holds NUL or half a character",
            where=place,
            expected="Unicode text",
            remedy="correct the escape",
        )
    return text


def deep_merge(
    base: Mapping[str, Any], over: Mapping[str, Any], *, replace: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """Return `base` overlaid with `over`: mappings merge, everything else and keys in `replace` are replaced."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping) and key not in replace
        merged[key] = deep_merge(old, value, replace=replace) if both else value  # type: ignore[arg-type]
    return merged
