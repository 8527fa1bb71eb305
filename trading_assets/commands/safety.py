"""Stopping new orders and letting them go on again, at the prompt."""

import getpass
import os
import sys
from collections.abc import Collection
from contextlib import closing
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import click

from trading_assets.commands.reporting import FAILED, reporting
from trading_assets.errors import InvalidInput, TradingAssetsError
from trading_assets.models.halt import EVERYTHING

if TYPE_CHECKING:
    from trading_assets.adapters.brokers.port import Broker
    from trading_assets.adapters.ledger.halts import HaltBook
    from trading_assets.defs.resources import Settings

STRATEGY = click.argument("strategy", required=False)
EVERY = click.option("--all", "is_all", is_flag=True, help="Every strategy there is.")
WHY = click.option("--why", required=True, help="In your words; it is kept for good.")
WHO = click.option("--who", help="Who says so; default: the user of this machine.")


@click.command()
@STRATEGY
@EVERY
@WHY
@WHO
@reporting
def halt(*, strategy: str | None, is_all: bool, why: str, who: str | None) -> None:
    """Stop all new orders of STRATEGY, or of everything, at once.

    Entries and exits alike. Orders that work already go on working.
    """
    asked, said = _asked(strategy, is_all=is_all), _said(why)
    with _halt_book() as book:
        _check_known(asked, book, _strategies() if asked else ())
        before = {own.strategy: own for own in book.all_standing()}.get(asked)
        halted = book.halt(asked, _last_closed(), who or user(), said)
    _tell_people(f"{halted.of} is halted, by {halted.who}: {halted.why}")
    click.secho(f"Halted {halted.of} (no. {halted.seq}): {halted.why}", fg="red", bold=True)
    if before:
        click.echo(f"It was halted already, by {before.who}: {before.why}")
    click.echo(
        "From now on no new order of it is given, neither entry nor exit. Orders that work "
        "already, stops among them, go on working.\n"
        "A simulated book heeds this in the scheduled run of an evening; its history can "
        "be made and redone as before."
    )
    click.echo(f"Only this lifts it: trading-assets resume {asked or '--all'} --why …")


@click.command()
@STRATEGY
@EVERY
@WHY
@WHO
@reporting
def resume(*, strategy: str | None, is_all: bool, why: str, who: str | None) -> None:
    """Lift the halt of STRATEGY, or with --all the one of everything.

    Neither lifts the other.
    """
    asked, said = _asked(strategy, is_all=is_all), _said(why)
    with _halt_book() as book:
        standing = {own.strategy for own in book.all_standing()}
        if asked not in standing:
            _check_known(asked, book, _strategies() if asked else ())
        lifted = book.resume(asked, _last_closed(), who or user(), said)
        left = book.all_standing()
    name = asked or "everything"
    if lifted is None:
        click.echo(f"There was no halt of {name} to lift; nothing has changed.")
    else:
        click.secho(
            f"Lifted the halt of {name} (no. {lifted.seq}): {lifted.why}", fg="green"
        )
        if asked == EVERYTHING or EVERYTHING not in {own.strategy for own in left}:
            click.echo("New orders are given again from the next decision on.")
    for other in left:
        click.secho(
            f"Still halted: {other.of}, by {other.who}: {other.why}", fg="red", bold=True
        )


@click.command()
@reporting
def halts() -> None:
    """What is halted now, and all that was ever halted and lifted."""
    from trading_assets.console import show_halts  # noqa: PLC0415 - commands import what they need

    with _halt_book() as book:
        show_halts(book.all_standing(), book.history())


@click.command()
@STRATEGY
@EVERY
@WHY
@WHO
@reporting
def flatten(*, strategy: str | None, is_all: bool, why: str, who: str | None) -> None:
    """Halt STRATEGY, cancel its orders at the broker, and sell at the market what it holds.

    For strategies that are traded outside, or with --all every such one. The halt stays
    until it is lifted. Exit status 1 if something is not certain.
    """
    from trading_assets.defs.location import market_of  # noqa: PLC0415 - commands import what they need
    from trading_assets.defs.resources import brokers_resource  # noqa: PLC0415

    asked, said, name = _asked(strategy, is_all=is_all), _said(why), who or user()
    settings = _settings()
    market = market_of(settings)
    lanes = [own for own in market.lanes if asked in {EVERYTHING, own.name}]
    real = [own for own in lanes if own.spec.is_traded_for_real]
    if not real:
        known = ", ".join(o.name for o in market.lanes if o.spec.is_traded_for_real)
        raise InvalidInput(
            f"STRATEGY must be one that is traded outside ({known or 'there is none'}), "
            f"was {asked or '--all'}"
        )
    with _halt_book() as book:
        halted = book.halt(asked, _last_closed(), name, f"flatten: {said}")
    _tell_people(f"{halted.of} is halted and sold, by {halted.who}: {halted.why}")
    brokers = brokers_resource(settings).create_resource(None)
    is_certain = True
    for lane in real:
        try:
            is_certain &= _flattened(lane.name, lane.book.broker(brokers), name, said)
        except TradingAssetsError as error:  # the others still have to get out
            is_certain = False
            click.secho(f"{lane.name}: {error}", fg="red", err=True)
    click.echo(f"Halted until: trading-assets resume {asked or '--all'} --why …")
    if not is_certain:
        sys.exit(FAILED)


def _flattened(strategy: str, broker: "Broker", who: str, why: str) -> bool:
    """Get *strategy* out, and say how; whether all of it is certain."""
    from trading_assets.adapters.brokers.ibkr import IbkrBroker  # noqa: PLC0415 - as above

    if not isinstance(broker, IbkrBroker):
        raise TypeError(f"{strategy} is not traded at Interactive Brokers")
    done = broker.flatten(strategy, who, why)
    click.echo(f"{strategy}: cancelled {', '.join(done.cancelled) or 'nothing'}")
    for standing in done.sent:
        ticket = standing.intent.ticket
        click.echo(
            f"{strategy}: {ticket.side} {ticket.shares} {ticket.symbol} at the market, "
            f"{standing.order_id} is {standing.state}"
        )
    for fault in done.unresolved:
        click.secho(f"{strategy}: left alone: {fault}", fg="red")
    if not done.sent and not done.unresolved:
        click.echo(f"{strategy}: nothing is held that is not on its way out")
    return not done.unresolved and not any(it.is_ambiguous for it in done.sent)


def _tell_people(text: str) -> None:
    """Tell those who are not at this prompt; that it could not be told stops nothing."""
    from trading_assets.defs.resources import NotifierResource  # noqa: PLC0415 - as above
    from trading_assets.models.notice import Topic  # noqa: PLC0415

    ledger = _settings().ledger
    NotifierResource(ledger=ledger).create_resource(None).tell(Topic.HALT, text)


def _asked(strategy: str | None, *, is_all: bool) -> str:
    """What is meant: a strategy's name, or `EVERYTHING`; never both and never neither."""
    if strategy and not is_all:
        return strategy
    if is_all and not strategy:
        return EVERYTHING
    raise InvalidInput(
        f"name one strategy, or say --all for every one; was {strategy or 'neither'}"
        f"{' and --all' if is_all else ''}"
    )


def _said(why: str) -> str:
    said = " ".join(why.split())
    if not said:
        raise InvalidInput("--why must say something, was empty")
    return said


def _check_known(asked: str, book: "HaltBook", strategies: Collection[str]) -> None:
    """Refuse a name that is no strategy's and that was never halted."""
    known = {*strategies, *(own.strategy for own in book.history())} - {EVERYTHING}
    if asked and asked not in known:
        raise InvalidInput(
            f"STRATEGY must be one of {', '.join(sorted(known)) or 'none'}, was {asked}"
        )


def user() -> str:
    """The user of this process; in a container it may have no name."""
    try:
        return getpass.getuser()
    except KeyError:
        return f"user {os.getuid()}"


def _strategies() -> list[str]:
    from trading_assets.strategies.loading import load_strategies  # noqa: PLC0415 - as above

    return [own.spec.name for own in load_strategies(_settings().strategies)]


def _halt_book() -> "closing[HaltBook]":
    from trading_assets.adapters.ledger.halts import HaltBook  # noqa: PLC0415 - as above

    return closing(HaltBook.open(_settings().ledger))


def _settings() -> "Settings":
    from trading_assets.defs.resources import Settings  # noqa: PLC0415 - as above

    return Settings.from_environment()


def _last_closed() -> date:
    from trading_assets.sessions import trading_calendar  # noqa: PLC0415 - as above

    return trading_calendar().last_closed(datetime.now(UTC))
