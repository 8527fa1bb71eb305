"""Where an order came from, link by link, and whether each link still holds."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from trading_assets.models.approval import Approval
from trading_assets.models.bar import CorporateAction
from trading_assets.models.call import RecordedCall
from trading_assets.models.fill import Fill
from trading_assets.models.order import Order, OrderEvent
from trading_assets.models.signal import Signal


class FileState(StrEnum):
    """What became of a file whose hash is on record."""

    INTACT = "intact"
    MISSING = "missing"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFile:
    """A picture in the chart store, held against its bytes.

    Attributes:
        label: What it shows.
        path: Where it is, relative to the store.
        sha256: What its bytes gave when it was made.
    """

    label: str
    path: str
    sha256: str
    state: FileState


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedOrder:
    """An order, and what became of it."""

    order: Order
    events: tuple[OrderEvent, ...]
    fills: tuple[Fill, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedCall:
    """A question that led to a signal.

    Attributes:
        is_decisive: Whether the signal is what it said.
        is_intact: Whether its texts still give the key that it was asked under.
        pictures: What was sent with it.
    """

    call: RecordedCall
    is_decisive: bool
    is_intact: bool
    pictures: tuple[KeptFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BarsBehind:
    """What the analyst could look at, of one symbol.

    Attributes:
        first_session: Of the oldest bar; None without one.
        last_session: Of the newest.
        sources: Where they came from.
        content_hash: Of the hashes that `coverage` has of them, in order.
        changed: Sessions whose bar or actions do not give that hash any more.
        actions: What happened to the shares from the first session to the last.
    """

    count: int
    first_session: date | None
    last_session: date | None
    sources: tuple[str, ...]
    content_hash: str
    changed: tuple[date, ...]
    actions: tuple[CorporateAction, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """How a strategy came to what it did about one symbol at one session's close.

    Attributes:
        orders: Those that were asked about; none if the signal led to none.
        approvals: What was asked of people about it, oldest first, and what they said.
        signal: None if there is none any more.
        analyst_version: Of the analyst that made it, as `coverage` has it; ``outdated``
            when bars that it rests on have changed since.
        is_as_kept: Whether the signal is the newest opinion that the ledger keeps; None
            where nobody was asked.
        calls: In the order in which they were asked.
        lost_calls: Ids of calls that the ledger does not have.
        other_calls: Ids of calls about the same that led to nothing here: asked anew
            since, or to probe a model.
        charts: Of the session.
    """

    strategy: str
    symbol: str
    session: date
    orders: tuple[ExplainedOrder, ...]
    approvals: tuple[Approval, ...]
    signal: Signal | None
    analyst_version: str
    is_as_kept: bool | None
    calls: tuple[ExplainedCall, ...]
    lost_calls: tuple[str, ...]
    other_calls: tuple[str, ...]
    charts: tuple[KeptFile, ...]
    bars: BarsBehind
