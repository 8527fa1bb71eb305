"""A strategy file as plain values, and the line that each of them stands on.

Numbers, truth values and null are read by the rules of YAML 1.2: ``ON`` and ``NO`` are
tickers, not truth values, ``1e-3`` is a number, and a date stays as it was written.
Aliases and tags are refused: a strategy file says everything in its place.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.reader import ReaderError

from trading_assets.strategies.faults import Fault, Keys, shown

TAGS = {
    "null": re.compile(r"~|null|Null|NULL|"),
    "bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    "int": re.compile(r"[-+]?(?:0|[1-9][0-9_]*)"),
    "float": re.compile(
        r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9_]*)(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?"
    ),
}
CORE = "tag:yaml.org,2002:"
ROOT_TAGS = frozenset(f"{CORE}{name}" for name in (*TAGS, "str", "map", "seq"))


class StrategyLoader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML declares it so

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """The next node, if it is not an alias of another."""
        if self.check_event(yaml.AliasEvent):
            raise ComposerError(
                None, None, "an alias is not allowed here", self.peek_event().start_mark
            )
        return super().compose_node(parent, index)


for _name, _pattern in TAGS.items():
    StrategyLoader.add_implicit_resolver(
        f"{CORE}{_name}", re.compile(rf"^(?:{_pattern.pattern})$"), None
    )


@dataclass(slots=True)
class Document:
    """What a file says.

    Attributes:
        content: The outermost mapping; empty if there is none to be had.
        lines: The line of every key and list item, counted from 1.
        faults: What is wrong with it as YAML.
    """

    content: dict[str, object] = field(default_factory=dict[str, object])
    lines: dict[Keys, int] = field(default_factory=dict[Keys, int])
    faults: list[Fault] = field(default_factory=list[Fault])

    def add(self, node: yaml.Node, keys: Keys = ()) -> object:
        """The plain value of *node*, which stands at *keys*."""
        if node.tag not in ROOT_TAGS:
            self._refuse(keys, node, f"the tag {node.tag} is not allowed; leave it out")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._add_mapping(node, keys)
        if isinstance(node, yaml.SequenceNode):
            return [self._add_item(item, (*keys, i)) for i, item in enumerate(node.value)]
        return self._scalar(node, keys)

    def _add_mapping(self, node: yaml.MappingNode, keys: Keys) -> dict[str, object]:
        mapping: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key, str):
                self._refuse(keys, key_node, "a key must be a word")
            elif key in mapping:
                first = self.lines[*keys, key]
                self._refuse((*keys, key), key_node, f"said before, on line {first}")
            else:
                self.lines[*keys, key] = key_node.start_mark.line + 1
                mapping[key] = self.add(value_node, (*keys, key))
        return mapping

    def _add_item(self, node: yaml.Node, keys: Keys) -> object:
        self.lines[keys] = node.start_mark.line + 1
        return self.add(node, keys)

    def _scalar(self, node: yaml.Node, keys: Keys) -> object:
        constructor = SafeConstructor()
        try:
            return constructor.construct_object(node)
        except (ValueError, KeyError, ConstructorError):
            self._refuse(
                keys, node, f"{shown(node.value)} is no {node.tag.removeprefix(CORE)}"
            )
            return None

    def _refuse(self, keys: Keys, node: yaml.Node, message: str) -> None:
        self.faults.append(Fault(keys, message, node.start_mark.line + 1))


def parse(text: str) -> Document:
    """The mapping that *text* holds; what is wrong with it is in its ``faults``."""
    try:
        node = yaml.compose(text, Loader=StrategyLoader)
    except yaml.MarkedYAMLError as error:
        return Document(faults=[_syntax_fault(error)])
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"the character U+{error.character:04X} is not allowed in YAML"
        return Document(faults=[Fault((), message, line)])
    except RecursionError:
        return Document(faults=[Fault((), "is nested too deeply", 1)])
    if node is None:
        return Document(faults=[Fault((), "is empty: a strategy must be a mapping", 1)])
    document = Document()
    content = document.add(node)
    if isinstance(content, Mapping):
        document.content.update(content)
    elif not document.faults:
        message = f"must be a mapping such as `name: trend`, was {shown(content)}"
        document.faults.append(Fault((), message, node.start_mark.line + 1))
    return document


def _syntax_fault(error: yaml.MarkedYAMLError) -> Fault:
    mark = error.problem_mark or error.context_mark
    where = f"column {mark.column + 1}: " if mark else ""
    hint = "; indent with spaces" if "'\\t'" in (error.problem or "") else ""
    context = f"{error.context}, " if error.context else ""
    return Fault((), f"{where}{context}{error.problem}{hint}", mark.line + 1 if mark else 1)
