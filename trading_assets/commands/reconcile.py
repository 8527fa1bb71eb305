"""Finding out what became of orders, and what an account holds, at the prompt."""

import sys
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
import pandas as pd

from trading_assets.commands.reporting import FAILED, reporting
from trading_assets.commands.safety import user
from trading_assets.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trading_assets.adapters.ibkr.account import Held
    from trading_assets.adapters.ibkr.gateway import GatewaySettings
    from trading_assets.adapters.ibkr.orders import Reconciliation
    from trading_assets.adapters.ibkr.session import Books
    from trading_assets.core.agreement import Difference, Split
    from trading_assets.defs.resources import Settings
    from trading_assets.models.intent import Intent

WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Found:
    """What was found out about an account.

    Attributes:
        orders: What became of orders in doubt; None where nothing may be asked of them.
        held: What the broker holds of shares.
        differences: Of which we can't explain all.
    """

    orders: "Reconciliation | None"
    held: "Sequence[Held]"
    differences: "Sequence[Difference]"

    @property
    def is_clear(self) -> bool:
        """Whether there is nothing left to look into."""
        in_doubt = self.orders and (self.orders.missing or self.orders.unknown)
        return not self.differences and not in_doubt


@click.command()
@click.option("--adopt", is_flag=True, help="Take what can't be explained for granted.")
@click.option("--strategy", help="Adopt into, or out of, this strategy's book.")
@click.option("--price", type=float, help="Per share, of what no execution tells it of.")
@click.option("--settle", metavar="ORDER_ID", help="Close an order that is missing.")
@click.option("--why", help="Needed to adopt or settle; it is kept for good.")
@click.option("--who", help="Who says so; default: the user of this machine.")
@reporting
def reconcile(
    *,
    adopt: bool,
    strategy: str | None,
    price: float | None,
    settle: str | None,
    why: str | None,
    who: str | None,
) -> None:
    """Find out what became of orders in doubt, and hold the account against our books.

    Of every account that a strategy is traded in. An order that is in doubt and nowhere
    at the broker is sent again under its own id, if it is of today. Exit status 1 if
    something is left to look into.
    """
    from trading_assets.adapters.ibkr.session import Books  # noqa: PLC0415 - commands import what they need
    from trading_assets.defs.resources import Settings, stored_splits  # noqa: PLC0415

    if (adopt or settle) and not (why and why.strip()):
        raise InvalidInput("--why must say why, to adopt or to settle")
    if strategy and not adopt:
        raise InvalidInput("--strategy says into whose book to --adopt")
    settings = Settings.from_environment()
    books, splits = Books.open(settings.ledger), stored_splits(str(settings.warehouse))
    is_clear = True
    owner = _owner(books, settle) if settle else ""
    for gateway in _gateways(settings):
        own = settle if gateway.account == owner else None
        found = _look(gateway, books, splits, own, who or user(), why or "")
        _show(gateway.account, found)
        if adopt and found.differences:
            into = _Into(strategy or "", price, who or user(), why or "")
            _adopt(gateway.account, books, found, into)
        else:
            is_clear &= found.is_clear
    if not is_clear:
        sys.exit(FAILED)


def _gateways(settings: "Settings") -> "list[GatewaySettings]":
    """A connection for each account that a strategy is traded in."""
    from trading_assets.defs.resources import trading_settings  # noqa: PLC0415 - as above
    from trading_assets.strategies.loading import load_strategies  # noqa: PLC0415

    loaded = load_strategies(settings.strategies)
    real = [own.spec for own in loaded if own.spec.is_traded_for_real]
    if not real:
        raise InvalidInput(
            f"no strategy of {settings.strategies} has execution.broker ibkr: there is no "
            "account to reconcile"
        )
    found = (trading_settings(settings.ibkr, spec) for spec in real)
    return list({own.account: own for own in found}.values())


def _look(
    gateway: "GatewaySettings",
    books: "Books",
    splits: "list[Split]",
    settle: str | None,
    who: str,
    why: str,
) -> Found:
    from trading_assets.adapters.ibkr.account import positions  # noqa: PLC0415 - as above
    from trading_assets.adapters.ibkr.gateway import Gateway  # noqa: PLC0415
    from trading_assets.adapters.ibkr.session import trading_session  # noqa: PLC0415

    account = gateway.account
    if gateway.readonly:
        if settle:
            raise InvalidInput("--settle asks the broker: IBKR_READONLY must be no")
        with Gateway.connected(gateway) as looking:
            held = positions(looking)
        return Found(None, held, books.differences(account, held, splits))
    with trading_session(
        gateway,
        books,
        wait_seconds=WAIT_SECONDS,
        splits=lambda: splits,
        may_send=lambda intent: _why_not_again(books, intent),
    ) as session:
        if settle:
            standing = session.desk.settle(settle, who=who, why=why)
            click.echo(f"{settle} is settled: {standing.state}")
        orders, held = session.reconciliation, session.positions()
        return Found(orders, held, books.differences(account, held, splits))


def _why_not_again(books: "Books", intent: "Intent") -> str:
    """Why an order that is nowhere may not be sent again; empty if it may."""
    from trading_assets.core.recorded import too_late  # noqa: PLC0415 - as above
    from trading_assets.sessions import trading_calendar  # noqa: PLC0415

    ticket = intent.ticket
    late = too_late(ticket.session, datetime.now(UTC), trading_calendar())
    halt = books.ledger.halts.standing(ticket.strategy)
    return late or (f"halt: {halt.reason}" if halt else "")


def _show(account: str, found: Found) -> None:
    from trading_assets.console import show_frame  # noqa: PLC0415 - as above

    click.secho(account, bold=True)
    if found.orders is None:
        click.echo("orders: not asked about; IBKR_READONLY is not no")
    else:
        for field in fields(found.orders):
            ids = getattr(found.orders, field.name)
            if ids:
                click.echo(f"{field.name}: {', '.join(ids)}")
    if found.held:
        rows = [(it.symbol, it.shares, it.average_cost) for it in found.held]
        columns = pd.Index(["symbol", "shares", "average_cost"])
        show_frame(pd.DataFrame(rows, columns=columns))
    else:
        click.echo("the broker holds no shares")
    for difference in found.differences:
        click.secho(str(difference), fg="red")
    if not found.differences:
        click.secho("positions agree", fg="green")


@dataclass(frozen=True, slots=True)
class _Into:
    strategy: str
    price: float | None
    who: str
    why: str


def _owner(books: "Books", order_id: str) -> str:
    """The account that an order was committed for."""
    known = books.intents.known([order_id])
    if order_id not in known:
        raise InvalidInput(f"--settle: order {order_id} was never committed")
    return known[order_id].account


def _adopt(account: str, books: "Books", found: Found, into: _Into) -> None:
    from trading_assets.core.agreement import adoptions_of  # noqa: PLC0415 - as above

    _refuse_what_may_be_ours(account, books, found)
    con_ids = {own.symbol: own.con_id for own in found.held}
    try:
        adopted = adoptions_of(
            account,
            found.differences,
            con_ids,
            who=into.who,
            why=into.why,
            at=datetime.now(UTC),
            strategy=into.strategy,
            price=into.price,
        )
    except ValueError as error:
        raise InvalidInput(
            "--price must say at what price per share: no execution tells it"
        ) from error
    books.accounts.adopt(adopted)
    for own in adopted:
        book = f" into the book of {own.strategy}" if own.strategy else ""
        click.echo(
            f"adopted as {own.kind}{book}: {own.shares:+g} {own.symbol}, by {own.who}: "
            f"{own.why}"
        )


def _refuse_what_may_be_ours(account: str, books: "Books", found: Found) -> None:
    """Refuse to adopt what an order of ours may yet explain: it would count twice."""
    from trading_assets.core.order_states import OrderState  # noqa: PLC0415 - as above

    if found.orders is None:
        raise InvalidInput(
            "--adopt needs to know of our own executions: IBKR_READONLY must be no"
        )
    open_ = {
        it.intent.ticket.symbol: it
        for it in books.intents.unsettled(account)
        if it.is_ambiguous or it.is_short_of_executions or it.state is OrderState.MISSING
    }
    for difference in found.differences:
        if (order := open_.get(difference.symbol)) is not None:
            raise InvalidInput(
                f"--adopt: {order.order_id} is {order.state} and may explain "
                f"{difference.symbol}: wait for it, or --settle it first"
            )
