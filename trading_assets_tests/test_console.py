"""What the prompt says at the end of asking models."""

import pandas as pd
import pytest

from trading_assets.console import show_opinions


def made(*actions: str | None, why: str = "") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "action": pd.Series(actions, dtype=object),
            "is_abstention": [action is None for action in actions],
            "reasoning": why,
            "cost_usd": 0.01,
        }
    )


def test_opinions_are_counted_with_what_they_cost(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_opinions(made("BUY", "BUY", "HOLD", None))

    said = capsys.readouterr().out
    assert said == (
        "opinions     4: 2 BUY, 1 HOLD, 1 abstained; $0.0400 when they were asked for\n"
    )


def test_where_most_abstain_it_is_said_why(capsys: pytest.CaptureFixture[str]) -> None:
    show_opinions(made("BUY", None, None, why="asked twice, [symbol] must be STOCK"))

    said = capsys.readouterr().out
    assert "1 BUY, 2 abstained" in said
    assert "most often: asked twice, [symbol] must be STOCK" in said


def test_of_no_opinion_nothing_is_said_but_that(capsys: pytest.CaptureFixture[str]) -> None:
    show_opinions(made())

    assert capsys.readouterr().out.startswith("opinions     0: none abstained; $0.0000")
