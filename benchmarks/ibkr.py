"""Bars of many symbols from a gateway of our own, and what asking day by day would cost.

``python -m benchmarks.ibkr`` connects over the loopback, asks for 200 sessions of 50
symbols, and then for the last few of them one request each, as a step per partition
would. It needs the package of the tests, which has the gateway.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import date
from time import perf_counter

from trading_assets.adapters.ibkr.gateway import GatewaySettings
from trading_assets.adapters.ibkr.visits import IbkrVisits
from trading_assets.sessions import trading_calendar
from trading_assets_tests.fake_gateway import FakeGateway
from trading_assets_tests.fake_gateway.made_up import made_up_bars

SYMBOLS = 50
SESSIONS = 200
SAMPLE_SESSIONS = 4  # each is a connection and 50 requests of its own
LAST_DAY = date(2026, 6, 30)
ACCOUNT = "DU1234567"
HISTORY = 20
TARGET = 1.1
"""Requests for bars per symbol."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What some questions took.

    Attributes:
        seconds: Connections included.
        messages: Everything that was sent.
        requests: Those of them that ask for bars.
        bars: How many came.
    """

    seconds: float
    messages: int
    requests: int
    bars: int


def run(sessions: int, at_once: int, symbols: int = SYMBOLS) -> Asked:
    """What *sessions* of *symbols* take.

    Args:
        sessions: Up to `LAST_DAY`, 1 to 250.
        at_once: How many of them are one question.
        symbols: How many, 1 to 999.
    """
    days = trading_calendar().between(date(2025, 1, 2), LAST_DAY)[-sessions:]
    names = [f"S{number:03}" for number in range(symbols)]
    with FakeGateway(account=ACCOUNT) as gateway:
        for number, name in enumerate(names):
            bars = made_up_bars(number, 100.0, LAST_DAY)
            gateway.add_symbol(name, con_id=number + 1, bars=bars)
        settings = GatewaySettings(port=gateway.port, client_id=2, account=ACCOUNT)
        market_data = IbkrVisits(settings, trading_calendar(), None)
        started, found = perf_counter(), 0
        for at in range(0, sessions, at_once):
            part = days[at : at + at_once]
            history = market_data.history(names, part[0], part[-1])
            history.require_readable()
            found += len(history.bars)
        seconds = perf_counter() - started
        kinds = Counter(one.message_id for one in gateway.received)
    return Asked(seconds, kinds.total(), kinds[HISTORY], found)


def main() -> None:
    """Print both, and how many times as long day by day would take."""
    whole = run(SESSIONS, SESSIONS)
    daily = run(SAMPLE_SESSIONS, 1)
    per_session = daily.seconds / SAMPLE_SESSIONS
    print(f"Bars of {SYMBOLS} symbols and {SESSIONS} sessions from a gateway")
    print(f"  in one question      {whole.seconds:6.2f} s   ({whole.bars:,} bars)")
    print(f"  per symbol           {whole.seconds / SYMBOLS * 1000:6.0f} ms")
    print(
        f"  requests for bars    {whole.requests / SYMBOLS:6.2f} a symbol   "
        f"(target {TARGET}), {whole.messages} messages in all"
    )
    print(f"  session by session   {per_session * SESSIONS:6.0f} s   (from a sample)")
    print(f"  ratio                {per_session * SESSIONS / whole.seconds:6.0f} x")


if __name__ == "__main__":
    main()
