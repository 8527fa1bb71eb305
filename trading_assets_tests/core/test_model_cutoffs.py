from datetime import date, timedelta

import pytest

from trading_assets.core.model_cutoffs import (
    CUTOFFS,
    MARGIN_DAYS,
    cutoff_of,
    is_out_of_sample,
)

HAIKU = "anthropic/claude-haiku-4-5"
SONNET = "anthropic/claude-sonnet-5"
OWN = "compatible/qwen3-vl:8b"


def test_a_margin_after_the_cutoff_it_is_out_of_sample() -> None:
    clean = date(2025, 7, 31) + timedelta(days=MARGIN_DAYS)

    assert is_out_of_sample([HAIKU], clean) is False
    assert is_out_of_sample([HAIKU], clean + timedelta(days=1)) is True


def test_the_later_of_knowledge_and_training_counts() -> None:
    # Anthropic: reliable knowledge until February 2025, training data until July 2025.
    assert cutoff_of(HAIKU) == date(2025, 7, 31)


def test_all_that_had_a_part_in_it_must_be_out_of_sample() -> None:
    session = date(2025, 12, 1)

    assert is_out_of_sample([HAIKU, SONNET], session) is False
    assert is_out_of_sample([HAIKU, SONNET], date(2026, 6, 1)) is True


def test_a_model_that_nobody_knows_makes_it_unknown() -> None:
    session = date(2026, 6, 1)

    assert is_out_of_sample([OWN], session) is None
    assert is_out_of_sample([HAIKU, OWN], session) is None
    assert is_out_of_sample([], session) is None


def test_one_that_surely_knew_is_enough() -> None:
    assert is_out_of_sample([SONNET, OWN], date(2026, 1, 2)) is False


def test_what_a_strategy_tells_of_its_own_model_is_believed() -> None:
    told = date(2025, 1, 31)

    assert is_out_of_sample([OWN], date(2025, 4, 1), told) is False
    assert is_out_of_sample([OWN], date(2025, 4, 2), told) is True


def test_nothing_told_makes_a_known_model_know_less() -> None:
    assert cutoff_of(HAIKU, date(2020, 1, 1)) == date(2025, 7, 31)
    assert cutoff_of(HAIKU, date(2026, 1, 1)) == date(2026, 1, 1)


@pytest.mark.parametrize(
    ("model", "known_as"),
    [
        ("anthropic/claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("openai/gpt-6-luna-2026-09-01", "gpt-6-luna"),
        ("claude-opus-5", "claude-opus-5"),
    ],
)
def test_a_date_at_the_end_of_a_name_is_the_same_model(model: str, known_as: str) -> None:
    assert cutoff_of(model) == CUTOFFS[known_as].last_day


@pytest.mark.parametrize(
    "model",
    [
        "anthropic/claude-opus-5-7",
        "openai/gpt-6-luna-mini",
        "openai/gpt-6",
        "compatible/claude-haiku-4-5",
        "",
    ],
)
def test_a_name_that_is_only_alike_is_another_model(model: str) -> None:
    assert cutoff_of(model) is None


def test_every_row_has_a_source() -> None:
    assert all(cutoff.source for cutoff in CUTOFFS.values())
    assert list(CUTOFFS) == sorted(CUTOFFS)
