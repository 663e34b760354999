"""The keys of the configuration as pages, from the models that read them.

Belongs here: how a model becomes tables. Does not belong here: what a key means (it stands in the docstring of its
model, in mlops_assets.config and mlops_assets.domain).
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlops_assets.config.json_schema import SCHEMAS

Schema = Mapping[str, Any]
# Where the files of a kind are, and how the page is called.
KINDS = {
    "feed": ("Keys of a feed", "configs/feeds/NAME.yaml"),
    "geographies": ("Keys of geographies", "configs/geographies.yaml"),
    "use_case": ("Keys of a use case", "configs/use_cases/NAME.yaml"),
    "use_case_defaults": ("Keys of the defaults", "configs/use_cases/_defaults.yaml"),
    "monitor": ("Keys of a monitor", "configs/quality/NAME.yaml"),
    "environment": ("Keys of an environment", "configs/environments/NAME.yaml"),
}
_REMARKS = {
    "use_case": "What is required here may be given by `_defaults.yaml` instead; geographies may override every key.\n"
}
_UNITS = {
    "days": "days",
    "hours": "hours",
    "weeks": "weeks",
    "s": "seconds",
    "ms_per_1000_rows": "milliseconds per 1,000 rows",
    "usd": "US dollars",
    "usd_per_day": "US dollars a day",
    "usd_per_unit": "US dollars for one unit of the currency",
    "usd_per_cpu_hour": "US dollars for one CPU hour",
    "gb": "GB",
    "bytes": "bytes",
    "rows": "rows",
    "share": "share, 1 is all",
    "trees": "trees",
}
_LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} entries",
    "maxItems": "at most {} entries",
    "minProperties": "at least {} entries",
}

_PLAIN_TYPES = {
    "string": "text",
    "date": "date",
    "integer": "integer",
    "number": "number",
    "boolean": "`true`, `false`",
}


@dataclass(frozen=True)
class Description:
    """The docstring of a model: what it is, and what each key means."""

    prose: str
    keys: Mapping[str, str]

    def meaning(self, key: str) -> str:
        """Return what a key means: its own entry, or the sentences of the prose that name it."""
        if own := self.keys.get(key):
            return own
        sentences = re.split(r"(?<=[.;])\s+(?=[A-Z`])", " ".join(self.prose.split()))
        return " ".join(one for one in sentences if f"`{key}`" in one or f"`{key}:" in one)


def read_description(docstring: str) -> Description:
    """Return prose and keys of a docstring in Google's form."""
    prose, _, attributes = inspect.cleandoc(docstring).partition("\nAttributes:\n")
    entries = re.split(r"^    (?=\w+: )", attributes, flags=re.MULTILINE)[1:]
    pairs = (entry.split(":", 1) for entry in entries)
    return Description(prose.strip(), {key: " ".join(text.split()) for key, text in pairs})


def render_config_pages() -> dict[str, str]:
    """Return file name to Markdown for every kind of file."""
    return {
        f"config_{kind}.md": _render_page(kind, model.model_json_schema()) for kind, model in SCHEMAS.items()
    }


def undescribed_keys() -> list[str]:
    """Return the keys that no docstring explains, as `kind: model.key`."""
    found = []
    for kind, root in SCHEMAS.items():
        for title, model in _models(root.model_json_schema()):
            description = read_description(model.get("description", ""))
            keys = model.get("properties", {})
            found += [f"{kind}: {title}.{key}" for key in keys if not description.meaning(key)]
    return found


def _models(schema: Schema) -> Iterator[tuple[str, Schema]]:
    yield schema["title"], schema
    yield from schema.get("$defs", {}).items()


def _render_page(kind: str, schema: Schema) -> str:
    title, where = KINDS[kind]
    used = _find_uses(schema)
    remark = f"Files: `{where}`. Generated from the models that read them; any other key is refused."
    parts = [f"# {title}\n\n{remark}\n", _REMARKS.get(kind, "")]
    parts.append(_render_model(schema))
    for name, found in used.items():
        places = ", ".join(f"`{place}`" for place in found)
        heading = f"## {_in_words(name)} {{#{_anchor(name)}}}\n\nAt {places}.\n"
        parts.append(f"{heading}\n{_render_model(schema['$defs'][name])}")
    return "\n".join(parts)


def _find_uses(schema: Schema) -> dict[str, list[str]]:
    """Return for each definition the places of a file that have its form."""
    used: dict[str, list[str]] = {}

    def walk(node: Schema, path: str, above: tuple[str, ...]) -> None:
        for key, child in node.get("properties", {}).items():
            for name, below in _references(child, f"{path}.{key}".lstrip(".")):
                if below not in used.setdefault(name, []):
                    used[name].append(below)
                if name not in above:
                    walk(schema["$defs"][name], below, (*above, name))

    walk(schema, "", ())
    return used


def _references(node: Schema, path: str) -> Iterator[tuple[str, str]]:
    if reference := node.get("$ref"):
        yield reference.rsplit("/", 1)[1], path
    for option in (*node.get("anyOf", []), *node.get("oneOf", []), *node.get("allOf", [])):
        yield from _references(option, path)
    if isinstance(items := node.get("items"), dict):
        yield from _references(items, f"{path}[]")
    if isinstance(values := node.get("additionalProperties"), dict):
        yield from _references(values, f"{path}.NAME")
    for values in node.get("patternProperties", {}).values():
        yield from _references(values, f"{path}.NAME")


def _render_model(model: Schema) -> str:
    description = read_description(model.get("description", ""))
    required = set(model.get("required", []))
    rows = [
        f"| `{key}` | {_type(node)} | {_default(key, node, required)} | {_limits(key, node)} | "
        f"{_cell(description.meaning(key))} |"
        for key, node in model.get("properties", {}).items()
    ]
    head = "| key | type | default | unit and limits | meaning |\n| --- | --- | --- | --- | --- |\n"
    return f"{description.prose}\n\n{head}" + "\n".join(rows) + "\n"


def _type(node: Schema) -> str:
    """Return the type of a value in words, with a link where it has keys of its own."""
    if reference := node.get("$ref"):
        name = reference.rsplit("/", 1)[1]
        return f"[{_in_words(name).lower()}](#{_anchor(name)})"
    if options := [*node.get("anyOf", []), *node.get("oneOf", [])]:
        return " or ".join(dict.fromkeys(_type(option) for option in options if option.get("type") != "null"))
    if values := node.get("enum", [node["const"]] if "const" in node else []):
        return ", ".join(f"`{value}`" for value in values)
    if node.get("type") == "array":
        return f"list of {_type(node.get('items', {}))}"
    if node.get("type") == "object":
        return " to ".join(["mapping", *(_type(one) for one in _mapped(node))])
    return _PLAIN_TYPES.get(node.get("format", node.get("type", "")), "any")


def _mapped(node: Schema) -> Sequence[Schema]:
    """Return what the keys of a mapping lead to; nothing if that is not restricted."""
    options = [node.get("additionalProperties"), *node.get("patternProperties", {}).values()]
    return [option for option in options if isinstance(option, dict) and option][:1]


def _default(key: str, node: Schema, required: set[str]) -> str:
    if key in required:
        return "**required**"
    default = node.get("default")
    if default is None or default in ("", [], {}):
        return "none"
    return "see there" if isinstance(default, dict) else f"`{json.dumps(default)}`".replace('"', "")


def _limits(key: str, node: Schema) -> str:
    unit = next((_UNITS[key[start:]] for start in _suffixes(key) if key[start:] in _UNITS), "")
    options = [node, *node.get("anyOf", [])]
    limits = [
        text.format(f"{one[name]:,}".removesuffix(".0"))
        for one in options
        for name, text in _LIMITS.items()
        if name in one
    ]
    pattern = [_code(one["pattern"]) for one in options if "pattern" in one]
    return "; ".join([*([unit] if unit else []), *limits, *pattern])


def _suffixes(key: str) -> list[int]:
    """Return where the parts of a name begin, the longest rest first."""
    return [0, *(match.end() for match in re.finditer("_", key))]


def _code(text: str) -> str:
    """Return code as a cell may hold it: a bar ends a cell, so such code is HTML without a sign of Markdown's."""
    if "|" not in text:
        return f"`{text}`"
    return f"<code>{''.join(sign if sign.isalnum() else f'&#{ord(sign)};' for sign in text)}</code>"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _in_words(name: str) -> str:
    words = re.sub(r"(Spec|Config)$", "", name)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", words).capitalize()


def _anchor(name: str) -> str:
    return _in_words(name).lower().replace(" ", "-")
