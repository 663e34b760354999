"""Validation against the discovery document of a Google API, offline.

Belongs here: finding the document that google-api-python-client ships, and what its schemas say of a value. Does not
belong here: any manifest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

_PYTHON_TYPES = {
    "string": str,
    "integer": int,
    "boolean": bool,
    "number": (int, float),
    "object": dict,
    "array": list,
}


@cache
def load_schemas(api: str) -> dict[str, Any]:
    """Return the schemas of an API, such as `run.v1`."""
    import googleapiclient

    documents = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
    found: dict[str, Any] = json.loads((documents / f"{api}.json").read_text())["schemas"]
    return found


def find_violations(value: Any, api: str, schema: str) -> list[str]:
    """Return everything in a value that the schema does not know or wants otherwise; empty if it is valid."""
    return list(_violations(value, {"$ref": schema}, load_schemas(api), schema))


def _violations(value: Any, schema: dict[str, Any], schemas: dict[str, Any], where: str) -> Iterator[str]:
    if schema.get("readOnly"):
        yield f"{where}: is for the server to say"
        return
    if "$ref" in schema:
        yield from _violations(value, schemas[schema["$ref"]], schemas, where)
        return
    wanted = _PYTHON_TYPES.get(schema.get("type", "any"))
    if wanted and (not isinstance(value, wanted) or (isinstance(value, bool) and wanted is int)):
        yield f"{where}: {value!r} is no {schema['type']}"
        return
    if schema.get("format") == "int64" and not str(value).isdigit():
        yield f"{where}: {value!r} is no number"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where}: {value!r} is none of {schema['enum']}"
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _violations(item, schema["items"], schemas, f"{where}[{index}]")
    if isinstance(value, dict):
        yield from _violations_of_keys(value, schema, schemas, where)


def _violations_of_keys(
    value: dict[str, Any], schema: dict[str, Any], schemas: dict[str, Any], where: str
) -> Iterator[str]:
    for key, item in value.items():
        known = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
        if known is None:
            yield f"{where}.{key}: unknown"
        else:
            yield from _violations(item, known, schemas, f"{where}.{key}")
