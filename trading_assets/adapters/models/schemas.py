"""A JSON Schema that every provider takes.

They agree on types, enumerations and required properties, and on little else. Bounds go
into the description, where a model reads them; whoever reads the answer checks them.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

BOUNDS = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minItems",
    "maxItems",
    "uniqueItems",
)
LEFT_OUT = ("default", "title", "examples", "$schema")
NAMED = ("properties", "$defs", "definitions")
"""Keys whose values are schemas by name."""


@lru_cache(maxsize=64)
def portable(schema: str) -> Mapping[str, Any]:
    """The parts of *schema* that every provider takes; not to be changed.

    Args:
        schema: JSON Schema, as JSON.
    """
    return _portable(json.loads(schema))


def _portable(schema: Any) -> Any:  # noqa: ANN401 - a schema is a mapping, or true
    if not isinstance(schema, dict):
        return schema
    kept = {
        name: _inner(name, value)
        for name, value in schema.items()
        if name not in BOUNDS and name not in LEFT_OUT
    }
    bounds = [f"{name}: {schema[name]}" for name in BOUNDS if name in schema]
    if bounds:
        told = [kept["description"]] if "description" in kept else []
        kept["description"] = " ".join([*told, f"({', '.join(bounds)})"])
    if "properties" in kept:
        kept["additionalProperties"] = False
        kept["required"] = list(kept["properties"])
    return kept


def _inner(name: str, value: Any) -> Any:  # noqa: ANN401 - whatever a schema may hold
    if name in NAMED:
        return {own: _portable(schema) for own, schema in value.items()}
    if isinstance(value, list):
        return [_portable(it) for it in value]
    return _portable(value) if name in ("items", "not") else value
