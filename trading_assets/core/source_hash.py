"""A hash of what a function does, for telling when its results are stale."""

import ast
import hashlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from textwrap import dedent
from types import CodeType, FunctionType

from trading_assets.errors import InvalidStrategy

CONSTANTS = (str, int, float, bool, bytes, tuple, list, dict)


def source_hash(functions: Iterable[Callable[..., object]], *declared: str) -> str:
    """Of the source of *functions*, what they name in their own module, and *declared*.

    Comments, docstrings and layout don't count. Other modules don't either, nor their
    versions: who changes them says so with *declared*.

    Raises:
        InvalidStrategy: If a function has no source file.
    """
    told: dict[int | str, str] = {}
    for function in functions:
        _tell(function, told)
    sources = sorted(set(told.values()))
    return hashlib.sha256("\n".join([*declared, *sources]).encode()).hexdigest()[:16]


def _tell(function: object, told: dict[int | str, str]) -> None:
    """Add the source of *function* and of what it names to *told*, each once."""
    function = _unwrapped(function)
    if not isinstance(function, FunctionType) or id(function) in told:
        return
    told[id(function)] = _source(function)
    for name in _names(function.__code__):
        named = _unwrapped(function.__globals__.get(name))
        if isinstance(named, CONSTANTS):
            told[name] = f"{name}={named!r}"
        elif getattr(named, "__module__", None) != function.__module__:
            continue
        elif isinstance(named, type):
            told[id(named)] = _source(named)
        else:
            _tell(named, told)


def _unwrapped(value: object) -> object:
    return inspect.unwrap(value) if callable(value) else value


def _names(code: CodeType) -> Iterator[str]:
    """Every global that *code* names, and the functions inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _source(value: FunctionType | type) -> str:
    try:
        text = dedent(inspect.getsource(value))
    except (OSError, TypeError) as error:
        raise InvalidStrategy(
            f"{value.__qualname__} must stand in a file: its source tells when it changed"
        ) from error
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return text  # a lambda within an expression
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            node.body = node.body[1:]
    return ast.dump(tree)
