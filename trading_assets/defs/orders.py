"""Orders of a strategy: what was decided for every symbol at a session's close."""

from collections.abc import Sequence
from datetime import date

import dagster as dg
import pandas as pd

from trading_assets.adapters.brokers.choice import Brokers
from trading_assets.adapters.brokers.port import Market as MarketOf
from trading_assets.adapters.notifications.port import Notifier
from trading_assets.adapters.storage.port import Between, Replacement, Warehouse
from trading_assets.core.calibration import HORIZON, multiples, walked_forward
from trading_assets.core.market_days import MarketDays, market_days
from trading_assets.core.outcomes import outcomes_of
from trading_assets.core.panel import Panel
from trading_assets.core.sizing import volatility_indicator
from trading_assets.defs.coverage import never_made, require, waiting
from trading_assets.defs.jobs import EVENINGS, LAUNCHED_BY
from trading_assets.defs.lanes import OWNERS, Book, Lane, Market
from trading_assets.defs.partitions import Requested, every_symbol
from trading_assets.defs.telling import check, table, tell, tell_rows
from trading_assets.models.base import Lane as BookLane
from trading_assets.models.notice import Topic
from trading_assets.models.order import Leg, OrderEventStatus, OrderStatus
from trading_assets.models.tables import (
    BARS,
    CORPORATE_ACTIONS,
    INDICATORS,
    ORDER_EVENTS,
    ORDERS,
    SIGNALS,
)
from trading_assets.strategies.spec import CAPS, ApprovalRule


def orders_asset(market: Market, book: Book) -> dg.AssetsDefinition:
    """The asset ``<s>/orders``."""
    lane = book.lane
    asked = ["bars", *(["indicators"] if volatility_indicator(lane.spec.sizing) else [])]

    @dg.asset(
        name="orders",
        key_prefix=book.prefix,
        group_name=lane.name,
        partitions_def=lane.sessions,
        deps=[
            dg.AssetDep(lane.key("signals"), partition_mapping=every_symbol()),
            *(dg.AssetDep(own, partition_mapping=every_symbol()) for own in asked),
        ],
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=_checks(book),
        code_version=lane.plan.rules_hash,
        description="What was decided for every symbol: submitted, refused by a named "
        "rule, or waiting for a person. Sizing and limits are arithmetic; no analyst "
        "reaches them.",
        pool=f"{lane.name}_book",
        kinds={"python", "sqlite"},
        owners=OWNERS,
    )
    def orders(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        brokers: dg.ResourceParam[Brokers],
        notifier: dg.ResourceParam[Notifier],
    ) -> dg.MaterializeResult:
        requested, broker = Requested.of(context), book.broker(brokers)
        sessions = lane.calendar.between(lane.start, requested.last)
        with waiting(requested, market.current()):
            traded = broker.trade_through(
                lane.plan,
                sessions,
                requested.first,
                market_of(market, lane, warehouse),
                heeds_people=is_an_evening(context, requested, market.current()),
            )
        if traded.superseded:
            context.log.warning(
                "sessions from %s to %s rest on what was before: run trading-assets "
                "backfill --strategy %s --from %s",
                traded.superseded[0],
                traded.superseded[-1],
                lane.name,
                traded.superseded[0],
            )
        if traded.is_new_plan:
            context.log.warning(
                "sessions before %s were decided by what the strategy's file said then: "
                "trading-assets backfill --strategy %s --from %s applies it to all",
                traded.walked[0],
                lane.name,
                lane.start,
            )
        partitions = book.partition(requested)
        with waiting(requested, market.current()), broker.alone(lane.name):
            rows = broker.rows(lane.name, ORDERS, requested.sessions)
            events = broker.rows(lane.name, ORDER_EVENTS, requested.sessions)
            warehouse.replace(
                Replacement(ORDERS, partitions, rows),
                Replacement(ORDER_EVENTS, partitions, events),
            )
        statuses = _statuses(book)
        counts = _counts(rows, requested, statuses)
        tell(context, requested, counts, {status: status for status in statuses})
        tell_rows(context, requested, "orders", rows[SHOWN])
        doubtful = _in_doubt(rows, events)
        if _checks(book) and requested.last == market.current():
            _tell_people(notifier, book, requested.last, rows, doubtful)
        return dg.MaterializeResult(
            metadata={
                "sessions walked": len(traded.walked),
                "sessions superseded": len(traded.superseded),
                **_waiting(rows, requested.last),
            },
            check_results=[check(ACKNOWLEDGED, doubtful)] if _checks(book) else [],
        )

    return orders


ACKNOWLEDGED = "acknowledged"
STATUSES = (OrderStatus.SUBMITTED.value, OrderStatus.REFUSED.value)
HEADS = (Leg.ENTRY.value, Leg.EXIT.value)
UNHEARD = (OrderEventStatus.UNKNOWN.value, OrderEventStatus.APPROVED.value)
"""After which of an order's events the broker's word on it is still to come."""

SHOWN = [
    "session",
    "symbol",
    "leg",
    "side",
    "shares",
    "order_type",
    "limit_price",
    "stop_price",
    "status",
    "reason",
]
"""Columns of the orders that the asset's page shows."""


def _statuses(book: Book) -> tuple[str, ...]:
    """Those that orders of *book* may have."""
    asks_people = (
        book.lane.spec.execution.approval is not ApprovalRule.NONE
        and book.kind is not BookLane.REPLAY
    )
    return (*STATUSES, OrderStatus.AWAITING_APPROVAL.value) if asks_people else STATUSES


def _waiting(orders: pd.DataFrame, session: date) -> dict[str, dg.MetadataValue]:
    """What was decided in *session* and waits for people, and how they are heard."""
    tonight = orders[orders["session"] == pd.Timestamp(session)]
    waits = tonight["status"] == OrderStatus.AWAITING_APPROVAL.value
    asked = tonight.loc[waits & tonight["leg"].isin(HEADS), ["order_id", "reason"]]
    if asked.empty:
        return {}
    how = "`trading-assets approvals list` says how they stand."
    return {"awaiting approval": dg.MetadataValue.md(f"{table(asked).value}\n\n{how}")}


def is_an_evening(
    context: dg.AssetExecutionContext, requested: Requested, current: date
) -> bool:
    """Whether the *current* session is asked for as an evening; then people are heeded."""
    asked_by = context.run.tags.get(LAUNCHED_BY)
    return asked_by in EVENINGS and requested.last == current


def _checks(book: Book) -> list[dg.AssetCheckSpec]:
    """What can go wrong with orders that somebody outside is to trade."""
    if book.kind is not BookLane.IBKR:
        return []
    return [
        dg.AssetCheckSpec(
            ACKNOWLEDGED,
            asset=book.key("orders"),
            description="Of every order that was let out the broker's last word is known.",
        )
    ]


def _in_doubt(orders: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """Orders that went out and nothing was heard of, or it is not known what.

    One that waits for a person has not gone out; once it was approved and committed to, it
    has a number at the broker.
    """
    last = events.sort_values("seq").groupby("order_id").tail(1)
    heard = last[~last["status"].isin(UNHEARD)]["order_id"]
    awaited = orders["status"] == OrderStatus.AWAITING_APPROVAL.value
    is_out = (orders["status"] == OrderStatus.SUBMITTED.value) | (
        awaited & (orders["broker_order_id"] != "")
    )
    out = orders[is_out]
    return out.loc[~out["order_id"].isin(heard), ["session", "order_id"]]


def _tell_people(
    notifier: Notifier, book: Book, session: date, orders: pd.DataFrame, doubt: pd.DataFrame
) -> None:
    """Say at once which limits were breached tonight, and which orders are in doubt."""
    tonight = orders[orders["session"] == pd.Timestamp(session)]
    refused = tonight[tonight["status"] == OrderStatus.REFUSED.value]
    rules = refused["reason"].str.split(":").str[0]
    breached = refused[rules.isin(CAPS)]
    if len(breached):
        words = (breached["symbol"] + ": " + breached["reason"]).tolist()
        notifier.tell(Topic.BREACHED_LIMIT, f"{book.title}, {session}: {'; '.join(words)}")
    if len(doubt):
        words = f"{book.title}, {session}: {', '.join(doubt['order_id'])}"
        notifier.tell(Topic.UNKNOWN_ORDER, f"{words}: trading-assets reconcile")


def market_of(market: Market, lane: Lane, warehouse: Warehouse) -> MarketOf:
    """How the broker is shown the market of a range: what is stored, or an error."""

    def shown(
        first: date,
        last: date,
        held: Sequence[str],
        *,
        signals_from: date | None = None,
    ) -> MarketDays:
        sessions = lane.calendar.between(first, last)
        undecided = lane.calendar.between(signals_from or first, last)
        symbols = sorted({*lane.symbols, *held})
        within = {"symbol": symbols, "session": Between(first, last)}
        with warehouse.snapshot():
            asked = Requested.by_session(sessions)
            _require_opinions(market, lane, warehouse, undecided)
            require(warehouse, asked, asset="bars", symbols=lane.symbols)
            beyond = sorted(set(held).difference(lane.symbols))
            return market_days(
                sessions=sessions,
                symbols=symbols,
                bars=warehouse.read(BARS, within),
                actions=warehouse.read(
                    CORPORATE_ACTIONS,
                    {"symbol": symbols, "ex_session": Between(first, last)},
                ),
                signals=warehouse.read(SIGNALS, {**within, "strategy": lane.name}),
                volatility=_volatility(lane, warehouse, within),
                trust=_trust(lane, warehouse, first, last),
                calendar=lane.calendar,
                uncovered=_uncovered(warehouse, asked, beyond),
            )

    return shown


def _require_opinions(
    market: Market, lane: Lane, warehouse: Warehouse, sessions: Sequence[date]
) -> None:
    """Refuse to decide before there is something to decide on, of today's code."""
    if not sessions:
        return
    needed = {"signals": (lane.name, lane.analyst.version_hash)}
    if volatility_indicator(lane.spec.sizing):
        needed["indicators"] = ("", market.indicators_version)
    for asset, (strategy, version) in needed.items():
        require(
            warehouse,
            Requested.by_session(sessions),
            asset=asset,
            strategy=strategy,
            symbols=lane.symbols,
            version=version,
        )


def _uncovered(
    warehouse: Warehouse, asked: Requested, symbols: Sequence[str]
) -> frozenset[tuple[date, str]]:
    """Sessions of *symbols* of which nobody has said whether there was a bar."""
    if not symbols:
        return frozenset()
    never = never_made(warehouse, asked.sessions, symbols, asset="bars")
    return frozenset((day.date(), symbol) for day, symbol in never)


def _volatility(lane: Lane, warehouse: Warehouse, within: dict) -> pd.DataFrame | None:
    column = volatility_indicator(lane.spec.sizing)
    if column is None:
        return None
    stored = warehouse.read(INDICATORS, within, columns=["symbol", "session", column])
    return stored.rename(columns={column: "volatility"})


def _trust(
    lane: Lane, warehouse: Warehouse, first: date, last: date
) -> pd.DataFrame | None:
    """How much of its size each signal of a range gets, if sizing asks what it is worth.

    Worked out from the lane's signals and bars, those before the range included: what is
    stored of outcomes may be older, or not be there yet.
    """
    if lane.spec.sizing.confidence is None:
        return None
    within = {"symbol": lane.symbols, "session": Between(lane.start, last)}
    signals = warehouse.read(SIGNALS, {**within, "strategy": lane.name})
    actions = warehouse.read(CORPORATE_ACTIONS, {"symbol": lane.symbols})
    panel = Panel.of(warehouse.read(BARS, within), actions)
    outcomes = outcomes_of(signals, panel, lane.spec.costs, horizons=(HORIZON,))
    own = signals[signals["session"] >= pd.Timestamp(first)]
    found = walked_forward(own, outcomes)
    probability, payoff = found["probability"].to_numpy(), found["payoff"].to_numpy()
    return own[["symbol", "session"]].assign(
        multiple=multiples(probability, payoff), probability=probability, payoff=payoff
    )


def _counts(
    rows: pd.DataFrame, requested: Requested, statuses: Sequence[str]
) -> pd.DataFrame:
    """Orders of each session by their status."""
    sessions = pd.DatetimeIndex(requested.sessions, name="session")
    counts = {
        status: rows.loc[rows["status"] == status, "session"].value_counts()
        for status in statuses
    }
    return pd.DataFrame(counts, index=sessions).fillna(0).astype("int64").reset_index()
