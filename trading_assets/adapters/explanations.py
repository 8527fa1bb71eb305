"""Where an order came from: what is stored of each link, and whether it still holds.

Nothing is made again, and nothing is written. What has a hash on record is held against
its bytes, so whoever reads an explanation knows which part of it to believe.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd

from trading_assets.adapters.chart_store.port import ChartStore
from trading_assets.adapters.ledger.approvals import ApprovalBook
from trading_assets.adapters.ledger.calls import CallBook
from trading_assets.adapters.ledger.opinions import OpinionBook
from trading_assets.adapters.market_data.series import with_hashes
from trading_assets.adapters.models.gateway import picture_path
from trading_assets.adapters.storage.port import Between, Warehouse
from trading_assets.errors import DataMissing, InvalidInput
from trading_assets.models.approval import Approval
from trading_assets.models.bar import CorporateAction
from trading_assets.models.base import Lane, Value
from trading_assets.models.chart import Chart
from trading_assets.models.explanation import (
    BarsBehind,
    ExplainedCall,
    ExplainedOrder,
    Explanation,
    FileState,
    KeptFile,
)
from trading_assets.models.fill import Fill
from trading_assets.models.kept_opinion import KeptOpinion
from trading_assets.models.order import Order, OrderEvent
from trading_assets.models.signal import Signal
from trading_assets.models.table import Table
from trading_assets.models.tables import (
    BARS,
    CHARTS,
    CORPORATE_ACTIONS,
    COVERAGE,
    FILLS,
    ORDER_EVENTS,
    ORDERS,
    SIGNALS,
)
from trading_assets.strategies.faults import did_you_mean
from trading_assets.strategies.spec import fingerprint

SHOWN = 5
"""How many of those that there are an error names."""


@dataclass(frozen=True, slots=True)
class Archive:
    """Everything that is kept of one strategy.

    Attributes:
        strategy: Its name.
        bars: How many of a symbol's last bars its analyst looks at; None for all.
        pictures: Where charts, and what was sent to models, lie.
    """

    strategy: str
    bars: int | None
    warehouse: Warehouse
    calls: CallBook
    opinions: OpinionBook
    approvals: ApprovalBook
    pictures: ChartStore

    def of_id(self, own_id: str) -> Explanation:
        """How the order or the fill *own_id* came about, in whichever book it is.

        Also of an order that waits for a person, or that nobody wanted.

        Raises:
            InvalidInput: If there is none of this id; it names some that there are.
        """
        with self.warehouse.snapshot():
            fills = self._read(FILLS, Fill, {"fill_id": own_id})
            order_id = fills[0].order_id if fills else own_id
            orders = self._read(ORDERS, Order, {"order_id": order_id})
            if orders:
                first = orders[0]
                return self._explained(first.symbol, first.session, orders)
            for asked in self.approvals.called(order_id):
                if asked.proposal.strategy == self.strategy:
                    own = asked.proposal
                    return self._explained(own.head.symbol, own.session, ())
            raise self._unknown(own_id)

    def of_session(self, symbol: str, session: date) -> Explanation:
        """What was thought of *symbol* at the close of *session*, and done about it.

        Raises:
            InvalidInput: If there is no signal of them; it names those that there are.
        """
        with self.warehouse.snapshot():
            where = {"symbol": symbol, "session": session}
            orders = self._read(ORDERS, Order, where)
            found = self._explained(symbol, session, orders)
            if found.signal is None and not orders and not found.approvals:
                raise self._without_signal(symbol, session)
            return found

    def _explained(
        self, symbol: str, session: date, orders: Sequence[Order]
    ) -> Explanation:
        where = {"symbol": symbol, "session": session}
        signal = next(iter(self._read(SIGNALS, Signal, where)), None)
        kept = self.opinions.kept(self.strategy, [symbol], session, session).get(
            (session, symbol)
        )
        call_ids = kept.call_ids if kept is not None else ()
        calls, lost = self._calls(call_ids, signal)
        about = self.calls.call_ids(self.strategy, session, symbol)
        return Explanation(
            strategy=self.strategy,
            symbol=symbol,
            session=session,
            orders=tuple(map(self._order, orders)),
            approvals=self._approvals(symbol, session),
            signal=signal,
            analyst_version=self._version(symbol, session),
            is_as_kept=_is_as_kept(signal, kept),
            calls=calls,
            lost_calls=lost,
            other_calls=tuple(each for each in about if each not in call_ids),
            charts=tuple(
                self._file(f"{chart.timeframe} chart", chart.path, chart.sha256)
                for chart in self._read(CHARTS, Chart, where)
            ),
            bars=self._bars(symbol, session),
        )

    def _order(self, order: Order) -> ExplainedOrder:
        where = {"lane": order.lane.value, "order_id": order.order_id}
        return ExplainedOrder(
            order=order,
            events=self._read(ORDER_EVENTS, OrderEvent, where),
            fills=self._read(FILLS, Fill, where),
        )

    def _approvals(self, symbol: str, session: date) -> tuple[Approval, ...]:
        asked = (
            each
            for lane in Lane
            for each in self.approvals.of(self.strategy, lane.value, [session])
        )
        return tuple(each for each in asked if each.proposal.head.symbol == symbol)

    def _calls(
        self, call_ids: Sequence[str], signal: Signal | None
    ) -> tuple[tuple[ExplainedCall, ...], tuple[str, ...]]:
        """The calls that there are, and the ids of those that there are not."""
        found: list[ExplainedCall] = []
        lost: list[str] = []
        for call_id in call_ids:
            try:
                call = self.calls.call(call_id)
            except DataMissing:
                lost.append(call_id)
                continue
            found.append(
                ExplainedCall(
                    call=call,
                    is_decisive=signal is not None and signal.call_id == call_id,
                    is_intact=call.is_intact,
                    pictures=tuple(
                        self._file(label, picture_path(sha256), sha256)
                        for label, sha256 in call.pictures
                    ),
                )
            )
        return tuple(found), tuple(lost)

    def _file(self, label: str, path: str, sha256: str) -> KeptFile:
        try:
            found = hashlib.sha256(self.pictures.get(path)).hexdigest()
        except DataMissing:
            state = FileState.MISSING
        else:
            state = FileState.INTACT if found == sha256 else FileState.CHANGED
        return KeptFile(label=label, path=path, sha256=sha256, state=state)

    def _bars(self, symbol: str, session: date) -> BarsBehind:
        before = None if self.bars is None else self.bars - 1
        bars = self.warehouse.window(BARS, [symbol], session, session, before)
        if bars.empty:
            return BarsBehind(
                count=0,
                first_session=None,
                last_session=None,
                sources=(),
                content_hash="",
                changed=(),
                actions=(),
            )
        days = bars["session"].dt.date
        span = Between(days.iloc[0], days.iloc[-1])
        actions = self.warehouse.read(
            CORPORATE_ACTIONS, {"symbol": symbol, "ex_session": span}
        )
        coverage = self.warehouse.read(
            COVERAGE, {"asset": "bars", "strategy": "", "symbol": symbol, "session": span}
        )
        now = with_hashes(coverage, bars, actions)["content_hash"]
        differs = now.to_numpy() != coverage["content_hash"].to_numpy()
        return BarsBehind(
            count=len(bars),
            first_session=span.first,
            last_session=span.last,
            sources=tuple(sorted(set(bars["source"]))),
            content_hash=fingerprint(coverage["content_hash"].tolist()),
            changed=tuple(coverage["session"].dt.date[differs]),
            actions=_values(CorporateAction, actions),
        )

    def _version(self, symbol: str, session: date) -> str:
        where = {
            "asset": "signals",
            "strategy": self.strategy,
            "symbol": symbol,
            "session": session,
        }
        told = self.warehouse.read(COVERAGE, where, ["content_hash"])["content_hash"]
        return told.iloc[0] if len(told) else ""

    def _read[V: Value](
        self, table: Table, kind: type[V], where: Mapping[str, str | date]
    ) -> tuple[V, ...]:
        rows = self.warehouse.read(table, {"strategy": self.strategy, **where})
        return _values(kind, rows)

    def _unknown(self, own_id: str) -> InvalidInput:
        orders = self.warehouse.read(
            ORDERS, {"strategy": self.strategy}, ["session", "order_id"]
        )
        known = list(dict.fromkeys(orders.sort_values("session")["order_id"]))
        if not known:
            return InvalidInput(f"{self.strategy} has no orders yet, so none is {own_id}")
        return InvalidInput(
            f"{self.strategy} has no order or fill {own_id}{did_you_mean(own_id, known)} "
            f"(it has {len(known)} orders, the last of them "
            f"{', '.join(known[-SHOWN:])}; a symbol needs its SESSION behind it)"
        )

    def _without_signal(self, symbol: str, session: date) -> InvalidInput:
        signals = self.warehouse.read(
            SIGNALS, {"strategy": self.strategy}, ["symbol", "session"]
        )
        own = list(signals["session"].dt.date[signals["symbol"] == symbol])
        if own:
            known = f"{symbol} has {len(own)}, {min(own)} to {max(own)}"
        elif len(signals):
            known = f"there are some of {', '.join(sorted(set(signals['symbol'])))}"
        else:
            known = "it has none yet"
        return InvalidInput(
            f"{self.strategy} has no signal of {symbol} at {session}: {known}"
        )


def _is_as_kept(signal: Signal | None, kept: KeptOpinion | None) -> bool | None:
    return None if kept is None else kept.signal == signal


def _values[V: Value](kind: type[V], rows: pd.DataFrame) -> tuple[V, ...]:
    """*rows* of a table as the values that they were."""
    return tuple(
        kind.model_validate({str(name): _plain(own) for name, own in row.items()})
        for row in rows.to_dict("records")
    )


def _plain(own: Any) -> Any:  # noqa: ANN401 - whatever a table holds
    if pd.isna(own):
        return None
    return own.to_pydatetime() if isinstance(own, pd.Timestamp) else own
