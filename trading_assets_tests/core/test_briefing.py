import io
import re
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from trading_assets.core.briefing import (
    BLIND_SYMBOL,
    Briefing,
    anonymous,
    bars_for_briefing,
    briefing_of,
    shortage,
)
from trading_assets.core.chart_blind import BLIND
from trading_assets.core.chart_scene import compose
from trading_assets.core.charting import Picture
from trading_assets.core.panel import Panel
from trading_assets.models.bar import ActionKind
from trading_assets.strategies.spec import Charts
from trading_assets_tests.core.briefings import CHARTS, brief, llm
from trading_assets_tests.core.markets import actions_of, bars_of, panel_of, walk

DATE = re.compile(r"\d{4}-\d{2}|\b(19|20)\d\d\b|\b(Mon|Tue|Wed|Thu|Fri|Jan|Feb|Mar|May)\b")


def seen(briefing: Briefing) -> list[bytes]:
    """Every byte that a model is sent of it."""
    return [briefing.table.encode(), *(chart.png for chart in briefing.charts)]


def rows(briefing: Briefing, heading: str) -> pd.DataFrame:
    """A part of its table."""
    part = briefing.table.partition(heading)[2].partition("\n")[2].partition("\n\n")[0]
    return pd.read_csv(io.StringIO(part), index_col="bar")


def scaled(panel: Panel, price: float, volume: float = 1.0) -> Panel:
    fields = ("open", "high", "low", "close")
    return replace(
        panel,
        **{field: getattr(panel, field) * price for field in fields},
        volume=panel.volume * volume,
    )


# What is known


@pytest.mark.parametrize("blind", [True, False])
def test_later_bars_change_nothing(*, blind: bool) -> None:
    panel = walk(140)
    known = Panel.of(bars_of(panel).iloc[:100], actions_of())

    assert seen(brief(panel, 99, blind=blind)) == seen(brief(known, 99, blind=blind))


@given(
    last=st.integers(60, 118),
    factor=st.floats(0.1, 10.0),
    ratio=st.sampled_from([0.5, 2.0, 7.0]),
    blind=st.booleans(),
)
@settings(max_examples=25)
def test_whatever_comes_after_the_close_nothing_of_it_is_told(
    *, last: int, factor: float, ratio: float, blind: bool
) -> None:
    panel = walk(120)
    later = np.where(np.arange(120) > last, factor, 1.0)
    split = ("AAA", panel.sessions[last + 1].item(), ActionKind.SPLIT, ratio)
    fields = [getattr(panel, f) * later for f in ("open", "high", "low", "close")]
    other = panel_of(panel.sessions, *fields, panel.volume * later)
    other = Panel.of(bars_of(other), actions_of(split))

    one, two = brief(panel, last, blind=blind), brief(other, last, blind=blind)

    assert one.content_hash == two.content_hash
    assert one.table == two.table


def test_bars_before_those_asked_for_change_nothing() -> None:
    panel = walk(2600)
    needed = bars_for_briefing(CHARTS)
    loaded = Panel.of(bars_of(panel).iloc[-needed:], actions_of())

    assert needed < 2600
    assert seen(brief(panel)) == seen(brief(loaded))


def test_a_daily_chart_that_is_not_full_is_too_little() -> None:
    panel = walk(25)

    assert shortage(panel, 0, 18, CHARTS) == (
        "Too few bars yet: 19 of the 20 on the daily chart"
    )
    assert shortage(panel, 0, 19, CHARTS) == ""


# The table


def test_the_table_has_the_numbers_of_the_bars() -> None:
    panel = walk(300, price=187.43)

    table = rows(brief(panel, blind=False, table_bars=7), "DAILY BARS")

    assert list(table.index) == [str(day) for day in panel.sessions[-7:]]
    for field in ("open", "high", "low", "close"):
        assert table[field].tolist() == np.round(getattr(panel, field)[-7:], 2).tolist()
    means = pd.Series(panel.close).rolling(20).mean()[-7:]
    assert table["sma_20"].tolist() == means.round(2).tolist()
    assert list(table.columns[-2:]) == ["rsi_14", "atr_14"]


def test_the_table_has_the_last_weeks() -> None:
    panel = walk(300)

    table = rows(brief(panel, blind=False), "WEEKLY BARS")

    assert len(table) == 10
    assert table.index[-1] == str(panel.sessions[-1])
    assert table["high"].iloc[-2] == pytest.approx(panel.high[-8:-3].max(), abs=0.01)


def test_the_table_has_no_more_days_than_the_chart() -> None:
    told = brief(walk(300), table_bars=100)

    assert told.table_bars == len(rows(told, "DAILY BARS")) == 20


def test_what_is_not_known_yet_is_said_so() -> None:
    table = brief(walk(22), table_bars=20).table

    assert ",n/a" in table
    assert "too few bars" in table
    assert "nan" not in table.lower()
    assert "too few bars" not in brief(walk(2000)).table


@pytest.mark.parametrize("price", [0.0123, 0.5, 7.0, 99.999, 187.43, 4321.0, 3.2e6])
def test_numbers_have_no_grouping_and_four_digits_at_least(price: float) -> None:
    table = brief(walk(300, price=price), blind=False).table

    frame = rows(brief(walk(300, price=price), blind=False), "DAILY BARS")
    assert not frame.isna().any().any()
    last = frame["close"].iloc[-1]
    assert last == pytest.approx(price, rel=1e-3)
    assert "-0.00 " not in table


def test_a_flat_market_can_be_told() -> None:
    ones = np.ones(40)
    panel = panel_of(
        np.arange("2024-01-01", "2024-02-10", dtype="datetime64[D]"), *[ones] * 4, 0 * ones
    )

    told = brief(panel)

    assert "last close at n/a of the range" in told.table
    assert all(chart.png[:4] == b"\x89PNG" for chart in told.charts)


def test_equal_tables_have_equal_hashes() -> None:
    assert brief().table_hash == brief().table_hash
    assert brief().table_hash != brief(walk(60, seed=2)).table_hash
    assert brief(sees=["charts"]).table_hash == ""


# Blind


def other_name_and_time(panel: Panel) -> Panel:
    """The same bars of another symbol, years of whole weeks earlier."""
    return replace(panel, symbols=("ZZZZ",), sessions=panel.sessions - 7 * 300)


@given(
    price=st.floats(0.01, 1000.0),
    volume=st.floats(0.001, 1000.0),
    seed=st.integers(0, 50),
)
@settings(max_examples=30)
def test_a_blind_briefing_is_the_same_at_any_price(
    price: float, volume: float, seed: int
) -> None:
    panel = walk(80, seed=seed)
    other = scaled(other_name_and_time(panel), price, volume)

    one, two = brief(panel), brief(other)

    assert one.table == two.table
    assert one.daily.content_hash == two.daily.content_hash
    assert one.weekly.content_hash == two.weekly.content_hash


def test_blind_pictures_are_the_same_bytes_under_any_name_date_and_price() -> None:
    panel = walk(400)
    other = scaled(other_name_and_time(panel), 3.7, 0.013)

    assert seen(brief(panel)) == seen(brief(other))
    assert seen(brief(panel, blind=False)) != seen(brief(other, blind=False))


def test_nothing_that_is_blind_tells_name_source_or_date() -> None:
    told = briefing_of(walk(400, symbol="NVDA"), 0, 399, Charts(), llm(), "mysource")
    written = [told.table]
    for picture in (told.daily, told.weekly):
        written += [label.text for label in compose(picture, BLIND).labels]

    for text in written:
        assert "NVDA" not in text
        assert "mysource" not in text
        assert not DATE.search(text), text
    assert told.label == BLIND_SYMBOL
    assert {"t-59 to t0", "t-55", "t0", "w-51 to w0", "w0"} <= set(written)


def test_a_blind_drawing_reads_neither_name_nor_date_of_its_picture() -> None:
    told = brief(walk(400))

    def drawn(picture: Picture) -> list[str]:
        return [label.text for label in compose(picture, BLIND).labels]

    renamed = replace(
        told.daily,
        symbol="NVDA",
        source="csv:/bars",
        session=date(2020, 2, 20),
        sessions=told.daily.sessions + 4000,
    )
    assert drawn(told.daily) == drawn(renamed)


def test_a_blind_table_counts_bars_back_and_rebases_prices() -> None:
    panel = walk(300, price=250.0)

    table = rows(brief(panel, table_bars=5), "DAILY BARS")

    assert list(table.index) == ["t-4", "t-3", "t-2", "t-1", "t0"]
    assert table["close"].tolist() == np.round(panel.close[-5:] / 2.5, 2).tolist()
    assert table["close"].iloc[-1] == 100.0
    volumes = panel.volume[-5:] / panel.volume[-20:].mean()
    assert table["volume"].tolist() == pytest.approx(volumes, abs=6e-4)


def test_rebasing_leaves_oscillators_and_scales_what_is_in_prices() -> None:
    panel = walk(900, price=250.0)
    charts = Charts(indicators=("rsi_14", "macd_12_26_9", "stoch_14_3_3"))
    named, blind = (
        briefing_of(panel, 0, 899, charts, llm(blind=blind), "csv").daily.series
        for blind in (False, True)
    )

    for name, factor in (("rsi_14", 1.0), ("stoch_14_3_3", 1.0), ("macd_12_26_9", 0.4)):
        for column, values in named[name].items():
            np.testing.assert_allclose(
                blind[name][column], values * factor, rtol=1e-4, atol=1e-4, err_msg=column
            )
    np.testing.assert_allclose(
        blind["atr_14"]["atr_14"], named["atr_14"]["atr_14"] * 0.4, rtol=1e-5
    )


def test_rounding_keeps_lows_low_and_highs_high() -> None:
    bars = anonymous(walk(500, price=3.33), 60)

    assert (bars.low <= np.minimum(bars.open, bars.close)).all()
    assert (bars.high >= np.maximum(bars.open, bars.close)).all()
    assert bars.close[-1] == 100.0


def test_levels_come_back_in_the_prices_that_are_traded() -> None:
    panel = walk(60, price=187.43)

    assert brief(panel).traded(95.0) == pytest.approx(187.43 * 0.95)
    assert brief(panel, blind=False).traded(95.0) == 95.0
    assert brief(panel).last_close == 100.0
    assert brief(panel, blind=False).last_close == pytest.approx(187.43)


def test_levels_after_a_split_are_in_the_scale_of_the_session() -> None:
    panel = walk(60, price=40.0)
    split = ("AAA", panel.sessions[-3].item(), ActionKind.SPLIT, 4.0)
    after = brief(Panel.of(bars_of(panel), actions_of(split)))

    assert after.traded(100.0) == pytest.approx(40.0)
    assert rows(after, "DAILY BARS")["close"].iloc[-6] == pytest.approx(
        100 * panel.close[-6] / 4 / 40, abs=0.01
    )


# Pictures as sent


@pytest.mark.parametrize("blind", [True, False])
def test_pictures_are_sent_small_and_bare(*, blind: bool) -> None:
    for chart in brief(walk(400), blind=blind).charts:
        image = Image.open(io.BytesIO(chart.png))
        kinds, at = set[bytes](), 8
        while at < len(chart.png):
            kinds.add(chart.png[at + 4 : at + 8])
            at += 12 + int.from_bytes(chart.png[at : at + 4])

        assert (image.size, image.mode) == ((1280, 720), "RGB")
        assert kinds == {b"IHDR", b"IDAT", b"IEND"}
        assert image.getpixel((2, 2)) == (255, 255, 255)


def test_the_range_of_true_ranges_is_known_but_not_drawn() -> None:
    told = brief(walk(400))

    assert told.atr == pytest.approx(told.daily.series["atr_14"]["atr_14"][-1])
    assert brief(walk(12), last=11).atr is None
    assert "ATR 14" not in [label.text for label in compose(_drawn(told), BLIND).labels]


def _drawn(told: Briefing) -> Picture:
    return told._drawn(told.daily)


def test_what_is_not_to_be_seen_is_not_there() -> None:
    assert brief(sees=["table"]).charts == ()
    assert brief(sees=["charts"]).table == ""
    assert [chart.label for chart in brief().charts] == ["Daily chart", "Weekly chart"]


def test_everything_that_is_told_is_in_the_hash() -> None:
    panel = walk(400)
    others = [
        brief(panel, blind=False),
        brief(panel, sees=["table"]),
        brief(panel, table_bars=19),
        brief(scaled(panel, 2.0)),
        brief(walk(400, seed=3)),
        briefing_of(panel, 0, 399, Charts(daily_sessions=20), llm(), "csv"),
    ]
    hashes = {told.content_hash for told in others} | {brief(panel).content_hash}

    assert len(hashes) == 7
    assert brief(panel).content_hash == brief(panel).content_hash
