import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.core.briefing import Briefing
from trading_assets.core.consultation import (
    AGAIN,
    Conclusion,
    Consultation,
    Role,
    Turn,
    analyst_hash,
)
from trading_assets.core.prompts import prompts_of
from trading_assets.models.question import Answer, Outcome
from trading_assets.models.signal import Action
from trading_assets.strategies.spec import AsksModels, Charts
from trading_assets_tests.core.briefings import (
    MODEL,
    answer,
    autogen_analyst,
    brief,
    hold,
    llm,
    panel_analyst,
    refusal,
    reply,
    sell,
)
from trading_assets_tests.core.markets import walk

BRIEFING = brief(walk(60, price=200.0), sees=["table"])
"""Blind, and 2 is what 1 in it is worth."""

READINGS = ("daily", "weekly", "consolidation", "risk")
type Answers = Mapping[str, dict[str, Any] | str | Answer]


def consultation(analyst: AsksModels) -> Consultation:
    return Consultation(analyst, prompts_of(analyst, Path()))


LLM = consultation(llm(sees=["table"]))
PANEL = consultation(panel_analyst(sees=["table"]))
DEBATE = consultation(panel_analyst(sees=["table"], debate=True))
AUTOGEN = consultation(autogen_analyst(sees=["table"]))


def sampled(samples: int) -> Consultation:
    return consultation(llm(sees=["table"], samples=samples))


def heard_of(answers: Answers) -> dict[str, Answer]:
    return {
        id_: said if isinstance(said, Answer) else answer(said, f"call-{id_}")
        for id_, said in answers.items()
    }


def concluded(asks: Consultation, answers: Answers) -> Conclusion:
    told = asks.conclusion(BRIEFING, heard_of(answers))
    assert told is not None, [turn.id for turn in asks.due(BRIEFING, heard_of(answers))]
    return told


def due(asks: Consultation, answers: Answers) -> list[str]:
    return [turn.id for turn in asks.due(BRIEFING, heard_of(answers))]


def turn_of(asks: Consultation, answers: Answers, id_: str) -> Turn:
    return next(t for t in asks.due(BRIEFING, heard_of(answers)) if t.id == id_)


def consult(
    asks: Consultation, said: Callable[[Turn], Answer], briefing: Briefing = BRIEFING
) -> tuple[Conclusion, dict[str, Answer], list[Turn]]:
    """Ask until there is a conclusion."""
    heard: dict[str, Answer] = {}
    asked: list[Turn] = []
    while turns := asks.due(briefing, heard):
        assert asks.conclusion(briefing, heard) is None
        asked += turns
        heard |= {turn.id: said(turn) for turn in turns}
    told = asks.conclusion(briefing, heard)
    assert told is not None
    return told, heard, asked


# One turn


def test_a_model_is_asked_once_and_what_it_says_is_the_conclusion() -> None:
    assert due(LLM, {}) == ["decision-1"]

    told = concluded(LLM, {"decision-1": reply()})

    assert (told.action, told.confidence_score) == (Action.BUY, 60)
    assert (told.entry, told.stop_loss, told.take_profit) == (200.0, 190.0, 224.0)
    assert told.reasoning.startswith("It rises. Wrong if: A close below 95.")
    assert told.call_id == "call-decision-1"
    assert told.call_ids == ("call-decision-1",)
    assert told.models == (MODEL,)


def test_nothing_is_concluded_before_it_is_heard() -> None:
    assert LLM.conclusion(BRIEFING, {}) is None
    assert due(LLM, {"decision-1": reply()}) == []


def test_a_named_briefing_speaks_of_prices_as_traded() -> None:
    analyst = llm(sees=["table"], blind=False)
    named = brief(walk(60, price=200.0), sees=["table"], blind=False)
    said = reply(symbol="AAA", entry=200, stop_loss=190, take_profit=224)

    told = consultation(analyst).conclusion(named, {"decision-1": answer(said)})

    assert told is not None
    assert (told.entry, told.stop_loss, told.take_profit) == (200, 190, 224)
    assert "blind" not in told.reasoning


def test_hold_has_no_levels() -> None:
    told = concluded(LLM, {"decision-1": hold(entry=100, stop_loss=95, take_profit=112)})

    assert told.action is Action.HOLD
    assert (told.entry, told.stop_loss, told.take_profit) == (None, None, None)


def test_what_breaks_a_rule_is_asked_again_with_the_reason() -> None:
    bad = reply(stop_loss=101)
    again = turn_of(LLM, {"decision-1": bad}, "decision-1-repair")

    assert "BUY needs stop_loss below entry and entry below take_profit" in (
        again.question.task
    )
    assert json.dumps(bad) in again.question.task
    assert "Your task: decide." in again.question.task
    assert again.parents == ("decision-1",)
    mended = concluded(LLM, {"decision-1": bad, "decision-1-repair": reply()})
    assert (mended.action, mended.call_id) == (Action.BUY, "call-decision-1-repair")
    assert mended.call_ids == ("call-decision-1", "call-decision-1-repair")


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (answer("BUY!"), "must be one JSON object"),
        (answer(reply(symbol="AAPL")), 'symbol must be "STOCK"'),
        (answer('{"sym', outcome=Outcome.TRUNCATED, reason="8000 tokens"), "cut off"),
        (answer("", outcome=Outcome.MALFORMED, reason="no text"), "not be read: no text"),
    ],
)
def test_whatever_can_be_mended_is_asked_for_again_once(first: Answer, reason: str) -> None:
    again = turn_of(LLM, {"decision-1": first}, "decision-1-repair")
    told = concluded(LLM, {"decision-1": first, "decision-1-repair": first})

    assert reason in again.question.task
    assert told.is_abstention
    assert told.reasoning.startswith("The decision failed: asked twice, ")
    assert reason in told.reasoning
    assert (told.confidence_score, told.entry, told.call_id) == (None, None, "")


def test_what_is_refused_is_not_asked_again() -> None:
    answers = {"decision-1": refusal("no advice")}

    assert due(LLM, answers) == []
    assert concluded(LLM, answers).reasoning == "The decision failed: refused: no advice"


def test_a_long_reply_is_quoted_in_part() -> None:
    bad = {"decision-1": "x" * 50_000}

    assert len(turn_of(LLM, bad, "decision-1-repair").question.task) < 8_000


# Samples


def votes(*said: dict[str, Any] | str | Answer) -> Conclusion:
    answers = {f"decision-{at}": each for at, each in enumerate(said, 1)}
    again = {
        f"decision-{at}{AGAIN}": each
        for at, each in enumerate(said, 1)
        if isinstance(each, str)
    }
    return concluded(sampled(len(said)), answers | again)


def test_samples_are_asked_at_the_same_time_and_differ_in_nothing_else() -> None:
    turns = sampled(3).due(BRIEFING, {})

    assert [turn.id for turn in turns] == ["decision-1", "decision-2", "decision-3"]
    assert [turn.question.sample for turn in turns] == [1, 2, 3]
    assert len({turn.question.key for turn in turns}) == 3
    assert len({turn.question.task for turn in turns}) == 1


def test_what_most_samples_say_counts_and_how_many_is_the_confidence() -> None:
    told = votes(hold(), reply(), reply(), sell(), reply())

    assert (told.action, told.confidence_score) == (Action.BUY, 60)
    assert told.call_id == "call-decision-2"
    assert told.reasoning.startswith("Samples: 3 BUY, 1 SELL, 1 HOLD. Levels are medians")


def test_levels_are_the_medians_of_the_winners() -> None:
    told = votes(
        reply(entry=100, stop_loss=95, take_profit=110),
        reply(entry=101, stop_loss=90, take_profit=130),
        reply(entry=99, stop_loss=94, take_profit=112),
        sell(stop_loss=120, take_profit=60),
    )

    assert (told.entry, told.stop_loss, told.take_profit) == (200.0, 188.0, 224.0)


@pytest.mark.parametrize(
    "said", [(reply(), sell()), (reply(), hold()), (hold(), hold(), sell(), sell())]
)
def test_a_tie_abstains(said: tuple[dict[str, Any], ...]) -> None:
    told = votes(*said)

    assert told.is_abstention
    assert told.reasoning.startswith("The samples disagree: ")


def test_a_sample_that_failed_counts_against_the_confidence() -> None:
    told = votes(reply(), reply(), reply(), "garbage")

    assert (told.action, told.confidence_score) == (Action.BUY, 75)
    assert "3 BUY, 1 failed" in told.reasoning


def test_half_of_the_samples_have_to_be_heard() -> None:
    assert votes(reply(), refusal()).action is Action.BUY
    most = votes(reply(), refusal(), refusal())
    assert most.is_abstention
    assert most.reasoning == "2 of 3 decisions failed: refused: policy"


# A panel


def test_both_readers_are_asked_at_once_and_then_one_after_the_other() -> None:
    answers: dict[str, Any] = {}
    order = []
    while turns := due(PANEL, answers):
        order.append(turns)
        answers |= dict.fromkeys(turns, reply())

    assert order == [["daily", "weekly"], ["consolidation"], ["risk"], ["decision-1"]]
    assert concluded(PANEL, answers).action is Action.BUY


def test_a_debate_comes_before_the_critic() -> None:
    answers = dict.fromkeys(("daily", "weekly", "consolidation"), reply())

    assert due(DEBATE, answers) == ["bull", "bear"]
    assert due(DEBATE, {**answers, "bull": reply()}) == ["bear"]
    both = {**answers, "bull": reply(), "bear": hold()}
    assert due(DEBATE, both) == ["risk"]
    assert turn_of(DEBATE, both, "risk").parents == (
        *("daily", "weekly", "consolidation", "bull", "bear"),
    )


def test_neither_side_of_a_debate_is_told_of_the_other() -> None:
    answers = dict.fromkeys(("daily", "weekly", "consolidation"), reply())
    loud = {**answers, "bull": reply(reasoning="To the moon!")}

    before, after = (turn_of(DEBATE, each, "bear").question for each in (answers, loud))
    assert before == after


def test_later_turns_are_told_what_earlier_ones_said() -> None:
    answers = {
        "daily": reply(reasoning="Days rise.", entry=101.5),
        "weekly": hold(reasoning="Weeks drift.", evidence=["flat SMA 50"]),
    }

    task = turn_of(PANEL, answers, "consolidation").question.task

    for text in ("Days rise.", "Weeks drift.", "- flat SMA 50", "entry 101.5", "HOLD"):
        assert text in task
    assert "entry null" in task


def test_readers_are_not_held_to_levels_and_the_decision_is() -> None:
    without = reply(entry=None, stop_loss=None, take_profit=None)
    answers = dict.fromkeys(READINGS, without)

    assert due(PANEL, answers) == ["decision-1"]
    assert due(PANEL, {**answers, "decision-1": without}) == ["decision-1-repair"]


def test_a_reader_that_fails_is_told_as_not_available() -> None:
    answers = {"daily": "?", "daily-repair": "?", "weekly": reply()}
    turn = turn_of(PANEL, answers, "consolidation")

    assert "not available: asked twice, the reply must be one JSON object" in (
        turn.question.task
    )
    assert turn.parents == ("daily-repair", "weekly")
    rest = dict.fromkeys(("consolidation", "risk", "decision-1"), reply())
    told = concluded(PANEL, answers | rest)
    assert told.action is Action.BUY
    assert "Not available: daily (asked twice" in told.reasoning


def test_a_panel_without_a_reading_abstains() -> None:
    answers = dict.fromkeys(("daily", "daily-repair", "weekly", "weekly-repair"), "?")

    assert due(PANEL, answers) == []
    told = concluded(PANEL, answers)
    assert told.is_abstention
    assert told.reasoning.startswith("The turn daily failed: asked twice")
    assert "The turn weekly failed" in told.reasoning


def test_a_panel_of_which_a_turn_was_refused_abstains_when_the_rest_is_heard() -> None:
    answers = {"daily": refusal("policy")}

    assert due(PANEL, answers) == ["weekly"]
    told = concluded(PANEL, {**answers, "weekly": reply()})
    assert told.reasoning == "The turn daily was refused: policy"


@pytest.mark.parametrize("role", READINGS)
def test_whichever_turn_is_refused_no_later_one_is_asked(role: str) -> None:
    told, _, asked = consult(
        PANEL, lambda turn: refusal() if turn.id == role else answer(reply())
    )

    assert told.is_abstention
    assert "decision-1" not in [turn.id for turn in asked]


def test_calls_are_listed_in_the_order_of_the_turns() -> None:
    answers: dict[str, Any] = dict.fromkeys(reversed([*READINGS, "decision-1"]), reply())
    answers |= {"weekly": "?", "weekly-repair": reply()}

    assert concluded(PANEL, answers).call_ids == (
        "call-daily",
        "call-weekly",
        "call-weekly-repair",
        *("call-consolidation", "call-risk", "call-decision-1"),
    )


# What is asked


@pytest.mark.parametrize("asks", [LLM, PANEL, DEBATE, AUTOGEN, sampled(3)])
def test_all_turns_of_a_briefing_begin_with_the_same_bytes(asks: Consultation) -> None:
    said = iter(range(10_000))
    _, _, asked = consult(asks, lambda _: answer("garbage" if next(said) % 2 else reply()))

    beginnings = {
        (q.model, q.system, q.shared, q.schema_name, q.schema, q.effort, q.max_tokens)
        for q in (turn.question for turn in asked)
    }
    assert len(beginnings) == 1
    assert len({turn.question.key for turn in asked}) == len(asked)


def test_charts_come_before_the_table_and_the_task_last() -> None:
    told = brief(walk(60))
    question = consultation(llm()).due(told, {})[0].question

    opening, daily, weekly, table = question.shared
    assert isinstance(opening, str)
    assert opening.startswith("Instrument: STOCK. The last close, t0, is 100.")
    assert (daily, weekly) == told.charts
    assert table == told.table


def test_who_sees_no_table_is_told_close_and_range() -> None:
    analyst = llm(sees=["charts"])
    opening = consultation(analyst).due(brief(sees=["charts"]), {})[0].question.shared[0]

    assert "Last close: 100. Average true range of 14 sessions: " in str(opening)


def test_a_blind_question_has_no_name_and_no_day() -> None:
    told = brief(walk(60, symbol="NVDA"))
    _, _, asked = consult(
        DEBATE, lambda turn: answer("?" if AGAIN not in turn.id else reply()), told
    )

    for turn in asked:
        texts = [part for part in turn.question.shared if isinstance(part, str)]
        words = " ".join([turn.question.system, turn.question.task, *texts])
        assert "NVDA" not in words
        assert "2024" not in words


def test_a_named_question_has_both() -> None:
    analyst = llm(blind=False, sees=["table"])
    told = brief(walk(60, symbol="NVDA"), blind=False, sees=["table"])
    question = consultation(analyst).due(told, {})[0].question

    assert "Instrument: NVDA. The session of 2024-05-15" in str(question.shared[0])
    assert 'symbol ("NVDA")' in question.system


def test_an_errand_names_the_calls_that_are_quoted() -> None:
    heard = heard_of({"daily": "?", "daily-repair": reply(), "weekly": reply()})
    (turn,) = PANEL.due(BRIEFING, heard)

    errand = PANEL.errand(BRIEFING, turn, heard, strategy="mine", run_id="run")

    assert (errand.strategy, errand.symbol, errand.session.isoformat()) == (
        *("mine", "AAA", "2024-05-15"),
    )
    assert errand.role == "consolidation"
    assert errand.parents == ("call-daily-repair", "call-weekly")
    assert errand.prompt_version == PANEL.prompts.version
    assert errand.table_hash == BRIEFING.table_hash
    assert errand.is_blind


# Whatever is said

GOOD = st.sampled_from(
    [reply(), reply(confidence=80, entry=101), sell(), hold(), hold(confidence=10)]
)
FAULTY = st.sampled_from([reply(symbol="X"), sell(stop_loss=95), hold(entry=1)])
ANSWERS = st.one_of(
    GOOD.map(answer),
    FAULTY.map(answer),
    st.text(max_size=20).map(answer),
    st.sampled_from(
        [
            refusal(),
            answer("", outcome=Outcome.TRUNCATED),
            answer("", outcome=Outcome.MALFORMED, reason="html"),
            answer("{}"),
        ]
    ),
)
ASKS = st.sampled_from([LLM, PANEL, DEBATE, AUTOGEN, sampled(2), sampled(5)])


@given(ASKS, st.data())
@settings(max_examples=80)
def test_whatever_models_say_it_ends_and_only_a_model_says_hold(
    asks: Consultation, data: st.DataObject
) -> None:
    told, heard, asked = consult(asks, lambda _: data.draw(ANSWERS))

    assert len(asked) == len(heard) <= asks.most_turns
    assert told.reasoning
    decisions = [heard[turn.id].text for turn in asked if turn.role is Role.DECISION]
    if told.action is None:
        assert (told.confidence_score, told.entry, told.call_id) == (None, None, "")
    else:
        assert any(f'"action": "{told.action}"' in text for text in decisions)
        assert told.confidence_score is not None
        assert 0 <= told.confidence_score <= 100
    if told.action in {Action.BUY, Action.SELL}:
        assert told.entry is not None
        assert told.stop_loss is not None
        assert told.take_profit is not None
        assert (told.stop_loss < told.entry < told.take_profit) is (
            told.action is Action.BUY
        )


@given(ASKS, st.data())
@settings(max_examples=30)
def test_the_order_in_which_answers_come_changes_nothing(
    asks: Consultation, data: st.DataObject
) -> None:
    said: dict[str, Answer] = {}

    def once(turn: Turn) -> Answer:
        if turn.id not in said:
            said[turn.id] = data.draw(ANSWERS)
        return said[turn.id]

    at_once, heard, asked = consult(asks, once)
    singly: dict[str, Answer] = {}
    questions = {}
    while turns := asks.due(BRIEFING, singly):
        turn = data.draw(st.sampled_from(turns))
        questions[turn.id] = turn.question
        singly = {turn.id: once(turn), **singly}

    assert asks.conclusion(BRIEFING, singly) == at_once
    assert singly.keys() == heard.keys()
    assert questions == {turn.id: turn.question for turn in asked}


@given(
    st.lists(GOOD.filter(lambda said: said["action"] == "BUY"), min_size=1, max_size=9),
    st.data(),
)
@settings(max_examples=30)
def test_medians_keep_the_rules_that_each_of_them_keeps(
    said: list[dict[str, Any]], data: st.DataObject
) -> None:
    atr = BRIEFING.atr or 1.0
    levels = [
        reply(
            entry=(entry := data.draw(st.floats(76, 124))),
            stop_loss=entry - atr * data.draw(st.floats(0.26, 9.9)),
            take_profit=entry * data.draw(st.floats(1.001, 1.99)),
        )
        for _ in said
    ]

    told = votes(*levels)

    if told.is_abstention:  # a stop below 0
        return
    assert told.entry is not None
    assert told.stop_loss is not None
    assert told.take_profit is not None
    entry, stop = told.entry / 2, told.stop_loss / 2
    assert 0.25 <= (entry - stop) / atr <= 10
    assert 75 <= entry <= 125
    assert entry < told.take_profit / 2 <= 2 * entry


# Its hash


def test_a_hash_changes_with_what_an_opinion_depends_on() -> None:
    def hash_of(analyst: AsksModels, charts: Charts | None = None) -> str:
        return analyst_hash(analyst, charts or Charts(), prompts_of(analyst, Path()))

    changed = [
        {"model": "openai/gpt-6-luna"},
        {"fallback": ["openai/gpt-6-luna"]},
        {"effort": "high"},
        {"max_tokens": 4000},
        {"samples": 3},
        {"blind": False},
        {"sees": ["charts"]},
        {"table_bars": 30},
    ]
    hashes = {hash_of(llm(**told)) for told in changed} | {hash_of(llm())}
    hashes |= {hash_of(panel_analyst()), hash_of(panel_analyst(debate=True))}
    hashes.add(hash_of(llm(), Charts(daily_sessions=90)))

    assert len(hashes) == len(changed) + 4


def test_a_hash_does_not_change_with_what_only_costs_time_or_money() -> None:
    base = analyst_hash(llm(), Charts(), prompts_of(llm(), Path()))
    for told in (
        {"concurrency": 1},
        {"timeout_seconds": 5},
        {"budget": {"run_usd": 1}},
        {"cutoff": "2026-01-31"},
    ):
        analyst = llm(**told)
        assert analyst_hash(analyst, Charts(), prompts_of(analyst, Path())) == base
    assert analyst_hash(llm(), Charts.model_validate({"draw": "none"}), LLM.prompts) == base
