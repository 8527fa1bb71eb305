import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.reply import (
    DECISION_RULES,
    SCHEMA,
    TURN_RULES,
    Reply,
    Terms,
    printable,
    reply_of,
)
from trading_assets.models.signal import Action
from trading_assets_tests.core.briefings import hold, reply, sell

TERMS = Terms("STOCK", 100.0, 2.0)


def read(said: dict[str, Any] | str, terms: Terms = TERMS) -> Reply | tuple[str, ...]:
    return reply_of(
        said if isinstance(said, str) else json.dumps(said), terms, DECISION_RULES
    )


def faults(said: dict[str, Any] | str, terms: Terms = TERMS) -> tuple[str, ...]:
    told = read(said, terms)
    assert not isinstance(told, Reply)
    return told


def accepted(said: dict[str, Any] | str) -> Reply:
    told = read(said)
    assert isinstance(told, Reply), told
    return told


# Reading


@pytest.mark.parametrize("said", [reply(), hold(), sell()])
def test_a_good_reply_is_taken_as_it_is(said: dict[str, Any]) -> None:
    told = accepted(said)

    assert json.loads(told.model_dump_json()) == said


@pytest.mark.parametrize(
    "form",
    [
        "{}",
        "```json\n{}\n```",
        "```\n{}```",
        "Here is my view of it:\n\n{}\n",
        "\ufeff {} Thank you.",
    ],
)
def test_one_object_is_found_in_a_fence_or_among_words(form: str) -> None:
    text = form.replace("{}", json.dumps(reply()), 1)

    assert accepted(text).action is Action.BUY


@pytest.mark.parametrize(
    "text",
    [
        "",
        "BUY at 100",
        "[1, 2]",
        json.dumps(reply())[:-5],
        json.dumps(sell())[:-5] + json.dumps(reply()),
        json.dumps(reply()) + json.dumps(hold()),
        json.dumps(reply()) + json.dumps(sell())[:-5],
        f"[{json.dumps(reply())}]",
        f'{{"view": {json.dumps(reply())}',
        f'"view": {json.dumps(reply())}}}',
        f"as in {{that}}: {json.dumps(reply())}",
        "{" * 9_000,
        '{"a":' * 9_000,
        '{"symbol": "STOCK", "symbol": "STOCK"}',
        '{"confidence": 1' + "0" * 5000 + "}",
    ],
)
def test_none_several_and_parts_are_no_reply(text: str) -> None:
    assert faults(text) == (
        "the reply must be one JSON object and nothing else in brackets",
    )


def test_of_very_many_faults_a_few_are_told() -> None:
    told = faults(reply(evidence=[0] * 9_000, action="x" * 9_000))

    assert told[-1].endswith("more like these")
    assert sum(map(len, told)) < 5_000


def test_a_reply_without_end_is_not_looked_into() -> None:
    (told,) = faults(json.dumps(reply(reasoning="x" * 200_000)))

    assert told.startswith("the reply must have at most 100000 characters")


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"action": "buy"}, "action: must be 'BUY', 'SELL' or 'HOLD', was \"buy\""),
        ({"action": None}, "action: must be"),
        ({"confidence": "60"}, 'confidence: must be a number, was "60"'),
        ({"confidence": True}, "confidence: must be a number, was true"),
        ({"confidence": None}, "confidence: must be a number, was null"),
        ({"entry": "100"}, 'entry: must be a number or null, was "100"'),
        ({"evidence": "one"}, 'evidence: must be a list of texts, was "one"'),
        ({"evidence": [1]}, "evidence[0]: must be text"),
        ({"symbol": 5}, "symbol: must be text"),
    ],
)
def test_what_is_of_the_wrong_type_is_said_in_a_sentence(
    told: dict[str, Any], expected: str
) -> None:
    (fault,) = faults(reply(**told))

    assert fault.startswith(expected)


@pytest.mark.parametrize("key", sorted(reply()))
def test_a_key_that_is_missing_is_named(key: str) -> None:
    said = reply()
    del said[key]

    assert faults(said) == (f"{key}: is missing",)


def test_a_key_too_many_does_no_harm() -> None:
    assert accepted(reply(note="by the way")).action is Action.BUY


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("key", ["confidence", "entry", "stop_loss", "take_profit"])
def test_what_is_not_finite_is_no_number(key: str, number: str) -> None:
    text = json.dumps(reply(**{key: "@"})).replace('"@"', number)

    assert any(
        fault.startswith(f"{key}: must be a finite number") for fault in faults(text)
    )


def test_what_can_not_be_stored_or_sent_is_taken_out_of_words() -> None:
    said = accepted(json.dumps(reply(reasoning="a\x00b\ud800 c\n")))

    assert said.reasoning == "a b? c"
    assert printable("é\n\t\x1b") == "é\n\t "


# Rules

BROKEN = [
    ("symbol", reply(symbol="AAPL"), 'symbol must be "STOCK", was "AAPL"'),
    ("reasoning", reply(reasoning="  "), "reasoning must not be empty"),
    ("confidence", reply(confidence=101), "confidence must be from 0 to 100, was 101"),
    ("confidence", reply(confidence=-1), "confidence must be from 0 to 100, was -1"),
    ("confidence", reply(confidence=0.7), "confidence must be of 100, not of 1, was 0.7"),
    ("prices", hold(entry=-5, stop_loss=1, take_profit=1), "entry must be above 0, was -5"),
    (
        "levels",
        reply(stop_loss=None),
        "BUY needs entry, stop_loss and take_profit, lacks st",
    ),
    (
        "levels",
        hold(action="SELL"),
        "SELL needs entry, stop_loss and take_profit, lacks en",
    ),
    (
        "levels",
        hold(entry=100),
        "HOLD must have all three levels or none, lacks stop_loss ",
    ),
    (
        "order",
        reply(stop_loss=101),
        "BUY needs stop_loss below entry and entry below take_",
    ),
    ("order", reply(take_profit=99), "BUY needs stop_loss below entry and entry below ta"),
    ("order", reply(stop_loss=105, take_profit=90), "BUY needs stop_loss below entry and"),
    ("order", sell(stop_loss=95), "SELL needs stop_loss above entry and entry above take_"),
    ("order", sell(take_profit=101), "SELL needs stop_loss above entry and entry above t"),
    (
        "entry_distance",
        reply(entry=126, stop_loss=120, take_profit=140),
        "entry must be within 25 % of the last close 100, was 126",
    ),
    (
        "stop_distance",
        reply(stop_loss=99.6),
        "stop_loss must be 0.25 to 10 average true ranges (2 each) from entry, was 0.2",
    ),
    (
        "stop_distance",
        reply(stop_loss=79),
        "stop_loss must be 0.25 to 10 average true ranges (2 each) from entry, was 10.5",
    ),
    (
        "target_distance",
        reply(take_profit=201),
        "take_profit must be within 100 % of entry 100, was 201",
    ),
]


@pytest.mark.parametrize(("rule", "said", "expected"), BROKEN)
def test_a_rule_that_is_broken_is_told(
    rule: str, said: dict[str, Any], expected: str
) -> None:
    assert any(fault.startswith(expected) for fault in faults(said))
    others = [each for each in DECISION_RULES if each.name != rule]
    left = reply_of(json.dumps(said), TERMS, others)
    assert isinstance(left, Reply) or not [f for f in left if f.startswith(expected)]


def test_every_rule_is_broken_by_an_example() -> None:
    assert {rule for rule, _, _ in BROKEN} == {rule.name for rule in DECISION_RULES}


@pytest.mark.parametrize(
    "said",
    [
        reply(entry=125, stop_loss=115, take_profit=140),
        reply(stop_loss=99.5),
        reply(stop_loss=80),
        reply(take_profit=200),
        reply(confidence=0),
        reply(confidence=100),
        hold(entry=100, stop_loss=101, take_profit=99),
    ],
)
def test_at_the_edge_of_a_rule_it_holds(said: dict[str, Any]) -> None:
    accepted(said)


@pytest.mark.parametrize("atr", [None, 0.0])
def test_without_a_true_range_a_stop_may_lie_anywhere_below(atr: float | None) -> None:
    told = read(reply(stop_loss=1), Terms("STOCK", 100.0, atr))

    assert isinstance(told, Reply)


def test_all_faults_are_told_at_once() -> None:
    told = faults(reply(symbol="X", confidence=200, stop_loss=120))

    assert len(told) == 3


def test_a_turn_that_does_not_decide_may_name_any_levels() -> None:
    said = json.dumps(reply(stop_loss=None, take_profit=50))

    assert isinstance(reply_of(said, TERMS, TURN_RULES), Reply)
    assert not isinstance(reply_of(said, TERMS, DECISION_RULES), Reply)


NUMBERS = st.one_of(
    st.none(), st.floats(), st.integers(-10, 300), st.text(max_size=3), st.booleans()
)


@given(
    st.fixed_dictionaries(
        {
            "symbol": st.sampled_from(["STOCK", "AAPL", ""]),
            "evidence": st.lists(st.text(max_size=5), max_size=2),
            "reasoning": st.text(max_size=5),
            "action": st.sampled_from(["BUY", "SELL", "HOLD", "BY"]),
            "confidence": NUMBERS,
            "entry": NUMBERS,
            "stop_loss": NUMBERS,
            "take_profit": NUMBERS,
            "invalidation": st.text(max_size=5),
        }
    )
)
def test_what_is_accepted_can_be_traded(said: dict[str, Any]) -> None:
    told = read(json.dumps(said))

    if not isinstance(told, Reply):
        assert told
        assert all(isinstance(fault, str) and fault for fault in told)
    elif told.action is not Action.HOLD:
        entry, stop, target = (
            told.levels[n] for n in ("entry", "stop_loss", "take_profit")
        )
        assert all(math.isfinite(level) and level > 0 for level in (entry, stop, target))
        assert (stop < entry < target) is (told.action is Action.BUY)
        assert (stop > entry > target) is (told.action is Action.SELL)


@given(st.text())
def test_any_text_is_a_reply_or_has_faults(text: str) -> None:
    told = read(text)

    assert isinstance(told, Reply) or len(told) > 0
    for fault in () if isinstance(told, Reply) else told:
        fault.encode()


# The schema


def test_the_schema_asks_for_what_a_reply_has() -> None:
    schema = json.loads(SCHEMA)

    assert schema["additionalProperties"] is False
    assert list(schema["properties"]) == schema["required"] == list(Reply.model_fields)
    assert schema["properties"]["action"]["enum"] == [each.value for each in Action]


def test_the_schema_relies_on_nothing_that_a_provider_does_not_enforce() -> None:
    words = ("minimum", "maximum", "pattern", "minLength", "minItems", "format", "$ref")

    assert not [word for word in words if f'"{word}"' in SCHEMA]
    assert SCHEMA.count("anyOf") <= 16


def test_reasons_come_before_the_action() -> None:
    keys = list(json.loads(SCHEMA)["properties"])

    assert keys.index("evidence") < keys.index("reasoning") < keys.index("action")
