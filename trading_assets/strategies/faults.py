"""What is wrong with a strategy file, in words that a person can act on."""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

type Keys = tuple[str | int, ...]
"""The way from the outermost mapping to a value."""

WORDS = {
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "bool_type": "must be true or false",
    "string_type": "must be text (in quotes, if it looks like something else)",
    "tuple_type": "must be a list such as [AAPL, MSFT]",
    "list_type": "must be a list",
    "finite_number": "must be a finite number",
    "string_too_short": "must not be empty",
}
"""Pydantic's kinds of error that have better words than its own."""

MAPPING_EXPECTED = frozenset(
    {"model_type", "model_attributes_type", "dict_type", "dataclass_type"}
)
LONGEST_SHOWN = 60
QUOTED = re.compile(r"'([^']*)'")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, and where.

    Attributes:
        keys: The way to it; empty for the file as a whole.
        message: What was received and what is allowed.
        line: Where it stands, if that is not where its key does.
    """

    keys: Keys
    message: str
    line: int | None = None

    def __str__(self) -> str:
        return f"{dotted(self.keys)}: {self.message}" if self.keys else self.message


def dotted(keys: Keys) -> str:
    """*keys* as people write them: ``universe[2]``, ``risk.max_positions``."""
    steps = (f"[{k}]" if isinstance(k, int) else f".{_printable(k)}" for k in keys)
    return "".join(steps).removeprefix(".")


def shown(received: object) -> str:
    """*received* as the file would write it, cut short."""
    text = _printable(json.dumps(received, default=str, ensure_ascii=False))
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 2]} …"


def _printable(text: str) -> str:
    """*text* on one line, whatever is in it."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``"; did you mean sizing?"`` if *word* is close to a *known* one, else nothing."""
    close = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def unknown_key(keys: Keys, known: Iterable[str], elsewhere: Iterable[str] = ()) -> Fault:
    """The last of *keys* is none of the *known* ones.

    Args:
        elsewhere: Where keys live in other mappings, dotted: ``execution.bracket``.
    """
    allowed, key = sorted(known), str(keys[-1])
    moved = [p for p in elsewhere if p.rpartition(".")[2] == key and p != dotted(keys)]
    hint = f"; did you mean {moved[0]}?" if moved else did_you_mean(key, allowed)
    return Fault(keys, f"unknown key{hint} (allowed: {', '.join(allowed) or 'none'})")


def faults_of(
    error: ValidationError, content: Mapping[str, Any], model: type[BaseModel]
) -> list[Fault]:
    """Every fault that pydantic found in *content*, read as a *model*."""
    return [_fault(detail, content, model) for detail in error.errors(include_url=False)]


def value_faults(error: ValidationError, keys: Keys, annotation: object) -> list[Fault]:
    """Every fault of the one value at *keys*, which is declared as *annotation*."""
    return [
        Fault((*keys, *detail["loc"]), _message(detail, annotation))
        for detail in error.errors(include_url=False)
    ]


def _fault(
    detail: ErrorDetails, content: Mapping[str, Any], model: type[BaseModel]
) -> Fault:
    keys = _without_tags(detail["loc"], content)
    kind, received = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        known = _known_at(model, keys[:-1], content)
        return unknown_key(keys, known, _nested_keys(model))
    if kind == "missing":
        return _missing(keys, received, _known_at(model, keys[:-1], content))
    if kind.startswith("union_tag_"):
        return _undecided(keys, received, _models(_annotation_at(model, keys, content)))
    return Fault(keys, _message(detail, _annotation_at(model, keys, content)))


def _missing(keys: Keys, present: object, known: Collection[str]) -> Fault:
    """A key that is not there, or stands there misspelt."""
    written = present if isinstance(present, Mapping) else {}
    unknown = [str(key) for key in written if key not in known]
    close = get_close_matches(str(keys[-1]), unknown, n=1, cutoff=0.6)
    hint = f"; is it what you mean by {close[0]}?" if close else ""
    return Fault(keys, f"is missing{hint}")


def _undecided(keys: Keys, received: object, arms: Iterable[type[BaseModel]]) -> Fault:
    """A mapping that does not say which of several kinds it is."""
    kinds = [get_args(arm.model_fields["kind"].annotation)[0] for arm in arms]
    written = received.get("kind") if isinstance(received, Mapping) else None
    if written is None:
        return Fault((*keys, "kind"), f"is missing; must be one of {', '.join(kinds)}")
    hint = did_you_mean(str(written), kinds)
    return Fault(
        (*keys, "kind"), f"must be one of {', '.join(kinds)}, was {shown(written)}{hint}"
    )


def _message(detail: ErrorDetails, annotation: object) -> str:
    kind, received, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "value_error":
        wanted = str(context["error"])
    elif kind in MAPPING_EXPECTED:
        wanted = "must be a mapping of keys and values"
    else:
        wanted = WORDS.get(kind) or detail["msg"]
        wanted = wanted.replace("Input should be", "must be")
        wanted = wanted.replace("String should match pattern", "must match")
    or_null = " or null" if NoneType in get_args(annotation) else ""
    return f"{wanted}{or_null}, was {shown(received)}{_hint(kind, received, context)}"


def _hint(kind: str, received: object, context: Mapping[str, Any]) -> str:
    if not isinstance(received, str):
        return ""
    if kind in {"enum", "literal_error"}:
        return did_you_mean(received, QUOTED.findall(context["expected"]))
    if kind == "string_pattern_mismatch":
        other = received.upper() if received.islower() else received.lower()
        return did_you_mean_exactly(other, context["pattern"])
    return ""


def did_you_mean_exactly(word: str, pattern: str) -> str:
    """The same for a *word* that is right as soon as it fits the *pattern*."""
    return f"; did you mean {word}?" if re.search(pattern, word) else ""


def _without_tags(location: Keys, content: Mapping[str, Any]) -> Keys:
    """*location* without the kinds that pydantic inserts where a union was decided."""
    keys: list[str | int] = []
    at: Any = content
    for part in location:
        if isinstance(at, Mapping) and part not in at and at.get("kind") == part:
            continue
        keys.append(part)
        at = _step(at, part)
    return tuple(keys)


def _annotation_at(model: type[BaseModel], keys: Keys, content: object) -> object:
    """What is declared for the value at *keys*; None where nothing is."""
    annotation: object = model
    at = content
    for key in keys:
        arms = _arms(annotation, at)
        field = arms[0].model_fields.get(str(key)) if len(arms) == 1 else None
        annotation, at = field and field.annotation, _step(at, key)
    return annotation


def _known_at(model: type[BaseModel], keys: Keys, content: object) -> set[str]:
    """The keys of the mapping at *keys*."""
    at = content
    for key in keys:
        at = _step(at, key)
    arms = _arms(_annotation_at(model, keys, content), at)
    return {name for arm in arms for name in arm.model_fields}


def _arms(annotation: object, at: object) -> list[type[BaseModel]]:
    """The models among the arms of *annotation* that *at*, by its kind, may be."""
    kind = at.get("kind") if isinstance(at, Mapping) else None
    models = _models(annotation)
    return [each for each in models if len(models) == 1 or _is_of(each, kind)]


def _models(annotation: object) -> list[type[BaseModel]]:
    """The models among the arms of *annotation*."""
    arms = get_args(annotation) or (annotation,)
    return [arm for arm in arms if isinstance(arm, type) and issubclass(arm, BaseModel)]


def _is_of(model: type[BaseModel], kind: object) -> bool:
    declared = model.model_fields.get("kind")
    return declared is None or kind in get_args(declared.annotation)


def _nested_keys(model: type[BaseModel]) -> list[str]:
    """Every key of the mappings inside *model*, dotted, each once."""
    paths = (
        f"{name}.{key}"
        for name, field in model.model_fields.items()
        for nested in _models(field.annotation)
        for key in nested.model_fields
        if key != "kind"
    )
    return list(dict.fromkeys(paths))


def _step(at: object, part: str | int) -> object:
    if isinstance(at, Mapping):
        return at.get(part)
    if isinstance(at, list) and isinstance(part, int) and part < len(at):
        return at[part]
    return None
