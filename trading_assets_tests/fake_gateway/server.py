"""The fake gateway: what a test may do to it, and how messages find their answer."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple, Self

import pandas as pd

from trading_assets_tests.fake_gateway.account import Account, Execution, Position
from trading_assets_tests.fake_gateway.book import Book
from trading_assets_tests.fake_gateway.dialogue import ANSWERS
from trading_assets_tests.fake_gateway.faults import (
    CANCEL_ORDER,
    GLOBAL_CANCEL,
    PLACE_ORDER,
    STANDING,
    Fault,
    Injected,
    Options,
    Script,
    Subject,
)
from trading_assets_tests.fake_gateway.line import Line
from trading_assets_tests.fake_gateway.market import (
    EXCHANGE_ZONE,
    PRICE_COLUMNS,
    Instrument,
    Market,
)
from trading_assets_tests.fake_gateway.orders import Events, Held, Order, Records
from trading_assets_tests.fake_gateway.session import STRANGER, Session
from trading_assets_tests.fake_gateway.talk import Talk
from trading_assets_tests.fake_gateway.telling import Teller, subject_of
from trading_assets_tests.fake_gateway.wire import LENGTH, SERVER_VERSION, BadFrame

GARBAGE = b"\xff\xfenonsense\0\xc3\x28\0"
HALF_A_FRAME = LENGTH.pack(200) + b"9\x001\x00"
UNKNOWN_MESSAGE = (505, "Fatal Error: Unknown message id.")
NEEDS_LINK = frozenset({PLACE_ORDER, CANCEL_ORDER, GLOBAL_CANCEL})
WHERE = {1: (4, 0), PLACE_ORDER: (3, 26), 9: (4, 0), 20: (3, 0), 87: (3, 0)}
"""Where a message names its symbol and its order reference; 0 for nowhere."""


class Received(NamedTuple):
    """One message of a client, as it came."""

    client_id: int
    message_id: int
    fields: list[str]


class FakeGateway:
    """A gateway of Interactive Brokers on the loopback, without Interactive Brokers.

    What the account has done outlives connections and restarts. Everything here may be
    called from any thread; properties are copies.
    """

    def __init__(
        self,
        port: int = 0,
        account: str = "DU1234567",
        cash: float = 1_000_000.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Prepare it; nothing listens yet.

        Args:
            port: Where to listen; 0 takes one that is free and keeps it.
            account: Its name; `DU…` is a paper one.
            cash: What it begins with, US dollars.
            now: The gateway's clock, aware; tests stop it here.
        """
        self.now = now
        self.account = Account(account, cash)
        self.market = Market()
        self.script = Script()
        self.book = Book(self.account, now, self._is_cut)
        self._changed = threading.Condition(threading.RLock())
        self._line = Line(port, self._changed, self._on_greeting, self._on_message)
        self._teller = Teller(self._line, self.book, self.script)
        self._received: list[Received] = []
        self._waiting_for_link: list[Talk] = []

    # Its life

    def __enter__(self) -> Self:
        self._line.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Go away for good.

        Raises:
            ExceptionGroup: If the gateway has failed otherwise than was scripted.
        """
        self._line.end()
        if self._line.failures:
            raise ExceptionGroup("the fake gateway has failed", self._line.failures)

    @property
    def port(self) -> int:
        """Where it listens, also after a restart."""
        return self._line.port

    @property
    def is_listening(self) -> bool:
        """Whether it takes connections."""
        return self._line.is_listening

    def start_listening(self) -> None:
        """Take connections again."""
        self._line.listen()

    def stop_listening(self) -> None:
        """Refuse new connections; those there are go on."""
        self._line.stop_listening()

    def drop_connections(self) -> None:
        """End every connection at once."""
        self._line.drop_all()

    def restart(self) -> None:
        """Go away and come back, as every night; requests under way are forgotten."""
        self.stop_listening()
        self.drop_connections()
        with self._changing():
            self.book.forget_untransmitted()
        self.start_listening()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._changed:
            yield
            self._changed.notify_all()

    # What a test prepares

    def add_symbol(
        self,
        symbol: str,
        con_id: int,
        *,
        primary_exchange: str = "NASDAQ",
        min_tick: float = 0.01,
        name: str = "",
        currency: str = "USD",
        bars: pd.DataFrame | None = None,
        minutes: pd.DataFrame | None = None,
    ) -> None:
        """List a share.

        Args:
            symbol: What it is called.
            con_id: Contract id, above zero.
            primary_exchange: Where it is listed.
            min_tick: Smallest step of its price.
            name: Of the company.
            currency: Of its price.
            bars: One row per session; the last close is the first price.
            minutes: One row per minute, the index its start in UTC.
        """
        with self._changing():
            daily = pd.DataFrame(columns=PRICE_COLUMNS) if bars is None else bars
            self.market.add(
                Instrument(
                    symbol=symbol,
                    con_id=con_id,
                    primary_exchange=primary_exchange,
                    min_tick=min_tick,
                    name=name or symbol,
                    currency=currency,
                    bars=daily.set_axis(pd.DatetimeIndex(daily.index)).sort_index(),
                    minutes=minutes,
                )
            )

    def inject(
        self,
        fault: Fault,
        *,
        times: int | None = 1,
        message: int | None = None,
        client_id: int | None = None,
        symbol: str | None = None,
        order_ref: str | None = None,
        for_seconds: float | None = None,
        options: Options | None = None,
        **more_options: object,
    ) -> None:
        """Let *fault* happen at the next message or fill that fits.

        Args:
            fault: What goes wrong; it says which options it knows.
            times: How often; None until it is lifted, which standing faults always are.
            message: Only at this kind of message.
            client_id: Only with this client.
            symbol: Only with orders and requests for this symbol.
            order_ref: Only with the order of this reference.
            for_seconds: Any number of times, but only so long.
            options: What the fault is told; *more_options* are the same by name.
        """
        asked = {
            "message": message,
            "client_id": client_id,
            "symbol": symbol,
            "order_ref": order_ref,
        }
        only = {name: value for name, value in asked.items() if value is not None}
        with self._changing():
            told = {**(options or {}), **more_options}
            left = None if fault in STANDING or for_seconds else times
            until = time.monotonic() + for_seconds if for_seconds else None
            self.script.add(Injected(fault, left, only, told, until))

    def lift(self, fault: Fault) -> None:
        """Let *fault* happen no more."""
        with self._changing():
            self.script.lift(fault)

    def price(self, symbol: str, price: float) -> None:
        """Move the market: orders that are touched are filled, followers hear of it."""
        with self._changing():
            instrument = self.market.called(symbol)
            instrument.last = price
            self._teller.tell_price(instrument)
            self.announce(self.book.touch(instrument))

    def last_price(self, symbol: str) -> float | None:
        """The price of the last trade; None if there was none."""
        with self._changing():
            return self.market.called(symbol).last

    def fill_in_parts(self, symbol: str, *parts: float) -> None:
        """Let the next fill be in *parts*, in shares; what is left over stays open."""
        with self._changing():
            self.book.fill_in_parts(self.market.called(symbol), parts)

    def fill(self, client_id: int, order_id: int) -> None:
        """Fill an order now, at its limit or else the last price."""
        with self._changing():
            order = self.book.order(client_id, order_id)
            if order is None or not order.is_open:
                return
            price = order.limit_price or order.stop_price or order.instrument.last or 0.0
            self.announce(self.book.fill(order, price))

    def trade_by_hand(self, symbol: str, action: str, shares: float) -> None:
        """Trade at the last price as a person at the screen does: no client placed it."""
        with self._changing():
            instrument = self.market.called(symbol)
            self.announce(self.book.trade_by_hand(instrument, action, shares))

    def hold(self, symbol: str, shares: float, price: float) -> None:
        """Hold signed *shares*, bought at *price* on another day."""
        with self._changing():
            position = self.account.bring(self.market.called(symbol), shares, price)
            self.announce([Held(replace(position))])

    def correct(self, exec_id: str, **right: float) -> None:
        """Correct an execution's `price` or `shares`, as an exchange does."""
        with self._changing():
            self.announce(self.book.correct(exec_id, **right))

    def close_market(self) -> None:
        """Let orders rest whatever the price does; new ones are told 399."""
        with self._changing():
            self.book.is_market_open = False

    def open_market(self) -> None:
        """Match what rests at the last prices."""
        with self._changing():
            self.book.is_market_open = True
            for instrument in self.market.instruments.values():
                self.announce(self.book.touch(instrument, at_open=True))

    def end_day(self) -> None:
        """Let the orders of the day expire."""
        with self._changing():
            self.announce(self.book.end_day())

    def say(self, code: int, text: str) -> None:
        """Tell every client a code and its text, about no request."""
        with self._changing():
            self._teller.say_to_all(code, text)

    def lose_link(self) -> None:
        """1100: what happens at the exchange is not heard until the link is restored.

        Questions about orders are answered from what was heard before; orders and
        cancellations wait.
        """
        with self._changing():
            self._teller.lose_link(self.book.records())

    def restore_link(self, *, data_kept: bool = True) -> None:
        """1102, or 1101 if subscriptions are lost with it; nothing is told again."""
        with self._changing():
            self._teller.restore_link(data_kept=data_kept)
            waiting, self._waiting_for_link = self._waiting_for_link, []
            for talk in waiting:
                self._answer(talk)

    # What a test looks at

    @property
    def received(self) -> list[Received]:
        """Every message of every client, in order."""
        with self._changed:
            return [*self._received]

    @property
    def orders(self) -> dict[int, Order]:
        """Every order there ever was, by permanent id."""
        with self._changed:
            return {perm_id: replace(order) for perm_id, order in self.book.orders.items()}

    @property
    def executions(self) -> list[Execution]:
        """Every trade that stands, oldest first; what was corrected is not among them."""
        with self._changed:
            return [one for one in self.book.executions if one.counts]

    @property
    def positions(self) -> dict[str, Position]:
        """What is held, by symbol; no entry where it is nothing."""
        with self._changed:
            held = self.account.positions.values()
            return {one.symbol: replace(one) for one in held if one.shares}

    @property
    def cash(self) -> float:
        """US dollars."""
        with self._changed:
            return self.account.cash

    @property
    def client_ids(self) -> set[int]:
        """Who is connected."""
        with self._changed:
            return {session.client_id for session in self._line.started}

    @property
    def is_link_up(self) -> bool:
        """Whether what happens at the exchange is heard."""
        return self._teller.heard_before is None

    def wait_until(
        self, is_true: Callable[["FakeGateway"], object], seconds: float = 10.0
    ) -> None:
        """Wait until *is_true* of this gateway; it is asked after every change.

        Raises:
            TimeoutError: If it is not true within *seconds*.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: is_true(self), seconds):
                raise TimeoutError(f"not true within {seconds:g} s")

    # What clients say

    def _on_greeting(self, session: Session) -> None:
        at = self.now().astimezone(EXCHANGE_ZONE)
        session.say(SERVER_VERSION, f"{at:%Y%m%d %H:%M:%S} EST")

    def _on_message(self, session: Session, fields: list[str]) -> None:
        if not fields[0].isdigit():
            raise BadFrame(f"a message must begin with its number, was {fields[0]!r}")
        message = int(fields[0])
        with self._changing():
            self._received.append(Received(session.client_id, message, fields))
            subject = _subject(session, message, fields)
            if not self._spoils(session, subject):
                self._answer(Talk(self, session, fields, subject))

    def _spoils(self, session: Session, subject: Subject) -> bool:
        if self.script.take(Fault.GARBAGE_FRAME, subject) is not None:
            session.send(LENGTH.pack(len(GARBAGE)) + GARBAGE)
        if self.script.take(Fault.TRUNCATED_FRAME, subject) is not None:
            session.send(HALF_A_FRAME)
            session.hang_up()
            return True
        if (options := self.script.take(Fault.RESTART, subject)) is not None:
            self.book.forget_untransmitted()
            self._line.go_away(float(str(options.get("seconds", 0.0))))
            return True
        return self.script.take(Fault.NO_ANSWER, subject) is not None

    def _answer(self, talk: Talk) -> None:
        message = talk.subject.message or 0
        if message in NEEDS_LINK and not self.is_link_up:
            self._waiting_for_link.append(talk)
            return
        answer = ANSWERS.get(message)
        if answer is None:
            talk.refuse(-1, *UNKNOWN_MESSAGE)
            return
        try:
            answer(talk)
        except (BadFrame, ValueError, IndexError) as error:
            order_id = talk.number(1) if message == PLACE_ORDER else -1
            talk.refuse(order_id, 320, f"Error reading request. {error}")

    def known_records(self) -> Records:
        """What the gateway knows of orders: all of it, or that before the link was lost."""
        return self._teller.heard_before or self.book.records()

    def is_today(self, at: datetime | None) -> bool:
        """Whether *at* lies on the day that it is at the exchange."""
        if at is None:
            return False
        today = self.now().astimezone(EXCHANGE_ZONE).date()
        return at.astimezone(EXCHANGE_ZONE).date() == today

    # What clients hear

    def say_to(self, session: Session, fields: Sequence[object]) -> None:
        """Send one message."""
        self._teller.say_to(session, fields)

    def announce(self, events: Events) -> None:
        """Tell the clients concerned what has happened."""
        self._teller.announce(events)

    def _is_cut(self, order: Order) -> bool:
        return self.script.take(Fault.LINK_LOST_IN_FILL, subject_of(order)) is not None


def _subject(session: Session, message: int, fields: list[str]) -> Subject:
    client_id = None if session.client_id == STRANGER else session.client_id
    symbol, order_ref = (
        fields[at] if 0 < at < len(fields) else "" for at in WHERE.get(message, (0, 0))
    )
    return Subject(message, client_id, symbol, order_ref)
