"""The promises in `MarketData`, as tests that every source runs."""

from datetime import date

import pandas as pd
import pytest

from trading_assets.adapters.market_data.port import MarketData, MarketHistory
from trading_assets.errors import InvalidInput
from trading_assets.models.tables import BARS, CORPORATE_ACTIONS, COVERAGE
from trading_assets.sessions import trading_calendar

CALENDAR = trading_calendar()


class MarketDataContract:
    """Subclass, and provide a source that knows `SYMBOLS` between `FIRST` and `LAST`.

    The range should hold sessions with and without bars, and actions.
    """

    SYMBOLS: tuple[str, ...]
    FIRST: date
    LAST: date

    @pytest.fixture
    def market_data(self) -> MarketData:
        raise NotImplementedError

    @pytest.fixture
    def history(self, market_data: MarketData) -> MarketHistory:
        return market_data.history(self.SYMBOLS, self.FIRST, self.LAST)

    def test_every_symbol_and_session_has_one_coverage_row(
        self, history: MarketHistory
    ) -> None:
        sessions = CALENDAR.between(self.FIRST, self.LAST)
        expected = [
            (symbol, pd.Timestamp(session))
            for symbol in sorted(self.SYMBOLS)
            for session in sessions
        ]

        found = zip(history.coverage["symbol"], history.coverage["session"], strict=True)
        assert list(found) == expected
        assert set(history.coverage["asset"]) == {"bars"}
        assert set(history.coverage["strategy"]) == {""}

    def test_there_is_a_bar_exactly_where_coverage_says_ok(
        self, history: MarketHistory
    ) -> None:
        covered = history.coverage[history.coverage["status"] == "ok"]

        keys = ["symbol", "session"]
        pd.testing.assert_frame_equal(
            history.bars[keys], covered[keys].reset_index(drop=True)
        )
        assert (history.coverage["rows"] == (history.coverage["status"] == "ok")).all()

    def test_a_session_without_a_bar_says_why_and_one_with_a_bar_says_nothing(
        self, history: MarketHistory
    ) -> None:
        has_reason = history.coverage["reason"] != ""

        assert (has_reason == (history.coverage["status"] != "ok")).all()

    def test_frames_have_the_shape_of_their_tables(self, history: MarketHistory) -> None:
        recorded_at = pd.Timestamp("2024-01-02", tz="UTC")
        bars = BARS.conform(history.bars.assign(recorded_at=recorded_at))

        pd.testing.assert_frame_equal(bars.drop(columns="recorded_at"), history.bars)
        pd.testing.assert_frame_equal(
            CORPORATE_ACTIONS.conform(history.actions), history.actions
        )
        pd.testing.assert_frame_equal(COVERAGE.conform(history.coverage), history.coverage)

    def test_a_range_without_sessions_has_frames_of_the_same_shape(
        self, market_data: MarketData, history: MarketHistory
    ) -> None:
        saturday = date(2024, 1, 6)
        nothing = market_data.history(self.SYMBOLS, saturday, saturday)

        for name in ("bars", "actions", "coverage"):
            frame = getattr(nothing, name)
            assert frame.empty
            assert frame.dtypes.equals(getattr(history, name).dtypes)

    def test_each_source_names_itself_beside_what_it_gives(
        self, market_data: MarketData, history: MarketHistory
    ) -> None:
        assert set(history.bars["source"]) == {market_data.source}
        assert set(history.actions["source"]) == {market_data.source}

    def test_only_a_source_that_restates_knows_of_splits_after_the_range(
        self, market_data: MarketData, history: MarketHistory
    ) -> None:
        later = history.later_splits

        assert market_data.restates or later.empty
        assert (later["ex_session"] > pd.Timestamp(self.LAST)).all()
        pd.testing.assert_frame_equal(CORPORATE_ACTIONS.conform(later), later)

    def test_actions_lie_on_sessions_of_the_range(self, history: MarketHistory) -> None:
        sessions = {pd.Timestamp(on) for on in CALENDAR.between(self.FIRST, self.LAST)}

        assert len(history.actions) > 0
        assert set(history.actions["ex_session"]) <= sessions

    def test_a_hash_stands_exactly_where_something_is_stored(
        self, history: MarketHistory
    ) -> None:
        stored = {
            *zip(history.bars["symbol"], history.bars["session"], strict=True),
            *zip(history.actions["symbol"], history.actions["ex_session"], strict=True),
        }

        hashed = history.coverage[history.coverage["content_hash"] != ""]
        assert set(zip(hashed["symbol"], hashed["session"], strict=True)) == stored

    def test_a_session_is_the_same_whatever_else_is_asked_for(
        self, market_data: MarketData, history: MarketHistory
    ) -> None:
        sessions = CALENDAR.between(self.FIRST, self.LAST)
        symbol, middle = self.SYMBOLS[-1], sessions[len(sessions) // 2]

        alone = market_data.history([symbol], middle, middle)

        for name, column in (
            ("bars", "session"),
            ("actions", "ex_session"),
            ("coverage", "session"),
        ):
            frame = getattr(history, name)
            is_asked = (frame["symbol"] == symbol) & (frame[column] == pd.Timestamp(middle))
            pd.testing.assert_frame_equal(
                getattr(alone, name), frame[is_asked].reset_index(drop=True)
            )

    def test_order_and_repetition_of_symbols_change_nothing(
        self, market_data: MarketData, history: MarketHistory
    ) -> None:
        shuffled = [*reversed(self.SYMBOLS), self.SYMBOLS[0]]

        again = market_data.history(shuffled, self.FIRST, self.LAST)

        pd.testing.assert_frame_equal(again.bars, history.bars)
        pd.testing.assert_frame_equal(again.coverage, history.coverage)

    @pytest.mark.parametrize("symbol", ["", "aapl", "../AAPL", "A B", "A" * 17])
    def test_what_is_no_symbol_is_refused_by_name(
        self, market_data: MarketData, symbol: str
    ) -> None:
        with pytest.raises(InvalidInput, match="symbol must be") as refusal:
            market_data.history([symbol], self.FIRST, self.LAST)

        assert repr(symbol) in str(refusal.value)
