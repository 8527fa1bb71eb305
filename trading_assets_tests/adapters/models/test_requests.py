"""What is sent, as the servers see it."""

import base64
import json
from typing import Any

import pytest

from trading_assets.adapters.models.schemas import portable
from trading_assets.models.question import Effort, Image
from trading_assets_tests.adapters.models.desks import (
    ANTHROPIC,
    COMPATIBLE,
    MODELS,
    OPENAI,
    SCHEMA,
    Desk,
    make_question,
)


def sent(desk: Desk, model: str, **changes: Any) -> dict[str, Any]:
    desk.ask(make_question(model, **changes))
    return dict(desk.models.requests[-1].body)


def test_anthropic_gets_what_turns_share_first_and_marked_to_be_kept(desk: Desk) -> None:
    body = sent(desk, ANTHROPIC)

    (message,) = body["messages"]
    kinds = [it["type"] for it in message["content"]]
    assert kinds == ["text", "image", "text", "image", "text", "text"]
    marked = [it for it in message["content"] if "cache_control" in it]
    assert marked == [message["content"][-2]]
    assert message["content"][-1]["text"] == "Decide."
    image = message["content"][1]
    assert image["transformations"] == {"oversized_image": "error"}
    png = base64.b64decode(image["source"]["data"])
    assert png == make_question().images[0].png
    assert body["system"] == [{"type": "text", "text": "You read charts."}]
    assert body["output_config"]["effort"] == "medium"
    assert body["thinking"] == {"type": "adaptive"}


def test_models_that_know_no_effort_are_not_told_of_it(desk: Desk) -> None:
    body = sent(desk, "anthropic/claude-haiku-4-5", effort=Effort.HIGH)

    assert "thinking" not in body
    assert list(body["output_config"]) == ["format"]


def test_openai_keeps_nothing_and_is_asked_for_detail(desk: Desk) -> None:
    body = sent(desk, OPENAI)

    assert body["store"] is False
    assert body["reasoning"] == {"effort": "medium"}
    assert body["text"]["format"]["strict"] is True
    parts = body["input"][0]["content"]
    images = [it for it in parts if it["type"] == "input_image"]
    assert [it["detail"] for it in images] == ["high", "high"]
    assert parts[-1] == {"type": "input_text", "text": "Decide."}


def test_turns_about_one_briefing_meet_in_one_cache(desk: Desk) -> None:
    one, two = sent(desk, OPENAI), sent(desk, OPENAI, task="Doubt it.")
    other = sent(desk, OPENAI, shared=("another briefing",))

    assert one["prompt_cache_key"] == two["prompt_cache_key"]
    assert one["prompt_cache_key"] != other["prompt_cache_key"]


def test_a_compatible_server_gets_the_words_that_all_of_them_know(desk: Desk) -> None:
    body = sent(desk, COMPATIBLE)

    assert set(body) == {"model", "max_tokens", "messages", "response_format"}
    parts = body["messages"][1]["content"]
    assert parts[1]["image_url"]["url"].startswith("data:image/png;base64,")
    assert body["response_format"]["json_schema"]["strict"] is True


@pytest.mark.parametrize("model", MODELS)
def test_a_question_of_words_alone_is_sent(desk: Desk, model: str) -> None:
    assert sent(desk, model, shared=())["model"] == model.partition("/")[2]


def test_a_schema_loses_its_bounds_and_tells_them_in_words() -> None:
    told = portable(json.dumps(SCHEMA))

    confidence = told["properties"]["confidence"]
    assert confidence == {
        "type": "integer",
        "description": "(minimum: 0, maximum: 100)",
    }
    assert told["required"] == list(SCHEMA["properties"])
    assert told["additionalProperties"] is False


def test_a_property_named_as_a_bound_stays() -> None:
    schema = {
        "type": "object",
        "properties": {"minimum": {"type": "number"}, "title": {"$ref": "#/$defs/t"}},
        "$defs": {"t": {"type": "string", "title": "T", "maxLength": 3}},
    }

    told = portable(json.dumps(schema))

    assert list(told["properties"]) == ["minimum", "title"]
    assert told["$defs"]["t"] == {"type": "string", "description": "(maxLength: 3)"}


def test_a_picture_is_hashed_by_its_bytes_alone() -> None:
    one, two = Image("a", b"png"), Image("b", b"png")

    assert one.sha256 == two.sha256
    assert make_question(shared=(one,)).key != make_question(shared=(two,)).key
