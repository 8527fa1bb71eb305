import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.adapters.ibkr.gateway import Gateway
from trading_assets.adapters.ibkr.history import (
    MINUTE_PIECES,
    daily_pieces,
    end_words,
    minute_pieces,
)
from trading_assets.adapters.ibkr.market_data import IbkrMarketData
from trading_assets.adapters.ibkr.pacing import Pace, Pacer
from trading_assets.adapters.market_data.port import MarketData, MarketHistory
from trading_assets.core.restatement import partitions_to_redo, restatements
from trading_assets.errors import InvalidInput, MarketDataUnreadable, RequestRefused
from trading_assets.models.tables import CORPORATE_ACTIONS
from trading_assets_tests.adapters.ibkr.conftest import SettingsFor
from trading_assets_tests.adapters.market_data.contract import CALENDAR, MarketDataContract
from trading_assets_tests.fake_gateway import FakeGateway, Fault

DETAILS, BARS, CANCEL, HEAD = 9, 20, 25, 87
FIRST, LAST = date(2023, 3, 2), date(2023, 12, 14)
LISTED = date(2023, 9, 5)
GAP = date(2023, 6, 1)
UNHURRIED = Pace(pauses_seconds=(0.01, 0.02))
FIELDS = ["open", "high", "low", "close", "volume"]
MINUTE_COLUMNS = ["symbol", "session", "started_at", *FIELDS]


def daily_frame(first: date, last: date, seed: int = 1) -> pd.DataFrame:
    """A walk in cents, one bar per session."""
    sessions = CALENDAR.between(first, last)
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.02, len(sessions))))
    open_ = close * np.exp(random.normal(0, 0.005, len(sessions)))
    frame = pd.DataFrame(
        {
            "open": open_,
            "high": np.maximum(open_, close) * 1.01,
            "low": np.minimum(open_, close) * 0.99,
            "close": close,
        },
        index=pd.DatetimeIndex(sessions),
    ).round(2)
    return frame.assign(volume=random.integers(1_000, 9_000, len(sessions)) * 100.0)


EVERYTHING = daily_frame(date(2015, 1, 2), date(2023, 12, 29))


def minute_frame(*sessions: date) -> pd.DataFrame:
    """Minutes from 4 to 20 o'clock in New York."""
    starts = pd.DatetimeIndex(
        [
            start
            for session in sessions
            for start in pd.date_range(
                f"{session} 04:00", f"{session} 19:59", freq="min", tz="America/New_York"
            )
        ]
    ).tz_convert("UTC")
    close = 100.0 + np.arange(len(starts)) / 100
    return pd.DataFrame(
        {
            "open": close,
            "high": close + 0.01,
            "low": close - 0.01,
            "close": close,
            "volume": 100.0,
        },
        index=starts,
    ).round(2)


@pytest.fixture
def market(fake: FakeGateway) -> FakeGateway:
    """AAPL since 2015, BRK.B with a gap, and NEW, which was listed in between."""
    fake.add_symbol("AAPL", con_id=265598, bars=EVERYTHING)
    fake.add_symbol(
        "BRK B",
        con_id=72063691,
        primary_exchange="NYSE",
        bars=daily_frame(date(2020, 1, 2), LAST, seed=2).drop(index=pd.Timestamp(GAP)),
    )
    fake.add_symbol("NEW", con_id=4711, bars=daily_frame(LISTED, LAST, seed=3))
    return fake


def source_of(gateway: Gateway, **changes: Any) -> IbkrMarketData:
    given = {"pace": UNHURRIED, "again_seconds": 0.01, **changes}
    return IbkrMarketData(gateway, CALENDAR, **given)


@pytest.fixture
def source(looking: Gateway, market: FakeGateway) -> IbkrMarketData:
    assert market.port
    return source_of(looking)


@pytest.fixture
def impatient(settings_for: SettingsFor, market: FakeGateway) -> Iterator[IbkrMarketData]:
    """A source that waits for each answer a fifth of a second."""
    assert market.port
    with Gateway.connected(settings_for(answer_seconds=0.2)) as gateway:
        yield source_of(gateway)


def asked(fake: FakeGateway, message: int) -> list[list[str]]:
    return [one.fields for one in fake.received if one.message_id == message]


def durations(fake: FakeGateway) -> list[tuple[str, str]]:
    """End and duration of every request for bars."""
    return [(fields[15], fields[17]) for fields in asked(fake, BARS)]


def statuses(history: MarketHistory, symbol: str) -> dict[str, int]:
    own = history.coverage[history.coverage["symbol"] == symbol]
    return own["status"].value_counts().to_dict()


class TestIbkrMarketData(MarketDataContract):
    SYMBOLS = ("AAPL", "BRK.B", "NEW")
    FIRST, LAST = FIRST, LAST

    @pytest.fixture
    def market_data(self, source: IbkrMarketData) -> MarketData:
        return source

    def test_each_source_names_itself_beside_what_it_gives(
        self, market_data: MarketData, history: MarketHistory
    ) -> None:
        assert set(history.bars["source"]) == {market_data.source} == {"ibkr"}

    def test_actions_lie_on_sessions_of_the_range(self, history: MarketHistory) -> None:
        """There are none, in a frame of their shape: this source can't tell them."""
        assert history.actions.empty
        pd.testing.assert_frame_equal(history.actions, CORPORATE_ACTIONS.empty())


# Daily bars


def test_bars_are_those_of_the_gateway(source: IbkrMarketData) -> None:
    history = source.history(["AAPL"], FIRST, LAST)

    expected = EVERYTHING.loc[str(FIRST) : str(LAST)]
    assert history.bars["session"].tolist() == expected.index.tolist()
    np.testing.assert_array_equal(history.bars[FIELDS], expected[FIELDS])
    assert statuses(history, "AAPL") == {"ok": len(expected)}
    assert history.unreadable == {}


def test_two_hundred_sessions_are_one_request_a_symbol(
    source: IbkrMarketData, market: FakeGateway
) -> None:
    assert len(CALENDAR.between(FIRST, LAST)) == 200

    source.history(["AAPL", "BRK.B"], FIRST, LAST)

    assert durations(market) == [("20231214 23:59:59 US/Eastern", "1 Y")] * 2
    assert len(asked(market, DETAILS)) == 2
    assert asked(market, HEAD) == []
    assert {fields[18:21][0] for fields in asked(market, BARS)} == {"1"}
    assert {fields[19] for fields in asked(market, BARS)} == {"TRADES"}


def test_one_session_is_one_day(source: IbkrMarketData, market: FakeGateway) -> None:
    history = source.history(["AAPL"], LAST, LAST)

    assert len(history.bars) == 1
    assert durations(market) == [("20231214 23:59:59 US/Eastern", "3 D")]


def test_years_are_asked_for_one_by_one(
    source: IbkrMarketData, market: FakeGateway
) -> None:
    first = date(2019, 5, 6)

    history = source.history(["AAPL"], first, LAST)

    expected = EVERYTHING.loc[str(first) : str(LAST)]
    assert history.bars["session"].tolist() == expected.index.tolist()
    assert [duration for _, duration in durations(market)] == ["1 Y"] * 4 + ["246 D"]


def test_a_contract_is_asked_for_once(source: IbkrMarketData, market: FakeGateway) -> None:
    for _ in range(3):
        source.history(["AAPL"], LAST, LAST)

    assert len(asked(market, DETAILS)) == 1


def test_before_its_first_bar_a_symbol_is_not_listed(
    source: IbkrMarketData, market: FakeGateway
) -> None:
    history = source.history(["NEW"], date(2018, 1, 2), LAST)

    sessions = CALENDAR.between(date(2018, 1, 2), LAST)
    before = sum(on < LISTED for on in sessions)
    assert statuses(history, "NEW") == {
        "not_listed": before,
        "ok": len(sessions) - before,
    }
    assert (
        history.coverage["reason"][0] == "Interactive Brokers has bars from 2023-09-05 on"
    )
    # the years before its first bar are not asked for
    assert len(asked(market, BARS)) == 1
    assert len(asked(market, HEAD)) == 1


def test_a_range_before_the_first_bar_is_not_listed(source: IbkrMarketData) -> None:
    history = source.history(["NEW"], FIRST, date(2023, 4, 28))

    assert set(statuses(history, "NEW")) == {"not_listed"}
    assert history.unreadable == {}


def test_a_session_that_is_left_out_is_missing(source: IbkrMarketData) -> None:
    history = source.history(["BRK.B"], GAP, date(2023, 6, 30))

    first = history.coverage.iloc[0]
    assert (first["status"], first["rows"]) == ("missing", 0)
    assert first["reason"] == "Interactive Brokers has no bar of it"
    assert statuses(history, "BRK.B")["missing"] == 1


def test_a_symbol_without_any_bar_is_missing_and_not_unreadable(
    source: IbkrMarketData, fake: FakeGateway
) -> None:
    fake.add_symbol("BARE", con_id=12, bars=None)

    history = source.history(["BARE"], FIRST, LAST)

    assert statuses(history, "BARE") == {"missing": 200}
    assert history.unreadable == {}


def test_a_session_that_has_not_closed_has_no_bar(
    looking: Gateway, market: FakeGateway
) -> None:
    assert market.port
    noon = datetime(2023, 12, 14, 17, tzinfo=UTC)
    source = source_of(looking, now=lambda: noon)

    history = source.history(["AAPL"], date(2023, 12, 13), LAST)

    assert history.bars["session"].tolist() == [pd.Timestamp(2023, 12, 13)]
    assert history.coverage["status"].tolist() == ["ok", "rejected"]
    assert history.coverage["reason"][1] == "the session has not closed"


def test_a_range_that_has_not_closed_asks_for_no_bars(
    looking: Gateway, market: FakeGateway
) -> None:
    dawn = datetime(2023, 12, 14, 9, tzinfo=UTC)

    history = source_of(looking, now=lambda: dawn).history(["AAPL"], LAST, LAST)

    assert history.coverage["status"].tolist() == ["rejected"]
    assert asked(market, BARS) == []


def test_a_bar_that_can_not_be_is_rejected_and_a_stray_one_is_told(
    source: IbkrMarketData, fake: FakeGateway
) -> None:
    frame = daily_frame(FIRST, LAST)
    frame.loc["2023-07-05", "high"] = 1.0
    frame.loc["2023-07-06", "volume"] = -1.0
    saturday = frame.loc[["2023-07-07"]].set_axis(pd.DatetimeIndex(["2023-07-08"]))
    again = frame.loc[["2023-07-11"]]
    another = again.assign(close=again["low"])
    fake.add_symbol("ODD", con_id=13, bars=pd.concat([frame, saturday, again, another]))

    history = source.history(["ODD"], date(2023, 7, 3), date(2023, 7, 14))

    rejected = history.coverage.set_index("session")["reason"]
    assert statuses(history, "ODD") == {"ok": 6, "rejected": 3}
    assert "high 1.0 is below" in rejected["2023-07-05"]
    assert rejected["2023-07-06"] == "volume must not be below 0, is -1"
    assert "contradicts" in rejected["2023-07-11"]
    assert history.remarks == (
        "ODD: a bar of 2023-07-08, which is no session, is not stored",
    )


# What is not told


@pytest.mark.parametrize(
    ("symbol", "why"),
    [("NOPE", "refused with 200"), ("^GSPC", "only shares"), ("BTC/USD", "only shares")],
)
def test_what_is_not_known_is_unreadable_and_stops_nobody(
    source: IbkrMarketData, symbol: str, why: str
) -> None:
    history = source.history([symbol, "AAPL"], FIRST, LAST)

    assert [*history.unreadable] == [symbol]
    assert symbol in history.unreadable[symbol]
    assert why in history.unreadable[symbol]
    assert set(history.coverage["symbol"]) == {"AAPL"}
    assert len(history.bars) == 200


def test_an_empty_answer_is_asked_for_again(
    source: IbkrMarketData, market: FakeGateway
) -> None:
    market.inject(Fault.EMPTY_HISTORY)

    history = source.history(["AAPL"], FIRST, LAST)

    assert len(history.bars) == 200
    assert len(asked(market, BARS)) == 2


def test_two_empty_answers_are_a_failure_and_not_an_absence(
    source: IbkrMarketData, market: FakeGateway
) -> None:
    market.inject(Fault.EMPTY_HISTORY, times=None, symbol="AAPL")

    history = source.history(["AAPL", "BRK.B"], FIRST, LAST)

    assert "2023-03-02 to 2023-12-14: the answer was empty" in history.unreadable["AAPL"]
    assert set(history.coverage["symbol"]) == {"BRK.B"}
    assert len(asked(market, BARS)) == 3


def test_an_empty_answer_about_years_before_the_first_bar_is_one(
    source: IbkrMarketData, market: FakeGateway
) -> None:
    market.inject(Fault.EMPTY_HISTORY, times=None, symbol="NEW")

    history = source.history(["NEW"], FIRST, date(2023, 4, 28))

    assert set(statuses(history, "NEW")) == {"not_listed"}
    assert len(asked(market, BARS)) == 1


def test_silence_is_unreadable_and_frees_its_place(
    impatient: IbkrMarketData, market: FakeGateway
) -> None:
    market.inject(Fault.NO_ANSWER, symbol="AAPL")

    history = impatient.history(["AAPL", "BRK.B"], FIRST, LAST)

    assert "no answer within 0.2 s" in history.unreadable["AAPL"]
    assert set(history.coverage["symbol"]) == {"BRK.B"}
    market.wait_until(lambda fake: asked(fake, CANCEL))
    silent = next(one for one in asked(market, BARS) if one[3] == "AAPL")
    assert asked(market, CANCEL)[0][2] == silent[1]


def test_silence_about_the_first_bar_is_unreadable(
    impatient: IbkrMarketData, market: FakeGateway
) -> None:
    market.inject(Fault.NO_ANSWER, message=HEAD)

    history = impatient.history(["NEW"], FIRST, LAST)

    assert "NEW: first bar: no answer" in history.unreadable["NEW"]


def test_a_request_refused_for_its_pace_is_made_again(
    source: IbkrMarketData, market: FakeGateway
) -> None:
    market.inject(Fault.PACING, times=2)

    history = source.history(["AAPL"], FIRST, LAST)

    assert len(history.bars) == 200
    assert len(asked(market, BARS)) == 3


def test_a_pace_that_is_never_right_is_unreadable(
    source: IbkrMarketData, market: FakeGateway
) -> None:
    market.inject(Fault.PACING, times=None)

    history = source.history(["AAPL"], FIRST, LAST)

    assert "pacing violation" in history.unreadable["AAPL"]
    assert len(asked(market, BARS)) == 1 + len(UNHURRIED.pauses_seconds)


def test_what_may_not_be_seen_is_unreadable(
    source: IbkrMarketData, market: FakeGateway
) -> None:
    market.inject(Fault.NO_PERMISSION, times=None)

    history = source.history(["AAPL"], FIRST, LAST)

    assert "No market data permissions" in history.unreadable["AAPL"]
    assert len(asked(market, BARS)) == 1


def test_what_was_read_before_the_connection_was_lost_is_kept(
    looking: Gateway, market: FakeGateway
) -> None:
    one_by_one = Pace(open_requests=1)
    market.inject(Fault.RESTART, message=BARS, symbol="NEW")

    history = source_of(looking, pace=one_by_one).history(["AAPL", "NEW"], FIRST, LAST)

    assert set(history.bars["symbol"]) == {"AAPL"}
    assert "the connection was lost" in history.unreadable["NEW"]
    with pytest.raises(MarketDataUnreadable, match="NEW"):
        history.require_readable()


def test_if_nothing_was_read_before_it_nothing_is_answered(
    source: IbkrMarketData, market: FakeGateway
) -> None:
    market.inject(Fault.RESTART, message=BARS)

    with pytest.raises(MarketDataUnreadable, match="the connection was lost"):
        source.history(["AAPL", "BRK.B", "NEW"], FIRST, LAST)


def test_a_connection_that_was_closed_raises(
    settings_for: SettingsFor, market: FakeGateway
) -> None:
    assert market.port
    with Gateway.connected(settings_for()) as gateway:
        source = source_of(gateway)

    with pytest.raises(MarketDataUnreadable, match="was closed"):
        source.history(["AAPL"], FIRST, LAST)


# A split


def test_a_split_is_seen_in_what_is_told_and_names_what_to_redo(
    source: IbkrMarketData, market: FakeGateway
) -> None:
    split_on = pd.Timestamp(2023, 12, 1)
    stored = source.history(["AAPL", "BRK.B"], FIRST, date(2023, 11, 30)).bars
    adjusted = EVERYTHING.copy()
    is_before = adjusted.index < split_on
    adjusted.loc[is_before, FIELDS[:4]] = (adjusted.loc[is_before, FIELDS[:4]] / 4).round(2)
    adjusted.loc[is_before, "volume"] *= 4
    market.add_symbol("AAPL", con_id=265598, bars=adjusted)

    told = source.history(["AAPL", "BRK.B"], date(2023, 11, 1), LAST).bars
    found = restatements(stored, told)

    assert found[["symbol", "kind", "ratio"]].values.tolist() == [["AAPL", "split", 4.0]]
    assert found["ex_session"][0] == split_on
    redo = partitions_to_redo(found, stored)
    assert (
        redo["session"].tolist()
        == stored.loc[stored["symbol"] == "AAPL", "session"].tolist()
    )


# Minutes


WINTER, SUMMER = date(2023, 12, 14), date(2023, 7, 5)


@pytest.fixture
def minutes(market: FakeGateway) -> FakeGateway:
    market.add_symbol(
        "AAPL",
        con_id=265598,
        bars=EVERYTHING,
        minutes=minute_frame(SUMMER, date(2023, 12, 13), WINTER),
    )
    return market


@pytest.mark.parametrize(
    ("session", "opens"), [(WINTER, "2023-12-14 14:30"), (SUMMER, "2023-07-05 13:30")]
)
def test_minutes_are_stamped_in_utc(
    source: IbkrMarketData, minutes: FakeGateway, session: date, opens: str
) -> None:
    frame = source.minute_bars(["AAPL"], session, session)

    assert minutes.port
    assert list(frame.columns) == MINUTE_COLUMNS
    assert len(frame) == 390
    assert frame["started_at"][0] == pd.Timestamp(opens, tz="UTC")
    assert frame["started_at"].diff().dropna().eq(pd.Timedelta(minutes=1)).all()
    assert set(frame["session"]) == {pd.Timestamp(session)}
    expected = minute_frame(SUMMER, date(2023, 12, 13), WINTER)
    np.testing.assert_array_equal(
        frame[FIELDS], expected.loc[pd.DatetimeIndex(frame["started_at"]), FIELDS]
    )


def test_a_minute_range_is_asked_for_by_session(
    source: IbkrMarketData, minutes: FakeGateway
) -> None:
    frame = source.minute_bars(["AAPL"], date(2023, 12, 13), WINTER)

    assert len(frame) == 2 * 390
    assert frame["started_at"].is_monotonic_increasing
    assert durations(minutes) == [
        ("20231213 23:59:59 US/Eastern", "1 D"),
        ("20231214 23:59:59 US/Eastern", "1 D"),
    ]


def test_longer_bars_are_asked_for_in_longer_pieces(
    source: IbkrMarketData, minutes: FakeGateway
) -> None:
    frame = source.minute_bars(["AAPL"], WINTER, WINTER, "30 mins")

    # the session before is in the answer, and was not asked for
    assert len(frame) == 13
    assert set(frame["session"]) == {pd.Timestamp(WINTER)}
    assert durations(minutes) == [("20231214 23:59:59 US/Eastern", "1 M")]


def test_minutes_that_can_not_be_read_raise(
    source: IbkrMarketData, minutes: FakeGateway
) -> None:
    minutes.inject(Fault.EMPTY_HISTORY, times=2)

    with pytest.raises(MarketDataUnreadable, match=r"AAPL: 1 min bars .* empty, twice"):
        source.minute_bars(["AAPL"], WINTER, WINTER)


def test_no_minutes_have_the_columns_of_any_others(
    source: IbkrMarketData, minutes: FakeGateway
) -> None:
    some = source.minute_bars(["AAPL"], WINTER, WINTER)

    for nothing in (
        source.minute_bars(["AAPL"], date(2023, 12, 16), date(2023, 12, 17)),
        source.minute_bars([], WINTER, WINTER),
        source.minute_bars(["BRK.B"], WINTER, WINTER),
    ):
        assert nothing.empty
        assert nothing.dtypes.equals(some.dtypes)
    assert minutes.port


@pytest.mark.parametrize("bar_size", ["1 sec", "1 day", "2 min", ""])
def test_another_size_is_refused(source: IbkrMarketData, bar_size: str) -> None:
    with pytest.raises(InvalidInput, match="bar_size must be one of 1 min, 2 mins"):
        source.minute_bars(["AAPL"], WINTER, WINTER, bar_size)


# The words of a request


days = st.dates(date(1990, 1, 1), date(2035, 12, 31))


def reaches_back_to(end: date, duration: str) -> date:
    """The first day that *duration* reaches, where days are those of the calendar."""
    number, unit = duration.split()
    length = {"D": 1, "W": 7, "M": 28, "Y": 365}[unit]
    return end - timedelta(days=int(number) * length - 1)


@given(ends=st.tuples(days, days))
def test_daily_pieces_are_the_range_once(ends: tuple[date, date]) -> None:
    first, last = sorted(ends)

    pieces = list(daily_pieces(first, last))

    assert (pieces[-1].first, pieces[0].last) == (first, last)
    for newer, older in pairwise(pieces):
        assert older.last + timedelta(days=1) == newer.first
    for piece in pieces:
        assert piece.first <= piece.last
        # two days too many, in case the gateway begins somewhere else
        reached = reaches_back_to(piece.last, piece.duration)
        assert reached <= piece.first - timedelta(days=2)
        assert piece.duration == "1 Y" or int(piece.duration[:-2]) <= 365
    assert len(pieces) == -(-((last - first).days + 1) // 360)


@given(ends=st.tuples(days, days), bar_size=st.sampled_from([*MINUTE_PIECES]))
def test_minute_pieces_are_the_range_once(ends: tuple[date, date], bar_size: str) -> None:
    first, last = sorted(ends)
    last = min(last, first + timedelta(days=400))

    pieces = list(minute_pieces(first, last, bar_size))

    assert (pieces[0].first, pieces[-1].last) == (first, last)
    for older, newer in pairwise(pieces):
        assert older.last + timedelta(days=1) == newer.first
    for piece in pieces:
        assert reaches_back_to(piece.last, piece.duration) <= piece.first


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("America/New_York", "20231214 23:59:59 US/Eastern"),
        ("Europe/London", "20231214-23:59:59"),
        ("Asia/Tokyo", "20231214-14:59:59"),
    ],
)
def test_the_end_of_a_day_is_that_of_the_exchange(zone: str, expected: str) -> None:
    assert end_words(date(2023, 12, 14), ZoneInfo(zone)) == expected


# The pace


REFUSED_FOR_NOW = RequestRefused("bars", 162, "Historical data request pacing violation")
REFUSED = RequestRefused("bars", 200, "No security definition has been found")


def test_only_so_many_requests_are_open_at_once() -> None:
    async def most_at_once() -> int:
        pacer, seen = Pacer(Pace(open_requests=3)), [0, 0]

        async def request() -> None:
            seen[0] += 1
            seen[1] = max(seen)
            await asyncio.sleep(0)
            seen[0] -= 1

        await asyncio.gather(*(pacer.ask(f"S{at}", request) for at in range(20)))
        return seen[1]

    assert asyncio.run(most_at_once()) == 3


def begun_at(pace: Pace, contracts: list[str]) -> list[float]:
    """When a request for each of *contracts* began, seconds from the first."""

    async def measure() -> list[float]:
        pacer, loop = Pacer(pace), asyncio.get_running_loop()
        began: list[float] = []

        async def request() -> None:
            began.append(loop.time())

        for contract in contracts:
            await pacer.ask(contract, request)
        return [at - began[0] for at in began]

    return asyncio.run(measure())


def test_one_contract_is_asked_for_so_often_within_its_window() -> None:
    pace = Pace(per_contract=3, within_seconds=0.1)

    began = begun_at(pace, ["A"] * 7)

    assert all(later - at >= 0.1 for at, later in zip(began, began[3:], strict=False))


def test_other_contracts_do_not_wait_for_it() -> None:
    pace = Pace(per_contract=1, within_seconds=600.0)

    assert begun_at(pace, [f"S{at}" for at in range(50)])[-1] < 600.0


@pytest.mark.parametrize(
    ("outcomes", "calls"),
    [
        ([REFUSED_FOR_NOW, "bars"], 2),
        ([REFUSED_FOR_NOW, REFUSED_FOR_NOW, "bars"], 3),
        ([REFUSED_FOR_NOW] * 9, 3),
        ([REFUSED, "bars"], 1),
    ],
)
def test_only_what_is_refused_for_now_is_asked_again(
    outcomes: list[RequestRefused | str], calls: int
) -> None:
    told = iter(outcomes)
    made: list[RequestRefused | str] = []

    async def request() -> str:
        made.append(next(told))
        if isinstance(made[-1], RequestRefused):
            raise made[-1]
        return made[-1]

    async def ask() -> str:
        return await Pacer(UNHURRIED).ask("A", request)

    if made_well(outcomes, calls):
        assert asyncio.run(ask()) == "bars"
    else:
        with pytest.raises(RequestRefused):
            asyncio.run(ask())
    assert len(made) == calls


def made_well(outcomes: list[RequestRefused | str], calls: int) -> bool:
    return outcomes[calls - 1] == "bars"


def test_after_a_complaint_everybody_waits() -> None:
    async def measure() -> float:
        pacer, loop = Pacer(Pace(pauses_seconds=(0.1,))), asyncio.get_running_loop()
        complaints: Callable[[], Any] = iter([REFUSED_FOR_NOW]).__next__

        async def refused_once() -> None:
            try:
                raise complaints()
            except StopIteration:
                return

        async def other() -> float:
            return loop.time()

        began = loop.time()
        first = asyncio.create_task(pacer.ask("A", refused_once))
        await asyncio.sleep(0)
        at = await pacer.ask("B", other)
        await first
        return at - began

    assert asyncio.run(measure()) >= 0.1
