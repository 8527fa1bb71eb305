"""Bars over a connection that lives for one question, and actions from a folder."""

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from trading_assets.adapters.ibkr.visits import IbkrVisits
from trading_assets.errors import MarketDataUnreadable, WrongAccount
from trading_assets_tests.adapters.ibkr.conftest import SettingsFor
from trading_assets_tests.adapters.ibkr.test_market_data import LAST, daily_frame
from trading_assets_tests.adapters.market_data.contract import CALENDAR
from trading_assets_tests.fake_gateway import FakeGateway

FIRST = date(2023, 12, 4)


@pytest.fixture
def market(fake: FakeGateway) -> FakeGateway:
    """AAPL with a year of bars, and BRK.B with another one."""
    fake.add_symbol("AAPL", con_id=265598, bars=daily_frame(date(2023, 1, 3), LAST))
    fake.add_symbol("BRK B", con_id=72063691, bars=daily_frame(date(2023, 1, 3), LAST, 2))
    return fake


def test_a_question_leaves_no_connection_behind(
    market: FakeGateway, settings_for: SettingsFor
) -> None:
    visits = IbkrVisits(settings_for(), CALENDAR, None)

    for _ in range(2):
        history = visits.history(["AAPL"], FIRST, LAST)
        assert len(history.bars) == 9
        market.wait_until(lambda fake: not fake.client_ids)

    assert visits.restates
    assert history.actions.empty
    assert history.later_splits.empty


def test_a_gateway_that_is_down_is_no_empty_answer(
    market: FakeGateway, settings_for: SettingsFor
) -> None:
    visits = IbkrVisits(settings_for(), CALENDAR, None)
    market.stop_listening()

    with pytest.raises(MarketDataUnreadable, match=f"gateway 127.0.0.1:{market.port}"):
        visits.history(["AAPL"], FIRST, LAST)

    market.start_listening()
    assert len(visits.history(["AAPL"], FIRST, LAST).bars) == 9


def test_another_account_is_refused(market: FakeGateway, settings_for: SettingsFor) -> None:
    assert market.port
    visits = IbkrVisits(settings_for(account="DU7654321"), CALENDAR, None)

    with pytest.raises(WrongAccount, match="reports DU1234567, not DU7654321"):
        visits.history(["AAPL"], FIRST, LAST)


def test_actions_come_from_the_folder_and_later_splits_are_told_apart(
    market: FakeGateway, settings_for: SettingsFor, tmp_path: Path
) -> None:
    assert market.port
    (tmp_path / "AAPL.csv").write_text(
        "ex_date,kind,value\n"
        "2023-12-06,split,4\n2023-12-06,dividend,0.25\n2022-06-01,split,7\n"
        "2024-03-02,split,2\n2024-03-04,dividend,1\n"
    )
    visits = IbkrVisits(settings_for(), CALENDAR, tmp_path)

    history = visits.history(["AAPL", "BRK.B"], FIRST, LAST)

    assert set(history.actions["symbol"]) == {"AAPL"}
    assert history.actions[["kind", "value"]].values.tolist() == [
        ["dividend", 0.25],
        ["split", 4.0],
    ]
    assert history.later_splits.to_dict("records") == [
        {
            "symbol": "AAPL",
            "ex_session": pd.Timestamp("2024-03-04"),  # the second was a Saturday
            "kind": "split",
            "value": 2.0,
            "source": "ibkr",
        }
    ]
    told = daily_frame(date(2023, 1, 3), LAST).loc[str(FIRST) :]
    assert history.bars["close"][:9].tolist() == told["close"].tolist()  # not yet undone


def test_a_file_that_can_not_be_read_stops_its_symbol_alone(
    market: FakeGateway, settings_for: SettingsFor, tmp_path: Path
) -> None:
    assert market.port
    (tmp_path / "AAPL.csv").write_text("ex_date,kind,value\n2023-12-06,split,0\n")
    visits = IbkrVisits(settings_for(), CALENDAR, tmp_path)

    history = visits.history(["AAPL", "BRK.B"], FIRST, LAST)

    assert "AAPL.csv line 2: value must be a number above 0" in history.unreadable["AAPL"]
    assert set(history.coverage["symbol"]) == {"BRK.B"}


def test_a_folder_that_is_none_is_named(
    market: FakeGateway, settings_for: SettingsFor, tmp_path: Path
) -> None:
    assert market.port
    visits = IbkrVisits(settings_for(), CALENDAR, tmp_path / "nowhere")

    history = visits.history(["AAPL"], FIRST, LAST)

    assert "nowhere is no folder" in history.unreadable["AAPL"]
    with pytest.raises(MarketDataUnreadable, match="nowhere is no folder"):
        history.require_readable()
