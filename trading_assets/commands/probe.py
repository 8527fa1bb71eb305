"""Probes at the prompt: whether a strategy's model remembers what it must not know."""

import json
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from trading_assets.commands.reporting import reporting
from trading_assets.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trading_assets.adapters.analysts.port import Estimate
    from trading_assets.adapters.analysts.probing import Prober
    from trading_assets.core.leak_probes import Finding
    from trading_assets.defs.resources import Settings

SESSIONS = 10
COLOURS = {"leak": "red", "does not look": "red", "none found": "green", "looks": "green"}


@click.command()
@click.option("--strategy", required=True, help="Whose model is tried.")
@click.option(
    "--sessions",
    type=click.IntRange(min=1),
    default=SESSIONS,
    show_default=True,
    help="Of each symbol, evenly apart.",
)
@click.option("--symbols", default="", help="Only these: AAPL,MSFT.")
@click.option(
    "--estimate", "only_estimate", is_flag=True, help="Only say what it may cost."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@reporting
def probe(
    *, strategy: str, sessions: int, symbols: str, only_estimate: bool, as_json: bool
) -> None:
    """Ask a strategy's model what it can only remember, and what must move its mind.

    What it may cost is said first. Questions are in the ledger and within the strategy's
    budget, and what was asked before costs nothing.
    """
    from trading_assets.defs.resources import Settings, analysts_resource  # noqa: PLC0415 - commands import what they need

    settings = Settings.from_environment()
    chosen = [own.strip().upper() for own in symbols.split(",") if own.strip()]
    prober = _prober(settings, strategy, chosen, sessions)
    click.echo(_cost(prober, prober.estimate()), err=as_json)
    if only_estimate:
        return
    with closing(analysts_resource(settings).opened()) as desk:
        found = prober.findings(desk)
    if as_json:
        click.echo(json.dumps([asdict(own) | {"share": own.share} for own in found]))
    else:
        _show(prober, found)


def _prober(
    settings: "Settings", strategy: str, chosen: "Sequence[str]", sessions: int
) -> "Prober":
    from trading_assets.adapters.analysts.probing import Prober  # noqa: PLC0415 - as above
    from trading_assets.core.panel import Panel  # noqa: PLC0415
    from trading_assets.defs.resources import WarehouseResource  # noqa: PLC0415
    from trading_assets.models.tables import BARS, CORPORATE_ACTIONS  # noqa: PLC0415
    from trading_assets.strategies.loading import load_strategies  # noqa: PLC0415

    known = {own.spec.name: own for own in load_strategies(settings.strategies)}
    if strategy not in known:
        raise InvalidInput(f"--strategy must be one of {', '.join(known)}, was {strategy}")
    universe = sorted(known[strategy].spec.universe)
    unknown = sorted(set(chosen).difference(universe))
    if unknown:
        raise InvalidInput(
            f"--symbols must be of {strategy}'s universe {', '.join(universe)}, "
            f"was {', '.join(unknown)}"
        )
    warehouse = WarehouseResource(path=str(settings.warehouse)).create_resource(None)
    with warehouse.snapshot():
        bars = warehouse.read(BARS, {"symbol": universe})
        actions = warehouse.read(CORPORATE_ACTIONS, {"symbol": universe})
    return Prober.of(
        known[strategy],
        Panel.of(bars, actions),
        dict(zip(bars["symbol"], bars["source"], strict=True)),
        chosen or universe,
        sessions,
    )


def _cost(prober: "Prober", estimate: "Estimate") -> str:
    return (
        f"{estimate.partitions:,} places, {estimate.questions:,} questions to "
        f"{prober.asked.model}: about ${estimate.expected_usd:,.2f}, at most "
        f"${estimate.most_usd:,.2f}, less what is in the ledger already"
    )


def _show(prober: "Prober", found: "Sequence[Finding]") -> None:
    from rich.table import Table  # noqa: PLC0415 - as above

    from trading_assets.console import out  # noqa: PLC0415
    from trading_assets.core.leak_probes import Probe  # noqa: PLC0415
    from trading_assets.core.model_cutoffs import is_out_of_sample  # noqa: PLC0415

    asked = prober.asked
    clean = [is_out_of_sample(asked.models, day, asked.cutoff) for day in prober.sessions]
    table = Table(box=None, pad_edge=False)
    for name in ("probe", "hits", "of", "share", "95 %", "chance", "verdict", ""):
        table.add_column(
            name, justify="left" if name in ("probe", "verdict", "") else "right"
        )
    for own in found:
        share = "-" if own.share is None else f"{own.share:.0%}"
        colour = COLOURS.get(own.verdict.value, "yellow")
        unread = f" ({own.unread} unread)" if own.unread else ""
        table.add_row(
            own.probe.value,
            str(own.hits),
            f"{own.count}{unread}",
            share,
            f"{own.low:.0%} to {own.high:.0%}",
            f"{own.chance:.0%}",
            f"[{colour}]{own.verdict}[/]",
            own.said,
        )
    out.print(table)
    told = {own.probe for own in found}
    if missing := ", ".join(own.value for own in Probe if own not in told):
        out.print(f"left out, as one answer would always be right: {missing}")
    out.print(
        f"{clean.count(True)} of {len(clean)} places are out of sample, where there is "
        "nothing to remember. In sample, a leak that is not found may still be there."
    )
