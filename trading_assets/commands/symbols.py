"""Shares as the broker lists them, at the prompt."""

from typing import TYPE_CHECKING

import click

from trading_assets.commands.reporting import reporting

if TYPE_CHECKING:
    from trading_assets.adapters.storage.port import Warehouse
    from trading_assets.defs.resources import Settings


@click.group()
def symbols() -> None:
    """Shares as Interactive Brokers lists them."""


@symbols.command()
@click.argument("text")
@reporting
def search(text: str) -> None:
    """Ask the gateway for shares whose symbol begins with TEXT or whose name has it.

    What is found is kept in the table symbols.
    """
    from trading_assets.adapters.ibkr.contracts import SymbolSearch  # noqa: PLC0415 - commands import what they need
    from trading_assets.adapters.ibkr.gateway import Gateway  # noqa: PLC0415
    from trading_assets.adapters.storage.port import Replacement  # noqa: PLC0415
    from trading_assets.console import show_frame  # noqa: PLC0415
    from trading_assets.defs.resources import gateway_settings  # noqa: PLC0415
    from trading_assets.models.tables import SYMBOLS  # noqa: PLC0415

    settings = _settings()
    with Gateway.connected(gateway_settings(settings.ibkr)) as gateway:
        found = SymbolSearch(gateway).find(text)
    rows = SYMBOLS.frame(found)
    if len(rows):
        partitions = rows[list(SYMBOLS.partition)]
        _warehouse(settings).replace(Replacement(SYMBOLS, partitions, rows))
    show_frame(rows.drop(columns="recorded_at"))


@symbols.command("list")
@reporting
def list_symbols() -> None:
    """Every share that was found so far; asks nobody."""
    from trading_assets.console import show_frame  # noqa: PLC0415 - as above
    from trading_assets.models.tables import SYMBOLS  # noqa: PLC0415

    rows = _warehouse(_settings()).read(SYMBOLS)
    show_frame(rows.sort_values(["symbol", "con_id"]))


def _settings() -> "Settings":
    from trading_assets.defs.resources import Settings  # noqa: PLC0415 - as above

    return Settings.from_environment()


def _warehouse(settings: "Settings") -> "Warehouse":
    from trading_assets.defs.resources import WarehouseResource  # noqa: PLC0415 - as above

    return WarehouseResource(path=str(settings.warehouse)).create_resource(None)
