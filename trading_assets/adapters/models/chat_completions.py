"""Questions in the words of Chat Completions, which vLLM, Ollama and llama.cpp speak too.

Such servers differ in what they take. Effort is left out, because most refuse or ignore
it; a schema is sent first, and said in words to a server that takes none.
"""

import base64
import json
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
    """The arguments of ``chat.completions.create``.

    Args:
        question: What is asked.
        model: The server's name of who is asked.
        has_schema: Whether the server is to hold the model to the schema; else the model
            is told in words.
    """
    schema = dict(portable(question.schema))
    task = question.task
    arguments: dict[str, Any] = {"model": model, "max_tokens": question.max_tokens}
    if has_schema:
        form = {"name": question.schema_name, "strict": True, "schema": schema}
        arguments["response_format"] = {"type": "json_schema", "json_schema": form}
    else:
        task += (
            "\n\nAnswer with one JSON object and nothing else. It must fit this JSON "
            f"Schema:\n{json.dumps(schema)}"
        )
    content = [*_shared(question), {"type": "text", "text": task}]
    arguments["messages"] = [
        {"role": "system", "content": question.system},
        {"role": "user", "content": content},
    ]
    return arguments


def _shared(question: Question) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for part in question.shared:
        if isinstance(part, Image):
            data = base64.b64encode(part.png).decode()
            url = {"url": f"data:image/png;base64,{data}", "detail": "high"}
            parts += [
                {"type": "text", "text": part.label},
                {"type": "image_url", "image_url": url},
            ]
        else:
            parts.append({"type": "text", "text": part})
    return parts


def read(body: bytes) -> Reading:
    """What a reply with status 200 says."""
    completion = parsed(body)
    choices = objects(completion.get("choices")) if completion else []
    if completion is None or not choices:
        return unreadable("not a completion", body)
    message = mapping(choices[0].get("message"))
    refusal = words(message.get("refusal"))
    about = {
        "text": words(message.get("content")),
        "model": words(completion.get("model")),
        "usage": _usage(completion.get("usage")),
    }
    stop = choices[0].get("finish_reason")
    if refusal or stop == "content_filter":
        reason = f"the model refused: {refusal or 'content_filter'}"
        return Reading(outcome=Outcome.REFUSED, reason=reason, **about)
    if stop == "length":
        reason = "the answer was cut off (length)"
        return Reading(outcome=Outcome.TRUNCATED, reason=reason, **about)
    return spoken(**about)


def _usage(told: object) -> Usage | None:
    usage = mapping(told)
    details = mapping(usage.get("prompt_tokens_details"))
    return counted(
        input_tokens=usage.get("prompt_tokens"),
        cache_read=details.get("cached_tokens"),
        cache_write=details.get("cache_write_tokens"),
        output_tokens=usage.get("completion_tokens"),
    )


def error_code(error: Mapping[str, Any]) -> str:
    """The stable code of an error, in place of its words."""
    return words(mapping(error.get("error")).get("code"))
