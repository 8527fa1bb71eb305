"""What the error codes of Interactive Brokers mean for the one who hears them.

The numbers come from the vendor's page "Message Codes" of the TWS API, from the lists that
QuantConnect's Lean (``InteractiveBrokersBrokerage.cs``: invalidating codes) and
NautilusTrader (``adapters/interactive_brokers``: connectivity, rejections, warnings) trade
with, and from reports in the issues of ib_insync and ib_async. 507, 2174, 10141 and 10186
have a single source. Texts can be in the user's language, so a text decides only where a
number stands for several things: 162.
"""

from collections.abc import Mapping
from enum import StrEnum

HISTORICAL_DATA = 162
CLIENT_ID_IN_USE = 326
NO_CONTRACT = 200
SUBSYSTEM_NOTICES = range(2100, 2200)
PAUSING = frozenset({1100, 1300, 2110})
"""The gateway has lost its server: it takes orders and can't say what becomes of them."""

RESTORING = frozenset({1101, 1102})
"""It has its server back; executions and open orders have to be asked for again."""


class CodeClass(StrEnum):
    """What to do about a code."""

    INFO = "info"
    """Nothing: neither a request nor an order ends with it."""

    CONNECTIVITY = "connectivity"
    """The session stands, and something behind it was lost or came back."""

    RETRY = "retry"
    """Not now: the same request may be answered later."""

    REQUEST = "request"
    """This request will never be answered."""

    ORDER = "order"
    """About an order; only its status and its executions tell what became of it."""

    SESSION = "session"
    """This connection can't be used, or could not be made."""


CODES: Mapping[CodeClass, frozenset[int]] = {
    CodeClass.INFO: frozenset(
        {
            165,  # a note of a market scanner
            202,  # the order was cancelled: its status comes by itself
            399,  # a warning about an order, such as being held until the open
            404,  # shares are being located for a short sale: held
            2100,  # account updates were unsubscribed
            2104,  # a market data farm is connected
            2106,  # a historical data farm is connected
            2107,  # a historical data farm is idle, at hand on demand
            2108,  # a market data farm is idle, at hand on demand
            2109,  # outside-hours attribute ignored
            2119,  # a market data farm is connecting
            2150,  # invalid position trade derived value
            2158,  # the security definition farm is connected
            2174,  # a time was given without its zone
            10090,  # part of the market data is not subscribed
            10091,  # part of the market data needs a subscription; delayed is at hand
            10167,  # not subscribed: delayed market data is shown
            10349,  # the time in force was set from the order preset
        }
    ),
    CodeClass.CONNECTIVITY: frozenset(
        {
            1100,  # connection to the server lost
            1101,  # restored, subscriptions lost
            1102,  # restored, subscriptions kept
            1300,  # the socket port was reset
            2103,  # a market data farm is broken
            2105,  # a historical data farm is broken
            2110,  # connection between gateway and server broken, will be restored
            2157,  # the security definition farm is broken
        }
    ),
    CodeClass.RETRY: frozenset(
        {
            100,  # more than 50 messages a second
            322,  # a duplicate request, or too many at once
            366,  # the historical query is not known any more
            420,  # real-time query refused for its pace
            10197,  # another session of the user takes the market data
        }
    ),
    CodeClass.REQUEST: frozenset(
        {
            101,  # no more market data lines
            200,  # no such contract, or several
            321,  # the request is not valid, or the interface is read-only
            354,  # market data not subscribed
            391,  # the end date is not valid
            10089,  # market data needs a subscription for the interface
            10168,  # not subscribed, and delayed data is off
            10186,  # not subscribed, and delayed data is not enabled
            10299,  # this kind of data does not exist for the contract
            10314,  # the end time is not written as it must be
        }
    ),
    CodeClass.ORDER: frozenset(
        {
            103,  # the order id was used before: already known
            104,  # a filled order can't be changed: already known
            105,  # the change does not fit the order
            110,  # the price does not fit the tick
            135,  # no order with this id: look for executions first
            136,  # the order can't be cancelled
            161,  # not in a state that can be cancelled
            201,  # rejected
            203,  # the security is not allowed for the account
            434,  # the size is 0
            460,  # no permission to trade the contract
            492,  # a price that is not checked
            10147,  # to be cancelled, and not found: look for executions first
            10148,  # can't be cancelled in its state
            10268,  # an attribute of old clients
            10269,  # an attribute of old clients
            10289,  # the value of the order needs a confirmation
            10293,  # not allowed for this account
        }
    ),
    CodeClass.SESSION: frozenset(
        {
            326,  # the client id is in use; a dead session keeps it for seconds
            502,  # the gateway refuses connections
            503,  # the gateway is too old
            504,  # not connected
            505,  # an unknown message: versions do not fit
            507,  # the socket was closed in the middle of a message
            10141,  # the paper trading disclaimer was not accepted
        }
    ),
}

_CLASS_OF = {code: kind for kind, codes in CODES.items() for code in codes}
_NO_HISTORY = ("no data", "permission", "invalid", "not subscribed")


def code_class(code: int, text: str = "") -> CodeClass:
    """What to do about *code*.

    A code that is in no list is a notice from 2100 to 2199; any other ends a request, and
    decides nothing about an order.

    Args:
        code: As the gateway gives it.
        text: Its words. 162 stands for "there is none" and "you may not", which end a
            request, as well as for pacing and for a data farm in trouble.
    """
    if code == HISTORICAL_DATA:
        words = text.lower()
        is_final = "pacing" not in words and any(part in words for part in _NO_HISTORY)
        return CodeClass.REQUEST if is_final else CodeClass.RETRY
    if code in _CLASS_OF:
        return _CLASS_OF[code]
    return CodeClass.INFO if code in SUBSYSTEM_NOTICES else CodeClass.REQUEST


def says_no_data(code: int, text: str) -> bool:
    """Whether the gateway knows that there is nothing in the range it was asked for."""
    return code == HISTORICAL_DATA and "no data" in text.lower()
