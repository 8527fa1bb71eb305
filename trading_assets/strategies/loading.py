"""Strategy files read from a folder, or refused with every fault and its line."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from inspect import cleandoc
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trading_assets.errors import InvalidStrategy
from trading_assets.strategies import spec
from trading_assets.strategies.document import parse
from trading_assets.strategies.faults import Fault, Keys, faults_of
from trading_assets.strategies.spec import StrategySpec

PACKAGED = Path(__file__).parent
"""The folder of the strategies that come with the package."""

SUFFIXES = frozenset({".yaml", ".yml"})


@dataclass(frozen=True, slots=True)
class LoadedStrategy:
    """A strategy and the file that it was read from.

    Attributes:
        lines: Where each key stands, counted from 1; empty if it came from no file.
    """

    spec: StrategySpec
    path: Path
    lines: Mapping[Keys, int] = field(default_factory=dict[Keys, int], compare=False)

    def refusal(self, faults: Iterable[Fault]) -> InvalidStrategy:
        """The error that names *faults* which only showed after the file was read."""
        return InvalidStrategy("\n".join(_told(self.path, self.lines, faults)))


def load_strategies(folder: Path) -> tuple[LoadedStrategy, ...]:
    """Every strategy of *folder*, by name; files whose name begins with a dot are not.

    Raises:
        InvalidStrategy: If the folder has no strategy file, or any of them is at fault;
            the message names every fault of every file.
    """
    paths = _strategy_files(folder)
    loaded: list[LoadedStrategy] = []
    refusals: list[str] = []
    for path in paths:
        try:
            loaded.append(load_strategy(path))
        except InvalidStrategy as error:
            refusals.append(str(error))
    refusals += _repeated_names(loaded)
    if refusals:
        raise InvalidStrategy("\n".join(refusals))
    return tuple(sorted(loaded, key=lambda strategy: strategy.spec.name))


def load_strategy(path: Path) -> LoadedStrategy:
    """The strategy that the file at *path* describes.

    Raises:
        InvalidStrategy: If it can't be read or is at fault. The message has one line per
            fault: ``file:line: key: what is allowed, what was received``.
    """
    document = parse(_text(path))
    faults = list(document.faults)
    if document.content or not faults:
        try:
            read = StrategySpec.model_validate(document.content)
        except ValidationError as error:
            faults += faults_of(error, document.content, StrategySpec)
        else:
            if not faults:
                return LoadedStrategy(read, path, document.lines)
    raise InvalidStrategy("\n".join(_told(path, document.lines, faults)))


def json_schema(rules: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """A JSON Schema of strategy files, with which editors complete and check them.

    Args:
        rules: Per rule, the JSON Schema of its parameters: a mapping of the kind
            ``object``; without it, rules and their parameters are not completed.
    """
    schema = StrategySpec.model_json_schema()
    for name, described in (("StrategySpec", schema), *schema["$defs"].items()):
        _describe(described, getattr(spec, name, None))
    analyst = schema["$defs"]["RulesAnalyst"]
    if rules:
        analyst["properties"]["rule"]["examples"] = sorted(rules)
        analyst["allOf"] = [_parameters_of(name, rules[name]) for name in sorted(rules)]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def described(docstring: str, heading: str) -> tuple[str, dict[str, str]]:
    """*docstring* without the section *heading*, and what that says of each name."""
    before, found, section = docstring.partition(f"{heading}:\n")
    if not found:
        return docstring.strip(), {}
    body, _, after = section.partition("\n\n")
    entries = re.findall(r"^    (\w+): (.*(?:\n {8,}.*)*)", body, flags=re.MULTILINE)
    texts = {name: re.sub(r"\s*\n\s*", " ", text) for name, text in entries}
    return f"{before}{after}".strip(), texts


def _strategy_files(folder: Path) -> list[Path]:
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        raise InvalidStrategy(
            f"{folder}: must be a folder of strategy files: {error.strerror}"
        ) from error
    paths = [p for p in inside if p.suffix in SUFFIXES and not p.name.startswith(".")]
    if not paths:
        raise InvalidStrategy(
            f"{folder}: has no strategy; each is a file ending .yaml or .yml"
        )
    return paths


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InvalidStrategy(f"{path}: can't be read: {error.strerror}") from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InvalidStrategy(
            f"{path}:{line}: must be UTF-8, has the byte 0x{raw[error.start]:02x}"
        ) from error


def _told(path: Path, lines: Mapping[Keys, int], faults: Iterable[Fault]) -> list[str]:
    """One line per fault, in the order of the file."""
    placed = sorted(
        ((fault.line or _line(lines, fault.keys), fault) for fault in faults),
        key=lambda each: each[0],
    )
    return [f"{path}:{line}: {fault}" for line, fault in placed]


def _line(lines: Mapping[Keys, int], keys: Keys) -> int:
    """The line of the value at *keys*, or of the innermost mapping that is there."""
    while keys and keys not in lines:
        keys = keys[:-1]
    return lines.get(keys, 1)


def _repeated_names(loaded: Iterable[LoadedStrategy]) -> list[str]:
    first: dict[str, LoadedStrategy] = {}
    refusals: list[str] = []
    for strategy in loaded:
        name = strategy.spec.name
        if name in first:
            fault = Fault(("name",), f"{name} is taken by {first[name].path}")
            refusals += _told(strategy.path, strategy.lines, [fault])
        first.setdefault(name, strategy)
    return refusals


def _describe(schema: dict[str, Any], model: type | None) -> None:
    """Move what docstrings say of attributes, also inherited ones, to the properties."""
    text, attributes = described(schema.get("description", ""), "Attributes")
    if text:
        schema["description"] = text
    for base in model.__mro__[1:] if model else ():
        if base.__module__ == spec.__name__:
            attributes = (
                described(cleandoc(base.__doc__ or ""), "Attributes")[1] | attributes
            )
    for name, meaning in attributes.items():
        if name in schema.get("properties", {}):
            schema["properties"][name]["description"] = meaning


def _parameters_of(rule: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """If the rule is *rule*, then these are its *parameters*."""
    condition = {"properties": {"rule": {"const": rule}, "module": {"type": "null"}}}
    return {"if": condition, "then": {"properties": parameters["properties"]}}
