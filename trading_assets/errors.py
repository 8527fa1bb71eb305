"""Every error that we raise on purpose.

TradingAssetsError
├── InvalidInput            what a person wrote is wrong: exit status 2
│   ├── InvalidStrategy     a strategy file, with its file, line and key
│   └── InvalidIndicator    an indicator's name or parameter
├── MarketDataUnreadable    a source could not be read: never an empty answer
├── DataMissing             a step's input was never made; it may come: retried
├── BookSuperseded          the stored book was decided from inputs that have changed
├── StoreBusy               a lock was not free within its bound
├── SchemaTooNew            the ledger was written by a newer version of this package
├── ShapeMismatch           rows that do not fit the table they are written to
└── OrderConflict           the same order id with another content
"""


class TradingAssetsError(Exception):
    """Anything raised on purpose by this package."""


class InvalidInput(TradingAssetsError):
    """What a person wrote is wrong; the message says what is allowed."""


class InvalidStrategy(InvalidInput):
    """A strategy file that may not be loaded."""


class InvalidIndicator(InvalidInput):
    """An indicator that we do not know, or with parameters it does not take."""


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
