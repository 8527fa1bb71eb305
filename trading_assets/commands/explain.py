"""Where an order came from, at the prompt: down to the bytes that a model was sent."""

import json
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import click

from trading_assets.commands.reporting import reporting
from trading_assets.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trading_assets.adapters.explanations import Archive
    from trading_assets.models.explanation import Explanation

DAY = click.DateTime(["%Y-%m-%d"])
WORDS = ("system", "shared", "task", "schema", "reply")
"""What of a call is only told in full."""


@click.command()
@click.argument("what", metavar="ORDER_ID|FILL_ID|SYMBOL")
@click.argument("session", type=DAY, required=False, metavar="[SESSION]")
@click.option("--strategy", required=True, help="Whose order, fill or signal it is.")
@click.option("--full", is_flag=True, help="Every word that was sent and came back.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@reporting
def explain(
    *, what: str, session: datetime | None, strategy: str, full: bool, as_json: bool
) -> None:
    """Why there is an order, a fill, or a signal of SYMBOL at the close of SESSION.

    Fill, order, signal, every question to a model with its pictures, charts and bars; what
    has a hash on record is held against its bytes. Nothing is asked, and nothing is made.
    """
    with _archive(strategy) as archive:
        found = (
            archive.of_id(what)
            if session is None
            else archive.of_session(what.upper(), session.date())
        )
    if as_json:
        click.echo(json.dumps(_told(found, full=full), indent=2, default=_plain))
    else:
        from trading_assets.commands.explaining import show  # noqa: PLC0415 - commands import what they need

        show(found, full=full)


@contextmanager
def _archive(strategy: str) -> "Iterator[Archive]":
    """What is kept of *strategy*; its ledger is let go of in the end."""
    from trading_assets.adapters.chart_store.filesystem import FileChartStore  # noqa: PLC0415 - as above
    from trading_assets.adapters.explanations import Archive  # noqa: PLC0415
    from trading_assets.adapters.ledger.approvals import ApprovalBook  # noqa: PLC0415
    from trading_assets.adapters.ledger.calls import CallBook  # noqa: PLC0415
    from trading_assets.adapters.ledger.opinions import OpinionBook  # noqa: PLC0415
    from trading_assets.core.indicators import lookback  # noqa: PLC0415
    from trading_assets.defs.location import market_of  # noqa: PLC0415
    from trading_assets.defs.resources import Settings, WarehouseResource  # noqa: PLC0415

    settings = Settings.from_environment()
    market = market_of(settings)
    lane = market.lane(strategy)
    if lane is None:
        known = ", ".join(each.name for each in market.lanes)
        raise InvalidInput(f"--strategy must be one of {known}, was {strategy}")
    with (
        closing(CallBook.open(settings.ledger)) as calls,
        closing(OpinionBook.open(settings.ledger)) as opinions,
        closing(ApprovalBook.open(settings.ledger)) as approvals,
    ):
        yield Archive(
            strategy=strategy,
            bars=max(lane.analyst.bars, lookback(lane.analyst.indicators)),
            warehouse=WarehouseResource(path=str(settings.warehouse)).create_resource(None),
            calls=calls,
            opinions=opinions,
            approvals=approvals,
            pictures=FileChartStore(settings.charts),
        )


def _told(found: "Explanation", *, full: bool) -> dict[str, Any]:
    told = asdict(found)
    for own, call in zip(told["calls"], found.calls, strict=True):
        own["call"]["reply"] = call.call.reply.decode(errors="replace")
        for attempt in own["call"]["attempts"]:
            if attempt["settlement"] is not None:
                del attempt["settlement"]["reply"]
        for name in WORDS if not full else ():
            del own["call"][name]
    return told


def _plain(own: Any) -> Any:  # noqa: ANN401 - whatever JSON has no word for
    return str(own) if isinstance(own, date) else own.model_dump(mode="json")
