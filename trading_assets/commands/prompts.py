"""Prompts at the prompt: which there are, what they say, what a strategy changes."""

import sys
from collections.abc import Iterator, Sequence
from difflib import unified_diff
from typing import TYPE_CHECKING

import click

from trading_assets.commands.reporting import reporting
from trading_assets.errors import InvalidInput
from trading_assets.strategies.faults import did_you_mean

if TYPE_CHECKING:
    from trading_assets.core.prompts import Prompt, Prompts

STRATEGY = click.option("--strategy", help="As this strategy has them; else the package's.")
PACKAGE = "package"


@click.group()
def prompts() -> None:
    """What models are told in words."""


@prompts.command("list")
@STRATEGY
@reporting
def list_prompts(*, strategy: str | None) -> None:
    """Every prompt, with its version, the kinds of analyst that use it, and its file."""
    import pandas as pd  # noqa: PLC0415 - commands import what they need

    from trading_assets.console import show_frame  # noqa: PLC0415

    found = _prompts(strategy)
    rows = [
        {
            "prompt": name,
            "version": prompt.version,
            "used by": ", ".join(_users(name)),
            "from": PACKAGE if prompt.is_packaged else str(prompt.path),
        }
        for name, prompt in found.items()
    ]
    show_frame(pd.DataFrame(rows))
    if strategy is not None:
        click.echo(f"{strategy}: prompt version {_set_of(strategy).version}")


@prompts.command()
@click.argument("name")
@STRATEGY
@reporting
def show(*, name: str, strategy: str | None) -> None:
    """Print the prompt NAME as it is in its file."""
    click.echo(_prompt(name, strategy).text, nl=False)


@prompts.command()
@click.argument("name")
@click.option(
    "--strategy",
    "strategies",
    multiple=True,
    required=True,
    help="Against the package's; given twice, the second against the first.",
)
@reporting
def diff(*, name: str, strategies: Sequence[str]) -> None:
    """Print what a strategy changes in the prompt NAME; nothing if it changes nothing."""
    if len(strategies) > 2:  # noqa: PLR2004 - from one to another
        raise InvalidInput(
            f"--strategy must be given once or twice, was {len(strategies)} times"
        )
    *earlier, last = strategies
    before = _prompt(name, earlier[0] if earlier else None)
    sys.stdout.writelines(_changes(before, _prompt(name, last)))


def _changes(before: "Prompt", after: "Prompt") -> Iterator[str]:
    old, new = (each.text.splitlines(keepends=True) for each in (before, after))
    for line in unified_diff(old, new, str(before.path), str(after.path)):
        # A file that ends within a line must not run into the next one.
        yield line if line.endswith("\n") else f"{line}\n"


def _prompt(name: str, strategy: str | None) -> "Prompt":
    found = _prompts(strategy)
    if name not in found:
        whose = f" of {strategy}" if strategy else ""
        raise InvalidInput(
            f"NAME must be a prompt{whose}, was {name}{did_you_mean(name, found)} "
            f"(allowed: {', '.join(found)})"
        )
    return found[name]


def _prompts(strategy: str | None) -> dict[str, "Prompt"]:
    """Prompts by name, in the order in which they are used."""
    from trading_assets.core.prompts import NAMES, PACKAGED, read_prompts  # noqa: PLC0415 - as above

    if strategy is not None:
        return dict(_set_of(strategy).prompts)
    packaged = read_prompts(PACKAGED)
    return {name: packaged[name] for name in NAMES}


def _set_of(strategy: str) -> "Prompts":
    from trading_assets.core.prompts import prompts_of  # noqa: PLC0415 - as above
    from trading_assets.defs.resources import Settings  # noqa: PLC0415
    from trading_assets.strategies.loading import load_strategies  # noqa: PLC0415
    from trading_assets.strategies.spec import ModelAnalyst  # noqa: PLC0415

    loaded = load_strategies(Settings.from_environment().strategies)
    named = {each.spec.name: each for each in loaded}
    if strategy not in named:
        raise InvalidInput(f"--strategy must be one of {', '.join(named)}, was {strategy}")
    analyst, path = named[strategy].spec.analyst, named[strategy].path
    if not isinstance(analyst, ModelAnalyst):
        raise InvalidInput(
            f"--strategy must be one that asks a model, {strategy} asks {analyst.kind}"
        )
    return prompts_of(analyst, path.parent)


def _users(name: str) -> Iterator[str]:
    """Kinds of analyst that use the prompt *name*."""
    from trading_assets.core.prompts import (  # noqa: PLC0415 - as above
        AUTOGEN,
        COMMON,
        DEBATE,
        LLM,
        QUOTES,
        REPAIR,
        WITH_TOOLS,
    )

    if name in {*COMMON, *LLM, REPAIR}:
        yield "llm"
    if name not in {*LLM, *AUTOGEN}:
        yield "panel with debate" if name in DEBATE else "panel"
    if name in {*COMMON, *AUTOGEN, QUOTES, REPAIR}:
        tools = f" with {name.removeprefix('autogen_')}" if name in WITH_TOOLS else ""
        yield f"autogen{tools}"
