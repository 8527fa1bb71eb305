"""How the prompt shows things: tables, bars, and the end of a demo."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from textwrap import shorten
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from trading_assets.adapters.analysts.port import Estimate
from trading_assets.adapters.brokers.choice import Brokers
from trading_assets.adapters.brokers.port import Broker
from trading_assets.adapters.ledger.halts import HaltBook
from trading_assets.adapters.storage.port import Warehouse
from trading_assets.adapters.storage.questions import (
    Standing,
    gaps,
    last_bars,
    standing,
)
from trading_assets.core.statistics import money, percent, signed_percent
from trading_assets.defs.lanes import Book, Lane, Market
from trading_assets.defs.performance import equity_path, tear_sheet_path
from trading_assets.defs.resources import Settings, WarehouseResource, brokers_resource
from trading_assets.models.halt import Halt
from trading_assets.models.signal import Action
from trading_assets.models.tables import CHARTS
from trading_assets.strategies.loading import LoadedStrategy
from trading_assets.strategies.spec import Analyst, ModelAnalyst, StrategySpec

SHOWN_SIGNALS = 5
SIGNAL_WIDTHS = (6, 8, 6)
"""Characters for symbol, action and confidence; the reason gets the rest."""

LONGEST_WHY = 160
WIDEST = 10_000
"""Characters of a line that a file may have, or another program reads."""


out = Console(highlight=False)


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int], Callable[[str, int], None]]]:
    """A bar per run; call it with title and total, then with step and advance."""
    columns = (
        TextColumn("{task.description}", justify="left"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=out) as progress:

        def show(title: str, total: int) -> Callable[[str, int], None]:
            task = progress.add_task(title, total=total)

            def advance(step: str, count: int) -> None:
                progress.update(task, advance=count, description=f"{title} [dim]{step}[/]")
                if progress.tasks[task].finished:
                    progress.update(task, description=title)

            return advance

        yield show


def show_frame(rows: pd.DataFrame) -> None:
    """Print *rows* as a table."""
    table = Table(box=None, pad_edge=False)
    for name in rows.columns:
        is_number = pd.api.types.is_numeric_dtype(rows[name])
        # Wrapped, and never cut: what is read here is copied from here.
        justify = "right" if is_number else "left"
        table.add_column(str(name), justify=justify, overflow="fold")
    for row in rows.itertuples(index=False):
        table.add_row(*map(_cell, row))
    _print_whole(table)
    out.print(f"[dim]{len(rows)} rows[/]")


def _print_whole(table: Table) -> None:
    """Print *table* as wide as it is, unless a terminal says how wide it may be."""
    if out.is_terminal:
        out.print(table)
        return
    options = out.options.update(max_width=WIDEST)
    width = Measurement.get(out, options, table).maximum
    Console(file=out.file, highlight=False, width=max(width, out.width)).print(table)


def show_strategies(strategies: Iterable[LoadedStrategy]) -> None:
    """Print what each strategy trades and how."""
    table = Table(box=None, pad_edge=False)
    for name in ("strategy", "start", "analyst", "sizing", "symbols", "schedule", "file"):
        table.add_column(name, overflow="fold")
    for strategy in strategies:
        spec = strategy.spec
        table.add_row(
            spec.name,
            spec.start.isoformat(),
            _asked(spec.analyst),
            spec.sizing.kind,
            str(len(spec.universe)),
            spec.schedule,
            str(strategy.path),
        )
    _print_whole(table)


def _asked(analyst: Analyst) -> str:
    """Whom a strategy asks: its rule, or its model."""
    whom = analyst.model if isinstance(analyst, ModelAnalyst) else analyst.rule
    return f"{analyst.kind}:{whom}"


def show_status(settings: Settings, market: Market) -> None:
    """Print what there is, and how far each strategy has come."""
    warehouse, brokers = _stores(settings)
    with closing(HaltBook.open(settings.ledger)) as halts:
        for halt in halts.all_standing():
            _show_halt(halt)
    out.print(f"home        {settings.home}")
    out.print(f"market      {settings.market_data}, from {market.start}")
    out.print(f"last closed {market.current()} ({market.calendar.exchange})")
    bars = last_bars(warehouse)
    if len(bars):
        first, last = bars["min"].min().date(), bars["max"].max().date()
        out.print(
            f"bars        {bars['size'].sum():,} of {len(bars)} symbols, {first} to {last}"
        )
    for _, gap in gaps(warehouse).iterrows():
        days = f"{gap['min'].date()} to {gap['max'].date()}"
        out.print(
            f"  [yellow]{gap['symbol']}: {gap['size']} sessions {gap['status']}, {days}[/]"
        )
    for lane in market.lanes:
        for book in lane.books:
            _show_book_status(book, warehouse, book.broker(brokers))


def show_halts(standing: Sequence[Halt], history: Sequence[Halt]) -> None:
    """Print what is halted now, and all that was ever halted and lifted."""
    for halt in standing:
        _show_halt(halt)
    if not standing:
        out.print("nothing is halted")
    if not history:
        return
    table = Table(box=None, pad_edge=False)
    for name in ("no.", "", "strategy", "at (UTC)", "last closed", "who", "why"):
        table.add_column(name)
    for halt in history:
        table.add_row(
            str(halt.seq),
            "[red]halt[/]" if halt.is_halt else "[green]resume[/]",
            halt.of,
            f"{halt.at:%Y-%m-%d %H:%M:%S}",
            halt.session.isoformat(),
            escape(halt.who),
            escape(halt.why),
        )
    _print_whole(table)


def show_estimate(estimate: Estimate, spec: StrategySpec) -> None:
    """Print what asking models would cost, beside what it may."""
    if not isinstance(spec.analyst, ModelAnalyst):
        return
    if not estimate.partitions:
        out.print("models       every opinion is there: nobody is asked")
        return
    limits = spec.analyst.budget.model_dump()
    named = ("a run", "a day (UTC)", "ever")
    budget = ", ".join(
        f"{'no limit' if limit is None else f'${limit:,.2f}'} {name}"
        for name, limit in zip(named, limits.values(), strict=True)
    )
    out.print(
        f"models       {estimate.partitions:,} opinions, {estimate.questions:,} questions "
        f"to {spec.analyst.model}: about ${estimate.expected_usd:,.2f}, at most "
        f"${estimate.most_usd:,.2f}\nbudget       {budget}",
        soft_wrap=True,
    )


def show_opinions(signals: pd.DataFrame) -> None:
    """Print what models have come to, and why they have not where that is most often."""
    counts = signals["action"].value_counts()
    named = [f"{counts[action]:,} {action}" for action in Action if action in counts]
    silent = signals.loc[signals["is_abstention"], "reasoning"]
    told = ", ".join([*named, f"{len(silent) or 'none'} abstained"])
    usd = float(signals["cost_usd"].sum())
    out.print(
        f"opinions     {len(signals):,}: {told}; ${usd:,.4f} when they were asked for",
        soft_wrap=True,
    )
    if 2 * len(silent) > len(signals):
        why = shorten(silent.value_counts().index[0], LONGEST_WHY, placeholder=" …")
        out.print(f"             most often: {escape(why)}", soft_wrap=True)


def show_demo(settings: Settings, market: Market) -> None:
    """Print what a demo has come to, and where to look next."""
    warehouse, _ = _stores(settings)
    standings = {
        lane.name: standing(warehouse, lane.name, lane.history.kind)
        for lane in market.lanes
    }
    out.print()
    if settings.is_simulated_market:
        out.print("[yellow]The market is simulated: these results mean nothing.[/]")
    out.print(_results(market, standings))
    for lane in market.lanes:
        _show_signals(lane, standings[lane.name])
        _show_positions(standings[lane.name])
    lane = market.lanes[0]
    charts = warehouse.read(CHARTS, {"strategy": lane.name}, ["session", "path"])
    out.print()
    for path in charts.sort_values("session")["path"].tail(1):
        out.print(f"a chart      {settings.charts / path}", soft_wrap=True)
    out.print(f"equity       {settings.charts / equity_path(lane.history)}", soft_wrap=True)
    out.print(
        f"tear sheet   {settings.charts / tear_sheet_path(lane.history)}", soft_wrap=True
    )
    out.print(
        "\nOpen Dagster on this history with [bold]make dev[/], then http://127.0.0.1:3000"
    )


def _show_halt(halt: Halt) -> None:
    said = escape(f"{halt.of}, by {halt.who} after {halt.session}: {halt.why}")
    out.print(f"[bold white on red] HALTED [/] [bold red]{said}[/]", soft_wrap=True)


def _show_book_status(own: Book, warehouse: Warehouse, broker: Broker) -> None:
    lane = own.lane
    decided, superseded = broker.decided(lane.name), broker.superseded(lane.name)
    book = standing(warehouse, lane.name, own.kind)
    far = f"{decided[0]} to {decided[-1]}" if decided else "nothing decided yet"
    worth = (
        f", equity {money(float(book.portfolio['equity']))}" if len(book.portfolio) else ""
    )  # pyright: ignore[reportArgumentType] - a number
    out.print(f"[bold]{own.title}[/]  {far}{worth}, {len(book.positions)} positions")
    if superseded:
        out.print(
            f"  [red]{superseded[0]} to {superseded[-1]} rest on inputs that have changed: "
            f"trading-assets backfill --strategy {lane.name} --from {superseded[0]}[/]"
        )


def _results(market: Market, standings: dict[str, Standing]) -> Table:
    table = Table(title="Results", title_justify="left", box=None, pad_edge=False)
    table.add_column("strategy", no_wrap=True)
    headings = ("return", "hold", "fall", "hold", "Sharpe", "trades", "won", "equity")
    for name in headings:
        table.add_column(name, justify="right")
    for lane in market.lanes:
        row = standings[lane.name].performance
        table.add_row(
            f"[bold]{lane.name}[/]",
            _figure(row, "total_return_frac", signed_percent),
            _figure(row, "benchmark_return_frac", signed_percent),
            _figure(row, "max_drawdown_frac", percent),
            _figure(row, "benchmark_max_drawdown_frac", percent),
            _figure(row, "sharpe", "{:.2f}".format),
            _figure(row, "trades", "{:.0f}".format),
            _figure(row, "win_rate_frac", percent),
            _figure(row, "final_equity", money),
        )
    row = standings[market.lanes[0].name].performance
    table.caption = (
        f"{row['first_session']:%Y-%m-%d} to {row['last_session']:%Y-%m-%d}; "
        f"hold: {market.lanes[0].spec.benchmark} bought and kept; fall: the deepest"
    )
    table.caption_justify = "left"
    return table


def _show_signals(lane: Lane, book: Standing) -> None:
    if book.signals.empty:
        return
    day = book.signals["session"].iloc[0]
    table = Table(
        title=f"\n{lane.name}: signals of {day:%Y-%m-%d}",
        title_justify="left",
        box=None,
        pad_edge=False,
        show_header=False,
    )
    for width in SIGNAL_WIDTHS:
        table.add_column(no_wrap=True, min_width=width)
    table.add_column(no_wrap=True)
    room = out.width - sum(SIGNAL_WIDTHS) - 2 * len(SIGNAL_WIDTHS)
    colours = {"BUY": "green", "SELL": "red"}
    for row in book.signals.head(SHOWN_SIGNALS).itertuples():
        action = str(row.action or "abstains")
        colour = colours.get(action, "dim")
        table.add_row(
            str(row.symbol),
            f"[{colour}]{action}[/]",
            str(row.confidence or ""),
            shorten(str(row.reasoning), room, placeholder=" …"),
        )
    out.print(table)


def _show_positions(book: Standing) -> None:
    rows = book.positions[["symbol", "shares", "unrealized_pnl"]].to_dict("records")
    held = [
        f"{row['symbol']} {row['shares']:,} ({row['unrealized_pnl']:+,.0f})" for row in rows
    ]
    out.print("open: " + (", ".join(held) or "nothing"))


def _figure(row: "pd.Series[Any]", name: str, written: Callable[[float], str]) -> str:
    value = row.get(name)
    return "-" if value is None or pd.isna(value) else written(float(value))


def _cell(value: object) -> str:
    if value is None or value is pd.NaT or value != value:  # noqa: PLR0124 - NaN
        return "[dim]NULL[/]"
    if isinstance(value, pd.Timestamp):
        return (
            f"{value:%Y-%m-%d}" if value == value.normalize() else f"{value:%Y-%m-%d %H:%M}"
        )
    return f"{value:,.4f}" if isinstance(value, float) else str(value)


def _stores(settings: Settings) -> tuple[Warehouse, Brokers]:
    return (
        WarehouseResource(path=str(settings.warehouse)).create_resource(None),
        brokers_resource(settings).create_resource(None),
    )
