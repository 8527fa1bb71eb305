"""What clients hear of what has happened, as far as faults let it be told."""

from collections.abc import Sequence

from trading_assets_tests.fake_gateway import answers
from trading_assets_tests.fake_gateway.account import Execution, Position
from trading_assets_tests.fake_gateway.book import Book
from trading_assets_tests.fake_gateway.distortion import DISTORTIONS
from trading_assets_tests.fake_gateway.faults import Fault, Script, Subject
from trading_assets_tests.fake_gateway.line import Line
from trading_assets_tests.fake_gateway.market import Instrument
from trading_assets_tests.fake_gateway.orders import (
    Charged,
    Event,
    Events,
    Executed,
    Held,
    LinkLost,
    Noticed,
    Opened,
    Order,
    Records,
    Stated,
)
from trading_assets_tests.fake_gateway.session import Session

BETWEEN = "Connectivity between IBKR and Trader Workstation has been"
LINK_LOST = (1100, f"{BETWEEN} lost.")
LINK_EMPTY = (1101, f"{BETWEEN} restored - data lost.")
LINK_KEPT = (1102, f"{BETWEEN} restored - data maintained.")


def subject_of(what: Order | Execution) -> Subject:
    """What a fault about an order looks at."""
    return Subject(client_id=what.client_id, symbol=what.symbol, order_ref=what.order_ref)


class Teller:
    """Turns events into messages for those whom they concern.

    Attributes:
        heard_before: The records when the link was lost; None while it is up.
    """

    def __init__(self, line: Line, book: Book, script: Script) -> None:
        self.heard_before: Records | None = None
        self._line = line
        self._book = book
        self._script = script
        self._account = book.account

    def say_to(self, session: Session, fields: Sequence[object]) -> None:
        """Send one message, late if answers are slow."""
        subject = Subject(client_id=session.client_id)
        options = self._script.take(Fault.SLOW_ANSWERS, subject) or {}
        session.say(*fields, seconds_late=float(str(options.get("seconds", 0.0))))

    def say_to_all(self, code: int, text: str) -> None:
        """Tell everybody a code and its text, about no request."""
        for session in self._line.started:
            self.say_to(session, answers.error(-1, code, text))

    def lose_link(self, heard_before: Records) -> None:
        """1100; from here on nothing is heard from the exchange."""
        self.say_to_all(*LINK_LOST)
        self.heard_before = heard_before

    def restore_link(self, *, data_kept: bool) -> None:
        """1102, or 1101 and nobody follows anything any more."""
        self.heard_before = None
        if not data_kept:
            for session in self._line.started:
                session.subscriptions.clear()
        self.say_to_all(*(LINK_KEPT if data_kept else LINK_EMPTY))

    def announce(self, events: Events) -> None:
        """Tell what has happened to orders and positions."""
        fills = [event for event in events if isinstance(event, Executed)]
        for fill in fills:
            events = self._distorted(events, fill)
        for event in events:
            self._tell(event)
        for fill in fills:
            self._correct(fill.execution)

    def _distorted(self, events: Events, fill: Executed) -> Events:
        for fault, distorted in DISTORTIONS.items():
            if self._script.take(fault, subject_of(fill.execution)) is not None:
                events = distorted(events, fill)
        return events

    def _correct(self, one: Execution) -> None:
        options = self._script.take(Fault.EXECUTION_CORRECTED, subject_of(one))
        if options is not None:
            right = {name: float(str(value)) for name, value in options.items()}
            one_tick_more = one.price + one.instrument.min_tick
            events = self._book.correct(one.exec_id, **(right or {"price": one_tick_more}))
            self.announce(events)

    def _tell(self, event: Event) -> None:
        name = self._account.name
        match event:
            case Opened(order, with_commission):
                message = answers.open_order(order, name, with_commission=with_commission)
                self._tell_owner(order.client_id, order.order_id, message)
            case Stated(order):
                message = answers.order_status(order)
                self._tell_owner(order.client_id, order.order_id, message)
            case Executed(one):
                message = answers.execution(one, name)
                self._tell_owner(one.client_id, one.order_id, message)
            case Charged(one):
                self._tell_owner(one.client_id, one.order_id, answers.commission(one))
            case Noticed(client_id, order_id, code, text):
                message = answers.error(order_id, code, text)
                self._tell_owner(client_id, order_id, message)
            case Held(position):
                self._tell_followers_of_account(position)
            case LinkLost(records):
                self.lose_link(records)

    def _tell_owner(self, client_id: int, order_id: int, message: Sequence[object]) -> None:
        order = self._book.order(client_id, order_id)
        is_silent = order is not None and order.is_silent
        if self.heard_before is not None or is_silent:
            return
        for session in self._line.started:
            if session.client_id == client_id:
                self.say_to(session, message)

    def _tell_followers_of_account(self, position: Position) -> None:
        if self.heard_before is not None:
            return
        name = self._account.name
        for session in self._line.started:
            if session.following("positions"):
                self.say_to(session, answers.position(position, name))
            if session.following("account"):
                self.say_to(session, answers.portfolio(position, name))
                for tag, value, currency in answers.account_figures(self._account):
                    self.say_to(session, [6, 2, tag, value, currency, name])
            self._tell_profit(session)

    def tell_price(self, instrument: Instrument) -> None:
        """Tell its followers that *instrument* has another price."""
        if self.heard_before is not None:
            return
        for session in self._line.started:
            for request_id, what in session.following("ticks").items():
                if what is instrument:
                    kind = session.market_data_type
                    for tick in answers.ticks(request_id, instrument, kind):
                        self.say_to(session, tick)
            self._tell_profit(session)

    def _tell_profit(self, session: Session) -> None:
        for request_id in session.following("pnl"):
            self.say_to(session, answers.profit(request_id, self._account))
        for request_id, con_id in session.following("pnl of one").items():
            message = answers.profit_of_one(request_id, int(str(con_id)), self._account)
            self.say_to(session, message)
