"""Row types as tables: columns, frames, and what does not fit."""

from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated

import numpy as np
import pandas as pd
import pytest
from pydantic import Field

from trading_assets.errors import ShapeMismatch
from trading_assets.models.base import Value
from trading_assets.models.table import FRAME_TYPES, Column, Table
from trading_assets.models.tables import TABLES


class Colour(StrEnum):
    RED = "red"


class Thing(Value):
    """A row of everything."""

    name: str
    day: date
    at: datetime
    colour: Colour
    count: int
    worth: Annotated[float, Field(gt=0)]
    is_good: bool
    note: str | None = None
    size: Annotated[int, Field(ge=0)] | None = None
    price: float | None = None


THINGS = Table("things", Thing, ("name", "day"), ("day",))
OPEN = Table("open", Thing, ("name", "day"), ("day",), is_open_ended=True)
THING = Thing(
    name="a",
    day=date(2024, 1, 2),
    at=datetime(2024, 1, 2, 21, tzinfo=UTC),
    colour=Colour.RED,
    count=3,
    worth=1.5,
    is_good=True,
)


def test_columns_follow_from_the_row_type() -> None:
    columns = {
        name: (own.sql_type, own.is_nullable) for name, own in THINGS.columns.items()
    }

    assert columns == {
        "name": ("VARCHAR", False),
        "day": ("DATE", False),
        "at": ("TIMESTAMPTZ", False),
        "colour": ("VARCHAR", False),
        "count": ("BIGINT", False),
        "worth": ("DOUBLE", False),
        "is_good": ("BOOLEAN", False),
        "note": ("VARCHAR", True),
        "size": ("BIGINT", True),
        "price": ("DOUBLE", True),
    }


def test_a_frame_of_values_has_the_types_of_its_columns() -> None:
    frame = THINGS.frame([THING])

    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
        "name": "object",
        "day": "datetime64[ns]",
        "at": "datetime64[ns, UTC]",
        "colour": "object",
        "count": "int64",
        "worth": "float64",
        "is_good": "bool",
        "note": "object",
        "size": "Int64",
        "price": "float64",
    }
    assert frame["note"].tolist() == [None]
    assert frame["day"].tolist() == [pd.Timestamp("2024-01-02")]


def test_no_rows_have_the_same_types_as_some() -> None:
    pd.testing.assert_series_equal(THINGS.empty().dtypes, THINGS.frame([THING]).dtypes)
    assert THINGS.empty().empty


def test_columns_come_in_order_and_rows_are_numbered() -> None:
    frame = THINGS.frame([THING]).set_axis([7])

    conformed = THINGS.conform(frame[list(reversed(frame.columns))])

    pd.testing.assert_frame_equal(conformed, THINGS.frame([THING]))


def test_what_is_given_is_left_as_it_was() -> None:
    given = THINGS.frame([THING]).astype({"count": "float64"})
    before = given.copy()

    assert THINGS.conform(given)["count"].dtype == np.int64
    pd.testing.assert_frame_equal(given, before)


def test_instants_of_any_zone_become_utc() -> None:
    frame = THINGS.frame([THING])
    frame["at"] = frame["at"].dt.tz_convert("America/New_York")

    conformed = THINGS.conform(frame)

    assert str(conformed["at"].dtype) == "datetime64[ns, UTC]"
    assert conformed["at"].iloc[0] == THING.at


@pytest.mark.parametrize(
    ("spoiling", "said"),
    [
        ({"count": ["many"]}, "column count must hold BIGINT"),
        ({"worth": ["dear"]}, "column worth must hold DOUBLE"),
        ({"day": ["yesterday"]}, "column day must hold DATE"),
        ({"name": [None]}, "column name may not be empty"),
        ({"worth": [np.nan]}, "column worth may not be empty"),
        ({"more": [1]}, r"unknown columns \['more'\]"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    spoiling: dict[str, list[object]], said: str
) -> None:
    with pytest.raises(ShapeMismatch, match=f"table things: .*{said}"):
        THINGS.conform(THINGS.frame([THING]).assign(**spoiling))


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ShapeMismatch, match=r"missing columns \['worth'\]"):
        THINGS.conform(THINGS.frame([THING]).drop(columns="worth"))


def test_two_rows_of_one_key_are_refused() -> None:
    with pytest.raises(ShapeMismatch, match=r"two rows have the key .*'name': 'a'"):
        THINGS.conform(pd.concat([THINGS.frame([THING])] * 2))


def test_an_open_table_takes_further_columns_as_numbers() -> None:
    frame = OPEN.frame([THING]).assign(sma_20=[3], rsi_14=[None])

    conformed = OPEN.conform(frame)

    assert conformed[["sma_20", "rsi_14"]].dtypes.tolist() == [np.float64, np.float64]
    with pytest.raises(ShapeMismatch, match="sma_20 must hold DOUBLE"):
        OPEN.conform(frame.assign(sma_20="high"))


def test_an_empty_cell_of_a_text_is_none() -> None:
    frame = THINGS.frame([THING, THING.model_copy(update={"name": "b", "note": "x"})])

    assert THINGS.conform(frame.assign(note=[np.nan, "x"]))["note"].tolist() == [None, "x"]


def test_a_type_without_a_column_is_refused() -> None:
    class Odd(Value):
        thing: complex

    with pytest.raises(TypeError, match="no column type for"):
        Table("odd", Odd, ("thing",), ("thing",)).columns  # noqa: B018 - it is computed


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_names_itself_in_columns_that_it_has(table: Table) -> None:
    assert set(table.partition) <= set(table.columns)
    assert set(table.key) <= set(table.columns)
    assert set(table.wall_clock) <= set(table.columns)
    assert not any(
        table.columns[name].is_nullable for name in (*table.key, *table.partition)
    )
    for name, column in table.columns.items():
        assert isinstance(column, Column)
        assert column.sql_type in FRAME_TYPES
        if name.endswith("_at"):
            assert column.sql_type == "TIMESTAMPTZ"
        if name.endswith("session"):
            assert column.sql_type == "DATE"


def test_the_tables_have_the_columns_that_were_promised() -> None:
    """Names are a contract: columns may be added, not renamed."""
    by_name = {table.name: set(table.columns) for table in TABLES}

    for name, columns in PROMISED.items():
        assert set(columns.split()) <= by_name[name], name


PROMISED = {
    "bars": "symbol session open high low close volume source recorded_at",
    "corporate_actions": "symbol ex_session kind value source",
    "indicators": "symbol session",
    "charts": "strategy symbol session timeframe path sha256 width_px height_px bars_drawn "
    "first_session indicators",
    "signals": "strategy symbol session action confidence confidence_score entry stop_loss "
    "take_profit risk_reward reasoning analyst model prompt_version call_id cost_usd "
    "is_abstention",
    "orders": "strategy lane order_id session symbol leg side shares order_type "
    "limit_price stop_price tif status reason decided_at submitted_at broker_order_id "
    "spec_hash",
    "order_events": "strategy lane order_id seq session status shares price reason at",
    "book_events": "strategy lane event_id session symbol kind shares_delta cash",
    "trades": "strategy lane trade_id symbol opened_session closed_session side shares "
    "entry_price exit_price pnl commission exit_reason",
    "coverage": "asset strategy symbol session rows status reason",
    "fills": "strategy lane fill_id session symbol order_id side shares price commission "
    "filled_at",
    "positions": "strategy lane session symbol shares average_cost close market_value "
    "unrealized_pnl",
    "portfolio": "strategy lane session cash market_value equity gross_exposure_frac "
    "realized_pnl unrealized_pnl commission_paid drawdown_frac",
    "performance": "strategy lane total_return_frac cagr_frac volatility_frac sharpe "
    "sortino calmar max_drawdown_frac max_drawdown_sessions trades win_rate_frac "
    "profit_factor expectancy average_win average_loss exposure_frac turnover "
    "alpha_frac beta first_session last_session computed_at",
}
