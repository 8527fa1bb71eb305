"""Bars from a gateway: stored as traded, whatever it tells of the past later on."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from trading_assets.defs import coverage
from trading_assets.defs.coverage import OUTDATED
from trading_assets.defs.resources import MarketDataResource, market_data_resource
from trading_assets.errors import InvalidInput
from trading_assets.models.tables import COVERAGE
from trading_assets_tests.defs.street import ACCOUNT, PRICES, Street
from trading_assets_tests.defs.world import FIELDS, faults_of, verdicts
from trading_assets_tests.fake_gateway import FakeGateway, Fault

BARS = 20


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with FakeGateway(account=ACCOUNT) as gateway:
        yield gateway


@pytest.fixture
def street(gateway: FakeGateway, tmp_path: Path) -> Street:
    """A world in which nothing has been made yet."""
    return Street.on(gateway, tmp_path / "street")


def restated(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    """What the check of this name has said."""
    (found,) = [
        own
        for own in result.get_asset_check_evaluations()
        if own.check_name == "restatements"
    ]
    return found


def assert_as_traded(street: Street, symbol: str, count: int) -> None:
    expected = street.traded[symbol].iloc[:count].astype("float64")
    np.testing.assert_array_equal(street.stored(symbol), expected[list(FIELDS)])


def test_an_evening_makes_bars_and_indicators_from_the_gateway(street: Street) -> None:
    result = street.make_market()

    assert result.success, faults_of(result)
    assert all(verdicts(result).values())
    tables = street.tables()
    assert set(tables["bars"]["source"]) == {"ibkr"}
    assert_as_traded(street, "AAA", street.count)
    assert len(tables["indicators"]) == 3 * street.count
    assert street.gateway.client_ids == set()
    assert {one.client_id for one in street.gateway.received if one.message_id == BARS} == {
        2
    }


def test_a_split_is_booked_and_what_was_stored_before_it_stays(street: Street) -> None:
    days = street.sessions
    street.split_between("BBB", days[30], 4)
    street.at_close_of(days[29])
    assert street.make_market(last=days[29]).success
    before = street.tables()

    street.at_close_of(days[30])
    result = street.make_market(days[30], days[30])

    assert result.success, faults_of(result)
    assert_as_traded(street, "BBB", 31)
    actions = street.tables()["corporate_actions"]
    assert actions.to_dict("records") == [
        {
            "symbol": "BBB",
            "ex_session": pd.Timestamp(days[30]),
            "kind": "split",
            "value": 4.0,
            "source": "ibkr",
        }
    ]
    for name in ("bars", "indicators", "coverage"):
        rows = street.tables()[name]
        old = rows[rows["session"] < pd.Timestamp(days[30])].reset_index(drop=True)
        pd.testing.assert_frame_equal(old, before[name], obj=name)
    said = restated(result)
    assert not said.passed
    assert said.severity is dg.AssetCheckSeverity.WARN
    assert verdicts(result)["bars:jumps"]
    shown = str(said.metadata["first of them"].value)
    assert f"| BBB | split | 4.00 | {days[30]} | {days[20]} | {days[29]} | 10 |" in shown
    assert f"trading-assets backfill --strategy cross --from {days[20]}" in shown


def test_after_a_split_a_backfill_and_making_all_again_change_nothing(
    street: Street,
) -> None:
    days = street.sessions
    street.split_between("BBB", days[30], 4)
    for last, first in ((29, 0), (30, 30), (33, 31)):
        street.at_close_of(days[last])
        assert street.make_market(days[first], days[last]).success
    before = street.tables()

    titles = street.backfilled("cross", street.lane_sessions[0], days[-1])
    again = street.make_market()

    assert titles[0].startswith("cross_view")
    assert restated(again).passed
    assert street.warehouse.read(COVERAGE, {"content_hash": OUTDATED}).empty
    for name in ("bars", "corporate_actions", "indicators"):
        pd.testing.assert_frame_equal(street.tables()[name], before[name], obj=name)


def test_a_fresh_home_with_the_split_in_a_file_differs_by_rounding_alone(
    street: Street,
) -> None:
    days = street.sessions
    street.split_between("BBB", days[30], 4)
    street.at_close_of(days[-1])
    street.write_actions_of("BBB", f"{days[30]},split,4", f"{days[32]},dividend,0.25")

    result = street.make_market(last=days[25])
    assert result.success, faults_of(result)
    assert street.make_market(days[26]).success

    found, traded = street.stored("BBB"), street.traded["BBB"]
    np.testing.assert_allclose(found[PRICES], traded[PRICES], rtol=0, atol=0.0201)
    np.testing.assert_array_equal(found["volume"], traded["volume"])
    actions = street.tables()["corporate_actions"]
    assert actions["kind"].tolist() == ["split", "dividend"]
    assert set(actions["source"]) == {"ibkr"}
    before = street.tables()
    street.backfilled("cross", street.lane_sessions[0], days[-1])
    pd.testing.assert_frame_equal(street.tables()["bars"], before["bars"])


def test_what_nothing_explains_is_not_stored_and_stops_the_step_by_name(
    street: Street,
) -> None:
    days = street.sessions
    street.split_between("BBB", days[31], 4)
    street.at_close_of(days[29])
    assert street.make_market(last=days[29]).success
    street.at_close_of(days[33])

    result = street.make_market(days[30], days[33])

    assert not result.success
    assert "BBB: a split of 4 shows in sessions to" in faults_of(result)
    assert "its first session is one of 4" in faults_of(result)
    assert restated(result).severity is dg.AssetCheckSeverity.ERROR
    assert len(street.stored("BBB")) == 30
    assert len(street.stored("AAA")) == 34

    street.write_actions_of("BBB", f"{days[31]},split,4")
    street.forget_code()
    street.backfilled("cross", street.lane_sessions[0], days[-1])
    assert len(street.stored("BBB")) == 34
    before, after = street.stored("BBB")["close"].iloc[[30, 31]]
    assert before / after == pytest.approx(4, rel=0.2)


def test_a_corrected_bar_outside_of_the_range_is_told_and_a_backfill_stores_it(
    street: Street,
) -> None:
    days = street.sessions
    street.at_close_of(days[32])
    assert street.make_market(last=days[32]).success
    street.traded["CCC"].loc[days[28], PRICES] *= 1.5
    street.at_close_of(days[33])

    result = street.make_market(days[33], days[33])

    assert result.success
    assert restated(result).severity is dg.AssetCheckSeverity.ERROR
    assert "outside" in str(restated(result).metadata["first of them"].value)
    with pytest.raises(AssertionError):
        assert_as_traded(street, "CCC", 34)
    street.backfilled("cross", street.lane_sessions[0], days[-1])
    assert_as_traded(street, "CCC", 34)


def test_a_bar_that_the_gateway_has_not_is_missing(street: Street) -> None:
    gap = street.sessions[28]
    street.traded["AAA"] = street.traded["AAA"].drop(index=gap)
    street.at_close_of(street.sessions[-1])

    result = street.make_market()

    assert result.success
    rows = street.tables()["coverage"].query("asset == 'bars' and symbol == 'AAA'")
    told = rows.set_index(rows["session"].dt.date)[["status", "reason"]].loc[gap]
    assert told.tolist() == ["missing", "Interactive Brokers has no bar of it"]


def test_a_gateway_that_goes_away_is_asked_again_and_leaves_no_empty_coverage(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coverage, "FIRST_RETRY_SECONDS", 1)
    street.gateway.inject(Fault.RESTART, message=BARS)

    result = street.make_market(symbols=["AAA"])

    assert result.success
    retried = [one for one in result.all_events if one.is_step_up_for_retry]
    assert len(retried) == 1
    assert_as_traded(street, "AAA", street.count)


def test_the_account_has_to_be_named() -> None:
    with pytest.raises(InvalidInput, match="IBKR_ACCOUNT must name it"):
        MarketDataResource(source="ibkr").create_resource(None)


def test_where_the_gateway_is_can_be_seen_in_the_launchpad(street: Street) -> None:
    resource = market_data_resource(street.settings)

    assert (resource.source, resource.host, resource.port) == (
        "ibkr",
        "127.0.0.1",
        street.gateway.port,
    )
    assert (resource.client_id, resource.account) == (2, ACCOUNT)
