"""Questions in the words of OpenAI's Responses, and what comes back in ours."""

import base64
import hashlib
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


def request(question: Question, model: str, *, has_schema: bool = True) -> dict[str, Any]:
    """The arguments of ``responses.create``.

    Args:
        question: What is asked.
        model: The provider's name of who is asked.
        has_schema: Whether the provider is to hold the model to the schema.
    """
    arguments: dict[str, Any] = {
        "model": model,
        "instructions": question.system,
        "input": [{"role": "user", "content": _content(question)}],
        "max_output_tokens": question.max_tokens,
        "reasoning": {"effort": question.effort.value},
        "store": False,  # or it is kept there for a month
        "prompt_cache_key": _cache_key(question),
    }
    if has_schema:
        form = {
            "type": "json_schema",
            "name": question.schema_name,
            "strict": True,
            "schema": dict(portable(question.schema)),
        }
        arguments["text"] = {"format": form}
    return arguments


def _content(question: Question) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for part in question.shared:
        if isinstance(part, Image):
            data = base64.b64encode(part.png).decode()
            url = f"data:image/png;base64,{data}"
            parts += [
                _text(part.label),
                {"type": "input_image", "image_url": url, "detail": "high"},
            ]
        else:
            parts.append(_text(part))
    return [*parts, _text(question.task)]


def _text(text: str) -> dict[str, Any]:
    return {"type": "input_text", "text": text}


def _cache_key(question: Question) -> str:
    """The same for every turn about one briefing, so that they meet in one cache."""
    digest = hashlib.sha256(question.system.encode())
    for part in question.shared:
        digest.update(part.png if isinstance(part, Image) else part.encode())
    return digest.hexdigest()[:32]


def read(body: bytes) -> Reading:
    """What a reply with status 200 says; a failure may come with that status too."""
    response = parsed(body)
    if response is None or response.get("object", "response") != "response":
        return unreadable("not a response", body)
    if not isinstance(response.get("output"), list):
        return unreadable("a response without output", body)
    said, refusal = _said(response)
    about = {
        "text": said,
        "model": words(response.get("model")),
        "usage": _usage(response.get("usage")),
    }
    if refusal:
        return Reading(
            outcome=Outcome.REFUSED, reason=f"the model refused: {refusal}", **about
        )
    status = response.get("status")
    if status == "incomplete":
        return _incomplete(response, about)
    if status not in ("completed", None):
        error = mapping(response.get("error"))
        reason = (
            f"status {status}: {words(error.get('code'))} {words(error.get('message'))}"
        )
        return Reading(outcome=Outcome.MALFORMED, is_readable=False, reason=reason, **about)
    return spoken(**about)


def _said(response: Mapping[str, Any]) -> tuple[str, str]:
    """The final answer and the refusal, as far as there are any; comments are neither."""
    parts = [
        part
        for item in objects(response["output"])
        if item.get("type") == "message" and item.get("phase") != "commentary"
        for part in objects(item.get("content"))
    ]
    said = (words(it.get("text")) for it in parts if it.get("type") == "output_text")
    refused = (words(it.get("refusal")) for it in parts if it.get("type") == "refusal")
    return "".join(said), " ".join(refused)


def _incomplete(response: Mapping[str, Any], about: Mapping[str, Any]) -> Reading:
    why = words(mapping(response.get("incomplete_details")).get("reason"))
    if why == "content_filter":
        reason = "the provider's filter stopped the answer"
        return Reading(outcome=Outcome.REFUSED, reason=reason, **about)
    reason = f"the answer was cut off ({why or 'incomplete'})"
    return Reading(outcome=Outcome.TRUNCATED, reason=reason, **about)


def _usage(told: object) -> Usage | None:
    usage = mapping(told)
    details = mapping(usage.get("input_tokens_details"))
    return counted(
        input_tokens=usage.get("input_tokens"),
        cache_read=details.get("cached_tokens"),
        cache_write=details.get("cache_write_tokens"),
        output_tokens=usage.get("output_tokens"),
    )


def error_code(error: Mapping[str, Any]) -> str:
    """The stable code of an error, in place of its words."""
    return words(mapping(error.get("error")).get("code"))
