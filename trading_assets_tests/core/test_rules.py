from typing import Annotated, Any, Literal

import numpy as np
import pytest
from pydantic import Field

from trading_assets.core.opinions import Opinions
from trading_assets.core.rules import rule
from trading_assets.core.views import Views
from trading_assets.errors import DataMissing, InvalidStrategy
from trading_assets_tests.core.viewing import make_views


def _low_first(low: float, high: float) -> None:
    if low >= high:
        raise ValueError(f"low must be below high, was {low} with {high}")


def says(views: Views, is_bought: Any) -> Opinions:
    is_bought = np.broadcast_to(is_bought, (len(views),))
    return Opinions.of(
        views, buy=is_bought, sell=~is_bought, reason=lambda row: f"row {row}"
    )


@rule(indicators=lambda days: (f"sma_{days}",), bars=lambda days: days, check=_low_first)
def demanding(
    views: Views,
    *,
    days: Annotated[int, Field(ge=2, le=9)] = 3,
    low: float = 1.0,
    high: float = 2.0,
    mode: Literal["calm", "wild"] = "calm",
    strict: bool = True,
) -> Opinions:
    """Something to be asked.

    Args:
        days: Bars in the average.
    """
    del low, high, mode, strict
    return says(views, views.close > views[f"sma_{days}"])


def test_what_is_needed_follows_from_the_parameters() -> None:
    assert demanding.bound({}).indicators == ("sma_3",)
    assert demanding.bound({"days": 5}).indicators == ("sma_5",)
    assert demanding.bound({"days": 5}).bars == 5


def test_defaults_complete_what_is_given() -> None:
    bound = demanding.bound({"high": 5, "mode": "wild"})

    assert bound.parameters == {
        "days": 3,
        "low": 1.0,
        "high": 5.0,
        "mode": "wild",
        "strict": True,
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"days": "5"}, 'days: must be a whole number, was "5"'),
        ({"days": True}, "days: must be a whole number, was true"),
        ({"days": 5.0}, "days: must be a whole number, was 5.0"),
        ({"days": 10}, "days: must be less than or equal to 9, was 10"),
        ({"days": None}, "days: must be a whole number, was null"),
        ({"low": False}, "low: must be a number, was false"),
        ({"low": [1]}, r"low: must be a number, was \[1\]"),
        ({"strict": "yes"}, 'strict: must be true or false, was "yes"'),
        (
            {"mode": "wlid"},
            "mode: must be 'calm' or 'wild', was \"wlid\"; did you mean wild?",
        ),
        ({"dayz": 5}, "dayz: unknown key; did you mean days?"),
        ({"low": 3.0}, "low must be below high, was 3.0 with 2.0"),
    ],
)
def test_a_wrong_parameter_is_refused_with_what_is_allowed(
    given: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidStrategy, match=f"rule demanding: {message}"):
        demanding.bound(given)


def test_every_wrong_parameter_is_named() -> None:
    keys = [fault.keys for fault in demanding.faults({"days": "5", "lo": 1, "mode": 3})]

    assert keys == [("days",), ("mode",), ("lo",)]


def test_a_parameter_without_default_must_be_given() -> None:
    @rule()
    def choosy(views: Views, *, days: int) -> Opinions:
        return says(views, views.close > days)

    with pytest.raises(InvalidStrategy, match="days: is missing; rule choosy needs it"):
        choosy.bound({})


def test_a_rule_sees_nothing_that_it_did_not_declare() -> None:
    @rule(indicators=("x",))
    def nosy(views: Views) -> Opinions:
        return says(views, views["y"] > 0)

    views = make_views([1.0], {"x": [1.0], "y": [1.0]})

    with pytest.raises(InvalidStrategy, match="rule nosy: indicator y is not declared"):
        nosy.bound({}).opinions(views)


def test_what_was_not_computed_is_missing_data() -> None:
    with pytest.raises(DataMissing, match="sma_3"):
        demanding.bound({}).opinions(make_views([1.0]))


@pytest.mark.parametrize("days", [1, 2, 7])
def test_a_rule_that_looks_at_the_next_row_is_refused(days: int) -> None:
    @rule()
    def prophetic(views: Views) -> Opinions:
        return says(views, np.roll(views.close, -days) > views.close)

    closes = [10.0, 12.0, 11.0, 15.0, 9.0, 8.0, 20.0, 21.0, 5.0]

    with pytest.raises(
        InvalidStrategy, match="prophetic: an opinion may rest on its own row"
    ):
        prophetic.bound({}).opinions(make_views(closes))


def test_a_rule_that_compares_with_all_rows_is_refused() -> None:
    @rule()
    def relative(views: Views) -> Opinions:
        return says(views, views.close > views.close.mean())

    with pytest.raises(InvalidStrategy, match="action of AAA 2024-01-05 is 1 among 4 rows"):
        relative.bound({}).opinions(make_views([1.0, 5.0, 9.0, 7.0]))


def test_a_rule_of_windows_is_as_good_as_one_of_indicators() -> None:
    @rule(bars=3)
    def above_window(views: Views) -> Opinions:
        return says(views, views.close > views.window("close", 3).mean(axis=1))

    told = above_window.bound({}).opinions(make_views([3.0, 1.0, 2.0, 9.0, 1.0]))

    # Means of three: 2, 4, 4; the first two rows have too few bars.
    assert told.action.tolist() == [0, 0, -1, 1, -1]
    assert told.abstains.tolist() == [True, True, False, False, False]


def test_no_rows_are_no_question() -> None:
    @rule()
    def fragile(views: Views) -> Opinions:
        return says(views, views.close > views.close.max() - 1)

    assert len(fragile.bound({}).opinions(make_views([]))) == 0


def test_a_rule_that_returns_no_opinions_is_refused() -> None:
    @rule()
    def mute(views: Views) -> Any:
        del views

    with pytest.raises(InvalidStrategy, match=r"rule mute: .*Opinions, was NoneType"):
        mute.bound({}).opinions(make_views([1.0]))


def test_calling_a_rule_calls_its_function() -> None:
    views = make_views([5.0], {"sma_4": [4.0]})

    assert demanding(views, days=4).action.tolist() == [1]


def positional(views: Views, days: int = 3) -> Opinions:
    return says(views, views.close > days)


def bare(views: Views, *, days=3) -> Opinions:  # type: ignore[no-untyped-def]  # noqa: ANN001
    return says(views, views.close > days)


@pytest.mark.parametrize("function", [positional, bare])
def test_a_parameter_that_can_not_be_checked_is_refused_where_it_is_written(
    function: Any,
) -> None:
    with pytest.raises(InvalidStrategy, match=r"keyword-only and annotated.*\['days'\]"):
        rule()(function)


def test_a_rule_may_have_another_name_than_its_function() -> None:
    assert rule(name="other")(positional_free).name == "other"


def positional_free(views: Views) -> Opinions:
    return says(views, views.close > 1)


def test_its_json_schema_tells_bounds_defaults_and_meanings() -> None:
    days = demanding.json_schema()["properties"]["days"]

    assert days == {
        "type": "integer",
        "minimum": 2,
        "maximum": 9,
        "default": 3,
        "description": "Bars in the average.",
    }


def test_a_new_version_is_a_new_hash() -> None:
    first, again, second = (rule(version=v)(positional_free) for v in "112")

    assert first.version_hash == again.version_hash
    assert first.version_hash != second.version_hash
