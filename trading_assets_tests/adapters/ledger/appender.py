"""A process that walks session after session until it is killed: ``python -m … place``.

It goes on where the ledger ends, and names each session once it is committed.
"""

import sys
from itertools import count

from trading_assets.adapters.ledger.store import Ledger
from trading_assets_tests.adapters.ledger.make_records import (
    LANE,
    STRATEGY,
    make_order,
    make_portfolio,
    make_positions,
    make_records,
)

SYMBOLS = [f"S{number}" for number in range(10)]


def main() -> None:
    """Append five sessions at a time."""
    ledger = Ledger.open(sys.argv[1])
    with ledger.lane(STRATEGY, LANE, 60):
        for first in count(len(ledger.chain(STRATEGY, LANE)), 5):
            days = range(first, first + 5)
            rows = {
                "orders": [make_order(number) for number in days],
                "positions": [row for n in days for row in make_positions(n, SYMBOLS)],
                "portfolio": [make_portfolio(number) for number in days],
            }
            ledger.append(STRATEGY, LANE, 0, make_records(days), rows)
            sys.stdout.write(f"{first + 5}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
