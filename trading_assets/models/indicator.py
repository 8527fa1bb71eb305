"""What recent bars say."""

from datetime import date

from trading_assets.models.base import Symbol, Value


class Indicators(Value):
    """One symbol at one session's close, in the price scale of that session.

    The columns are those that the strategies ask for; each is NULL while it warms up.
    """

    symbol: Symbol
    session: date
