"""What to make of a reply, or of silence: what became of the attempt, and what is next.

Nothing is asked again that would only fail again, and nothing that costs is asked again
without end.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from trading_assets.adapters.models.replies import (
    Reading,
    Reply,
    Silence,
    excerpt,
    mapping,
    parsed,
    words,
)
from trading_assets.models.question import Outcome, Usage

SPEND_CODES = {
    "enforced_spend_limit_reached",
    "contract_spend_limit_reached",
    "ramp_limit_exceeded",
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "billing_error",
}
SPEND_WORDS = ("credit balance", "spend limit", "exceeded your current quota")
FILTER_CODES = {"content_filter", "content_policy_violation", "invalid_prompt"}
FILTER_WORDS = ("content filter", "content management policy", "content policy")
"""Of servers that refuse an answer before there is one, and call it a bad request."""

EXPIRED_WORDS = ("expired", "revoked", "disabled", "deactivated")
PROXY_TIMEOUT = 524
"""Of some proxies, as 504: whoever is behind them may have gone on."""

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
JITTER_FRAC = 0.25


class Then(StrEnum):
    """What is next after an attempt."""

    DONE = "done"
    AGAIN = "again"
    NEXT_KEY = "next_key"
    NEXT_MODEL = "next_model"


CLASSES = {
    HTTPStatus.UNAUTHORIZED: (Outcome.UNAUTHORIZED, Then.NEXT_KEY),
    HTTPStatus.REQUEST_TIMEOUT: (Outcome.TIMED_OUT, Then.AGAIN),
    HTTPStatus.CONFLICT: (Outcome.OVERLOADED, Then.AGAIN),
    HTTPStatus.TOO_MANY_REQUESTS: (Outcome.RATE_LIMITED, Then.AGAIN),
    HTTPStatus.GATEWAY_TIMEOUT: (Outcome.TIMED_OUT, Then.AGAIN),
    PROXY_TIMEOUT: (Outcome.TIMED_OUT, Then.AGAIN),
}
"""By status, where it is not the client's fault for good, or the server's for now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of an attempt.

    Attributes:
        reason: Why it is no answer; empty if it is one.
        is_doubtful: Whether it may be billed without our knowing; asked again, it may be
            billed twice.
        reading: What was said, if anything was.
        retry_after_seconds: What the server asks for; None if it does not.
        is_refused_request: Whether the request itself was the fault.
    """

    outcome: Outcome
    then: Then
    reason: str = ""
    is_doubtful: bool = False
    reading: Reading | None = None
    retry_after_seconds: float | None = None
    is_refused_request: bool = False


def judged(
    came: Reply | Silence,
    read: Callable[[bytes], Reading],
    error_code: Callable[[Mapping[str, Any]], str],
    now: datetime,
) -> Verdict:
    """What to make of what came.

    Args:
        came: Over the wire.
        read: What a reply of this protocol says.
        error_code: Where its errors have their stable code.
        now: For replies that name an instant.
    """
    if isinstance(came, Silence):
        return _of_silence(came)
    if HTTPStatus.OK <= came.status < HTTPStatus.MULTIPLE_CHOICES:
        return _of_reading(read(came.body))
    return _of_error(came, error_code, now)


def _of_silence(silence: Silence) -> Verdict:
    if silence.is_sent:
        return Verdict(
            outcome=Outcome.AMBIGUOUS,
            then=Then.AGAIN,
            reason=silence.reason,
            is_doubtful=True,
        )
    return Verdict(outcome=Outcome.UNREACHABLE, then=Then.AGAIN, reason=silence.reason)


def _of_reading(reading: Reading) -> Verdict:
    return Verdict(
        outcome=reading.outcome,
        then=Then.DONE if reading.is_readable else Then.AGAIN,
        reason=reading.reason,
        is_doubtful=not reading.is_readable,
        reading=reading,
    )


def _of_error(
    reply: Reply, error_code: Callable[[Mapping[str, Any]], str], now: datetime
) -> Verdict:
    told = parsed(reply.body) or {}
    error = mapping(told.get("error"))
    code = error_code(told) or words(error.get("type"))
    message = words(error.get("message")) or excerpt(reply.body)
    if HTTPStatus.MULTIPLE_CHOICES <= reply.status < HTTPStatus.BAD_REQUEST:
        message = "it sends us elsewhere, where nobody follows with a question and a key"
    reason = " ".join(f"HTTP {reply.status} {code}: {message}".split())
    outcome, then = _class_of(reply.status, code, message.lower())
    if _is_filtered(reply.status, code, words(error.get("message")).lower()):
        outcome, then = Outcome.REFUSED, Then.DONE
        reading = Reading(outcome=outcome, reason=reason, usage=Usage())
        return Verdict(outcome=outcome, then=then, reason=reason, reading=reading)
    if reply.headers.get("x-should-retry") == "false" and then is Then.AGAIN:
        then = Then.NEXT_MODEL
    return Verdict(
        outcome=outcome,
        then=then,
        reason=reason,
        is_doubtful=reply.status in (HTTPStatus.GATEWAY_TIMEOUT, PROXY_TIMEOUT),
        retry_after_seconds=retry_after_seconds(reply.headers, now),
        is_refused_request=outcome is Outcome.REJECTED,
    )


def _is_filtered(status: int, code: str, message: str) -> bool:
    """Whether a provider will not answer what was asked; a page of a proxy says nothing.

    Args:
        message: Of the provider's own error; empty where it has none.
    """
    if status == HTTPStatus.FORBIDDEN:
        return code in FILTER_CODES
    is_named = code in FILTER_CODES or any(it in message for it in FILTER_WORDS)
    return status == HTTPStatus.BAD_REQUEST and is_named


def _class_of(status: int, code: str, message: str) -> tuple[Outcome, Then]:
    is_client_error = status < HTTPStatus.INTERNAL_SERVER_ERROR
    if is_spend_limit(status, code, message):
        return Outcome.SPEND_LIMITED, Then.NEXT_MODEL
    if status == HTTPStatus.FORBIDDEN:
        is_expired = any(it in f"{code} {message}" for it in EXPIRED_WORDS)
        return Outcome.UNAUTHORIZED, Then.NEXT_KEY if is_expired else Then.NEXT_MODEL
    otherwise = Outcome.REJECTED if is_client_error else Outcome.OVERLOADED
    then = Then.NEXT_MODEL if is_client_error else Then.AGAIN
    return CLASSES.get(status, (otherwise, then))


def is_spend_limit(status: int, code: str, message: str) -> bool:
    """Whether whoever answered so does nothing more for an account until it is paid."""
    told = message.lower()
    is_named = code in SPEND_CODES or any(it in told for it in SPEND_WORDS)
    is_client_error = status < HTTPStatus.INTERNAL_SERVER_ERROR
    return status == HTTPStatus.PAYMENT_REQUIRED or (is_client_error and is_named)


def retry_after_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """How long a server asks to be left alone; None if it does not say."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    told = headers.get("retry-after")
    seconds = _number(told)
    if seconds is not None or told is None:
        return seconds
    try:
        at = parsedate_to_datetime(told)
        at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        return max(0.0, (at - now).total_seconds())
    except (ValueError, OverflowError):
        return None


def _number(told: str | None) -> float | None:
    try:
        number = float(told) if told is not None else math.nan
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


def pause_seconds(failures: int, asked_for: float | None, chance: float) -> float:
    """How long to wait before asking again.

    Args:
        failures: So far, 1 or above.
        asked_for: What the server asks for; waited for in full.
        chance: From 0 to 1, so that many who failed together don't come back together.
    """
    doubled = FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 16)
    own = min(doubled, LONGEST_PAUSE_SECONDS) * (1 + JITTER_FRAC * (2 * chance - 1))
    return max(own, (asked_for or 0.0) + FIRST_PAUSE_SECONDS * chance)
