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
WHO = ("strategy", "analyst", "model", "prompt", "sample")
FIGURES: Mapping[str, tuple[str, str]] = {
    "signals": ("signals", "count"),
    "apart": ("no overlap", "count"),
    "abstain_frac": ("abstained", "percent"),
    "hit_frac": ("hit", "percent"),
    "interval": ("95 %", "text"),
    "brier": ("Brier", "ratio"),
    "brier_known": ("rate alone", "ratio"),
    "brier_calibrated": ("calibrated", "ratio"),
    "ece": ("ECE", "ratio"),
    "ic": ("IC", "ratio"),
    "expectancy_frac": ("gained", "gain"),
    "mean_r": ("R", "ratio"),
    "always_hold": ("always long", "gain"),
    "sma_cross": ("SMA cross", "gain"),
    "cost_usd": ("USD", "ratio"),
    "status": ("", "text"),
}
"""Columns of the table: their heading, and how they are written."""


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
    from rich.table import Table  # noqa: PLC0415 - as above

    from trading_assets.core.statistics import percent  # noqa: PLC0415

    shown = groups.rename(columns={"prompt_version": "prompt"})
    shown["interval"] = [
        "" if low != low else f"{percent(low)} to {percent(high)}"  # noqa: PLR0124 - NaN
        for low, high in shown[["hit_low_frac", "hit_high_frac"]].astype(float).to_numpy()
    ]
    table = Table(box=None, pad_edge=False)
    who = [name for name in WHO if (shown[name] != "").any()]
    for name in who:
        table.add_column(name)
    for heading, how in FIGURES.values():
        table.add_column(heading, justify="left" if how == "text" else "right")
    for _, row in shown.iterrows():
        figures = [_written(row[name], how) for name, (_, how) in FIGURES.items()]
        table.add_row(*(str(row[name]) for name in who), *figures)
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
