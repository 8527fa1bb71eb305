"""How each fault looks on the wire."""

import json
from collections.abc import Mapping
from typing import Any

from trading_assets_tests.fake_models.plays import Fault, Play
from trading_assets_tests.fake_models.protocols import (
    Asked,
    answer,
    error,
    usage_of,
)
from trading_assets_tests.fake_models.wire import Response

HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
AS_HTML = {"content-type": "text/html"}

REFUSALS: Mapping[Fault, tuple[int, str, str, str]] = {
    Fault.UNAUTHORIZED: (401, "authentication_error", "", "invalid api key"),
    Fault.EXPIRED_KEY: (403, "permission_error", "", "this api key has expired"),
    Fault.FORBIDDEN: (403, "permission_error", "", "no access to this model"),
    Fault.PAYMENT: (402, "billing_error", "", "payment required"),
    Fault.BAD_REQUEST: (400, "invalid_request_error", "", "messages: bad"),
    Fault.NOT_FOUND: (404, "not_found_error", "model_not_found", "no such model"),
    Fault.POLICY: (
        400,
        "invalid_request_error",
        "content_policy_violation",
        "Output blocked by content filtering policy",
    ),
    Fault.REDIRECT: (307, "redirect", "", "elsewhere"),
    Fault.TOO_LARGE: (413, "request_too_large", "", "request too large"),
    Fault.CONFLICT: (409, "conflict", "", "conflict"),
    Fault.RATE_LIMITED: (429, "rate_limit_error", "rate_limit_exceeded", "slow down"),
    Fault.SERVER_ERROR: (500, "api_error", "", "internal server error"),
    Fault.UNAVAILABLE: (503, "api_error", "", "service unavailable"),
    Fault.GATEWAY_TIMEOUT: (504, "timeout_error", "", "upstream timed out"),
    Fault.OVERLOADED: (529, "overloaded_error", "", "overloaded"),
}
BAD = ("invalid_request_error", "")
SPEND_CODES = {
    "anthropic": "enforced_spend_limit_reached",
    "openai": "insufficient_quota",
    "compatible": "insufficient_quota",
}
STOPS = {
    Fault.TRUNCATED: "truncated",
    Fault.REFUSAL: "refusal",
    Fault.FILTERED: "filtered",
    Fault.FAILED: "failed",
}
WRONG = {"input_tokens": -5, "output_tokens": "many", "prompt_tokens": -5}


def response_of(play: Play, asked: Asked, text: str, key: str) -> Response:
    """What the client gets to see.

    Args:
        play: What goes wrong.
        asked: What the client wants.
        text: What the model would say.
        key: Of the client.
    """
    refused = _refusal(play, asked, key)
    if refused is not None:
        return refused
    if play.fault is Fault.HTML:
        return Response(200, HTML, {**AS_HTML, **play.headers})
    if play.fault is Fault.MALFORMED_JSON:
        return Response(200, b'{"id": "msg_1", "content": [', play.headers)
    if play.fault is Fault.OTHER_JSON:
        return Response(200, b'{"hello": [1, 2, 3]}', play.headers)
    return Response(200, json.dumps(_answer(play, asked, text)).encode(), play.headers)


def _answer(play: Play, asked: Asked, text: str) -> dict[str, Any]:
    said = {
        Fault.EMPTY: "",
        Fault.FENCED: f"```json\n{text}\n```",
        Fault.PROSE: f"Here is my view:\n{text}\nGood luck!",
        Fault.TRUNCATED: text[: len(text) // 2],
    }.get(play.fault, text)
    usage: Mapping[str, Any] | None = usage_of(asked, said)
    if play.fault is Fault.NO_USAGE:
        usage = None
    elif play.fault is Fault.WRONG_USAGE:
        usage = WRONG
    return answer(asked, said, stop=STOPS.get(play.fault, ""), usage=usage)


def _refusal(play: Play, asked: Asked, key: str) -> Response | None:
    waits = {"retry-after": play.retry_after, "retry-after-ms": play.retry_after_ms}
    headers = {name: it for name, it in waits.items() if it is not None}
    headers |= {"request-id": "req_1", "x-request-id": "req_1", **play.headers}
    if play.fault is Fault.BAD_GATEWAY:
        return Response(502, HTML, headers | AS_HTML)
    special = {
        Fault.SPEND_LIMIT: (429, "rate_limit_error", SPEND_CODES[asked.protocol], "limit"),
        Fault.ECHO_KEY: (400, *BAD, f"incorrect api key provided: {key}"),
    }
    if asked.schema is not None:
        said = "response_format json_schema is not supported"
        special[Fault.NO_SCHEMA] = (400, *BAD, said)
    if asked.images:
        special[Fault.NO_IMAGES] = (400, *BAD, "this model does not take images")
    told = {**REFUSALS, **special}.get(play.fault)
    return None if told is None else _error(asked, *told, headers)


def _error(
    asked: Asked, status: int, kind: str, code: str, said: str, headers: Mapping[str, str]
) -> Response:
    body = error(asked.protocol, kind, code, said)
    return Response(status, json.dumps(body).encode(), headers)
