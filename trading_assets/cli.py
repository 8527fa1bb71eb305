"""What a person can ask for at the prompt: parse, call, print.

Exit status: 0 done, 1 failed, 2 bad input.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trading_assets.commands.approvals import approvals
from trading_assets.commands.batches import batches
from trading_assets.commands.calibration import calibration
from trading_assets.commands.explain import explain
from trading_assets.commands.ibkr import ibkr
from trading_assets.commands.ledger import backup, restore
from trading_assets.commands.notify import notify
from trading_assets.commands.probe import probe
from trading_assets.commands.prompts import prompts
from trading_assets.commands.reconcile import reconcile
from trading_assets.commands.reporting import reporting
from trading_assets.commands.safety import flatten, halt, halts, resume
from trading_assets.commands.symbols import symbols as symbols_group
from trading_assets.errors import InvalidInput

if TYPE_CHECKING:
    import dagster as dg

    from trading_assets.defs.backfill import Backfill, Part
    from trading_assets.defs.lanes import Book, Lane
    from trading_assets.defs.resources import Settings

DAY = click.DateTime(["%Y-%m-%d"])
WORKSPACE_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
PORT = 3000
PORTS = click.IntRange(1, 65535)
LOG_LEVELS = click.Choice(["critical", "error", "warning", "info", "debug"])


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="trading-assets")
def main() -> None:
    """Bars to portfolio as one lineage graph, per symbol and trading session."""
    _take_env_file()


main.add_command(calibration)
main.add_command(explain)
main.add_command(halt)
main.add_command(resume)
main.add_command(halts)
main.add_command(flatten)
main.add_command(approvals)
main.add_command(reconcile)
main.add_command(ibkr)
main.add_command(symbols_group)
main.add_command(prompts)
main.add_command(probe)
main.add_command(batches)
main.add_command(notify)
main.add_command(backup)
main.add_command(restore)


@main.command()
@click.option("--charts/--no-charts", default=True, help="Draw the last session's charts.")
@reporting
def demo(*, charts: bool) -> None:
    """Backfill the packaged strategies on a simulated market and show what came of it."""
    from trading_assets.console import show_demo  # noqa: PLC0415 - commands import what they need

    settings, definitions, market = _location()
    for lane in market.lanes:
        _make(settings, definitions, market, lane.name, None, None, (), with_charts=charts)
    show_demo(settings, market)


@main.command()
@click.option("--strategy", required=True, help="Name of the strategy.")
@click.option("--from", "first", type=DAY, help="First day; default: the strategy's start.")
@click.option("--to", "last", type=DAY, help="Last day; default: the last closed session.")
@click.option("--symbols", default="", help="Limit market and view to these: AAPL,MSFT.")
@click.option("--charts/--no-charts", default=True, help="Draw what charts.draw asks for.")
@click.option("--refresh", is_flag=True, help="Ask models anew, at full cost.")
@click.option(
    "--estimate", "only_estimate", is_flag=True, help="Only say what it may cost."
)
@reporting
def backfill(
    *,
    strategy: str,
    first: datetime | None,
    last: datetime | None,
    symbols: str,
    charts: bool,
    refresh: bool,
    only_estimate: bool,
) -> None:
    """Make a strategy's history through Dagster: market, view and book.

    What models may cost is said before they are asked.
    """
    settings, definitions, market = _location()
    begin, end = (day.date() if day else None for day in (first, last))
    asked = tuple(symbol.strip().upper() for symbol in symbols.split(",") if symbol.strip())
    _make(
        settings,
        definitions,
        market,
        strategy,
        begin,
        end,
        asked,
        with_charts=charts,
        is_refreshing=refresh,
        only_estimate=only_estimate,
    )


@main.command()
@click.option("--strategy", required=True, help="Name of the strategy.")
@click.option("--charts/--no-charts", default=True, help="Draw what charts.draw asks for.")
@reporting
def trade(*, strategy: str, charts: bool) -> None:
    """Make a strategy's evening now, as its schedule does: orders may go to its broker.

    They do if its file says broker ibkr and IBKR_READONLY is no. Halts bind it, and what
    waits for approval waits. Doing it twice sends nothing twice.
    """
    from trading_assets.defs.jobs import TRADE  # noqa: PLC0415 - as above

    settings, definitions, market = _location()
    own, *others = _lane(market, strategy).books
    work = _work(settings, market, own, launched_by=TRADE)
    begin, end = work.tonight()
    parts = work.parts(begin, end, (), with_charts=charts)
    parts = chain(parts, work.account_parts(), _told(settings, work))
    _run(work, definitions, begin, end, parts)
    for book in others:
        work = _work(settings, market, book)
        begin, end = work.tonight()
        parts = chain(work.book_parts(begin, end), _told(settings, work))
        _run(work, definitions, begin, end, parts)


@main.group()
def strategies() -> None:
    """Look at strategy files."""


@strategies.command("list")
@reporting
def list_strategies() -> None:
    """Every strategy, with what it trades and how."""
    from trading_assets.console import show_strategies  # noqa: PLC0415 - as above
    from trading_assets.strategies.loading import load_strategies  # noqa: PLC0415

    show_strategies(load_strategies(_settings().strategies))


@strategies.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@reporting
def validate(file: Path | None) -> None:
    """Check FILE, or every strategy there is; say every fault with its line."""
    from trading_assets.defs.location import check_strategies  # noqa: PLC0415 - as above
    from trading_assets.strategies.loading import load_strategies, load_strategy  # noqa: PLC0415

    folder = _settings().strategies
    loaded = (load_strategy(file),) if file else load_strategies(folder)
    check_strategies(loaded)
    for strategy in loaded:
        click.echo(f"{strategy.path}: {strategy.spec.name} is valid")


@strategies.command()
@reporting
def schema() -> None:
    """Print the JSON Schema of a strategy file, for editors."""
    from trading_assets.core.rule_modules import rules_of  # noqa: PLC0415 - as above
    from trading_assets.strategies.loading import json_schema  # noqa: PLC0415

    rules = {name: rule.json_schema() for name, rule in rules_of().items()}
    click.echo(json.dumps(json_schema(rules), indent=2))


@main.command()
@click.argument("sql")
@click.option("--csv", "as_csv", is_flag=True, help="Comma-separated, every row.")
@reporting
def query(*, sql: str, as_csv: bool) -> None:
    """Ask the warehouse: SQL that reads, also while runs write."""
    from trading_assets.console import show_frame  # noqa: PLC0415 - as above
    from trading_assets.defs.resources import WarehouseResource  # noqa: PLC0415

    warehouse = WarehouseResource(path=str(_settings().warehouse)).create_resource(None)
    if as_csv:
        warehouse.query(sql).to_csv(sys.stdout, index=False)
    else:
        show_frame(warehouse.query(sql, limit=1000))


@main.command()
@reporting
def status() -> None:
    """What there is, and how far each strategy has come."""
    from trading_assets.console import show_status  # noqa: PLC0415 - as above
    from trading_assets.defs.location import market_of  # noqa: PLC0415

    settings = _settings()
    show_status(settings, market_of(settings))


@main.command()
@click.option("--host", default="127.0.0.1", help="To listen on.")
@click.option("--port", default=PORT, type=PORTS, help="To listen on.")
@reporting
def dev(*, host: str, port: int) -> None:
    """Dagster's web server with the charts, and the daemon, until Ctrl-C."""
    from trading_assets.defs.instance import prepare_environment  # noqa: PLC0415
    from trading_assets.defs.web import (  # noqa: PLC0415
        end_on_signals,
        require_free,
        running,
        wait_until_up,
        watch_over,
    )

    settings = _settings()
    home = prepare_environment(settings)
    require_free(host, port)
    end_on_signals()
    commands = [
        ("web", "--host", host, "--port", str(port)),
        ("daemon", "--log-level", "warning"),
    ]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    click.echo(f"Starting on {home} …")
    with suppress(KeyboardInterrupt), running(commands) as children:
        wait_until_up(address, children)
        click.secho(f"Dagster is at {address}  (Ctrl-C stops it)", fg="green")
        watch_over(children)
    click.echo("Stopped.")


@main.command()
@click.option("--host", default="127.0.0.1", help="To listen on.")
@click.option("--port", default=PORT, type=PORTS, help="To listen on.")
@click.option("--workspace", type=WORKSPACE_FILE, help="Instead of the package's own.")
@click.option("--parent", type=int, hidden=True)
@reporting
def web(*, host: str, port: int, workspace: Path | None, parent: int | None) -> None:
    """Dagster's web server with the charts, without the daemon."""
    with suppress(KeyboardInterrupt):
        from trading_assets.defs.instance import prepare_environment  # noqa: PLC0415 - as above
        from trading_assets.defs.web import (  # noqa: PLC0415
            WORKSPACE,
            end_on_signals,
            end_with,
            require_free,
            serve_web,
        )

        end_on_signals()
        if parent:
            end_with(parent)
        settings = _settings()
        prepare_environment(settings)
        require_free(host, port)
        serve_web(settings.charts, host, port, workspace or WORKSPACE)


@main.command()
@click.option("--workspace", type=WORKSPACE_FILE, help="Instead of the package's own.")
@click.option("--log-level", type=LOG_LEVELS, default="info", show_default=True)
@click.option("--parent", type=int, hidden=True)
@reporting
def daemon(*, workspace: Path | None, log_level: str, parent: int | None) -> None:
    """Dagster's daemon: schedules, sensors, backfills and the run queue."""
    with suppress(KeyboardInterrupt):
        from trading_assets.defs.instance import prepare_environment  # noqa: PLC0415 - as above
        from trading_assets.defs.web import (  # noqa: PLC0415
            WORKSPACE,
            end_on_signals,
            end_with,
            run_daemon,
        )

        end_on_signals()
        if parent:
            end_with(parent)
        prepare_environment(_settings())
        run_daemon(workspace or WORKSPACE, log_level)


def _take_env_file() -> None:
    """Run on what a ``.env`` here says: the code servers that Dagster starts do too."""
    if Path(".env").is_file():
        from trading_assets.defs.instance import take_env_file  # noqa: PLC0415 - as above

        take_env_file(Path.cwd())


def _settings() -> "Settings":
    from trading_assets.defs.resources import Settings  # noqa: PLC0415 - as above

    return Settings.from_environment()


def _location() -> tuple["Settings", "dg.Definitions", Any]:
    """Settings, code location and market, with the environment made ready for runs."""
    from trading_assets.defs.instance import prepare_environment  # noqa: PLC0415 - as above

    settings = _settings()
    prepare_environment(settings)
    from trading_assets.definitions import defs, market  # noqa: PLC0415

    return settings, defs, market


def _make(
    settings: "Settings",
    definitions: "dg.Definitions",
    market: Any,  # noqa: ANN401 - a Market, whose import is slow
    strategy: str,
    first: date | None,
    last: date | None,
    symbols: tuple[str, ...],
    *,
    with_charts: bool,
    is_refreshing: bool = False,
    only_estimate: bool = False,
) -> None:
    """Backfill one strategy: the book in which its past is traded."""
    lane = _lane(market, strategy)
    if not lane.analyst.asks_models and (is_refreshing or only_estimate):
        raise InvalidInput(
            f"--refresh and --estimate are for strategies that ask models, {strategy} asks "
            f"{lane.analyst.name}"
        )
    unknown = sorted(set(symbols).difference(lane.symbols))
    if unknown:
        raise InvalidInput(
            f"--symbols must be of {strategy}'s universe {', '.join(lane.symbols)}, "
            f"was {', '.join(unknown)}"
        )
    work = _work(settings, market, lane.history)
    begin, end = work.range_of(first, last)
    if first and begin < max(first, lane.start) and begin != lane.start:
        click.echo(f"{strategy}: begins on {begin}, the first session that is not decided")
    parts = work.parts(
        begin, end, symbols, with_charts=with_charts, is_refreshing=is_refreshing
    )
    parts = chain(parts, _told(settings, work))
    _run(work, definitions, begin, end, parts, only_estimate=only_estimate)


def _told(settings: "Settings", work: "Backfill") -> "Iterator[Part]":
    """What an experiment tracker is told in the end, if there is one."""
    if settings.is_tracked:
        yield from work.tracking_parts()


def _run(
    work: "Backfill",
    definitions: "dg.Definitions",
    begin: date,
    end: date,
    parts: "Iterator[Part]",
    *,
    only_estimate: bool = False,
) -> None:
    """Run *parts* one after the other, with a progress bar.

    What asking may cost is known once the bars are there, and said before it begins.
    """
    from dagster import DagsterInstance  # noqa: PLC0415 - as above

    from trading_assets.console import progress_bar, show_estimate, show_opinions  # noqa: PLC0415
    from trading_assets.defs.instance import bury_dead_runs  # noqa: PLC0415

    click.secho(f"{work.book.title}: {begin} to {end}", bold=True)
    with DagsterInstance.get() as instance, progress_bar() as show:
        bury_dead_runs(instance)
        for part in parts:
            if part.asks is not None:
                show_estimate(work.estimate(part), work.lane.spec)
                if only_estimate:
                    return
            _run_part(
                work, definitions, instance, part, show(part.title, part.materializations)
            )
    if work.lane.analyst.asks_models:
        show_opinions(work.opinions(begin, end))


def _run_part(
    work: "Backfill",
    definitions: "dg.Definitions",
    instance: "dg.DagsterInstance",
    part: "Part",
    advance: Callable[[str, int], None],
) -> None:
    work.run(
        definitions, instance, part, lambda done: advance(done.step, done.materialized)
    )


def _lane(market: Any, strategy: str) -> "Lane":  # noqa: ANN401 - as above
    lane = market.lane(strategy)
    if lane is None:
        known = ", ".join(lane.name for lane in market.lanes)
        raise InvalidInput(f"--strategy must be one of {known}, was {strategy}")
    return lane


def _work(
    settings: "Settings",
    market: Any,  # noqa: ANN401 - as above
    book: "Book",
    **told: str,
) -> "Backfill":
    from trading_assets.defs.backfill import Backfill  # noqa: PLC0415 - as above

    return Backfill.of(settings, market, book, **told)


if __name__ == "__main__":
    main()
