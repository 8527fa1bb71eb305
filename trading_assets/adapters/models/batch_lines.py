"""What providers say of batches, in our words."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from trading_assets.adapters.models.openai_sdk import TAG
from trading_assets.adapters.models.replies import (
    Reading,
    mapping,
    objects,
    parsed,
    words,
)
from trading_assets.adapters.models.verdicts import is_spend_limit
from trading_assets.errors import ModelUnavailable
from trading_assets.models.batch import ItemStatus
from trading_assets.models.question import Outcome

ENDED = ("ended", "completed", "expired", "cancelled", "failed")
"""Of either provider: nothing more comes of a batch that is one of these."""

FULL_CODES = ("token_limit_exceeded", "rate_limit_exceeded")
"""Of OpenAI, that takes a batch and finds later that it has no room for it."""


@dataclass(frozen=True, slots=True)
class RemoteBatch:
    """A batch as its provider sees it.

    Attributes:
        tag: Our own id; empty where the provider keeps none.
        questions: How many; None if it does not say.
        results_at: Where the lines are, in the words of the one who fetches them.
        is_invalid: Whether it was not taken at all, and why.
        is_full: Whether that was for want of room, or of money, so that it may be sent
            again.
        is_archived: Whether it has ended, and what came of it is kept no more.
    """

    remote_id: str
    tag: str
    status: str
    questions: int | None
    done: int
    created_at: datetime
    results_at: tuple[str, ...]
    is_invalid: str = ""
    is_full: bool = False
    is_archived: bool = False

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes."""
        return self.status in ENDED


@dataclass(frozen=True, slots=True)
class Line:
    """What became of one question.

    Attributes:
        reading: What was said, if anything was.
        line: As it came.
    """

    custom_id: str
    status: ItemStatus
    outcome: Outcome
    reason: str
    reading: Reading | None
    line: bytes


def anthropic_batch(told: Mapping[str, Any]) -> RemoteBatch:
    """A batch of Anthropic's."""
    counts = {
        k: v for k, v in mapping(told.get("request_counts")).items() if type(v) is int
    }
    status = words(told.get("processing_status"))
    remote_id = words(told.get("id"))
    has_results = status in ENDED and bool(words(told.get("results_url")))
    return RemoteBatch(
        remote_id=remote_id,
        tag="",
        status=status,
        questions=sum(counts.values()) if counts else None,
        done=sum(counts.values()) - counts.get("processing", 0),
        created_at=_instant(told.get("created_at")),
        results_at=(remote_id,) if has_results else (),
        is_archived=status in ENDED and not has_results,
    )


def openai_batch(told: Mapping[str, Any]) -> RemoteBatch:
    """A batch of OpenAI's."""
    counts = {
        k: v for k, v in mapping(told.get("request_counts")).items() if type(v) is int
    }
    files = (words(told.get(name)) for name in ("output_file_id", "error_file_id"))
    status = words(told.get("status"))
    faults = objects(mapping(told.get("errors")).get("data"))
    said = "; ".join(words(it.get("message")) for it in faults)
    return RemoteBatch(
        remote_id=words(told.get("id")),
        tag=words(mapping(told.get("metadata")).get(TAG)),
        status=status,
        questions=counts.get("total"),
        done=counts.get("completed", 0) + counts.get("failed", 0),
        created_at=_instant(told.get("created_at")),
        results_at=tuple(it for it in files if it) if status in ENDED else (),
        is_invalid=(said or "the provider did not take it") if status == "failed" else "",
        is_full=status == "failed" and any(map(_may_pass, faults)),
    )


def _may_pass(fault: Mapping[str, Any]) -> bool:
    """Whether the same batch may be taken another time."""
    code, message = words(fault.get("code")), words(fault.get("message"))
    return code in FULL_CODES or is_spend_limit(HTTPStatus.BAD_REQUEST, code, message)


def _instant(told: object) -> datetime:
    """When something was; long ago if it is not said in a way that we know."""
    try:
        if isinstance(told, str):
            return datetime.fromisoformat(told).astimezone(UTC)
        if isinstance(told, int):
            return datetime.fromtimestamp(told, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return datetime.fromtimestamp(0, UTC)


def lines_of(
    body: bytes,
    read: Callable[[bytes], Reading],
    line_of: Callable[[Mapping[str, Any], bytes, Callable[[bytes], Reading]], Line | None],
) -> Iterator[Line]:
    """Every line of *body* that can be read.

    Raises:
        ModelUnavailable: After them, if the last is half a line: not all has come.
    """
    for own in body.split(b"\n"):
        told = parsed(own)
        if told is None:
            continue
        line = line_of(told, own, read)
        if line is not None and line.custom_id:
            yield line
    half = body.rpartition(b"\n")[2].strip()
    if half and parsed(half) is None:
        raise ModelUnavailable("the results end within a line: not all of them came")


def anthropic_line(
    told: Mapping[str, Any], own: bytes, read: Callable[[bytes], Reading]
) -> Line | None:
    """A line of Anthropic's results."""
    custom_id, result = words(told.get("custom_id")), mapping(told.get("result"))
    kind = words(result.get("type"))
    if kind == "succeeded":
        return said(custom_id, read(json.dumps(result.get("message")).encode()), own)
    if kind == "errored":
        error = mapping(mapping(result.get("error")).get("error"))
        code, reason = words(error.get("type")), words(error.get("message"))
        return _failed(custom_id, code, reason, own)
    if kind == "expired":
        return _unasked(custom_id, ItemStatus.FAILED, Outcome.TIMED_OUT, kind, own)
    if kind == "canceled":
        return _unasked(custom_id, ItemStatus.CANCELLED, Outcome.UNREACHABLE, kind, own)
    return None


def openai_line(
    told: Mapping[str, Any], own: bytes, read: Callable[[bytes], Reading]
) -> Line | None:
    """A line of OpenAI's output or error file."""
    custom_id, response = words(told.get("custom_id")), mapping(told.get("response"))
    status = response.get("status_code")
    if status == HTTPStatus.OK:
        return said(custom_id, read(json.dumps(response.get("body")).encode()), own)
    error = mapping(told.get("error")) or mapping(
        mapping(response.get("body")).get("error")
    )
    code, reason = words(error.get("code")), words(error.get("message"))
    if code == "batch_expired":
        return _unasked(custom_id, ItemStatus.FAILED, Outcome.TIMED_OUT, code, own)
    if code == "batch_cancelled":
        return _unasked(custom_id, ItemStatus.CANCELLED, Outcome.UNREACHABLE, code, own)
    return _failed(custom_id, code or words(error.get("type")), reason, own)


def said(custom_id: str, reading: Reading, own: bytes) -> Line:
    """A question that was answered, if what was said can be read."""
    is_heard = reading.outcome is not Outcome.MALFORMED
    status = ItemStatus.ANSWERED if is_heard else ItemStatus.FAILED
    return Line(custom_id, status, reading.outcome, reading.reason, reading, own)


def _failed(custom_id: str, code: str, reason: str, own: bytes) -> Line:
    is_ours = code in ("invalid_request_error", "invalid_request")
    outcome = Outcome.REJECTED if is_ours else Outcome.OVERLOADED
    return Line(custom_id, ItemStatus.FAILED, outcome, f"{code}: {reason}", None, own)


def _unasked(
    custom_id: str, status: ItemStatus, outcome: Outcome, why: str, own: bytes
) -> Line:
    return Line(custom_id, status, outcome, f"the batch said {why}", None, own)


def newest_of(
    body: bytes, batch_of: Callable[[Mapping[str, Any]], RemoteBatch]
) -> Sequence[RemoteBatch]:
    """The batches of a list."""
    told = parsed(body) or {}
    return [batch_of(it) for it in objects(told.get("data"))]
