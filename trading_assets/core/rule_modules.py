"""Where rules are found: in the package, in a module, or in a file beside a strategy."""

import hashlib
import importlib
import sys
import traceback
from collections.abc import Mapping
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import CodeType, ModuleType

from trading_assets.core.rules import PACKAGED_RULES, Rule
from trading_assets.errors import InvalidStrategy
from trading_assets.strategies.faults import did_you_mean

IMPORT_FAULTS = (
    InvalidStrategy,
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What a module of somebody's own may raise while it is imported."""


def registered(name: str, module: str | None = None, base: Path | None = None) -> Rule:
    """The rule called *name*.

    Args:
        module: A dotted module, or a ``.py`` file; None for the packaged rules.
        base: The folder from which such a file is named.

    Raises:
        InvalidStrategy: If there is no such rule, or the module can't be imported; the
            message then names file and line.
    """
    known = rules_of(module, base)
    if name in known:
        return known[name]
    hint = did_you_mean(name, known)
    if module is not None and name in rules_of():
        hint = "; it is a packaged one: leave module out"
    raise InvalidStrategy(
        f"no rule {name} in {module or 'the package'}{hint} "
        f"(known: {', '.join(sorted(known)) or 'none'})"
    )


def rules_of(module: str | None = None, base: Path | None = None) -> Mapping[str, Rule]:
    """Every rule of *module* by name; the arguments are those of `registered`.

    Raises:
        InvalidStrategy: As `registered`, or if two rules of a module have one name.
    """
    loaded = module_of(module, base)
    known: dict[str, Rule] = {}
    for found in vars(loaded).values():
        if isinstance(found, Rule) and known.setdefault(found.name, found) is not found:
            raise InvalidStrategy(f"{module}: two rules are called {found.name}")
    return known


def module_of(name: str | None, base: Path | None) -> ModuleType:
    """The module *name*; the arguments are those of `registered`.

    Raises:
        InvalidStrategy: If it can't be imported.
    """
    if name is None:
        return importlib.import_module(PACKAGED_RULES)
    if name.endswith(".py"):
        return _module_of_file(((base or Path()) / name).resolve())
    try:
        return importlib.import_module(name)
    except IMPORT_FAULTS as error:
        raise InvalidStrategy(
            f"module {name} can't be imported: {_told(error, None)}"
        ) from error


class _FreshLoader(SourceFileLoader):
    """Reads the source each time: no compiled file is trusted, or left behind."""

    def get_code(self, fullname: str) -> CodeType:
        del fullname
        return self.source_to_code(self.get_data(self.path), self.path)


def _module_of_file(path: Path) -> ModuleType:
    """The module in the file at *path*, imported once for each content of it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidStrategy(f"{path}: can't be read: {error.strerror}") from error
    digest = hashlib.sha256(str(path).encode() + b"\0" + content).hexdigest()[:16]
    name = f"trading_assets_rules_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    loader = _FreshLoader(name, str(path))
    spec = spec_from_loader(name, loader, origin=str(path))
    assert spec is not None  # noqa: S101 - it is None only without a loader
    module = module_from_spec(spec)
    module.__file__ = str(path)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except IMPORT_FAULTS as error:
        del sys.modules[name]
        raise InvalidStrategy(_told(error, path)) from error
    return module


def _told(error: BaseException, path: Path | None) -> str:
    """Where *error* was raised, in the file at *path* if it was there, and what it says."""
    what = f"{type(error).__name__}: {error}"
    if isinstance(error, InvalidStrategy):
        what = str(error)
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: {type(error).__name__}: {error.msg}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if path is None or frame.filename == str(path)
    ]
    written = [f for f in frames if not f.filename.startswith("<frozen")]
    return f"{written[-1].filename}:{written[-1].lineno}: {what}" if written else what
