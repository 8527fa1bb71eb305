"""What the three protocols look like from the side of a server."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

IMAGE_TOKENS = 1000
REFUSED = "I can't help with that."


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, understood.

    Attributes:
        protocol: ``anthropic``, ``openai`` or ``compatible``.
        schema: Of the answer; None if none was sent.
        text: All texts, in their order.
        images: How many pictures.
    """

    protocol: str
    model: str
    schema: Mapping[str, Any] | None
    text: str
    images: int

    @property
    def input_tokens(self) -> int:
        """As we count them."""
        return len(self.text) // 4 + self.images * IMAGE_TOKENS + 1


def protocol_of(path: str) -> str | None:
    """Which protocol a path belongs to; None for none."""
    ends = {
        "/messages": "anthropic",
        "/chat/completions": "compatible",
        "/responses": "openai",
    }
    return next((name for end, name in ends.items() if path.endswith(end)), None)


def understood(protocol: str, body: Mapping[str, Any]) -> Asked:
    """What a request asks."""
    parts = list(_parts(body.get("system") or body.get("instructions")))
    for message in body.get("messages") or body.get("input") or []:
        parts += _parts(message["content"])
    texts = [it["text"] for it in parts if "text" in it]
    return Asked(
        protocol,
        body["model"],
        _schema(protocol, body),
        "\n".join(texts),
        len(parts) - len(texts),
    )


def _parts(content: Any) -> list[Mapping[str, Any]]:
    if content is None:
        return []
    return [{"text": content}] if isinstance(content, str) else list(content)


def _schema(protocol: str, body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if protocol == "anthropic":
        form = (body.get("output_config") or {}).get("format")
    elif protocol == "openai":
        form = (body.get("text") or {}).get("format")
    else:
        form = (body.get("response_format") or {}).get("json_schema")
    return form["schema"] if form else None


def complaint(protocol: str, head: Mapping[str, str], body: Mapping[str, Any]) -> str:
    """What the provider would refuse in a request; empty if nothing."""
    schema = json.dumps(_schema(protocol, body) or {})
    bounds = [name for name in ('"minimum"', '"maximum"', '"pattern"') if name in schema]
    limit = {"anthropic": "max_tokens", "openai": "max_output_tokens"}.get(protocol)
    faults = {
        "authorization: Bearer is missing": not head.get("authorization"),
        "anthropic-version is missing": protocol == "anthropic"
        and "anthropic-version" not in head,
        f"{limit}: field required": limit is not None and limit not in body,
        "temperature: not permitted": protocol != "compatible" and "temperature" in body,
        f"schema: {bounds} are not supported": protocol == "anthropic" and bool(bounds),
        "schema: additionalProperties must be false": protocol == "openai"
        and '"properties"' in schema
        and '"additionalProperties": false' not in schema,
    }
    return "; ".join(fault for fault, is_so in faults.items() if is_so)


def usage_of(asked: Asked, text: str) -> dict[str, Any]:
    """Tokens, in the protocol's words."""
    tokens_in, tokens_out = asked.input_tokens, len(text) // 4 + 1
    if asked.protocol == "compatible":
        return {"prompt_tokens": tokens_in, "completion_tokens": tokens_out}
    return {"input_tokens": tokens_in, "output_tokens": tokens_out}


def answer(
    asked: Asked, text: str, *, stop: str = "", usage: Mapping[str, Any] | None
) -> dict[str, Any]:
    """A reply in which the model says *text*.

    Args:
        asked: What is answered.
        text: What is said.
        stop: ``truncated``, ``refusal``, ``filtered`` or ``failed``; empty for the end.
        usage: Tokens; None to leave them out.
    """
    told = {} if usage is None else {"usage": dict(usage)}
    return ANSWERS[asked.protocol](asked.model, text, stop) | told


def _message(model: str, text: str, stop: str) -> dict[str, Any]:
    stops = {"truncated": "max_tokens", "refusal": "refusal", "filtered": "refusal"}
    content = [
        {"type": "thinking", "thinking": "…", "signature": "s"},
        {"type": "text", "text": text},
    ]
    message: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [] if stop in ("refusal", "filtered") else content,
        "stop_reason": stops.get(stop, "end_turn"),
        "stop_sequence": None,
    }
    if stop in ("refusal", "filtered"):
        message["stop_details"] = {"type": "refusal", "category": "general_harms"}
    return message


def _response(model: str, text: str, stop: str) -> dict[str, Any]:
    said: dict[str, Any] = {"type": "output_text", "text": text, "annotations": []}
    if stop == "refusal":
        said = {"type": "refusal", "refusal": REFUSED}
    comment = {"type": "output_text", "text": "Looking at it. ", "annotations": []}
    response: dict[str, Any] = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": model,
        "status": "completed",
        "output": [
            _output("msg_1", "commentary", comment),
            _output("msg_2", "final_answer", said),
        ],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    reasons = {"truncated": "max_output_tokens", "filtered": "content_filter"}
    if stop in reasons:
        incomplete = {
            "status": "incomplete",
            "incomplete_details": {"reason": reasons[stop]},
        }
        return response | incomplete
    if stop == "failed":
        error = {"code": "server_error", "message": "The model failed."}
        return response | {"status": "failed", "error": error, "output": []}
    return response


def _output(own_id: str, phase: str, part: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": own_id,
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "phase": phase,
        "content": [part],
    }


def _completion(model: str, text: str, stop: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if stop == "refusal":
        message |= {"content": None, "refusal": REFUSED}
    stops = {"truncated": "length", "filtered": "content_filter"}
    return {
        "id": "chatcmpl_1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [
            {"index": 0, "finish_reason": stops.get(stop, "stop"), "message": message}
        ],
    }


ANSWERS = {"anthropic": _message, "openai": _response, "compatible": _completion}


def error(protocol: str, kind: str, code: str, message: str) -> dict[str, Any]:
    """The body of a refusal."""
    if protocol == "anthropic":
        details = {"error_code": code} if code else None
        told = {"type": kind, "message": message, "details": details}
        return {"type": "error", "error": told, "request_id": "req_1"}
    told = {"message": message, "type": kind, "param": None, "code": code or None}
    return {"error": told}
