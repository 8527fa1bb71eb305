"""JSON that fits a schema, the same for the same seed."""

import random
from collections.abc import Mapping
from typing import Any

WORDS = ("trend", "range", "support", "volume", "breakout", "average", "gap", "weekly")
DEPTH = 8
"""Deeper than that, what may be null is."""


def made_up(schema: Mapping[str, Any], seed: int) -> Any:
    """A value that fits *schema*."""
    return _value(schema, schema, random.Random(seed), 0)  # noqa: S311 - no secret


def _value(
    schema: Mapping[str, Any], root: Mapping[str, Any], dice: random.Random, depth: int
) -> Any:
    if "$ref" in schema:
        return _value(_found(schema["$ref"], root), root, dice, depth + 1)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return dice.choice(schema["enum"])
    for name in ("anyOf", "oneOf"):
        if name in schema:
            choices = schema[name]
            nulls = [it for it in choices if it.get("type") == "null"]
            chosen = nulls[0] if depth > DEPTH and nulls else dice.choice(choices)
            return _value(chosen, root, dice, depth + 1)
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    return MAKERS[kind](schema, root, dice, depth)


def _found(ref: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = root
    for step in ref.removeprefix("#/").split("/"):
        found = found[step]
    return found


def _object(
    schema: Mapping[str, Any], root: Mapping[str, Any], dice: random.Random, depth: int
) -> dict[str, Any]:
    return {
        name: _value(own, root, dice, depth + 1)
        for name, own in schema.get("properties", {}).items()
    }


def _array(
    schema: Mapping[str, Any], root: Mapping[str, Any], dice: random.Random, depth: int
) -> list[Any]:
    fewest = schema.get("minItems", 0)
    count = dice.randint(fewest, max(fewest, min(schema.get("maxItems", 2), fewest + 2)))
    own = schema.get("items", {"type": "string"})
    return [_value(own, root, dice, depth + 1) for _ in range(count)]


def _string(_schema: Any, _root: Any, dice: random.Random, _depth: int) -> str:
    return " ".join(dice.choices(WORDS, k=4))


def _bounds(schema: Mapping[str, Any]) -> tuple[float, float]:
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    return low, schema.get("maximum", schema.get("exclusiveMaximum", low + 1))


def _number(
    schema: Mapping[str, Any], _root: Any, dice: random.Random, _depth: int
) -> float:
    return round(dice.uniform(*_bounds(schema)), 4)


def _integer(
    schema: Mapping[str, Any], _root: Any, dice: random.Random, _depth: int
) -> int:
    low, high = _bounds(schema)
    return dice.randint(int(low), int(high))


def _boolean(_schema: Any, _root: Any, dice: random.Random, _depth: int) -> bool:
    return dice.random() < 0.5


def _null(_schema: Any, _root: Any, _dice: random.Random, _depth: int) -> None:
    return None


MAKERS = {
    "object": _object,
    "array": _array,
    "string": _string,
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "null": _null,
}
