"""Probes: what is concluded from answers, and bars that are turned upside down."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.leak_probes import (
    DOWN,
    FEWEST,
    MOST_SYMBOLS,
    UP,
    Probe,
    Verdict,
    candidates,
    choice_in,
    commonest,
    counterfactual,
    direction,
    mirrored,
    named,
    quarters_between,
    recall,
    recognition,
    remembered,
    repeated,
    wilson,
)
from trading_assets_tests.core.briefings import brief, llm
from trading_assets_tests.core.markets import walk


def test_the_interval_is_wilsons() -> None:
    # Of Brown, Cai and DasGupta's formula, worked out by hand for 8 of 10.
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


@given(count=st.integers(1, 500), data=st.data())
def test_the_interval_holds_the_share_and_shrinks(count: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, count))
    low, high = wilson(hits, count)
    narrower = wilson(4 * hits, 4 * count)

    assert 0 <= low <= hits / count <= high <= 1
    assert narrower[1] - narrower[0] < high - low


def test_who_is_right_too_often_remembers() -> None:
    found = remembered(Probe.RECALL, [(UP, UP)] * 9 + [(UP, DOWN)], 0.5)

    assert (found.hits, found.count, found.share) == (9, 10, 0.9)
    assert found.verdict is Verdict.LEAK


def test_who_is_right_by_chance_is_cleared_only_by_enough_answers() -> None:
    pairs = [(UP, UP), (UP, DOWN)]

    few = remembered(Probe.RECALL, pairs * 5, 0.5)
    enough = remembered(Probe.RECALL, pairs * (FEWEST // 2), 0.5)

    assert few.verdict is Verdict.UNDECIDED
    assert enough.verdict is Verdict.NONE_FOUND


def test_what_can_not_be_read_counts_for_nothing() -> None:
    found = remembered(Probe.RECALL, [(None, UP)] * 50 + [(UP, UP)], 0.5)

    assert (found.count, found.unread) == (1, 50)
    assert found.verdict is Verdict.UNDECIDED


def test_a_name_has_to_change_more_than_asking_twice_does() -> None:
    same, other = ("BUY", "BUY"), ("BUY", "SELL")
    calm, restless = repeated([same] * 40), repeated([other] * 30 + [same] * 10)
    changed = [other] * 30 + [same] * 10

    assert named(changed, calm).verdict is Verdict.LEAK
    assert named(changed, restless).verdict is Verdict.NONE_FOUND
    assert named([same] * 40, calm).verdict is Verdict.NONE_FOUND


def test_upside_down_only_trades_count() -> None:
    stayed, turned, none = ("BUY", "BUY"), ("BUY", "SELL"), ("HOLD", "HOLD")

    assert counterfactual([turned] * 10 + [none] * 50).verdict is Verdict.LOOKS
    assert counterfactual([stayed] * 10 + [none] * 50).verdict is Verdict.BLIND
    assert counterfactual([none] * 50).verdict is Verdict.UNDECIDED
    assert counterfactual([none] * 50).share is None


def test_what_rose_falls_by_the_same_factor_upside_down() -> None:
    panel = walk(60)
    turned = mirrored(panel, 0, 40)
    before = np.diff(np.log(panel.as_of(slice(0, 41), 40)["close"]))

    assert len(turned.sessions) == 41
    assert np.diff(np.log(turned.close)) == pytest.approx(-before)
    assert turned.close[-1] == pytest.approx(panel.close[40])
    assert (turned.low <= np.minimum(turned.open, turned.close)).all()
    assert (turned.high >= np.maximum(turned.open, turned.close)).all()
    again = mirrored(turned, 0, 40)
    assert again.high == pytest.approx(panel.as_of(slice(0, 41), 40)["high"])


def test_nothing_later_changes_what_is_turned() -> None:
    long, short = walk(60), mirrored(walk(60), 0, 59)

    assert (mirrored(long, 0, 30).close == mirrored(long, 0, 30).close).all()
    assert len(mirrored(short, 0, 30).close) == 31


def test_a_direction_needs_twenty_sessions_after_it() -> None:
    panel = walk(60)
    rose = panel.close[40 + 19] > panel.close[39]

    assert direction(panel, 0, 39) == (UP if rose else DOWN)
    assert direction(panel, 0, 40) is None


def test_choices_hold_what_is_right_and_do_not_give_it_away() -> None:
    universe = [f"S{number}" for number in range(50)]

    found = candidates("S7", universe)

    assert "S7" in found
    assert len(found) == MOST_SYMBOLS
    assert list(found) == sorted(found)
    assert candidates("S7", universe[::-1]) == found
    assert quarters_between(date(2023, 11, 1), date(2024, 4, 1)) == (
        "2023-Q4",
        "2024-Q1",
        "2024-Q2",
    )


def test_who_always_says_the_commonest_is_right_so_often() -> None:
    assert commonest([UP, UP, DOWN, UP]) == 0.75
    assert commonest([]) == 0


def test_a_blind_question_does_not_tell_what_it_asks_for() -> None:
    briefing = brief()

    asked = recognition(llm(), briefing, ["ABC", "XYZ"], ["2024-Q1", "2024-Q2"])

    told = "\n".join(part for part in asked.shared if isinstance(part, str))
    assert briefing.table == told
    assert briefing.symbol not in told
    assert "ABC, XYZ" in asked.task
    assert '"enum":["ABC","XYZ"]' in asked.schema
    assert len(asked.images) == 2


def test_a_question_for_memory_shows_nothing() -> None:
    asked = recall(llm(), "AAPL", date(2024, 2, 6))

    assert asked.shared == ()
    assert "where AAPL closed 20 sessions after its close of 2024-02-06" in asked.task


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"direction": "up"}', UP),
        ('```json\n{"direction": "down"}\n```', DOWN),
        ('{"direction": "sideways"}', None),
        ('{"direction": 1}', None),
        ("up", None),
        ('{"direction": "up"} {"direction": "down"}', None),
    ],
)
def test_a_choice_is_taken_as_it_is_or_not_at_all(text: str, said: str | None) -> None:
    assert choice_in(text, "direction", (UP, DOWN)) == said
