"""What becomes of signals: against the simulated exchange, and against a plain loop."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.book import Book
from trading_assets.core.commission import commission
from trading_assets.core.exchange import SimulatedExchange
from trading_assets.core.outcomes import bars_since, outcomes_of
from trading_assets.core.panel import Panel
from trading_assets.models.order import Leg
from trading_assets.models.tables import SIGNAL_OUTCOMES
from trading_assets.strategies.spec import CommissionPlan, Costs
from trading_assets_tests.make import (
    OHLC,
    Happened,
    Said,
    flat,
    make_actions,
    make_bars,
    make_days,
    make_sessions,
    make_signals,
    make_ticket,
)

FREE = Costs(commission=CommissionPlan.NONE, slippage_bps=0)
ENTER = (100.0, 104.0, 99.0, 103.0)


def followed(
    said: Sequence[Said],
    *candles: OHLC | None,
    happened: Sequence[Happened] = (),
    horizons: tuple[int, ...] = (1,),
    costs: Costs = FREE,
    benchmark: Sequence[OHLC | None] | None = None,
) -> pd.DataFrame:
    """Outcomes of what is *said* of AAA, on the days after its close of 100."""
    actions = make_actions(happened)
    held_against = None
    if benchmark is not None:
        held_against = Panel.of(make_bars({"SPY": [flat(50), *benchmark]}), actions)
    panel = Panel.of(make_bars({"AAA": [flat(100), *candles]}), actions)
    return outcomes_of(
        make_signals(said), panel, costs, benchmark=held_against, horizons=horizons
    )


BUY = Said(0, "AAA", "BUY", stop=95.0, target=110.0)


# Against the simulated exchange

prices = st.integers(60, 140).map(float)


@st.composite
def candles(draw: st.DrawFn) -> OHLC:
    low, *inner, high = sorted(draw(st.lists(prices, min_size=4, max_size=4)))
    first, last = draw(st.permutations(inner))
    return (first, high, low, last)


@given(
    st.lists(candles(), min_size=1, max_size=6),
    st.sampled_from(["BUY", "SELL"]),
    st.none() | prices,
    st.none() | prices,
    st.sampled_from([None, 1, 2, 3]),
)
def test_a_trade_ends_as_it_does_at_the_simulated_exchange(
    bars: list[OHLC],
    action: str,
    stop: float | None,
    target: float | None,
    split_on: int | None,
) -> None:
    happened = [Happened(split_on, "AAA", "split", 2.0)] if split_on else []
    traded = [_halved(bar, day, split_on) for day, bar in enumerate(bars, start=1)]
    said = Said(0, "AAA", action, stop=stop, target=target)

    (outcome,) = followed(
        [said], *traded, happened=happened, horizons=(len(bars),)
    ).to_dict("records")

    fill = exchanged(said, traded, happened)
    assert outcome["first_touch"] == (fill["leg"] if fill else "time")
    if fill is not None:
        scale = 2.0 if split_on and fill["day"] >= split_on else 1.0
        assert outcome["exit_price"] == pytest.approx(fill["price"] * scale, rel=1e-12)
        assert outcome["exit_session"].date() == make_sessions(8)[fill["day"]]
    else:
        assert outcome["exit_price"] == pytest.approx(bars[-1][3], rel=1e-12)


def _halved(bar: OHLC, day: int, split_on: int | None) -> OHLC:
    scale = 2.0 if split_on and day >= split_on else 1.0
    first, high, low, last = bar
    return (first / scale, high / scale, low / scale, last / scale)


def exchanged(
    said: Said, bars: Sequence[OHLC], happened: Sequence[Happened]
) -> dict[str, Any] | None:
    """How a bracket of the same levels ends at the exchange, if it does."""
    days = make_days({"AAA": [flat(100), *bars]}, happened=happened)
    exchange = SimulatedExchange(
        strategy="reference", days=days, costs=FREE, book=Book.opened_with(1e6)
    )
    sign = 1 if said.action == "BUY" else -1
    entry = make_ticket(Leg.ENTRY, sign)
    levels = {Leg.STOP: {"stop": said.stop}, Leg.TARGET: {"limit": said.target}}
    legs = [
        make_ticket(leg, -sign, parent_id=entry.order_id, **level)
        for leg, level in levels.items()
        if None not in level.values()
    ]
    exchange.submit(0, [entry, *legs])
    for day in range(1, len(days.sessions)):
        exchange.trade(day)
    for row in exchange.log.fills:
        leg = row["order_id"].rpartition("-")[2]
        if leg != "entry":
            day = days.sessions.index(row["session"])
            return {"leg": leg, "price": row["price"], "day": day}
    return None


# Against a plain loop


@given(st.lists(candles(), min_size=3, max_size=9), st.sampled_from(["BUY", "SELL"]))
def test_returns_and_extremes_are_those_of_a_plain_loop(
    bars: list[OHLC], action: str
) -> None:
    side = 1 if action == "BUY" else -1
    rows = followed([Said(0, "AAA", action)], *bars, horizons=(1, 3))

    for row, count in zip(rows.to_dict("records"), (1, 3), strict=True):
        entry = bars[0][0]
        moves = [side * (bar[at] / entry - 1) for bar in bars[:count] for at in (1, 2)]
        assert row["horizon_sessions"] == count
        assert row["return_frac"] == pytest.approx(
            side * (bars[count - 1][3] / entry - 1), abs=1e-12
        )
        assert row["mfe_frac"] == pytest.approx(max(moves), abs=1e-12)
        assert row["mae_frac"] == pytest.approx(min(moves), abs=1e-12)
        assert row["mae_frac"] <= row["trade_return_frac"] + 1e-12
        assert row["trade_return_frac"] <= row["mfe_frac"] + 1e-12


# When there is a row


def test_a_horizon_that_is_not_over_has_no_row() -> None:
    rows = followed([BUY], ENTER, ENTER, horizons=(1, 2, 3))

    assert rows["horizon_sessions"].tolist() == [1, 2]
    assert [day.date() for day in rows["resolved_session"]] == list(make_sessions(3)[1:])


def test_a_horizon_counts_the_symbols_own_bars() -> None:
    (row,) = followed([BUY], None, ENTER, None, flat(103), horizons=(2,)).to_dict("records")

    assert row["resolved_session"].date() == make_sessions(5)[4]


def test_a_signal_without_a_bar_of_its_own_has_no_outcome() -> None:
    signals = make_signals([Said(1, "AAA", "BUY"), Said(0, "BBB", "BUY")])
    panel = Panel.of(make_bars({"AAA": [flat(1), None, flat(1)]}), make_actions([]))

    assert outcomes_of(signals, panel, FREE, horizons=(1,)).empty
    assert bars_since(panel, signals).tolist() == [-1, -1]


def test_nothing_to_follow_gives_an_empty_table() -> None:
    nothing = Panel.of(make_bars({}), make_actions([]))

    rows = outcomes_of(make_signals([]), nothing, FREE, benchmark=nothing)

    assert rows.equals(SIGNAL_OUTCOMES.empty())


@given(
    st.lists(candles(), min_size=8, max_size=12),
    st.lists(st.sampled_from(["BUY", "SELL", "HOLD", None]), min_size=6, max_size=6),
    st.data(),
)
def test_what_is_resolved_does_not_change_with_later_bars_or_other_signals(
    bars: list[OHLC], actions: list[str | None], data: st.DataObject
) -> None:
    said = [
        Said(day, "AAA", action, stop=90.0, target=120.0)
        for day, action in enumerate(actions)
    ]
    every = followed(said, *bars, horizons=(1, 4))
    some = data.draw(st.lists(st.sampled_from(said), unique=True))
    known = data.draw(st.integers(0, len(bars)))

    fewer = followed(some, *bars[:known], horizons=(1, 4))

    last = pd.Timestamp(make_sessions(len(bars) + 1)[known])
    days = [pd.Timestamp(make_sessions(8)[own.day]) for own in some]
    expected = every[every["session"].isin(days) & (every["resolved_session"] <= last)]
    pd.testing.assert_frame_equal(fewer, expected.reset_index(drop=True), check_exact=True)


def test_signals_are_followed_each_in_its_own_symbol() -> None:
    bars = {"BBB": [flat(10), flat(11), flat(12)], "AAA": [flat(100), flat(99), flat(90)]}
    panel = Panel.of(make_bars(bars), make_actions([]))
    said = [Said(1, "BBB", "BUY"), Said(0, "AAA", "BUY"), Said(0, "BBB", "SELL")]

    rows = outcomes_of(make_signals(said), panel, FREE, horizons=(1,))

    assert rows["symbol"].tolist() == ["AAA", "BBB", "BBB"]
    assert rows["entry_price"].tolist() == [99.0, 11.0, 12.0]


# Scale, benchmark and costs


def test_a_dividend_is_no_part_of_a_return() -> None:
    paid = [Happened(1, "AAA", "dividend", 3.0)]

    (row,) = followed([BUY], ENTER, happened=paid).to_dict("records")

    assert row["return_frac"] == pytest.approx(0.03)


def test_a_spinoff_moves_levels_and_prices_alike() -> None:
    spun = [Happened(1, "AAA", "spinoff_factor", 1.25)]
    bars = [(80.0, 89.0, 79.2, 82.4)]

    (row,) = followed([BUY], *bars, happened=spun).to_dict("records")

    assert (row["first_touch"], row["exit_price"]) == ("target", 110.0)
    assert row["return_frac"] == pytest.approx(0.03)


@pytest.mark.parametrize(("action", "side"), [("BUY", 1), ("SELL", -1), ("HOLD", 1)])
def test_alpha_is_what_the_same_side_of_the_benchmark_does_not_explain(
    action: str, side: int
) -> None:
    bars, index = (ENTER, flat(106)), ((50.0, 52.0, 49.0, 51.0), flat(52))

    row = followed([Said(0, "AAA", action)], *bars, horizons=(2,), benchmark=index).to_dict(
        "records"
    )[0]

    assert row["return_frac"] == pytest.approx(side * 0.06)
    assert row["alpha_frac"] == pytest.approx(side * (0.06 - 0.04))


def test_a_split_of_the_benchmark_is_no_part_of_alpha() -> None:
    split = [Happened(2, "SPY", "split", 2.0)]

    row = followed(
        [BUY], ENTER, ENTER, horizons=(2,), benchmark=(flat(50), flat(25)), happened=split
    ).to_dict("records")[0]

    assert row["alpha_frac"] == pytest.approx(row["return_frac"])


@pytest.mark.parametrize("index", [(None, flat(52)), (flat(50), None)])
def test_alpha_is_unknown_without_the_benchmarks_own_bars(
    index: Sequence[OHLC | None],
) -> None:
    rows = followed([BUY], ENTER, ENTER, horizons=(2,), benchmark=index)

    assert rows["alpha_frac"].isna().all()


@pytest.mark.parametrize(
    ("action", "sign", "bar", "exit_price", "slips_at_exit"),
    [
        ("BUY", 1, (100.0, 111.0, 99.0, 108.0), 110.0, False),
        ("BUY", 1, (100.0, 101.0, 94.0, 96.0), 95.0, True),
        ("BUY", 1, ENTER, 103.0, True),
        ("SELL", -1, (100.0, 104.0, 99.0, 103.0), 103.0, True),
    ],
)
def test_costs_are_those_of_the_orders_that_would_have_been_sent(
    action: str, sign: int, bar: OHLC, exit_price: float, *, slips_at_exit: bool
) -> None:
    costs = Costs(commission=CommissionPlan.IBKR_FIXED, slippage_bps=10)
    levels = {"stop": 95.0, "target": 110.0} if action == "BUY" else {}

    (row,) = followed([Said(0, "AAA", action, **levels)], bar, costs=costs).to_dict(
        "records"
    )

    paid = 100 * (1 + sign * 0.001)
    got = exit_price * (1 - sign * (0.001 if slips_at_exit else 0))
    charged = sum(
        commission(CommissionPlan.IBKR_FIXED, shares=100, price=price)
        for price in (paid, got)
    )
    expected = (sign * (got - paid) * 100 - charged) / 10_000
    assert row["net_return_frac"] == pytest.approx(expected, abs=1e-12)
    assert row["net_return_frac"] < row["trade_return_frac"]


def test_what_was_said_stands_beside_what_became_of_it() -> None:
    rows = followed([Said(0, "AAA", None, score=None)], ENTER)

    (row,) = rows.to_dict("records")
    assert row["action"] is None
    assert row["is_abstention"]
    assert np.isnan(row["confidence_score"])
    assert row["is_out_of_sample"]
    assert row["analyst"] == "rules:test"
