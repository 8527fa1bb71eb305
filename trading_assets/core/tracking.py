"""What an experiment tracker is told: rows of ours under the names that it shows."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime

import pandas as pd

from trading_assets.models.base import Lane
from trading_assets.models.chart import Timeframe
from trading_assets.models.order import Leg, OrderEventStatus, OrderStatus
from trading_assets.models.signal import Signal
from trading_assets.models.tracking import (
    Artifact,
    Point,
    TrackedCurve,
    TrackedRun,
    TrackedSession,
)
from trading_assets.strategies.spec import StrategySpec

ROOM = "trading_assets"
"""Every experiment of ours lies under it."""

BOOK_METRICS = {
    "portfolio_value": "equity",
    "cash": "cash",
    "market_value": "market_value",
    "unrealized_pnl": "unrealized_pnl",
    "realized_pnl": "realized_pnl",
    "commission_paid": "commission_paid",
    "drawdown_frac": "drawdown_frac",
    "gross_exposure_frac": "gross_exposure_frac",
}
"""Columns of `portfolio` by the name of their metric."""

DECIDED_LEGS = (Leg.ENTRY.value, Leg.EXIT.value)
"""What is ordered because of the signal; stop and target only come along."""

LASTING_COVERAGE = ("bars", "indicators", "signals")
"""Assets whose coverage of a session is told; that of others changes with every evening."""

AT_THE_BROKER = frozenset(
    it.value
    for it in (
        OrderEventStatus.WORKING,
        OrderEventStatus.PARTIALLY_FILLED,
        OrderEventStatus.FILLED,
        OrderEventStatus.UNKNOWN,
    )
)
"""Whatever becomes of an order that was one of these, it has been placed."""

APPROVED_THEN_REJECTED = {
    OrderEventStatus.APPROVED.value,
    OrderEventStatus.REJECTED.value,
}
"""By a person, and then by the broker: who rejects has not approved."""

NOT_SENT = {OrderEventStatus.CANCELLED.value}
"""All that is heard of an order that a rule has kept in the house."""

type Rows = Sequence[Mapping[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRows:
    """Everything that is stored of one session of a book, a mapping for each row.

    Attributes:
        bars: Of the session, for whatever is traded or held.
        portfolio: The one row of the session.
        charts: PNG by symbol and timeframe, where one was drawn.
        fates: Statuses that its orders have been given up to now, by order id.
    """

    session: date
    bars: Rows
    signals: Rows
    orders: Rows
    order_events: Rows
    coverage: Rows
    positions: Rows
    portfolio: Mapping[str, object]
    charts: Mapping[tuple[str, Timeframe], bytes]
    fates: Mapping[str, AbstractSet[str]]


@dataclass(frozen=True, slots=True)
class Tale:
    """Whose book is told of, and by what.

    Attributes:
        rules_hash: Of sizing, risk, execution and costs, and of the rules behind them.
    """

    spec: StrategySpec
    lane: Lane
    rules_hash: str

    @property
    def experiment(self) -> str:
        """What its runs are gathered under."""
        return f"{ROOM}/{self.spec.name}"

    @property
    def key(self) -> str:
        """Names the book."""
        return f"{self.spec.name}/{self.lane.value}"

    @property
    def _tags(self) -> dict[str, str]:
        return {"strategy": self.spec.name, "lane": self.lane.value}

    @property
    def _parameters(self) -> dict[str, str]:
        spec = self.spec
        return {
            "strategy": spec.name,
            "lane": self.lane.value,
            "rules_hash": self.rules_hash,
            "sizing": _compact(spec.sizing.model_dump(mode="json")),
            "order_type": spec.execution.order.value,
            "broker": spec.execution.broker.value,
        }

    def session(
        self, rows: SessionRows, *, step: int, at: datetime, told_by: Mapping[str, str]
    ) -> TrackedSession:
        """One session: a run of the book, and one within it for each symbol.

        Args:
            rows: What is stored of it.
            step: Its number among the book's sessions, from 1.
            at: Its close.
            told_by: Tags that say who tells it.
        """
        symbols = {row["symbol"] for row in (*rows.signals, *rows.orders, *rows.positions)}
        return TrackedSession(
            experiment=self.experiment,
            key=f"{self.key}/{rows.session}",
            session=rows.session,
            at=at,
            step=step,
            told_by=told_by,
            book=self._book(rows),
            symbols=tuple(self._symbol(rows, str(own)) for own in sorted(symbols, key=str)),
        )

    def curve(
        self, portfolio: Rows, places: Sequence[tuple[int, datetime]]
    ) -> TrackedCurve:
        """The book from its first session on.

        Args:
            portfolio: Its rows of `portfolio`, ascending, at least one.
            places: Step and close of each.
        """
        return TrackedCurve(
            experiment=self.experiment,
            key=self.key,
            name=f"{self.lane.value} book",
            tags=self._tags,
            note="The whole book, a point for each session: choose a metric to see it.",
            points=tuple(
                Point(step=step, at=at, metrics=_finite(_book_metrics(row)))
                for row, (step, at) in zip(portfolio, places, strict=True)
            ),
        )

    def _book(self, rows: SessionRows) -> TrackedRun:
        said = {
            name: ", ".join(sorted({str(row[name]) for row in rows.signals} - {""}))
            for name in ("analyst", "model", "prompt_version")
        }
        providers = ", ".join(sorted({_provider(row) for row in rows.signals}))
        own = {
            "session": rows.session.isoformat(),
            "universe": " ".join(sorted(self.spec.universe)),
            "capital": f"{self.spec.capital:g}",
            "provider": providers,
            **said,
        }
        placed = _placed(rows.orders, rows.fates)
        refused = [row for row in rows.orders if row["status"] == OrderStatus.REFUSED.value]
        metrics = {
            **_book_metrics(rows.portfolio),
            "order_placed": float(bool(placed)),
            "orders_placed": len(placed),
            "orders_refused": len(refused),
            "call_cost_usd": sum(_number(row["cost_usd"]) for row in rows.signals),
        }
        return TrackedRun(
            name=f"{rows.session} {self.lane.value}",
            parameters=_there({**self._parameters, **own}),
            metrics=_finite(metrics),
            tags={**self._tags, "session": rows.session.isoformat()},
            note=_note(rows),
            artifacts=(
                _json("portfolio.json", _portfolio(rows)),
                _json("debug.json", self._debug(rows, refused)),
            ),
        )

    def _debug(self, rows: SessionRows, refused: Rows) -> dict[str, object]:
        """What explains the session to who doubts it."""
        return {
            "orders": list(rows.orders),
            "refusals": [
                {"symbol": own["symbol"], "why": own["reason"]} for own in refused
            ],
            "order_events": list(rows.order_events),
            "coverage": [own for own in rows.coverage if own["asset"] in LASTING_COVERAGE],
            "strategy": self.spec.model_dump(mode="json"),
        }

    def _symbol(self, rows: SessionRows, symbol: str) -> TrackedRun:
        signal = _of(symbol, rows.signals)
        ordered = [row for row in rows.orders if row["symbol"] == symbol]
        decided = next((row for row in ordered if row["leg"] in DECIDED_LEGS), {})
        own = {
            "session": rows.session.isoformat(),
            "symbol": symbol,
            "position_size": str(decided.get("shares", 0)),
            "order_side": decided.get("side"),
            "provider": _provider(signal),
            **{name: signal.get(name) for name in SAID},
        }
        position = _of(symbol, rows.positions)
        metrics = {
            "latest_price": _of(symbol, rows.bars).get("close"),
            "confidence_score": signal.get("confidence_score"),
            "risk_reward": signal.get("risk_reward"),
            "order_placed": float(bool(_placed(ordered, rows.fates))),
            "shares_held": position.get("shares", 0),
            "market_value": position.get("market_value", 0),
            "unrealized_pnl": position.get("unrealized_pnl", 0),
            "portfolio_value": rows.portfolio["equity"],
            "call_cost_usd": signal.get("cost_usd"),
        }
        return TrackedRun(
            name=f"{symbol} {_word(signal)}",
            parameters=_there({**self._parameters, **own}),
            metrics=_finite(metrics),
            tags={
                **self._tags,
                "session": rows.session.isoformat(),
                "symbol": symbol,
            },
            note=str(signal.get("reasoning") or ""),
            artifacts=tuple(_pictured(rows, symbol, signal)),
        )


SAID = ("action", "confidence", "analyst", "model", "prompt_version")
"""Columns of a signal that are parameters."""


def _pictured(
    rows: SessionRows, symbol: str, signal: Mapping[str, object]
) -> Iterator[Artifact]:
    """The signal, and the pictures that were drawn for it."""
    if signal:
        yield _json("signal.json", {name: signal[name] for name in Signal.model_fields})
    for timeframe in Timeframe:
        if png := rows.charts.get((symbol, timeframe)):
            yield Artifact(path=f"{timeframe.value}_chart.png", content=png)


def _portfolio(rows: SessionRows) -> dict[str, object]:
    return {**rows.portfolio, "positions": list(rows.positions)}


def _book_metrics(row: Mapping[str, object]) -> dict[str, object]:
    return {name: row[column] for name, column in BOOK_METRICS.items()}


def _note(rows: SessionRows) -> str:
    """What was decided, a line for each order."""
    lines = [
        f"- {row['symbol']}: {row['leg']} {row['side']} {row['shares']}, "
        f"{row['status']}: {row['reason']}"
        for row in rows.orders
    ]
    return "\n".join(lines) or "No order was decided."


def _word(signal: Mapping[str, object]) -> str:
    """The opinion in a word."""
    if not signal:
        return "no signal"
    return str(signal["action"] or "abstained")


def _provider(signal: Mapping[str, object]) -> str:
    """Who served the model; for an analyst without one, its kind."""
    model, analyst = (str(signal.get(name) or "") for name in ("model", "analyst"))
    written = model if "/" in model else analyst.replace(":", "/")
    return written.partition("/")[0]


def _placed(orders: Rows, fates: Mapping[str, AbstractSet[str]]) -> Rows:
    """Those of *orders* that have reached a broker; stop and target go with their entry."""
    entries = {row["symbol"]: row for row in orders if row["leg"] == Leg.ENTRY.value}
    return [
        row
        for row in orders
        if _is_placed(
            row if row["leg"] in DECIDED_LEGS else entries.get(row["symbol"], row), fates
        )
    ]


def _is_placed(order: Mapping[str, object], fates: Mapping[str, AbstractSet[str]]) -> bool:
    """Whether an order has reached its broker, by what was decided and what came of it."""
    statuses = fates.get(str(order["order_id"]), frozenset())
    if statuses & AT_THE_BROKER or statuses >= APPROVED_THEN_REJECTED:
        return True
    return order["status"] == OrderStatus.SUBMITTED.value and statuses != NOT_SENT


def _of(symbol: str, rows: Rows) -> Mapping[str, object]:
    return next((row for row in rows if row["symbol"] == symbol), {})


def _there(parameters: Mapping[str, object]) -> dict[str, str]:
    return {name: str(own) for name, own in parameters.items() if own not in (None, "")}


def _finite(metrics: Mapping[str, object]) -> dict[str, float]:
    """Those of *metrics* that are numbers."""
    numbers = {name: _number(own, math.nan) for name, own in metrics.items()}
    return {name: own for name, own in numbers.items() if math.isfinite(own)}


def _number(value: object, absent: float = 0.0) -> float:
    return float(value) if isinstance(value, int | float) else absent


def plain_rows(frame: pd.DataFrame) -> list[dict[str, object]]:
    """*frame* as mappings of what JSON has words for; None for what is not there."""
    columns = {str(name): map(_plain, frame[name].tolist()) for name in frame.columns}
    return [
        dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
    ]


def _plain(value: object) -> object:
    if value is None or value is pd.NA or value != value:  # noqa: PLR0124 - NaN and NaT
        return None
    if isinstance(value, pd.Timestamp):
        is_day = value.tz is None and value == value.normalize()
        return value.date().isoformat() if is_day else value.isoformat()
    return value


def _json(path: str, content: object) -> Artifact:
    return Artifact(path=path, content=json.dumps(content, indent=2).encode() + b"\n")


def _compact(content: object) -> str:
    return json.dumps(content, separators=(",", ":"), sort_keys=True)
