"""What clients ask apart from orders, and what is answered: one function per message."""

from collections.abc import Mapping

from trading_assets_tests.fake_gateway import answers
from trading_assets_tests.fake_gateway.faults import Fault
from trading_assets_tests.fake_gateway.history import (
    BadQuestion,
    HistoryQuestion,
    history,
)
from trading_assets_tests.fake_gateway.layouts import (
    CONTRACT_DETAILS_REQUEST,
    HEAD_TIMESTAMP,
    HISTORICAL_DATA,
    MARKET_DATA,
)
from trading_assets_tests.fake_gateway.market import Instrument
from trading_assets_tests.fake_gateway.order_talk import ORDER_ANSWERS
from trading_assets_tests.fake_gateway.talk import (
    NO_DEFINITION,
    Answer,
    Talk,
    only_instrument,
)

CLIENT_ID_IN_USE = (
    326,
    "Unable to connect as the client id is already in use. Retry with a unique client id.",
)
FARMS_ARE_UP = (
    (2104, "Market data farm connection is OK:usfarm"),
    (2106, "HMDS data farm connection is OK:ushmds"),
    (2158, "Sec-def data farm connection is OK:secdefil"),
)
NOT_SUBSCRIBED = (354, "Requested market data is not subscribed.")
LEDGER_TAGS = frozenset({"$LEDGER", "$LEDGER:ALL", "$LEDGER:USD"})


# The session


def start(talk: Talk) -> None:
    """71: who the client is; 326 if somebody else is, too."""
    client_id = talk.number(2)
    is_taken = client_id in talk.gateway.client_ids
    if is_taken or talk.fault(Fault.CLIENT_ID_IN_USE) is not None:
        talk.refuse(-1, *CLIENT_ID_IN_USE)
        talk.session.hang_up()
        return
    talk.session.client_id = client_id
    accounts(talk)
    next_id(talk)
    for code, text in FARMS_ARE_UP:
        talk.refuse(-1, code, text)


def accounts(talk: Talk) -> None:
    """17: the accounts of the login."""
    talk.say(15, 1, talk.gateway.account.name)


def next_id(talk: Talk) -> None:
    """8: the smallest order id that is certainly free."""
    talk.say(9, 1, talk.gateway.book.next_order_id(talk.session.client_id))


def current_time(talk: Talk) -> None:
    """49: the gateway's clock, seconds since the epoch."""
    talk.say(49, 1, int(talk.gateway.now().timestamp()))


def nothing(_talk: Talk) -> None:
    """What is taken note of and not answered."""


# Instruments


def contract_details(talk: Talk) -> None:
    """9: everything about the instruments that fit, then an end; 200 if none does."""
    asked = CONTRACT_DETAILS_REQUEST.read(talk.fields)
    request_id = int(asked["reqId"])
    found = talk.gateway.market.meant(asked)
    if not found:
        talk.refuse(request_id, 200, NO_DEFINITION)
        return
    for one in found:
        talk.say(*answers.contract_details(request_id, one))
    talk.say(52, 1, request_id)


def matching_symbols(talk: Talk) -> None:
    """81: the instruments that a text may mean; maybe none."""
    found = talk.gateway.market.matching(talk.fields[2])
    talk.say(*answers.symbol_samples(talk.number(1), found))


def market_rule(talk: Talk) -> None:
    """91: the ticks of a rule; ours has one for all prices."""
    ticks = [one.min_tick for one in talk.gateway.market.instruments.values()]
    talk.say(93, talk.number(1), 1, 0, min(ticks, default=0.01))


def historical_data(talk: Talk) -> None:
    """20: bars, or 162 with the reason why there are none."""
    asked = HISTORICAL_DATA.read(talk.fields)
    request_id = int(asked["reqId"])
    instrument = only_instrument(talk, request_id, asked)
    if instrument is None:
        return
    if reason := _trouble_with_history(talk, instrument):
        _say_no_history(talk, request_id, reason)
        return
    try:
        question = HistoryQuestion.read(asked, talk.gateway.now())
    except BadQuestion as refusal:
        talk.refuse(request_id, refusal.code, refusal.text)
        return
    bars = history(instrument, question)
    if talk.fault(Fault.EMPTY_HISTORY) is not None:
        bars = bars.head(0)
    elif bars.empty:
        what = f"{instrument.symbol}@SMART {asked['whatToShow']}"
        _say_no_history(talk, request_id, f"HMDS query returned no data: {what}")
        return
    first, last = question.start, question.end
    message = answers.historical_data(request_id, bars, first, last, epoch=question.epoch)
    talk.say(*message)


def _trouble_with_history(talk: Talk, instrument: Instrument) -> str:
    if not talk.gateway.is_link_up:
        return "HMDS server disconnect occurred. Attempting reconnection..."
    if talk.fault(Fault.PACING) is not None:
        return "Historical data request pacing violation"
    if talk.fault(Fault.NO_PERMISSION) is not None:
        return f"No market data permissions for {instrument.primary_exchange} STK"
    return ""


def _say_no_history(talk: Talk, request_id: int, why: str) -> None:
    talk.refuse(request_id, 162, f"Historical Market Data Service error message:{why}")


def head_timestamp(talk: Talk) -> None:
    """87: when the bars of an instrument begin."""
    asked = HEAD_TIMESTAMP.read(talk.fields)
    request_id = int(asked["reqId"])
    instrument = only_instrument(talk, request_id, asked)
    if instrument is None:
        return
    if instrument.bars.empty:
        _say_no_history(talk, request_id, f"No head time stamp for {instrument.symbol}")
        return
    first = instrument.bars.index[0]
    epoch = asked["formatDate"] == "2"
    talk.say(*answers.head_timestamp(request_id, first, epoch=epoch))


def market_data_type(talk: Talk) -> None:
    """59: live, frozen or delayed ticks from now on."""
    talk.session.market_data_type = talk.number(2)


def market_data(talk: Talk) -> None:
    """1: ticks, once or until they are cancelled."""
    asked = MARKET_DATA.read(talk.fields)
    request_id = int(asked["reqId"])
    instrument = only_instrument(talk, request_id, asked)
    if instrument is None:
        return
    if talk.fault(Fault.NO_PERMISSION) is not None:
        talk.refuse(request_id, *NOT_SUBSCRIBED)
        return
    kind = talk.session.market_data_type
    talk.say(58, 1, request_id, kind)
    talk.say(81, request_id, instrument.min_tick, "9c0001", 3)
    for tick in answers.ticks(request_id, instrument, kind):
        talk.say(*tick)
    if asked["snapshot"] == "1":
        talk.say(57, 1, request_id)
    else:
        talk.session.follow("ticks", request_id, instrument)


def cancel_market_data(talk: Talk) -> None:
    """2: no more ticks."""
    talk.session.leave("ticks", talk.number(2))


# The account


def account_summary(talk: Talk) -> None:
    """62: the figures that were asked for, and those of the currency."""
    request_id, account = talk.number(2), talk.gateway.account
    tags = set(talk.fields[4].split(","))
    figures = account.values()
    if "All" not in tags:
        figures = {tag: value for tag, value in figures.items() if tag in tags}
    if tags & LEDGER_TAGS:
        figures |= account.ledger()
    for tag, value in figures.items():
        talk.say(63, 1, request_id, account.name, tag, f"{value:.2f}", account.currency)
    talk.say(64, 1, request_id)


def account_updates(talk: Talk) -> None:
    """6: figures and portfolio, now and whenever they change."""
    if talk.fields[2] != "1":
        talk.session.leave("account", 0)
        return
    account = talk.gateway.account
    for tag, value, currency in answers.account_figures(account):
        talk.say(6, 2, tag, value, currency, account.name)
    for position in account.positions.values():
        talk.say(*answers.portfolio(position, account.name))
    talk.say(8, 1, f"{talk.gateway.now():%H:%M}")
    talk.say(54, 1, account.name)
    talk.session.follow("account", 0, account)


def account_updates_multi(talk: Talk) -> None:
    """76: the figures once more, for one account and model."""
    request_id, account = talk.number(2), talk.gateway.account
    for tag, value, currency in answers.account_figures(account):
        talk.say(73, 1, request_id, account.name, "", tag, value, currency)
    talk.say(74, 1, request_id)


def positions(talk: Talk) -> None:
    """61: all positions, now and whenever they change."""
    account = talk.gateway.account
    for position in account.positions.values():
        if position.shares:
            talk.say(*answers.position(position, account.name))
    talk.say(62, 1)
    talk.session.follow("positions", 0, account)


def cancel_positions(talk: Talk) -> None:
    """64: no more positions."""
    talk.session.leave("positions", 0)


def pnl(talk: Talk) -> None:
    """92: profit and loss of the account, now and whenever it changes."""
    request_id = talk.number(1)
    talk.session.follow("pnl", request_id, talk.gateway.account)
    talk.say(*answers.profit(request_id, talk.gateway.account))


def cancel_pnl(talk: Talk) -> None:
    """93: no more of it."""
    talk.session.leave("pnl", talk.number(1))


def pnl_single(talk: Talk) -> None:
    """94: profit and loss of one position, now and whenever it changes."""
    request_id, con_id = talk.number(1), talk.number(4)
    talk.session.follow("pnl of one", request_id, con_id)
    talk.say(*answers.profit_of_one(request_id, con_id, talk.gateway.account))


def cancel_pnl_single(talk: Talk) -> None:
    """95: no more of it."""
    talk.session.leave("pnl of one", talk.number(1))


ANSWERS: Mapping[int, Answer] = {
    **ORDER_ANSWERS,
    1: market_data,
    2: cancel_market_data,
    6: account_updates,
    8: next_id,
    9: contract_details,
    15: nothing,
    17: accounts,
    20: historical_data,
    25: nothing,
    49: current_time,
    59: market_data_type,
    61: positions,
    62: account_summary,
    63: nothing,
    64: cancel_positions,
    71: start,
    76: account_updates_multi,
    77: nothing,
    81: matching_symbols,
    87: head_timestamp,
    90: nothing,
    91: market_rule,
    92: pnl,
    93: cancel_pnl,
    94: pnl_single,
    95: cancel_pnl_single,
}
