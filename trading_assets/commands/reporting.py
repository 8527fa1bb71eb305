"""How commands end: in what they print, or in one line and an exit status.

Exit status: 0 done, 1 failed, 2 bad input.
"""

import sys
from collections.abc import Callable
from functools import wraps

import click

from trading_assets.errors import InvalidInput, TradingAssetsError

FAILED, BAD_INPUT = 1, 2


def reporting[**P, R](command: Callable[P, R]) -> Callable[P, R]:
    """Turn our own errors into one line and an exit status."""

    @wraps(command)
    def reported(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except TradingAssetsError as error:
            status = BAD_INPUT if isinstance(error, InvalidInput) else FAILED
            click.secho(f"trading-assets: {error}", fg="red", err=True)
            sys.exit(status)

    return reported
