"""Whatever comes back is made something of, and nothing of it is believed."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.adapters.models import (
    anthropic_messages,
    chat_completions,
    openai_responses,
)
from trading_assets.adapters.models.gate import open_gate
from trading_assets.adapters.models.hearing import SdkErrors, heard
from trading_assets.adapters.models.replies import Reading, Reply, Silence
from trading_assets.adapters.models.verdicts import (
    Then,
    judged,
    pause_seconds,
    retry_after_seconds,
)
from trading_assets.models.question import Outcome, Usage

NOW = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
LANGUAGES = [anthropic_messages, openai_responses, chat_completions]
every_language = pytest.mark.parametrize("language", LANGUAGES)
HEARD = {Outcome.ANSWERED, Outcome.REFUSED, Outcome.TRUNCATED, Outcome.MALFORMED}

WORDS = st.sampled_from(
    [
        *("type", "text", "message", "content", "stop_reason", "refusal", "usage"),
        *("input_tokens", "output_tokens", "choices", "finish_reason", "length"),
        *("output", "status", "completed", "incomplete", "incomplete_details", "reason"),
        *("content_filter", "output_text", "error", "code", "model", "prompt_tokens"),
        *("cache_read_input_tokens", "response", "max_tokens", "", "\0"),
    ]
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=25,
)
OBJECTS = st.dictionaries(WORDS, ANY_JSON, max_size=6)
BODIES = st.one_of(st.binary(max_size=40), OBJECTS.map(lambda it: json.dumps(it).encode()))


@every_language
@given(body=BODIES)
def test_any_reply_at_all_can_be_read(language: Any, body: bytes) -> None:
    reading = language.read(body)

    assert reading.outcome in HEARD
    assert bool(reading.text.strip()) >= (reading.outcome is Outcome.ANSWERED)
    assert bool(reading.reason) == (reading.outcome is not Outcome.ANSWERED)


@every_language
@given(
    status=st.integers(100, 599),
    body=BODIES,
    retry_after=st.text(max_size=12) | st.floats().map(str) | st.integers().map(str),
)
def test_any_reply_at_all_gets_a_verdict(
    language: Any, status: int, body: bytes, retry_after: str
) -> None:
    reply = Reply(status, {"retry-after": retry_after}, body)

    verdict = judged(reply, language.read, language.error_code, NOW)

    is_refused = verdict.outcome is Outcome.REFUSED
    is_answer = 200 <= status < 300 or (is_refused and status in (400, 403))
    assert (verdict.reading is not None) == is_answer
    assert is_answer or verdict.then is not Then.DONE
    if verdict.then is Then.AGAIN and not is_answer:
        assert status >= 500 or status in (408, 409, 429)


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (400, b'{"error": {"message": "Blocked by our content filter."}}', "refused"),
        (400, b'{"error": {"code": "content_policy_violation"}}', "refused"),
        (403, b'{"error": {"code": "content_filter", "message": "no"}}', "refused"),
        (400, b"<html>Blocked by the content filter of your office</html>", "rejected"),
        (403, b"<html>Blocked by the content filter of your office</html>", "unauthorized"),
        (403, b'{"error": {"message": "the content filter is not yours"}}', "unauthorized"),
        (500, b'{"error": {"code": "content_filter", "message": "no"}}', "overloaded"),
    ],
)
def test_only_a_provider_itself_refuses_what_was_asked(
    status: int, body: bytes, outcome: str
) -> None:
    read, error_code = openai_responses.read, openai_responses.error_code

    verdict = judged(Reply(status, {}, body), read, error_code, NOW)

    assert verdict.outcome == outcome
    assert (verdict.reading is not None) == (outcome == "refused")


@pytest.mark.parametrize(
    ("error", "is_sent"),
    [
        (httpx2.ReadError("cut"), True),
        (httpx2.ReadTimeout("late"), True),
        (httpx2.RemoteProtocolError("short"), True),
        (httpx2.ConnectTimeout("nobody"), False),
    ],
)
def test_a_body_that_breaks_off_is_a_silence(
    error: Exception,
    is_sent: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    async def broken() -> None:
        raise error

    errors = SdkErrors(KeyError, KeyError, httpx2.HTTPError, KeyError)

    async def ask() -> Reply | Silence:
        return await heard(broken(), open_gate(1.0), errors)

    came = asyncio.run(ask())

    assert isinstance(came, Silence)
    assert came.is_sent is is_sent
    assert type(error).__name__ in came.reason


@given(told=st.text(max_size=40))
def test_any_retry_after_is_a_time_from_now_or_none(told: str) -> None:
    seconds = retry_after_seconds({"retry-after": told}, NOW)

    assert seconds is None or 0 <= seconds < float("inf")


@given(
    failures=st.integers(1, 1000),
    asked_for=st.none() | st.floats(0, 1e6),
    chance=st.floats(0, 1),
)
def test_a_pause_is_what_was_asked_for_at_least_and_has_a_bound(
    failures: int, asked_for: float | None, chance: float
) -> None:
    seconds = pause_seconds(failures, asked_for, chance)

    assert seconds >= max(0.375, asked_for or 0.0)
    assert seconds <= max(37.5, (asked_for or 0.0) + 0.5)


USAGES: list[tuple[Any, dict[str, Any], Usage | None]] = [
    (
        anthropic_messages,
        {
            "input_tokens": 10,
            "cache_read_input_tokens": 300,
            "cache_creation_input_tokens": 40,
            "output_tokens": 5,
        },
        Usage(
            input_tokens=350, cache_read_tokens=300, cache_write_tokens=40, output_tokens=5
        ),
    ),
    (
        openai_responses,
        {
            "input_tokens": 350,
            "input_tokens_details": {"cached_tokens": 300, "cache_write_tokens": 40},
            "output_tokens": 5,
        },
        Usage(
            input_tokens=350, cache_read_tokens=300, cache_write_tokens=40, output_tokens=5
        ),
    ),
    (
        chat_completions,
        {
            "prompt_tokens": 350,
            "prompt_tokens_details": {"cached_tokens": 300},
            "completion_tokens": 5,
        },
        Usage(input_tokens=350, cache_read_tokens=300, output_tokens=5),
    ),
    (openai_responses, {"input_tokens": 3, "output_tokens": 1.5}, None),
    (openai_responses, {"input_tokens": True, "output_tokens": 1}, None),
    (openai_responses, {"input_tokens": 10**30, "output_tokens": 1}, None),
    (anthropic_messages, {"output_tokens": 1}, None),
    (
        openai_responses,
        {
            "input_tokens": 3,
            "input_tokens_details": {"cached_tokens": 4},
            "output_tokens": 1,
        },
        None,
    ),
]


@pytest.mark.parametrize(("language", "told", "usage"), USAGES)
def test_tokens_are_counted_as_we_count_them_or_not_at_all(
    language: Any, told: dict[str, Any], usage: Usage | None
) -> None:
    bodies = {
        anthropic_messages: {"content": [{"type": "text", "text": "x"}]},
        openai_responses: {"output": []},
        chat_completions: {"choices": [{"message": {"content": "x"}}]},
    }
    body = bodies[language] | {"usage": told}

    reading: Reading = language.read(json.dumps(body).encode())

    assert reading.usage == usage


def test_comments_of_a_model_are_no_part_of_its_answer() -> None:
    def said(phase: str | None, text: str) -> dict[str, Any]:
        part = {"type": "output_text", "text": text}
        return {"type": "message", "phase": phase, "content": [part]}

    output = [
        {"type": "reasoning", "content": []},
        said("commentary", "let me see"),
        said("final_answer", "{}"),
        said(None, " "),
    ]

    assert openai_responses.read(json.dumps({"output": output}).encode()).text == "{} "
