"""Questions in the words of Anthropic's Messages, and what comes back in ours.

What all turns of a panel share comes first and ends with the mark up to which the
provider keeps it; the turn's own task is last.
"""

import base64
import re
from collections.abc import Mapping
from typing import Any

from trading_assets.adapters.models.replies import (
    Reading,
    counted,
    mapping,
    objects,
    parsed,
    spoken,
    unreadable,
    words,
)
from trading_assets.adapters.models.schemas import portable
from trading_assets.models.question import Image, Outcome, Question, Usage

WITHOUT_EFFORT = re.compile(r"claude-(haiku|sonnet|opus)-4-[0-5]\b")
"""Models that know neither effort nor adaptive thinking, and refuse both."""

INPUT_PARTS = 3
CUT_OFF = ("max_tokens", "model_context_window_exceeded")


def request(question: Question, model: str, *, has_schema: bool = True) -> dict[str, Any]:
    """The arguments of ``messages.create``.

    Args:
        question: What is asked.
        model: The provider's name of who is asked.
        has_schema: Whether the provider is to hold the model to the schema.
    """
    output: dict[str, Any] = {}
    arguments: dict[str, Any] = {}
    if not WITHOUT_EFFORT.match(model):
        output["effort"] = question.effort.value
        arguments["thinking"] = {"type": "adaptive"}
    if has_schema:
        output["format"] = {
            "type": "json_schema",
            "schema": dict(portable(question.schema)),
        }
    if output:
        arguments["output_config"] = output
    return arguments | {
        "model": model,
        "max_tokens": question.max_tokens,
        "system": [_text(question.system)],
        "messages": [{"role": "user", "content": _content(question)}],
    }


def _content(question: Question) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    for part in question.shared:
        if isinstance(part, Image):
            blocks += [_text(part.label), _image(part)]
        else:
            blocks.append(_text(part))
    if blocks:
        blocks[-1]["cache_control"] = {"type": "ephemeral"}
    return [*blocks, _text(question.task)]


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _image(image: Image) -> dict[str, Any]:
    source = {
        "type": "base64",
        "media_type": "image/png",
        "data": base64.b64encode(image.png).decode(),
    }
    # The default is to make it smaller without a word.
    transformations = {"oversized_image": "error"}
    return {"type": "image", "source": source, "transformations": transformations}


def read(body: bytes) -> Reading:
    """What a reply with status 200 says."""
    message = parsed(body)
    if message is None or message.get("type", "message") != "message":
        return unreadable("not a message", body)
    if not isinstance(message.get("content"), list):
        return unreadable("a message without content", body)
    model, usage = words(message.get("model")), _usage(message.get("usage"))
    blocks = objects(message["content"])
    text = "".join(words(it.get("text")) for it in blocks if it.get("type") == "text")
    stop = message.get("stop_reason")
    if stop == "refusal":
        category = mapping(message.get("stop_details")).get("category") or "no category"
        return Reading(
            outcome=Outcome.REFUSED,
            text=text,
            reason=f"the model refused ({category})",
            model=model,
            usage=usage,
        )
    if stop in CUT_OFF:
        return Reading(
            outcome=Outcome.TRUNCATED,
            text=text,
            reason=f"the answer was cut off ({stop})",
            model=model,
            usage=usage,
        )
    return spoken(text, model=model, usage=usage)


def _usage(told: object) -> Usage | None:
    """Input is told in three parts, of which the first is what no cache was in."""
    usage = mapping(told)
    read_tokens = usage.get("cache_read_input_tokens") or 0
    written = usage.get("cache_creation_input_tokens") or 0
    uncached = usage.get("input_tokens")
    parts = [it for it in (uncached, read_tokens, written) if type(it) is int and it >= 0]
    return counted(
        input_tokens=sum(parts) if len(parts) == INPUT_PARTS else None,
        cache_read=read_tokens,
        cache_write=written,
        output_tokens=usage.get("output_tokens"),
    )


def error_code(error: Mapping[str, Any]) -> str:
    """The stable code of an error, in place of its words."""
    details = mapping(mapping(error.get("error")).get("details"))
    return words(details.get("error_code"))
