"""Interactive Brokers, at the prompt."""

import sys
from datetime import datetime

import click

from trading_assets.commands.reporting import reporting

DAY = click.DateTime(["%Y-%m-%d"])
DAILY = "1 day"
PORTS = click.IntRange(1, 65535)
PAPER_PORT = 4002
PING_CLIENT = 999
"""Of its own, so that asking disturbs no session that trades."""

IDS = click.IntRange(1, 2**31 - 1)
WAITS = click.FloatRange(0.1, 600)


@click.group()
def ibkr() -> None:
    """Interactive Brokers: what can be asked of its gateway."""


@ibkr.command("ping")
@click.option("--host", default="127.0.0.1", envvar="IBKR_HOST", show_default=True)
@click.option(
    "--port", default=PAPER_PORT, envvar="IBKR_PORT", type=PORTS, show_default=True
)
@click.option("--client-id", default=PING_CLIENT, type=IDS, show_default=True)
@click.option("--seconds", default=10.0, type=WAITS, help="Longest wait.")
@reporting
def ping_gateway(*, host: str, port: int, client_id: int, seconds: float) -> None:
    """Begin a session at the gateway and end it: whether it is logged in, and for whom.

    It asks for nothing else and sends no order. Exit status 1 if there is no session.
    """
    from trading_assets.adapters.ibkr.ping import ping  # noqa: PLC0415 - commands import what they need

    pong = ping(host, port, client_id, seconds)
    click.echo(
        f"{host}:{port} speaks version {pong.server_version} and is logged in for "
        f"{', '.join(pong.accounts)} ({pong.milliseconds:.0f} ms)"
    )


@ibkr.command()
@click.argument("symbols", nargs=-1, required=True)
@click.option("--from", "first", type=DAY, required=True, help="First day.")
@click.option("--to", "last", type=DAY, required=True, help="Last day.")
@click.option("--bar-size", default="1 min", show_default=True, help="Or 5 mins … 1 day.")
@reporting
def bars(
    *, symbols: tuple[str, ...], first: datetime, last: datetime, bar_size: str
) -> None:
    """Print bars of SYMBOLS as the gateway tells them: comma-separated, nothing is stored.

    Prices are divided by the splits up to today. A bar below a day is named by its start,
    in UTC, and is of regular hours.
    """
    from trading_assets.defs.resources import Settings, gateway_bars  # noqa: PLC0415 - as above

    settings = Settings.from_environment()
    market_data = gateway_bars(settings)
    asked = ([name.upper() for name in symbols], first.date(), last.date())
    if bar_size == DAILY:
        history = market_data.history(*asked)
        history.bars.drop(columns="source").to_csv(sys.stdout, index=False)
        history.require_readable()
    else:
        market_data.minute_bars(*asked, bar_size).to_csv(sys.stdout, index=False)
