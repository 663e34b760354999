"""JSON Schemas of the config files, so that editors complete and check as one types.

Belongs here: generating configs/schema/*.json and walking a schema. Does not belong here: the models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel  # noqa: TC002 - SCHEMAS is built of it

from mlops_assets.config.models import Environment, GeographiesFile, UseCase, UseCaseDefaults
from mlops_assets.domain.feeds.contract import FeedContract
from mlops_assets.domain.quality.spec import MonitorSpec

SCHEMAS: dict[str, type[BaseModel]] = {
    "feed": FeedContract,
    "use_case": UseCase,
    "use_case_defaults": UseCaseDefaults,
    "geographies": GeographiesFile,
    "monitor": MonitorSpec,
    "environment": Environment,
}


def render_schemas() -> dict[str, str]:
    """Return file name to JSON text for every kind of config file.

    What a use case inherits from the defaults is not required of its own file.
    """
    texts: dict[str, str] = {}
    for name, model in SCHEMAS.items():
        schema = model.model_json_schema()
        if model is UseCase:
            _relax(schema)
        texts[f"{name}.json"] = json.dumps(schema, indent=1, sort_keys=True) + "\n"
    return texts


def _relax(schema: dict[str, Any]) -> None:
    for definition in (schema, *schema["$defs"].values()):
        if definition.get("title") in ("UseCase", "ModelSpec", "CorpusSpec"):
            definition.pop("required", None)


def stale_schemas(folder: Path) -> list[str]:
    """Return the names of schema files in `folder` that differ from what the models say."""
    current = render_schemas()
    return [n for n, text in current.items() if not (folder / n).exists() or (folder / n).read_text() != text]


def schema_properties(model: type[BaseModel], at: Sequence[str | int]) -> list[str]:
    """Return the property names allowed at a key path of a model; empty where the path leads nowhere."""
    root = model.model_json_schema()
    nodes = [root]
    for part in at:
        nodes = [child for node in nodes for child in _children(root, _resolved(root, node), part)] or nodes
    names: dict[str, None] = {}
    for node in nodes:
        for option in _options(root, _resolved(root, node)):
            names.update(dict.fromkeys(option.get("properties", {})))
    return list(names)


def _resolved(root: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = node.get("$ref")
    return root["$defs"][reference.rsplit("/", 1)[1]] if reference else node


def _options(root: Mapping[str, Any], node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    alternatives = [*node.get("anyOf", []), *node.get("oneOf", [])]
    return [_resolved(root, option) for option in alternatives] or [node]


def _children(root: Mapping[str, Any], node: Mapping[str, Any], part: str | int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for option in _options(root, node):
        if isinstance(part, int) and "items" in option:
            found.append(option["items"])
        elif part in option.get("properties", {}):
            found.append(option["properties"][part])
        elif isinstance(option.get("additionalProperties"), dict):
            found.append(option["additionalProperties"])
        elif isinstance(option.get("patternProperties"), dict):
            found.extend(option["patternProperties"].values())
    return found
