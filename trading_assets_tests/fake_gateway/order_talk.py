"""How the gateway talks about orders, and the ways in which that can go wrong."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from trading_assets_tests.fake_gateway import answers
from trading_assets_tests.fake_gateway.faults import Fault, Options
from trading_assets_tests.fake_gateway.history import instant
from trading_assets_tests.fake_gateway.layouts import PLACE_ORDER
from trading_assets_tests.fake_gateway.market import Instrument
from trading_assets_tests.fake_gateway.orders import Noticed, Order, Stated, Terms
from trading_assets_tests.fake_gateway.talk import Answer, Talk, only_instrument
from trading_assets_tests.fake_gateway.wire import INVALID

READ_ONLY = (
    321,
    f"{INVALID}The API interface is currently in Read-Only mode.",
)
CANCELLED = (202, "Order Canceled - reason:")
TIF_PRESET = (10349, "Order TIF was set to DAY based on order preset.")
SIDES = {"BUY": "BUY", "BOT": "BUY", "SELL": "SELL", "SLD": "SELL", "SSHORT": "SELL"}
FIRST_TELLING = 2
"""An acknowledgement is the order in full and then its status."""


@dataclass(frozen=True, slots=True)
class Placing:
    """An order on its way into the book."""

    talk: Talk
    order_id: int
    instrument: Instrument
    terms: Terms

    @property
    def client_id(self) -> int:
        """Whose order it is."""
        return self.talk.session.client_id

    @property
    def known(self) -> Order | None:
        """The order that has this id already."""
        return self.talk.gateway.book.order(self.client_id, self.order_id)

    def enter(self, *, is_silent: bool = False, waits_for_price: bool = False) -> None:
        """Let the book take it, and tell what comes of it."""
        gateway = self.talk.gateway
        gateway.announce(
            gateway.book.place(
                self.client_id,
                self.order_id,
                self.instrument,
                self.terms,
                is_silent=is_silent,
                waits_for_price=waits_for_price,
            )
        )

    def refuse(self, code: int, text: str) -> None:
        """Say why the book will not take it."""
        self.talk.refuse(self.order_id, code, text)


def place_order(talk: Talk) -> None:
    """3: a new order, a change of an old one, or a preview."""
    asked = PLACE_ORDER.read(talk.fields)
    order_id = int(asked["orderId"])
    if _is_read_only(talk, order_id):
        return
    instrument = only_instrument(talk, order_id, asked)
    if instrument is None:
        return
    placing = Placing(talk, order_id, instrument, terms_of(asked))
    if asked["whatIf"] == "1":
        _preview(placing)
        return
    for fault, go_wrong in MISFORTUNES.items():
        if (options := talk.fault(fault)) is not None:
            go_wrong(placing, options)
            return
    placing.enter()


def terms_of(asked: dict[str, str]) -> Terms:
    """What a placeOrder asks for; prices that its type does not have are left out."""
    kind = asked["orderType"]
    has_limit, has_stop = kind in {"LMT", "STP LMT"}, kind.startswith("STP")
    return Terms(
        action=SIDES.get(asked["action"], asked["action"]),
        shares=float(asked["totalQuantity"] or 0),
        type=kind,
        limit_price=float(asked["lmtPrice"] or 0) if has_limit else None,
        stop_price=float(asked["auxPrice"] or 0) if has_stop else None,
        tif=asked["tif"] or "DAY",
        order_ref=asked["orderRef"],
        parent_id=int(asked["parentId"] or 0),
        oca_group=asked["ocaGroup"],
        oca_type=int(asked["ocaType"] or 0),
        transmit=asked["transmit"] == "1",
        account=asked["account"],
        outside_rth=asked["outsideRth"] == "1",
    )


def _preview(placing: Placing) -> None:
    talk, account = placing.talk, placing.talk.gateway.account
    order = Order(
        **vars(placing.terms),
        perm_id=0,
        client_id=placing.client_id,
        order_id=placing.order_id,
        instrument=placing.instrument,
    )
    if talk.fault(Fault.WHAT_IF_TWICE) is not None:
        talk.say(*answers.preview(order, account, is_empty=True))
    talk.say(*answers.preview(order, account, is_empty=False))


# Misfortunes of an order on its way


def _drop_before(placing: Placing, _options: Options) -> None:
    placing.talk.session.drop()


def _drop_after(placing: Placing, options: Options) -> None:
    placing.talk.session.drop()
    placing.enter(waits_for_price=options.get("filled") is False)
    if options.get("filled"):
        placing.talk.gateway.fill(placing.client_id, placing.order_id)


def _lose(_placing: Placing, _options: Options) -> None:
    """Nothing is taken, nothing is said."""


def _take_in_silence(placing: Placing, _options: Options) -> None:
    placing.enter(is_silent=True)


def _forbid(placing: Placing, _options: Options) -> None:
    placing.refuse(460, "No trading permissions.")


def _reject(placing: Placing, options: Options) -> None:
    reason = options.get("text", "The order is larger than the account allows.")
    placing.refuse(201, f"Order rejected - reason:{reason}")


def _park(placing: Placing, options: Options) -> None:
    gateway = placing.talk.gateway
    events = gateway.book.park(
        placing.client_id, placing.order_id, placing.instrument, placing.terms
    )
    gateway.announce(events)
    if text := options.get("text"):
        placing.refuse(399, f"Order Message:\n{text}")


def _preset(placing: Placing, _options: Options) -> None:
    gateway = placing.talk.gateway
    events = gateway.book.place(
        placing.client_id, placing.order_id, placing.instrument, placing.terms
    )
    notice = Noticed(placing.client_id, placing.order_id, *TIF_PRESET)
    gateway.announce([*events[:FIRST_TELLING], notice, *events[FIRST_TELLING:]])


def _rename(placing: Placing, _options: Options) -> None:
    if placing.known is not None and placing.known.is_open:
        placing.talk.gateway.book.rename(placing.known)
    placing.enter()


MISFORTUNES: dict[Fault, Callable[[Placing, Options], None]] = {
    Fault.DROP_BEFORE_PLACE: _drop_before,
    Fault.DROP_AFTER_PLACE: _drop_after,
    Fault.LOST_ORDER: _lose,
    Fault.SILENT_ORDER: _take_in_silence,
    Fault.NO_PERMISSION: _forbid,
    Fault.REJECT: _reject,
    Fault.INACTIVE: _park,
    Fault.TIF_PRESET: _preset,
    Fault.SECOND_PERM_ID: _rename,
}


# Cancelling


def cancel_order(talk: Talk) -> None:
    """4: no more of an order."""
    order_id = talk.number(2)
    if _is_read_only(talk, order_id):
        return
    book = talk.gateway.book
    order = book.order(talk.session.client_id, order_id)
    if order is not None and order.is_open:
        options = talk.fault(Fault.CANCELLED_BUT_FILLED)
        if options is not None:
            _cancel_but_fill(talk, order, is_heard=bool(options.get("heard", True)))
            return
    talk.gateway.announce(book.cancel(talk.session.client_id, order_id))


def _cancel_but_fill(talk: Talk, order: Order, *, is_heard: bool) -> None:
    told = replace(order, status="Cancelled")
    notice = Noticed(order.client_id, order.order_id, *CANCELLED)
    talk.gateway.announce([Stated(told), notice])
    order.is_silent = order.is_silent or not is_heard
    talk.gateway.fill(order.client_id, order.order_id)


def global_cancel(talk: Talk) -> None:
    """58: no more of any order, whoever placed it."""
    if not _is_read_only(talk):
        talk.gateway.announce(talk.gateway.book.cancel_all())


# Asking


def open_orders(talk: Talk) -> None:
    """5: the open orders of this client."""
    _tell_open(talk, lambda order: order.client_id == talk.session.client_id)


def all_open_orders(talk: Talk) -> None:
    """16: the open orders of every client."""
    _tell_open(talk, lambda _order: True)


def _tell_open(talk: Talk, is_meant: Callable[[Order], bool]) -> None:
    if _is_read_only(talk):
        return
    orders, _ = talk.gateway.known_records()
    for order in orders:
        if order.is_open and order.transmit and is_meant(order):
            talk.say(*answers.open_order(order, talk.gateway.account.name))
            talk.say(*answers.order_status(order))
    talk.say(53, 1)


def completed_orders(talk: Talk) -> None:
    """99: the orders of today that are over, of every client."""
    if _is_read_only(talk):
        return
    orders, _ = talk.gateway.known_records()
    for order in orders:
        if not order.is_open and talk.gateway.is_today(order.completed_at):
            talk.say(*answers.completed_order(order, talk.gateway.account.name))
    talk.say(102)


def executions(talk: Talk) -> None:
    """7: the trades of today that fit, and then what each has cost."""
    request_id = talk.number(2)
    client_id, _account, since, symbol, _kind, _where, side = talk.fields[3:10]
    _, every = talk.gateway.known_records()
    found = [
        one
        for one in every
        if talk.gateway.is_today(one.at)
        and client_id in {"", "0", str(one.client_id)}
        and symbol in {"", one.symbol}
        and SIDES.get(side, one.action) == one.action
        and (not since or one.at >= instant(since))
    ]
    for one in found:
        talk.say(*answers.execution(one, talk.gateway.account.name, request_id))
    talk.say(55, 1, request_id)
    for one in found:
        talk.say(*answers.commission(one))


def _is_read_only(talk: Talk, request_id: int = -1) -> bool:
    if talk.fault(Fault.READ_ONLY) is None:
        return False
    talk.refuse(request_id, *READ_ONLY)
    return True


ORDER_ANSWERS: dict[int, Answer] = {
    3: place_order,
    4: cancel_order,
    5: open_orders,
    7: executions,
    16: all_open_orders,
    58: global_cancel,
    99: completed_orders,
}
