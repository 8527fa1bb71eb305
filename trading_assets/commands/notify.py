"""Telling people, at the prompt."""

import click

from trading_assets.commands.reporting import reporting
from trading_assets.errors import InvalidInput, NotDelivered

HEADING = "A message from trading-assets"


@click.command()
@click.argument("text")
@reporting
def notify(*, text: str) -> None:
    """Send TEXT to every place of TRADING_NOTIFY: whether they are reached.

    Exit status 1 names the kinds of service that were not. The limit of messages does not
    hold here, and nothing is written down.
    """
    from trading_assets.adapters.notifications.apprise_urls import (  # noqa: PLC0415 - commands import what they need
        AppriseUrls,
    )
    from trading_assets.defs.resources import notify_addresses  # noqa: PLC0415 - as above

    addresses = notify_addresses()
    if not addresses:
        raise InvalidInput("TRADING_NOTIFY must name a place to tell, and is not set")
    channel = AppriseUrls(addresses)
    kinds = channel.kinds
    told = channel.send(HEADING, text)
    if told.failed:
        raise NotDelivered(f"not delivered to {', '.join(told.failed)}")
    click.echo(f"delivered to {', '.join(kinds)}")
