"""Whose word an opinion is, for the question of what they may remember."""

from dataclasses import replace
from datetime import date

import pytest

from trading_assets.adapters.analysts.chart_reader import _spoke
from trading_assets.core.model_cutoffs import is_out_of_sample
from trading_assets_tests.core.briefings import answer

OLD, NEW = "claude-haiku-4-5", "claude-haiku-5-5"
SESSION = date(2026, 3, 2)
"""After all that the old one has read, and before the end of what the new one has."""


@pytest.mark.parametrize(
    ("asked", "answered", "expected"),
    [
        (f"anthropic/{OLD}", OLD, True),
        (f"anthropic/{OLD}", f"{OLD}-20251001", True),
        (f"anthropic/{OLD}", NEW, False),
        (f"anthropic/{OLD}", "claude-something-else", None),
        (f"anthropic/{OLD}", "", True),
    ],
)
def test_whoever_says_that_it_has_answered_counts(
    asked: str, answered: str, *, expected: bool | None
) -> None:
    said = replace(answer("{}"), model_asked=asked, model_answered=answered)

    assert is_out_of_sample({asked, *_spoke([said])}, SESSION) is expected


def test_a_server_of_ones_own_may_call_itself_anything() -> None:
    said = replace(answer("{}"), model_asked="compatible/own", model_answered=NEW)

    assert _spoke([said]) == set()
