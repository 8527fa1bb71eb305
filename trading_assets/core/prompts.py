"""What models are told in words: templates in the package, or a strategy's own.

A set of prompts is known by the hash of its texts, so an opinion names exactly what was
asked for it. Templates are filled in a sandbox, with nothing random in it, and a name that
is not there is an error: a prompt with a hole in it would be paid for.
Each is tried once when it is loaded, so what is broken is refused before anybody is asked.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from traceback import extract_tb
from typing import Any, NamedTuple

from jinja2 import (
    FunctionLoader,
    StrictUndefined,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
    nodes,
)
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

from trading_assets.core.reply import (
    LEAST_STOP_ATR,
    MOST_ENTRY_FRAC,
    MOST_STOP_ATR,
    MOST_TARGET_FRAC,
)
from trading_assets.errors import InvalidPrompt
from trading_assets.strategies.faults import did_you_mean
from trading_assets.strategies.spec import (
    AutogenAnalyst,
    ModelAnalyst,
    PanelAnalyst,
    Sight,
)

PACKAGED = Path(__file__).parents[1] / "prompts"
"""The folder of the prompts that come with the package."""

SUFFIX = ".j2"
COMMON = ("system", "briefing")
LLM = ("llm",)
READERS = ("daily", "weekly")
DEBATE = ("bull", "bear")
QUOTES = "earlier"
PANEL = (*READERS, "consolidation", *DEBATE, "risk", "decision", QUOTES)
WITH_TOOLS = ("autogen_fundamental", "autogen_sentiment")
AUTOGEN = ("autogen_technical", *WITH_TOOLS, "autogen_risk", "autogen_executor")
REPAIR = "repair"
NAMES = (*COMMON, *LLM, *PANEL, *AUTOGEN, REPAIR)

HORIZON_SESSIONS = (5, 20)
"""How far ahead an opinion is meant to look, sessions."""

VARIABLES: Mapping[str, str] = {
    "blind": "whether name, dates and price levels are kept from the model",
    "symbol": "what the instrument is called, `STOCK` when blind",
    "session": "the session's day; there is none when blind",
    "close": "the last close, as text",
    "atr": "average true range of 14 sessions, as text",
    "sees_charts": "whether charts are shown",
    "sees_table": "whether the table is shown",
    "daily_bars": "candles of the daily chart",
    "weekly_bars": "candles of the weekly chart",
    "table_bars": "daily bars in the table",
    "horizon_from": "shortest horizon, sessions",
    "horizon_to": "longest horizon, sessions",
    "limits": "rules: `entry_percent`, `stop_atr_from`, `stop_atr_to`, `target_percent`",
    "earlier": "turns before this one: `role`, `is_available`, and `reason` or the reply",
    "tools": "for agents that have some: `name` of each, and `text`, what it says",
    "task": "in `repair`: what was asked",
    "reply": "in `repair`: what was said",
    "faults": "in `repair`: sentences about what is wrong with it",
}
"""What a template may name, and what that is."""

LIMITS: Mapping[str, str] = {
    "entry_percent": f"{100 * MOST_ENTRY_FRAC:g}",
    "stop_atr_from": f"{LEAST_STOP_ATR:g}",
    "stop_atr_to": f"{MOST_STOP_ATR:g}",
    "target_percent": f"{100 * MOST_TARGET_FRAC:g}",
}
"""The rules about levels, for templates."""

_VERSION_LENGTH = 12
_TEMPLATE_FAULTS = (
    TemplateError,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RecursionError,
)
"""What a template can raise while it is filled in."""


class Prompt(NamedTuple):
    """A template and the file that it is in."""

    name: str
    text: str
    path: Path

    @property
    def version(self) -> str:
        """Of this one alone."""
        return _hash([[self.name, self.text]])

    @property
    def is_packaged(self) -> bool:
        """Whether it came with the package."""
        return self.path.parent == PACKAGED


@dataclass(frozen=True, eq=False)
class Prompts:
    """The prompts that one analyst uses, by name."""

    prompts: Mapping[str, Prompt]

    @cached_property
    def version(self) -> str:
        """A short hash of all their names and texts."""
        texts = [[name, self.prompts[name].text] for name in sorted(self.prompts)]
        return _hash(texts)

    def render(self, name: str, context: Mapping[str, Any]) -> str:
        """The prompt *name* filled in, without blank lines around it.

        Raises:
            InvalidPrompt: Naming its file and line, if it asks for what there is none of.
        """
        try:
            filled = self._environment.get_template(name + SUFFIX).render(context)
        except _TEMPLATE_FAULTS as error:
            raise self._refusal(name, error) from error
        return re.sub(r"\n{3,}", "\n\n", filled).strip()

    @cached_property
    def _environment(self) -> ImmutableSandboxedEnvironment:
        environment = ImmutableSandboxedEnvironment(
            loader=FunctionLoader(self._source),
            undefined=StrictUndefined,
            autoescape=False,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=lambda value: "null" if value is None else value,
        )
        # The same briefing has to give the same words.
        del environment.globals["lipsum"], environment.filters["random"]
        return environment

    def _source(self, name: str) -> tuple[str, str, None] | None:
        prompt = self.prompts.get(name.removesuffix(SUFFIX))
        return prompt and (prompt.text, str(prompt.path), None)

    def _refusal(self, name: str, error: Exception) -> InvalidPrompt:
        path, line = self._place(self.prompts[name], error)
        told = error.message if isinstance(error, TemplateSyntaxError) else str(error)
        message = told or type(error).__name__
        if isinstance(error, TemplateNotFound):
            message = f"there is no prompt {message} here; has {self._files()}"
        return InvalidPrompt(f"{path}:{line}: {message}")

    def _files(self) -> str:
        return ", ".join(f"{name}{SUFFIX}" for name in self.prompts)

    def _place(self, prompt: Prompt, error: Exception) -> tuple[str, int]:
        """File and line in which *error* arose while *prompt* was filled in."""
        paths = {str(each.path) for each in self.prompts.values()}
        if isinstance(error, TemplateSyntaxError):
            known = error.filename if error.filename in paths else None
            return known or str(prompt.path), error.lineno
        frames = [f for f in extract_tb(error.__traceback__) if f.filename in paths]
        # The innermost one, as a prompt may include another.
        last = frames[-1] if frames else None
        return (last.filename, last.lineno or 1) if last else (str(prompt.path), 1)

    def check(self, analyst: ModelAnalyst) -> None:
        """Fill in every prompt once, with what *analyst* would give it.

        Raises:
            InvalidPrompt: Naming file and line of all that can't be.
        """
        refusals: list[str] = []
        for name, prompt in self.prompts.items():
            try:
                self._check_names(prompt)
                self.render(name, _example(name, analyst))
            except InvalidPrompt as error:
                refusals.append(str(error))
        if refusals:
            raise InvalidPrompt("\n".join(dict.fromkeys(refusals)))

    def _check_names(self, prompt: Prompt) -> None:
        """Refuse a variable that there is never, also where it is not come by at first."""
        try:
            tree = self._environment.parse(prompt.text, prompt.name, str(prompt.path))
            unknown = find_undeclared_variables(tree).difference(VARIABLES)
        except TemplateSyntaxError as error:
            raise self._refusal(prompt.name, error) from error
        for node in tree.find_all(nodes.Name):
            if node.name in unknown:
                hint = did_you_mean(node.name, VARIABLES)
                raise InvalidPrompt(
                    f"{prompt.path}:{node.lineno}: {node.name} is no variable{hint} "
                    f"(allowed: {', '.join(VARIABLES)})"
                )


def prompts_of(analyst: ModelAnalyst, folder: Path) -> Prompts:
    """The prompts that *analyst* uses, each of them tried.

    Args:
        folder: Where its strategy file is; `ModelAnalyst.prompts` is named from there.

    Raises:
        InvalidPrompt: If its own folder can't be read or has what is no prompt, or one of
            them is broken; the message names file and line of each.
    """
    own = read_prompts(folder / analyst.prompts) if analyst.prompts else {}
    every = read_prompts(PACKAGED) | own
    prompts = Prompts({name: every[name] for name in names_for(analyst)})
    prompts.check(analyst)
    return prompts


def names_for(analyst: ModelAnalyst) -> tuple[str, ...]:
    """Names of the prompts that *analyst* uses."""
    if isinstance(analyst, AutogenAnalyst):
        asks = {"fundamental": analyst.fundamental, "sentiment": analyst.sentiment}
        absent = {f"autogen_{role}" for role, tools in asks.items() if not tools}
        own = (name for name in AUTOGEN if name not in absent)
        return (*COMMON, *own, QUOTES, REPAIR)
    if not isinstance(analyst, PanelAnalyst):
        return (*COMMON, *LLM, REPAIR)
    left_out = () if analyst.debate else DEBATE
    return (*COMMON, *(name for name in PANEL if name not in left_out), REPAIR)


def read_prompts(folder: Path) -> dict[str, Prompt]:
    """The prompts in *folder*, by name; files whose name begins with a dot are not.

    Raises:
        InvalidPrompt: If it can't be read, or has what is no prompt.
    """
    try:
        paths = [p for p in sorted(folder.iterdir()) if not p.name.startswith(".")]
    except OSError as error:
        raise InvalidPrompt(
            f"{folder}: must be a folder of prompts: {error.strerror}"
        ) from error
    unknown = list(_unknown(paths))
    if unknown:
        raise InvalidPrompt("\n".join(unknown))
    return {path.stem: Prompt(path.stem, _text(path), path) for path in paths}


def _unknown(paths: list[Path]) -> Iterator[str]:
    files = [f"{name}{SUFFIX}" for name in NAMES]
    for path in paths:
        if path.name not in files:
            hint = did_you_mean(path.name, files)
            yield f"{path}: is no prompt{hint} (allowed: {', '.join(files)})"


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InvalidPrompt(f"{path}: can't be read: {error.strerror}") from error
    try:
        # However an editor ends lines, it is the same prompt.
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InvalidPrompt(
            f"{path}:{line}: must be UTF-8, has the byte 0x{raw[error.start]:02x}"
        ) from error


def _example(name: str, analyst: ModelAnalyst) -> dict[str, Any]:
    """What the prompt *name* could be filled in with."""
    shown: dict[str, Any] = {
        "blind": analyst.blind,
        "symbol": "STOCK",
        "close": "100.00",
        "atr": "2.00",
        "sees_charts": Sight.CHARTS in analyst.sees,
        "sees_table": Sight.TABLE in analyst.sees,
        "daily_bars": 60,
        "weekly_bars": 52,
        "table_bars": analyst.table_bars,
        "earlier": [],
        "tools": [{"name": "…", "text": "…"}] if name in WITH_TOOLS else [],
        **ALWAYS,
    }
    if not analyst.blind:
        shown["session"] = "2024-05-15"
    if name not in {*COMMON, *LLM, *READERS, AUTOGEN[0]}:
        shown["earlier"] = [EXAMPLE_TURN, {"role": "weekly", **NOT_AVAILABLE}]
    if name == REPAIR:
        shown |= {"task": "…", "reply": "…", "faults": ["symbol must be …"]}
    return shown


ALWAYS: Mapping[str, Any] = {
    "horizon_from": HORIZON_SESSIONS[0],
    "horizon_to": HORIZON_SESSIONS[1],
    "limits": LIMITS,
}
"""What every template is given, whatever the briefing."""

EXAMPLE_TURN: Mapping[str, Any] = {
    "role": "daily",
    "is_available": True,
    "action": "HOLD",
    "confidence": "50",
    "entry": None,
    "stop_loss": None,
    "take_profit": None,
    "evidence": ("…",),
    "reasoning": "…",
    "invalidation": "…",
}
NOT_AVAILABLE: Mapping[str, Any] = {"is_available": False, "reason": "…"}


def _hash(texts: object) -> str:
    canonical = json.dumps(texts, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:_VERSION_LENGTH]
