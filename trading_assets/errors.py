"""Every error that we raise on purpose.

TradingAssetsError
├── InvalidInput            what a person wrote is wrong: exit status 2
│   ├── InvalidStrategy     a strategy file, with its file, line and key
│   ├── InvalidIndicator    an indicator's name or parameter
│   └── InvalidPrompt       a prompt that can't be read or filled in
├── MarketDataUnreadable    a source could not be read: never an empty answer
├── DataMissing             a step's input was never made; it may come: retried
├── BookSuperseded          the stored book was decided from inputs that have changed
├── StoreBusy               a lock was not free within its bound
├── SchemaTooNew            the ledger was written by a newer version of this package
├── ShapeMismatch           rows that do not fit the table they are written to
├── OrderConflict           the same order id with another content
├── ApprovalClosed          what was to be approved was answered before, or is over
├── OrderUnresolved         an earlier order has to be looked into before a new one
├── GatewayUnreachable      no connection to a broker's gateway: nothing was asked
├── NoAnswer                asked and heard nothing: it may have been done all the same
├── RequestRefused          a gateway said no: its code and its words
├── WrongAccount            account, port and what the gateway reports do not agree
├── OrdersPaused            a gateway has lost its server: nothing was sent
├── ModelUnavailable        no model answered: nobody has an opinion, try again later
│   └── QuestionRejected    every model refuses this one request: the others go on
├── ToolUnavailable         what an agent is to be told can't be read now: retried
├── BatchGone               a provider has a batch, or its results, no more
├── BudgetSpent             asking on would cost more than the strategy allows
├── QuestionIsOut           it is in a batch that has not ended: asked twice, it costs twice
├── ReadOnlyGateway         an order for a connection that may not send any
└── NotDelivered            a message that has not reached every place it was meant for
"""


class TradingAssetsError(Exception):
    """Anything raised on purpose by this package."""


class InvalidInput(TradingAssetsError):
    """What a person wrote is wrong; the message says what is allowed."""


class InvalidStrategy(InvalidInput):
    """A strategy file that may not be loaded."""


class InvalidIndicator(InvalidInput):
    """An indicator that we do not know, or with parameters it does not take."""


class InvalidPrompt(InvalidInput):
    """A prompt that can't be read, or asks for what there is none of."""


class ModelUnavailable(TradingAssetsError):
    """No model of the chain could be heard; never an abstention, try again later.

    Attributes:
        may_pass: Whether it may be different in a minute; a limit on spending, a key that
            is refused and a request that nobody takes will not.
    """

    def __init__(self, why: str, *, may_pass: bool = True) -> None:
        super().__init__(why)
        self.may_pass = may_pass


class QuestionRejected(ModelUnavailable):
    """No model takes this question as it is; others may well be heard."""

    def __init__(self, why: str) -> None:
        super().__init__(why, may_pass=False)


class ToolUnavailable(TradingAssetsError):
    """A tool that an agent is told by could not reach what it reads; try again later."""


class BatchGone(TradingAssetsError):
    """A provider has a batch, or what came of it, no more; it may be paid for."""


class BudgetSpent(TradingAssetsError):
    """The next question could cost more than a budget has left; it was not asked."""


class QuestionIsOut(TradingAssetsError):
    """A batch asks this already; its answer is waited for, and it was not asked again."""


class MarketDataUnreadable(TradingAssetsError):
    """A source of bars could not be read; not the same as having no bars."""


class DataMissing(TradingAssetsError):
    """An input that another step makes is not there yet."""


class BookSuperseded(TradingAssetsError):
    """Sessions of a book rest on inputs that have changed since."""


class StoreBusy(TradingAssetsError):
    """Somebody else holds a store for longer than we are ready to wait."""


class SchemaTooNew(TradingAssetsError):
    """A ledger written by a newer version; opening it could destroy something."""


class ShapeMismatch(TradingAssetsError):
    """Rows that are not of the shape of their table."""


class OrderConflict(TradingAssetsError):
    """An order id that was used before for something else."""


class ApprovalClosed(TradingAssetsError):
    """Somebody else has answered before, or it is too late to be asked."""


class OrderUnresolved(TradingAssetsError):
    """What became of an earlier order is not known; nothing new is sent until it is."""


class GatewayUnreachable(TradingAssetsError):
    """There is no connection to a broker's gateway; nothing was asked, try again later."""


class NoAnswer(TradingAssetsError):
    """A gateway was asked and nothing was heard: neither done nor refused, until known."""


class RequestRefused(TradingAssetsError):
    """A gateway answered no, and will not answer anything else.

    Attributes:
        what: What was asked.
        code: Number of the error, as the gateway gives it.
        text: Its words, perhaps in another language.
    """

    def __init__(self, what: str, code: int, text: str) -> None:
        super().__init__(what, code, text)
        self.what = what
        self.code = code
        self.text = text

    def __str__(self) -> str:
        return f"{self.what}: refused with {self.code}: {self.text}"


class WrongAccount(TradingAssetsError):
    """An account that does not fit its port, or that the gateway does not report."""


class OrdersPaused(TradingAssetsError):
    """A gateway that has lost its server takes no new orders; nothing was sent."""


class ReadOnlyGateway(TradingAssetsError):
    """A connection that was opened to look on; nothing was sent."""


class NotDelivered(TradingAssetsError):
    """A message has not reached a place; the kind of service is named, and no address."""
