import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from trading_assets.adapters.ibkr.contracts import (
    SymbolSearch,
    broker_symbol,
    our_symbol,
    qualify,
)
from trading_assets.adapters.ibkr.gateway import Gateway
from trading_assets.errors import InvalidInput, NoAnswer, RequestRefused
from trading_assets.models.symbol import Listing
from trading_assets.models.table import Table
from trading_assets_tests.adapters.ibkr.conftest import SettingsFor
from trading_assets_tests.fake_gateway import FakeGateway, Fault

DETAILS, SEARCH = 9, 81


def searching(gateway: Gateway) -> SymbolSearch:
    return SymbolSearch(gateway, pause_seconds=0.0)


def summary(listing: Listing) -> tuple[str, int, str, str, str, str, float]:
    return (
        listing.symbol,
        listing.con_id,
        listing.name,
        listing.exchange,
        listing.primary_exchange,
        listing.currency,
        listing.min_tick,
    )


APPLE = ("AAPL", 265598, "APPLE INC", "SMART", "NASDAQ", "USD", 0.01)
BERKSHIRE = ("BRK.B", 72063691, "BERKSHIRE HATHAWAY", "SMART", "NYSE", "USD", 0.01)


@pytest.fixture
def market(fake: FakeGateway) -> FakeGateway:
    fake.add_symbol(
        "BRK B", con_id=72063691, primary_exchange="NYSE", name="BERKSHIRE HATHAWAY"
    )
    fake.add_symbol(
        "APC",
        con_id=14121,
        primary_exchange="IBIS",
        name="APPLE INC",
        currency="EUR",
        min_tick=0.005,
    )
    return fake


def test_shares_are_found_by_their_symbol(looking: Gateway, market: FakeGateway) -> None:
    found = qualify(looking, ["BRK.B", "AAPL", "BRK.B"])

    assert [*found] == ["AAPL", "BRK.B"]
    assert [summary(one) for one in found.values()] == [APPLE, BERKSHIRE]
    assert sum(one.message_id == DETAILS for one in market.received) == 2


def test_a_symbol_that_is_not_known_is_refused_by_name(looking: Gateway) -> None:
    with pytest.raises(RequestRefused, match="contract NOPE: refused with 200"):
        qualify(looking, ["AAPL", "NOPE"])


def test_a_symbol_of_several_shares_is_refused_with_each(
    looking: Gateway, fake: FakeGateway
) -> None:
    fake.add_symbol("AAPL", con_id=999, primary_exchange="NYSE", name="APPLE HOSPITALITY")

    with pytest.raises(RequestRefused, match="NYSE 999, NASDAQ 265598") as refusal:
        qualify(looking, ["AAPL"])

    assert refusal.value.code == 200


def test_a_share_in_another_currency_is_none_of_ours(
    looking: Gateway, market: FakeGateway
) -> None:
    assert market.port
    with pytest.raises(RequestRefused, match="contract APC"):
        qualify(looking, ["APC"])


def test_silence_is_not_unknown(settings_for: SettingsFor, fake: FakeGateway) -> None:
    fake.inject(Fault.NO_ANSWER, message=DETAILS, symbol="MSFT")

    with (
        Gateway.connected(settings_for(answer_seconds=0.2)) as gateway,
        pytest.raises(NoAnswer, match="contract MSFT"),
    ):
        qualify(gateway, ["AAPL", "MSFT"])


@pytest.mark.parametrize(
    ("ours", "theirs"), [("AAPL", "AAPL"), ("BRK.B", "BRK B"), ("3M", "3M")]
)
def test_a_symbol_is_written_their_way_and_back(ours: str, theirs: str) -> None:
    assert broker_symbol(ours) == theirs
    assert our_symbol(theirs) == ours


@pytest.mark.parametrize("symbol", ["^GSPC", "BTC/USD", "ES=F", "BRK-B", ".A", "A."])
def test_what_is_no_share_is_refused(symbol: str) -> None:
    with pytest.raises(InvalidInput, match="only shares"):
        broker_symbol(symbol)


def test_a_search_finds_names_and_beginnings_in_every_currency(
    looking: Gateway, market: FakeGateway
) -> None:
    assert market.port
    found = searching(looking).find("  apple ")

    assert [summary(one) for one in found] == [
        APPLE,
        ("APC", 14121, "APPLE INC", "SMART", "IBIS", "EUR", 0.005),
    ]
    assert [summary(one) for one in searching(looking).find("brk")] == [BERKSHIRE]


def test_a_search_may_find_nothing(looking: Gateway) -> None:
    assert searching(looking).find("zzzz") == []


def test_what_can_not_be_written_is_left_out(looking: Gateway, fake: FakeGateway) -> None:
    fake.add_symbol("apple lower", con_id=5, name="APPLE BONDS")
    fake.add_symbol("APPL", con_id=6, name="APPLE WITHOUT A TICK", min_tick=0.0)

    assert [one.symbol for one in searching(looking).find("apple")] == ["AAPL"]


def test_what_is_named_and_not_defined_is_left_out(
    looking: Gateway, fake: FakeGateway
) -> None:
    fake.add_symbol("APPX", con_id=0, name="APPLE OF OLD")

    assert [one.symbol for one in searching(looking).find("apple")] == ["AAPL"]


def test_a_search_that_is_not_answered_has_not_found_nothing(
    looking: Gateway, fake: FakeGateway
) -> None:
    fake.inject(Fault.NO_ANSWER, message=SEARCH)

    with pytest.raises(NoAnswer, match="search 'apple'"):
        SymbolSearch(looking, answer_seconds=0.2).find("apple")


def test_a_search_without_all_definitions_has_not_found_less(
    settings_for: SettingsFor, fake: FakeGateway
) -> None:
    fake.inject(Fault.NO_ANSWER, message=DETAILS)

    with (
        Gateway.connected(settings_for(answer_seconds=0.2)) as gateway,
        pytest.raises(NoAnswer, match="contract AAPL 265598"),
    ):
        searching(gateway).find("apple")


@pytest.mark.parametrize("text", ["", "  "])
def test_a_search_for_nothing_is_refused(looking: Gateway, text: str) -> None:
    with pytest.raises(InvalidInput, match="must name"):
        searching(looking).find(text)


def test_searches_of_all_threads_keep_their_distance(looking: Gateway) -> None:
    search = SymbolSearch(looking, pause_seconds=0.15)
    began = time.monotonic()

    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(search.find, ["apple", "msft", "aapl"]))

    assert time.monotonic() - began >= 2 * 0.15


def test_listings_are_rows_of_a_table(looking: Gateway) -> None:
    table = Table("symbols", Listing, ("con_id",), ("con_id",), wall_clock=("recorded_at",))

    frame = table.frame(qualify(looking, ["AAPL", "MSFT"]).values())

    assert frame["con_id"].tolist() == [265598, 272093]
    assert frame["min_tick"].dtype == "float64"
    assert str(frame["recorded_at"].dtype) == "datetime64[ns, UTC]"
