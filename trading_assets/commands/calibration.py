"""How far analysts can be trusted, at the prompt."""

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from trading_assets.commands.reporting import reporting
from trading_assets.errors import InvalidInput

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

HORIZON = click.Choice(["5", "20", "60"])
WHO = ("strategy", "analyst", "model", "prompt version", "sample")
FIGURES: Mapping[str, tuple[str, str]] = {
    "signals": ("signals", "count"),
    "apart": ("  without overlap", "count"),
    "abstain_frac": ("abstained", "percent"),
    "hold_frac": ("held", "percent"),
    "hit_frac": ("hit", "percent"),
    "interval": ("  95 % interval", "text"),
    "brier": ("Brier score", "ratio"),
    "brier_known": ("  rate alone", "ratio"),
    "brier_calibrated": ("  calibrated", "ratio"),
    "ece": ("calibration error (ECE)", "ratio"),
    "ic": ("rank correlation (IC)", "ratio"),
    "expectancy_frac": ("gained per signal", "gain"),
    "always_hold": ("  always long", "gain"),
    "sma_cross": ("  SMA cross 10/50", "gain"),
    "mean_r": ("R per signal", "ratio"),
    "cost_usd": ("cost per signal, USD", "ratio"),
    "status": ("status", "text"),
}
"""Figures of the table, each a line: how it is called, and how it is written."""


@click.command()
@click.option("--strategy", help="Of this one alone; default: of all.")
@click.option("--horizon", type=HORIZON, default="20", help="Sessions after the signal.")
@click.option("--csv", "as_csv", is_flag=True, help="Comma-separated, every figure.")
@reporting
def calibration(*, strategy: str | None, horizon: str, as_csv: bool) -> None:
    """What was declared against what came true, by analyst, model and prompt version."""
    groups = _groups(strategy, int(horizon))
    if as_csv:
        groups.to_csv(sys.stdout, index=False)
        return
    from trading_assets.console import out  # noqa: PLC0415 - commands import what they need

    if groups.empty:
        out.print(f"no signal's {horizon} sessions are over yet")
        return
    out.print(_table(groups))
    out.print(
        f"[dim]after {horizon} sessions; a hit gained after costs; "
        "see docs/outcomes.md for each figure[/]"
    )


def _groups(strategy: str | None, horizon: int) -> "pd.DataFrame":
    """One line per strategy, analyst, model, prompt version and sample."""
    import pandas as pd  # noqa: PLC0415 - as above

    from trading_assets.defs.calibration import calibrated  # noqa: PLC0415
    from trading_assets.defs.location import market_of  # noqa: PLC0415
    from trading_assets.defs.resources import Settings, WarehouseResource  # noqa: PLC0415

    settings = Settings.from_environment()
    market = market_of(settings)
    lanes = [lane for lane in market.lanes if strategy in {None, lane.name}]
    if not lanes:
        known = ", ".join(lane.name for lane in market.lanes)
        raise InvalidInput(f"--strategy must be one of {known}, was {strategy}")
    warehouse = WarehouseResource(path=str(settings.warehouse)).create_resource(None)
    found = [
        calibrated(market, lane, warehouse, horizon).groups.assign(strategy=lane.name)
        for lane in lanes
    ]
    every = pd.concat(found, ignore_index=True)
    rest = [name for name in every.columns if name != "strategy"]
    return every[["strategy", *rest]]


def _table(groups: "pd.DataFrame") -> "Table":
    """A line per figure and a column per group: there are more figures than groups."""
    from rich.table import Table  # noqa: PLC0415 - as above

    from trading_assets.core.statistics import percent  # noqa: PLC0415

    shown = groups.rename(columns={"prompt_version": "prompt version"})
    bounds = shown[["hit_low_frac", "hit_high_frac"]].astype(float).to_numpy()
    shown["interval"] = [
        "-" if low != low else f"{percent(low)} to {percent(high)}"  # noqa: PLR0124 - NaN
        for low, high in bounds
    ]
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    for _ in range(len(shown)):
        table.add_column(justify="right")
    for name in WHO:
        if (shown[name] != "").any():
            table.add_row(name, *(f"[bold]{own}[/]" for own in shown[name]))
    for name, (words, how) in FIGURES.items():
        table.add_row(words, *(_written(figure, how) for figure in shown[name]))
    return table


def _written(figure: Any, how: str) -> str:  # noqa: ANN401 - a number, a word, or none
    from trading_assets.core.statistics import percent  # noqa: PLC0415

    if figure is None or figure != figure:  # noqa: PLR0124 - NaN
        return "-"
    written: Mapping[str, Callable[[Any], str]] = {
        "count": "{:,.0f}".format,
        "percent": percent,
        "gain": lambda frac: f"{100 * frac:+.2f} %",
        "ratio": "{:.3f}".format,
        "text": str,
    }
    return written[how](figure)
