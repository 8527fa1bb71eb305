"""Questions in batches at the prompt: hand in, look after, cancel, forget."""

from collections import Counter
from contextlib import closing, contextmanager
from datetime import date, datetime
from typing import TYPE_CHECKING

import click

from trading_assets.commands.reporting import reporting
from trading_assets.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trading_assets.adapters.analysts.desk import ModelDesk
    from trading_assets.defs.backfill import Backfill
    from trading_assets.defs.batches import BatchWork
    from trading_assets.defs.lanes import Lane, Market
    from trading_assets.defs.resources import Settings

DAY = click.DateTime(["%Y-%m-%d"])
STRATEGY = click.option("--strategy", required=True, help="Name of the strategy.")
BATCH = click.argument("batch_id", metavar="ID")


@click.group()
def batches() -> None:
    """Ask models in batches: half the price, and answers within a day."""


@batches.command()
@STRATEGY
@click.option("--from", "first", type=DAY, help="First day; default: the strategy's start.")
@click.option("--to", "last", type=DAY, help="Last day; default: the last closed session.")
@click.option("--symbols", default="", help="Only these: AAPL,MSFT.")
@click.option(
    "--estimate", "only_estimate", is_flag=True, help="Only say what it may cost."
)
@reporting
def submit(
    *,
    strategy: str,
    first: datetime | None,
    last: datetime | None,
    symbols: str,
    only_estimate: bool,
) -> None:
    """Ask about a range of a strategy that there is no opinion of.

    What it may cost is said first. Doing it twice sends nothing twice.
    """
    from trading_assets.console import show_estimate  # noqa: PLC0415 - commands import what they need
    from trading_assets.defs.batches import batch_reader, new_run_id, summary  # noqa: PLC0415

    settings, market = _prepared()
    lane = _lane(market, strategy)
    batch_reader(lane)
    wanted = _symbols(lane, symbols)
    backfill = _backfill(settings, market, lane)
    begin, end = backfill.range_of(*(day.date() if day else None for day in (first, last)))
    begin = max(begin, lane.calendar.on_or_after(first.date())) if first else begin
    _make_market(backfill, begin, end, wanted)
    with _work(settings, lane) as work:
        show_estimate(work.estimate(begin, end, wanted), lane.spec)
        if not only_estimate:
            asked = work.submit(begin, end, wanted, new_run_id())
            click.echo(summary(asked) or "nothing is to be asked")
            if asked.batches:
                click.echo("trading-assets batches poll fetches what comes of it")


@batches.command("list")
@click.option("--strategy", help="Only those of this strategy.")
@reporting
def list_batches(*, strategy: str | None) -> None:
    """Every batch there is, with what has become of its questions."""
    from trading_assets.adapters.analysts.batching import sums  # noqa: PLC0415 - as above
    from trading_assets.models.batch import ALL_ON_RECORD, BatchStatus  # noqa: PLC0415

    with _desk(_settings()) as desk:
        counts, found = desk.batches.counts(), desk.batches.batches(strategy)
        charged = desk.batches.charged_usd()
    for it in found:
        is_stopping = it.is_cancelled and it.status is not BatchStatus.CANCELLED
        status = it.status.value + (", to be cancelled" if is_stopping else "")
        click.echo(f"{it.batch_id}  {status}  {it.submitted_at:%Y-%m-%d %H:%M} UTC")
        questions = sums(counts.get(it.batch_id, Counter()))
        cost = (
            f"cost ${charged.get(it.batch_id, 0.0):,.4f}"
            if it.status in ALL_ON_RECORD
            else f"at most ${it.estimated_usd:,.4f}"
        )
        click.echo(f"  {it.model}: {questions}; {cost}")
        for told in filter(None, (it.remote_id, it.why)):
            click.echo(f"  {told}")
    if not found:
        click.echo("There is no batch.")


@batches.command()
@click.argument("batch_id", metavar="[ID]", required=False)
@reporting
def poll(*, batch_id: str | None) -> None:
    """Look at batch ID, or at all that are out; file what has ended, and ask on."""
    settings, market = _prepared()
    with _desk(settings) as desk:
        found = [desk.batches.batch(batch_id)] if batch_id else desk.batches.batches()
        names = sorted({it.strategy for it in found})
    if not names:
        click.echo("There is no batch.")
    for name in names:
        try:
            _poll(settings, _lane(market, name), batch_id)
        except InvalidInput as error:
            if batch_id is not None:
                raise
            click.echo(f"{name}: its batches were not looked at: {error}", err=True)


def _poll(settings: "Settings", lane: "Lane", batch_id: str | None) -> None:
    with _work(settings, lane) as work:
        click.echo(f"{lane.name}: {work.poll(batch_id).says}")
        if places := sum(map(len, work.finished().values())):
            click.echo(
                f"{lane.name}: {places} opinions of batches are there; trading-assets "
                f"backfill --strategy {lane.name} makes their signals, and asks nobody"
            )


@batches.command()
@BATCH
@reporting
def cancel(*, batch_id: str) -> None:
    """Have batch ID stopped at its provider.

    What was answered until then is paid for, and filed by the next poll.
    """
    from trading_assets.adapters.analysts.batching import cancel as cancel_batch  # noqa: PLC0415

    with _desk(_settings()) as desk:
        status = cancel_batch(desk, batch_id)
    click.echo(f"{batch_id}: its provider says {status}")


@batches.command()
@BATCH
@click.option("--why", required=True, help="In your words; it is kept for good.")
@reporting
def forget(*, batch_id: str, why: str) -> None:
    """Give up batch ID, from which nothing is to be had any more.

    Look at your provider's page first: its questions may be asked again then, and what
    was answered is not fetched. What they could have cost stays counted against the
    budget.
    """
    from trading_assets.adapters.analysts.batching import forget as forget_batch  # noqa: PLC0415

    if not why.strip():
        raise InvalidInput("--why must say why, was empty")
    with _desk(_settings()) as desk:
        forget_batch(desk, batch_id, why)
    click.echo(f"Forgot {batch_id}: its questions may be asked again")


def _make_market(
    backfill: "Backfill", begin: date, end: date, symbols: tuple[str, ...]
) -> None:
    """Bars and indicators that the questions need and that are not there."""
    from dagster import DagsterInstance  # noqa: PLC0415 - as above

    from trading_assets.console import progress_bar  # noqa: PLC0415
    from trading_assets.definitions import defs  # noqa: PLC0415
    from trading_assets.defs.instance import bury_dead_runs  # noqa: PLC0415

    with DagsterInstance.get() as instance, progress_bar() as show:
        bury_dead_runs(instance)
        for part in backfill.parts(begin, end, symbols, with_charts=False):
            if part.asks is not None:
                return
            advance = show(part.title, part.materializations)
            backfill.run(
                defs, instance, part, lambda it, to=advance: to(it.step, it.materialized)
            )


def _symbols(lane: "Lane", symbols: str) -> tuple[str, ...]:
    asked = {own.strip().upper() for own in symbols.split(",") if own.strip()}
    if unknown := sorted(asked.difference(lane.symbols)):
        raise InvalidInput(
            f"--symbols must be of {lane.name}'s universe {', '.join(lane.symbols)}, "
            f"was {', '.join(unknown)}"
        )
    return tuple(own for own in lane.symbols if not asked or own in asked)


def _lane(market: "Market", strategy: str) -> "Lane":
    lane = market.lane(strategy)
    if lane is None:
        known = ", ".join(lane.name for lane in market.lanes)
        raise InvalidInput(f"--strategy must be one of {known}, was {strategy}")
    return lane


def _settings() -> "Settings":
    from trading_assets.defs.resources import Settings  # noqa: PLC0415 - as above

    return Settings.from_environment()


def _prepared() -> "tuple[Settings, Market]":
    from trading_assets.defs.instance import prepare_environment  # noqa: PLC0415 - as above

    settings = _settings()
    prepare_environment(settings)
    from trading_assets.definitions import market  # noqa: PLC0415

    return settings, market


def _backfill(settings: "Settings", market: "Market", lane: "Lane") -> "Backfill":
    from trading_assets.defs.backfill import Backfill  # noqa: PLC0415 - as above

    return Backfill.of(settings, market, lane.history)


@contextmanager
def _desk(settings: "Settings") -> "Iterator[ModelDesk]":
    from trading_assets.defs.resources import analysts_resource  # noqa: PLC0415 - as above

    with closing(analysts_resource(settings).opened()) as desk:
        yield desk


@contextmanager
def _work(settings: "Settings", lane: "Lane") -> "Iterator[BatchWork]":
    from trading_assets.defs.batches import BatchWork  # noqa: PLC0415 - as above
    from trading_assets.defs.resources import WarehouseResource  # noqa: PLC0415

    warehouse = WarehouseResource(path=str(settings.warehouse)).create_resource(None)
    with _desk(settings) as desk:
        yield BatchWork(lane, warehouse, desk)
