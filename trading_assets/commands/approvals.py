"""Approving orders and rejecting them, at the prompt."""

import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click
import pandas as pd

from trading_assets.commands.reporting import FAILED, reporting
from trading_assets.commands.safety import user
from trading_assets.errors import ApprovalClosed, InvalidInput, TradingAssetsError

if TYPE_CHECKING:
    from trading_assets.adapters.ledger.approvals import ApprovalBook
    from trading_assets.defs.resources import Settings
    from trading_assets.models.approval import Approval, Proposal, Ruling

LATELY = timedelta(days=7)
"""How long after its end a proposal is still listed."""

QUOTE_CONNECT_SECONDS = 5.0
"""A price that is nice to know is worth no longer wait."""

ORDER_IDS = click.argument("order_ids", metavar="[ORDER_ID]...", nargs=-1)
STRATEGY = click.option("--strategy", help="Of this strategy alone.")
EVERY = click.option("--all", "is_all", is_flag=True, help="Everything that waits.")
WHY = click.option("--why", required=True, help="In your words; it is kept for good.")
WHO = click.option("--who", help="Who says so; default: the user of this machine.")


@click.group()
def approvals() -> None:
    """Orders that wait for a person before they are sent."""


@approvals.command("list")
@STRATEGY
@reporting
def list_approvals(*, strategy: str | None) -> None:
    """What waits for approval, and what became of what did lately."""
    at = datetime.now(UTC)
    with _approval_book() as book:
        recent = _only(book.recent(at - LATELY), strategy)
    if strategy and not recent:
        _must_be_known(strategy)
    waiting = [it for it in recent if it.waits(at)]
    over = [it for it in recent if not it.waits(at)]
    if waiting:
        click.secho("Waiting for approval", bold=True)
        _show_waiting(waiting, at)
    else:
        click.echo("nothing waits for approval")
    if over:
        click.secho("Decided lately", bold=True)
        _show_over(over, at)


@approvals.command()
@click.argument("order_id")
@reporting
def show(order_id: str) -> None:
    """All about one order: what it is, why, until when, and how far the price has run."""
    at = datetime.now(UTC)
    with _approval_book() as book:
        asked = _called(book, order_id)
    own = asked.proposal
    click.secho(f"{own.order_id}  {_state(asked, at)}", bold=True)
    for name, told in _facts(asked, at):
        click.echo(f"{name:<10} {told}")
    for ruling in asked.rulings:
        click.echo(f"{ruling.at:%Y-%m-%d %H:%M:%S} UTC  {ruling}")


@approvals.command()
@ORDER_IDS
@EVERY
@STRATEGY
@WHY
@WHO
@reporting
def approve(
    *,
    order_ids: Sequence[str],
    is_all: bool,
    strategy: str | None,
    why: str,
    who: str | None,
) -> None:
    """Let the orders of ORDER_ID be sent: an entry with its legs, or an exit.

    Exit status 1 if one was rejected before, or is over.
    """
    from trading_assets.adapters.ledger.approvals import ApprovalBook  # noqa: PLC0415 - commands import what they need

    approved = _answer(ApprovalBook.approve, order_ids, is_all, strategy, why, who)
    for name in sorted({own.strategy for own in approved if own.account}):
        click.echo(
            f"{name}: the daemon sends it within a minute or two; without one: "
            f"trading-assets approvals send --strategy {name}"
        )
    if any(not own.account for own in approved):
        click.echo(
            "A simulated book trades it at the next open, and tells so in the evening of "
            "that session."
        )


@approvals.command()
@ORDER_IDS
@EVERY
@STRATEGY
@WHY
@WHO
@reporting
def reject(
    *,
    order_ids: Sequence[str],
    is_all: bool,
    strategy: str | None,
    why: str,
    who: str | None,
) -> None:
    """Have the orders of ORDER_ID not sent.

    Exit status 1 if one was approved before, or is over.
    """
    from trading_assets.adapters.ledger.approvals import ApprovalBook  # noqa: PLC0415 - commands import what they need

    _answer(ApprovalBook.reject, order_ids, is_all, strategy, why, who)


@approvals.command()
@click.option("--strategy", required=True, help="Name of the strategy.")
@reporting
def send(*, strategy: str) -> None:
    """Send now what is approved of STRATEGY's last evening; nothing is decided again."""
    from dagster import DagsterInstance  # noqa: PLC0415 - commands import what they need

    from trading_assets.defs.instance import (  # noqa: PLC0415
        bury_dead_runs,
        prepare_environment,
    )
    from trading_assets.defs.jobs import (  # noqa: PLC0415
        APPROVAL,
        book_job_name,
        range_tags,
    )
    from trading_assets.defs.launch import run_job  # noqa: PLC0415

    prepare_environment(_settings())
    from trading_assets.definitions import defs, market  # noqa: PLC0415 - as above

    lane = market.lane(strategy)
    if lane is None or not lane.spec.is_traded_for_real:
        real = [own.name for own in market.lanes if own.spec.is_traded_for_real]
        raise InvalidInput(
            f"--strategy must be one that is traded outside "
            f"({', '.join(real) or 'there is none'}), was {strategy}"
        )
    current = market.current()
    tags = range_tags(current, current, launched_by=APPROVAL)
    with DagsterInstance.get() as instance:
        bury_dead_runs(instance)
        orders = [lane.book.key("orders")]
        run_job(defs, instance, book_job_name(strategy), tags, assets=orders)
    with _approval_book() as book:
        for asked in book.of(strategy, lane.book.kind, [current]):
            click.echo(f"{asked.proposal.order_id}: {_state(asked, datetime.now(UTC))}")


type _Say = Callable[["ApprovalBook", "Approval", str, str, datetime], "Ruling"]


def _answer(
    say: _Say,
    order_ids: Sequence[str],
    is_all: bool,  # noqa: FBT001 - as it was given
    strategy: str | None,
    why: str,
    who: str | None,
) -> "list[Proposal]":
    """Say it of everything that is meant; what it counts for.

    All the others are still said if one can't be.
    """
    said, name = " ".join(why.split()), who or user()
    if not said:
        raise InvalidInput("--why must say something, was empty")
    heard: list[Proposal] = []
    is_closed = False
    with _approval_book() as book:
        for asked in _meant(book, order_ids, is_all=is_all, strategy=strategy):
            at = datetime.now(UTC)
            try:
                ruling = say(book, asked, name, said, at)
            except ApprovalClosed as closed:
                is_closed = True
                click.secho(f"trading-assets: {closed}", fg="red", err=True)
                continue
            before = "" if ruling.at == at else " already"
            click.echo(f"{asked.proposal.order_id}{before} {ruling}")
            heard.append(asked.proposal)
    if is_closed:
        sys.exit(FAILED)
    return heard


def _meant(
    book: "ApprovalBook", order_ids: Sequence[str], *, is_all: bool, strategy: str | None
) -> "list[Approval]":
    """The proposals that are named, or everything that waits; never both and never none."""
    if order_ids and not (is_all or strategy):
        return [_called(book, order_id) for order_id in order_ids]
    if order_ids or not is_all:
        raise InvalidInput(
            "name an ORDER_ID, or say --all, perhaps with --strategy, for everything that "
            f"waits; was {' '.join(order_ids) or 'neither'}"
        )
    at = datetime.now(UTC)
    waiting = [it for it in _only(book.recent(at), strategy) if it.waits(at)]
    if not waiting:
        click.echo("nothing waits for approval")
    return waiting


def _called(book: "ApprovalBook", order_id: str) -> "Approval":
    """The newest proposal of *order_id*: those before it are superseded."""
    found = book.called(order_id)
    if found:
        at = datetime.now(UTC)
        return max(found, key=lambda it: (it.waits(at), it.proposal.proposed_at, it.number))
    recent = book.recent(datetime.now(UTC) - LATELY)
    legs = {own.order_id: it for it in recent for own in it.proposal.tickets}
    if order_id in legs:
        head = legs[order_id].proposal.order_id
        raise InvalidInput(f"{order_id} goes with its entry: name {head}")
    waiting = [it.proposal.order_id for it in recent if it.waits(datetime.now(UTC))]
    raise InvalidInput(
        f"no order {order_id} was ever to be approved; waiting: "
        f"{', '.join(waiting) or 'none'}"
    )


def _only(found: "Sequence[Approval]", strategy: str | None) -> "list[Approval]":
    return [it for it in found if strategy in {None, it.proposal.strategy}]


def _must_be_known(strategy: str) -> None:
    from trading_assets.strategies.loading import load_strategies  # noqa: PLC0415 - as above

    known = [own.spec.name for own in load_strategies(_settings().strategies)]
    if strategy not in known:
        raise InvalidInput(f"--strategy must be one of {', '.join(known)}, was {strategy}")


# What is shown


def _show_waiting(waiting: "Sequence[Approval]", at: datetime) -> None:
    from trading_assets.console import show_frame  # noqa: PLC0415 - as above

    rows = [
        {
            "order": it.proposal.order_id,
            "what": str(it.proposal),
            "left": _left(it.proposal.expires_at - at),
            "why": it.proposal.reasoning or it.proposal.reason,
        }
        for it in waiting
    ]
    show_frame(pd.DataFrame(rows))


def _show_over(over: "Sequence[Approval]", at: datetime) -> None:
    from trading_assets.console import show_frame  # noqa: PLC0415 - as above

    rows = [
        {"order": it.proposal.order_id, "what": str(it.proposal), "state": _state(it, at)}
        for it in reversed(over)
    ]
    show_frame(pd.DataFrame(rows))


def _state(asked: "Approval", at: datetime) -> str:
    """How *asked* stands, with the words of whoever has spoken last."""
    if asked.rulings:
        last = asked.rulings[-1]
        answer = asked.answer
        is_later = answer is not None and answer is not last
        return f"{last}; {answer}" if is_later else str(last)
    if asked.waits(at):
        return f"waits for approval, {_left(asked.proposal.expires_at - at)} left"
    return "expired"


def _facts(asked: "Approval", at: datetime) -> list[tuple[str, str]]:
    own = asked.proposal
    where = own.account or f"{own.lane} book"
    facts = [
        ("what", f"{own}, of {own.strategy}, {where}"),
        ("decided", f"at the close of {own.session}, {own.close:g}"),
        ("why", own.reason),
        ("analyst", own.reasoning or "gave no reason"),
        ("until", f"{own.expires_at:%Y-%m-%d %H:%M} UTC"),
        ("hash", own.payload_hash),
    ]
    if asked.waits(at) or asked.may_be_sent:
        facts.append(("drift", _drift(own)))
    return facts


def _drift(own: "Proposal") -> str:
    """How far the price has run since the close, if somebody can be asked for it."""
    if not own.account:
        return "not known: a simulated book has no price before the next open"
    from dataclasses import replace  # noqa: PLC0415 - with what follows

    from trading_assets.adapters.ibkr.gateway import Gateway  # noqa: PLC0415 - as above
    from trading_assets.adapters.ibkr.quotes import latest_price  # noqa: PLC0415
    from trading_assets.core.approving import drift_frac  # noqa: PLC0415
    from trading_assets.defs.resources import looking_on  # noqa: PLC0415

    place = _settings().ibkr
    try:
        gateway = looking_on(place.host, place.port, place.data_client_id, own.account)
        quick = replace(gateway, connect_seconds=QUOTE_CONNECT_SECONDS)
        with Gateway.connected(quick) as looking:
            price = latest_price(looking, own.head.symbol)
    except TradingAssetsError as error:
        return f"not known: {error}"
    if price is None:
        return f"not known: the broker knows no price of {own.head.symbol}"
    return f"{drift_frac(own.close, price):+.2%}: {price:g}, the close was {own.close:g}"


def _left(span: timedelta) -> str:
    """*span* in hours and minutes, for people."""
    hours, minutes = divmod(int(span.total_seconds()) // 60, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def _approval_book() -> "closing[ApprovalBook]":
    from trading_assets.adapters.ledger.approvals import ApprovalBook  # noqa: PLC0415 - as above

    return closing(ApprovalBook.open(_settings().ledger))


def _settings() -> "Settings":
    from trading_assets.defs.resources import Settings  # noqa: PLC0415 - as above

    return Settings.from_environment()
