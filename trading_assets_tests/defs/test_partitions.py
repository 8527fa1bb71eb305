"""Which partitions there are and when, and what each depends on."""

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._core.definitions.partitions.mapping.multi.base import (
    BaseMultiPartitionMapping,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.defs import fast_paths
from trading_assets.defs.partitions import (
    Requested,
    every_symbol,
    looking_ahead,
    looking_back,
    session_partitions,
    symbol_partitions,
)
from trading_assets.errors import InvalidInput
from trading_assets.sessions import trading_calendar

CALENDAR = trading_calendar()
START = date(2023, 11, 1)
NEW_YORK = ZoneInfo("America/New_York")
SESSIONS = session_partitions(CALENDAR, START)
SYMBOLS = ("AAA", "BBB", "CCC")
CELLS = symbol_partitions(SESSIONS, SYMBOLS)
EXAMPLES = 300 if os.environ.get("TRADING_TEST_PROFILE") == "long" else 25
STOCK: Any = BaseMultiPartitionMapping.__dict__["_get_dependency_partitions_subset"]


def last_partition(day: str, clock: str) -> str:
    """The newest partition at a New York time."""
    at = datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=NEW_YORK)
    with dg.partition_loading_context(effective_dt=at):
        return SESSIONS.get_last_partition_key() or ""


def test_partitions_are_the_sessions_of_the_exchange() -> None:
    at = datetime(2026, 11, 20, 3, tzinfo=UTC)
    with dg.partition_loading_context(effective_dt=at):
        keys = SESSIONS.get_partition_keys()

    expected = CALENDAR.between(START, date(2026, 11, 19))
    assert keys == [session.isoformat() for session in expected]


@pytest.mark.parametrize(
    ("day", "clock", "newest"),
    [
        pytest.param("2024-01-12", "15:59:59", "2024-01-11", id="winter, before the close"),
        pytest.param("2024-01-12", "16:00:01", "2024-01-12", id="winter, after the close"),
        pytest.param("2024-07-10", "16:59:59", "2024-07-09", id="summer, before five"),
        pytest.param("2024-07-10", "17:00:01", "2024-07-10", id="summer, after five"),
        pytest.param("2024-01-13", "23:00:00", "2024-01-12", id="a Saturday"),
        pytest.param("2024-01-14", "23:00:00", "2024-01-12", id="a Sunday"),
        pytest.param("2024-01-15", "23:00:00", "2024-01-12", id="a Monday without session"),
        pytest.param("2024-01-16", "09:31:00", "2024-01-12", id="the morning after it"),
        pytest.param("2024-11-28", "20:00:00", "2024-11-27", id="Thanksgiving"),
        pytest.param("2024-11-29", "12:00:00", "2024-11-27", id="an early close, before"),
        pytest.param("2024-11-29", "17:00:01", "2024-11-29", id="an early close, after"),
        pytest.param("2024-03-08", "16:30:00", "2024-03-08", id="before the clock changes"),
        pytest.param("2024-03-11", "16:30:00", "2024-03-08", id="after it has changed"),
        pytest.param("2024-11-01", "17:00:01", "2024-11-01", id="summer's last session"),
        pytest.param("2024-11-04", "16:00:01", "2024-11-04", id="winter's first session"),
    ],
)
def test_a_partition_is_there_in_the_evening_and_never_a_day_early(
    day: str, clock: str, newest: str
) -> None:
    assert last_partition(day, clock) == newest


def test_every_session_of_years_is_there_at_five_and_not_before_its_close() -> None:
    for session in CALENDAR.between(date(2023, 12, 1), date(2026, 1, 31)):
        close = CALENDAR.close_at(session).astimezone(NEW_YORK)
        before = (close - timedelta(hours=1)).time().isoformat()
        assert last_partition(session.isoformat(), before) < session.isoformat()
        assert last_partition(session.isoformat(), "17:00:00") == session.isoformat()


def test_an_exchange_without_a_zone_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match=r"XNYS.*was XASX"):
        session_partitions(trading_calendar("XASX"), START)


# What a partition depends on


def keys_of(rows: list[tuple[int, int]]) -> list[str]:
    return [f"{DAYS[day]}|{SYMBOLS[symbol]}" for day, symbol in rows]


DAYS = [session.isoformat() for session in CALENDAR.between(START, date(2024, 1, 31))]
CELL = st.tuples(st.integers(0, len(DAYS) - 1), st.integers(0, len(SYMBOLS) - 1))
SUBSETS = st.lists(CELL, unique=True, max_size=12).map(keys_of)
UNIVERSES = st.lists(st.sampled_from(SYMBOLS), unique=True, min_size=1).map(sorted)


@pytest.fixture(scope="module", autouse=True)
def fast() -> Iterator[None]:
    """The short way, whoever was here before."""
    fast_paths.install()
    with dg.partition_loading_context(effective_dt=datetime(2026, 1, 1, tzinfo=UTC)):
        yield


def test_the_short_way_is_taken_under_the_version_it_was_written_for() -> None:
    assert dg.__version__ == fast_paths.WRITTEN_FOR
    for mapping in (dg.MultiPartitionMapping, dg.MultiToSingleDimensionPartitionMapping):
        assert mapping._get_dependency_partitions_subset is fast_paths._mapped


def stock(mapping: Any, *given: Any) -> Any:
    """What Dagster's own code answers."""
    return STOCK(mapping, *given)


@settings(max_examples=EXAMPLES, deadline=None)
@given(SUBSETS, st.integers(1, 30), UNIVERSES)
def test_what_partitions_look_back_on_is_what_dagster_says(
    asked: list[str], sessions: int, universe: list[str]
) -> None:
    """Upstream there are more symbols and earlier sessions, as in the market."""
    mapping = looking_back(sessions)
    lane = symbol_partitions(session_partitions(CALENDAR, date(2023, 11, 8)), universe)
    known = set(lane.get_partition_keys())
    subset = lane.empty_subset().with_partition_keys(k for k in asked if k in known)

    expected = stock(mapping, lane, subset, CELLS, False)  # noqa: FBT003 - Dagster's way
    found = mapping.get_upstream_mapped_partitions_result_for_partitions(
        subset, lane, CELLS
    )

    assert set(found.partitions_subset.get_partition_keys()) == set(
        expected.partitions_subset.get_partition_keys()
    )
    assert set(found.required_but_nonexistent_subset.get_partition_keys()) == set(
        expected.required_but_nonexistent_subset.get_partition_keys()
    )


@settings(max_examples=EXAMPLES, deadline=None)
@given(SUBSETS, st.integers(1, 30), UNIVERSES)
def test_what_looks_back_on_partitions_is_what_dagster_says(
    asked: list[str], sessions: int, universe: list[str]
) -> None:
    mapping = looking_back(sessions)
    lane = symbol_partitions(session_partitions(CALENDAR, date(2023, 11, 8)), universe)
    subset = CELLS.empty_subset().with_partition_keys(asked)

    expected = stock(mapping, CELLS, subset, lane, True)  # noqa: FBT003 - as above
    found = mapping.get_downstream_partitions_for_partitions(subset, CELLS, lane)

    assert set(found.get_partition_keys()) == set(expected.get_partition_keys())


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.sampled_from(DAYS), unique=True, max_size=10), SUBSETS)
def test_the_symbols_of_a_session_are_what_dagster_says(
    days: list[str], cells: list[str]
) -> None:
    mapping = every_symbol()
    sessions = SESSIONS.empty_subset().with_partition_keys(days)
    subset = CELLS.empty_subset().with_partition_keys(cells)

    upstream = mapping.get_upstream_mapped_partitions_result_for_partitions(
        sessions, SESSIONS, CELLS
    )
    downstream = mapping.get_downstream_partitions_for_partitions(subset, CELLS, SESSIONS)

    above = stock(mapping, SESSIONS, sessions, CELLS, False)  # noqa: FBT003 - as above
    below = stock(mapping, CELLS, subset, SESSIONS, True)  # noqa: FBT003 - as above
    assert set(upstream.partitions_subset.get_partition_keys()) == set(
        above.partitions_subset.get_partition_keys()
    )
    assert set(upstream.partitions_subset.get_partition_keys()) == {
        f"{day}|{symbol}" for day in days for symbol in SYMBOLS
    }
    assert set(downstream.get_partition_keys()) == set(below.get_partition_keys())


def test_looking_back_counts_sessions_and_keeps_to_the_symbol() -> None:
    mapping = looking_back(3)
    subset = CELLS.empty_subset().with_partition_keys(["2024-01-16|BBB"])

    found = mapping.get_upstream_mapped_partitions_result_for_partitions(
        subset, CELLS, CELLS
    )

    assert set(found.partitions_subset.get_partition_keys()) == {
        "2024-01-11|BBB",
        "2024-01-12|BBB",
        "2024-01-16|BBB",
    }


@settings(max_examples=EXAMPLES, deadline=None)
@given(SUBSETS, st.integers(1, 30))
def test_what_looks_ahead_is_what_dagster_says(asked: list[str], sessions: int) -> None:
    """Above the last session there is nothing yet, and nothing is missed."""
    mapping = looking_ahead(sessions)
    subset = CELLS.empty_subset().with_partition_keys(asked)

    above = stock(mapping, CELLS, subset, CELLS, False)  # noqa: FBT003 - as above
    below = stock(mapping, CELLS, subset, CELLS, True)  # noqa: FBT003 - as above
    upstream = mapping.get_upstream_mapped_partitions_result_for_partitions(
        subset, CELLS, CELLS
    )
    downstream = mapping.get_downstream_partitions_for_partitions(subset, CELLS, CELLS)

    assert set(upstream.partitions_subset.get_partition_keys()) == set(
        above.partitions_subset.get_partition_keys()
    )
    assert not upstream.required_but_nonexistent_subset.get_partition_keys()
    assert set(downstream.get_partition_keys()) == set(below.get_partition_keys())


def test_looking_ahead_counts_sessions_and_ends_with_the_last_there_is() -> None:
    mapping = looking_ahead(2)
    last = CELLS.get_partition_keys()[-1].partition("|")[0]
    asked = ["2024-01-11|BBB", f"{last}|AAA"]
    subset = CELLS.empty_subset().with_partition_keys(asked)

    found = mapping.get_upstream_mapped_partitions_result_for_partitions(
        subset, CELLS, CELLS
    )

    assert set(found.partitions_subset.get_partition_keys()) == {
        "2024-01-11|BBB",
        "2024-01-12|BBB",
        "2024-01-16|BBB",
        f"{last}|AAA",
    }


# What a step is asked for


def test_a_request_keeps_the_rows_of_its_own_partitions_only() -> None:
    monday, tuesday = date(2024, 1, 8), date(2024, 1, 9)
    requested = Requested(
        {(monday, "AAA"): "", (tuesday, "BBB"): ""}, (monday, tuesday), ("AAA", "BBB")
    )
    rows = requested.frame(strategy="s")
    every = rows.merge(rows[["symbol"]].rename(columns={"symbol": "other"}), how="cross")
    every["symbol"] = every["other"]

    assert len(every) == 4
    kept = requested.only(every)
    assert list(zip(kept["session"].dt.date, kept["symbol"], strict=True)) == [
        (monday, "AAA"),
        (tuesday, "BBB"),
    ]
