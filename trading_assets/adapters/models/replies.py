"""What came back over the wire, and what it says, in words that all protocols share."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from trading_assets.models.question import Outcome, Usage

MOST_TOKENS = 10**9
"""Of one reply; whoever says more has miscounted."""

EXCERPT = 300
"""Characters of a reply that a message quotes."""


class ReplyTooLong(Exception):
    """A reply that goes on beyond its bound; the rest is not read."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of HTTP, whatever it says.

    Attributes:
        status: Of HTTP.
        headers: By their name in small letters.
        body: All bytes, as they came.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer came.

    Attributes:
        is_sent: Whether the request may have arrived; then it may be billed.
        is_timeout: Whether time ran out.
        reason: In the words of whoever noticed.
    """

    is_sent: bool
    is_timeout: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a reply says.

    Attributes:
        outcome: ``answered``, ``refused``, ``truncated`` or ``malformed``.
        is_readable: Whether it was a reply of the protocol at all.
        text: What the model said; what there is of it, if it was cut off.
        reason: Why it is no answer; empty if it is one.
        model: As the provider names it.
        usage: None if it was not told, or makes no sense.
    """

    outcome: Outcome
    is_readable: bool = True
    text: str = ""
    reason: str = ""
    model: str = ""
    usage: Usage | None = None


CLIENT_CLOSED = 499
DOUBTFUL = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, CLIENT_CLOSED)
"""Statuses of somebody between us who gave up, or of a request that is there already."""


def is_refusal(status: int) -> bool:
    """Whether a request was certainly not carried out."""
    is_ours = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    return is_ours and status not in DOUBTFUL


def unreadable(reason: str, body: bytes) -> Reading:
    """A reply that is none of the protocol's."""
    return Reading(
        outcome=Outcome.MALFORMED,
        is_readable=False,
        reason=f"{reason}: {excerpt(body)}",
    )


def excerpt(body: bytes) -> str:
    """The beginning of a reply, on one line."""
    return " ".join(body[: 4 * EXCERPT].decode(errors="replace").split())[:EXCERPT]


def parsed(body: bytes) -> Mapping[str, Any] | None:
    """The JSON object that a body is; None if it is something else."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def spoken(text: str, *, model: str, usage: Usage | None) -> Reading:
    """What a model has said to its end; nothing at all is no answer."""
    if text.strip():
        return Reading(outcome=Outcome.ANSWERED, text=text, model=model, usage=usage)
    return Reading(
        outcome=Outcome.MALFORMED, reason="the model said nothing", model=model, usage=usage
    )


def mapping(value: object) -> Mapping[str, Any]:
    """*value* if it is a JSON object; else an empty one."""
    return value if isinstance(value, dict) else {}


def objects(value: object) -> list[Mapping[str, Any]]:
    """The JSON objects in *value*, if it is a list."""
    return [it for it in value if isinstance(it, dict)] if isinstance(value, list) else []


def words(value: object) -> str:
    """*value* if it is text; else none."""
    return value if isinstance(value, str) else ""


def counted(
    *, input_tokens: object, cache_read: object, cache_write: object, output_tokens: object
) -> Usage | None:
    """Tokens as a provider counts them; None if they make no sense.

    Args:
        input_tokens: All of them.
        cache_read: Of those, from the cache; None for none.
        cache_write: Of those, to the cache; None for none.
        output_tokens: Thinking included.
    """
    counts = (input_tokens, cache_read or 0, cache_write or 0, output_tokens)
    whole = [it for it in counts if type(it) is int and 0 <= it <= MOST_TOKENS]
    if len(whole) != len(counts) or whole[1] + whole[2] > whole[0]:
        return None
    return Usage(
        input_tokens=whole[0],
        cache_read_tokens=whole[1],
        cache_write_tokens=whole[2],
        output_tokens=whole[3],
    )
