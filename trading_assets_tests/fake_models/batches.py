"""Batches of both providers, as their servers have them.

What goes wrong is set on the object: a batch that ends late, questions that come to other
ends, a connection that breaks after the batch was made. Results come in reverse order.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from trading_assets_tests.fake_models.protocols import Asked, answer, understood, usage_of
from trading_assets_tests.fake_models.wire import Head, Response


class Fate(StrEnum):
    """What becomes of one question of a batch."""

    SUCCEEDED = "succeeded"
    ERRORED = "errored"
    EXPIRED = "expired"
    CANCELED = "canceled"
    MISSING = "missing"
    TWICE = "twice"


@dataclass(slots=True)
class Kept:
    """A batch as the server keeps it."""

    id: str
    protocol: str
    items: dict[str, dict[str, Any]]
    metadata: Mapping[str, Any]
    looks_left: int
    fates: list[Fate]
    is_cancelled: bool = False
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def has_ended(self) -> bool:
        return self.looks_left <= 0


class FakeBatches:
    """The batches of one server."""

    def __init__(self, say: Callable[[Asked, bytes], str]) -> None:
        """Get ready; *say* is what a model says."""
        self.kept: dict[str, Kept] = {}
        self.requests: list[tuple[str, str]] = []
        self.ends_after = 0
        self.drops_after_create = False
        self.hangs_up = False
        self.turns_away_with = 0
        self.says_of_it: tuple[str, str] = ("api_error", "no")
        self.takes_and_answers_with = 0
        self.files_with: Response | None = None
        self.cancels_with = 0
        self.is_too_late_to_cancel = False
        self.is_archived = False
        self.results_host = ""
        self.is_full = False
        self.is_full_for = "token_limit_exceeded"
        self.cuts_results_of: str | None = None
        self.before: Callable[[str, str], None] = lambda _method, _path: None
        self.after_create: Callable[[], None] = lambda: None
        self.fate: Callable[[int, int], Fate] = lambda _batch, _item: Fate.SUCCEEDED
        self._say = say
        self._files: dict[str, bytes] = {}

    @property
    def asked(self) -> list[str]:
        """Every question that was ever handed in, by its own id."""
        return [own for batch in self.kept.values() for own in batch.items]

    def end_all(self) -> None:
        """Let every batch have ended."""
        for batch in self.kept.values():
            batch.looks_left = 0

    def handle(self, head: Head, body: bytes) -> Response | None:
        """The answer to a request about batches or files; None for any other.

        Raises:
            ConnectionAbortedError: If this connection is to break.
        """
        ours = re.search(
            r"/v1/(messages/batches|batches|files)(?:/([^/]+))?(?:/(\w+))?$", head.path
        )
        if ours is None:
            return None
        self.before(head.method, head.path)
        self.requests.append((head.method, head.path))
        if self.hangs_up:
            raise ConnectionAbortedError
        kind, own_id, what = ours.groups()
        if not head.headers.get("authorization"):
            return _json({"error": {"type": "authentication_error", "message": "key"}}, 401)
        if kind == "files":
            return self._file(head, body, own_id)
        protocol = "anthropic" if kind.startswith("messages") else "openai"
        if own_id is None:
            return (
                self._create(protocol, body)
                if head.method == "POST"
                else self._list(protocol)
            )
        batch = self.kept.get(own_id)
        if batch is None:
            return _json({"error": {"type": "not_found_error", "message": "none"}}, 404)
        return self._about(batch, what)

    def _about(self, batch: Kept, what: str | None) -> Response:
        if what == "results":
            return self._results(batch, is_error=False)
        if what == "cancel" and self.cancels_with:
            return _error(self.cancels_with)
        if what == "cancel":
            self._cancel(batch)
        elif not batch.has_ended:
            batch.looks_left -= 1
        return _json(self._told(batch))

    def _create(self, protocol: str, body: bytes) -> Response:
        if self.turns_away_with:
            return _error(self.turns_away_with, *self.says_of_it)
        told = json.loads(body)
        if protocol == "anthropic":
            items = {it["custom_id"]: it["params"] for it in told["requests"]}
            wrong = [own for own in items if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", own)]
            if wrong or len(items) != len(told["requests"]):
                error = {"type": "invalid_request_error", "message": f"custom_id {wrong}"}
                return _json({"type": "error", "error": error}, 400)
        else:
            lines = map(json.loads, self._files[told["input_file_id"]].splitlines())
            items = {it["custom_id"]: it["body"] for it in lines}
        number = len(self.kept)
        fates = [self.fate(number, at) for at in range(len(items))]
        own = f"{'msgbatch' if protocol == 'anthropic' else 'batch'}_{number + 1}"
        batch = Kept(
            own, protocol, items, told.get("metadata") or {}, self.ends_after + 1, fates
        )
        self.kept[own] = batch
        self.after_create()
        if self.drops_after_create:
            self.drops_after_create = False
            raise ConnectionAbortedError
        if self.takes_and_answers_with:
            return _error(self.takes_and_answers_with)
        return _json(self._told(batch))

    def _list(self, protocol: str) -> Response:
        own = [it for it in reversed(self.kept.values()) if it.protocol == protocol]
        for batch in own:
            batch.looks_left -= 1
        told = {"data": [self._told(it) for it in own], "has_more": False}
        if protocol == "openai":
            told["object"] = "list"
        return _json(told | {"first_id": None, "last_id": None})

    def _cancel(self, batch: Kept) -> None:
        if self.is_too_late_to_cancel:
            return
        batch.is_cancelled, batch.looks_left = True, 0
        batch.fates = [Fate.SUCCEEDED, *[Fate.CANCELED] * (len(batch.items) - 1)]

    def _file(self, head: Head, body: bytes, own_id: str | None) -> Response:
        if head.method == "GET" and own_id is not None:
            name, _, kind = own_id.partition("-")
            return self._results(self.kept[name], is_error=kind == "err")
        if self.files_with is not None:
            return self.files_with
        boundary = (
            head.headers["content-type"].partition("boundary=")[2].strip('"').encode()
        )
        parts = (it for it in body.split(b"--" + boundary) if b"filename=" in it)
        content = next(parts).partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
        name = f"file-{len(self._files) + 1}"
        self._files[name] = content
        told = {"id": name, "object": "file", "bytes": len(content), "created_at": 1}
        return _json(told | {"filename": "b", "purpose": "batch", "status": "processed"})

    def _results(self, batch: Kept, *, is_error: bool) -> Response:
        lines = self._lines(batch, is_error=is_error)
        is_cut = batch.id == self.cuts_results_of and not is_error
        return Response(200, lines[:-20] if is_cut else lines, {})

    def _told(self, batch: Kept) -> dict[str, Any]:
        if batch.protocol == "anthropic":
            return self._told_anthropic(batch)
        ended = batch.has_ended
        status = (
            ("cancelled" if batch.is_cancelled else "completed") if ended else "in_progress"
        )
        total = len(batch.items)
        if self.is_full:
            fault = {"code": self.is_full_for, "message": "the queue is full"}
            return {
                "id": batch.id,
                "created_at": int(batch.created_at.timestamp()),
                "status": "failed",
                "metadata": dict(batch.metadata),
                "errors": {"object": "list", "data": [fault]},
            }
        return {
            "id": batch.id,
            "object": "batch",
            "endpoint": "/v1/responses",
            "input_file_id": "file-1",
            "completion_window": "24h",
            "created_at": int(batch.created_at.timestamp()),
            "status": status,
            "metadata": dict(batch.metadata),
            "request_counts": {"total": total, "completed": total * ended, "failed": 0},
            "output_file_id": f"{batch.id}-out" if ended else None,
            "error_file_id": f"{batch.id}-err" if ended else None,
        }

    def _told_anthropic(self, batch: Kept) -> dict[str, Any]:
        total, ended = len(batch.items), batch.has_ended
        counts = dict.fromkeys(("errored", "canceled", "expired"), 0)
        counts |= {"processing": total * (not ended), "succeeded": total * ended}
        place = f"{self.results_host}/v1/messages/batches/{batch.id}/results"
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": counts,
            "created_at": batch.created_at.isoformat(),
            "expires_at": (batch.created_at + timedelta(days=1)).isoformat(),
            "ended_at": None,
            "archived_at": None,
            "cancel_initiated_at": None,
            "results_url": place if ended and not self.is_archived else None,
        }

    def _lines(self, batch: Kept, *, is_error: bool) -> bytes:
        lines: list[dict[str, Any]] = []
        for (own, params), fate in zip(batch.items.items(), batch.fates, strict=True):
            is_said = fate in (Fate.SUCCEEDED, Fate.TWICE)
            if fate is Fate.MISSING:
                continue
            if batch.protocol == "openai" and is_said is is_error:
                continue
            line = self._line(batch.protocol, own, params, fate)
            lines += [line, line] if fate is Fate.TWICE else [line]
        return b"".join(json.dumps(it).encode() + b"\n" for it in reversed(lines))

    def _line(
        self, protocol: str, own: str, params: dict[str, Any], fate: Fate
    ) -> dict[str, Any]:
        asked = understood(protocol, params)
        text = self._say(asked, json.dumps(params).encode())
        said = answer(asked, text, usage=usage_of(asked, text))
        is_said = fate in (Fate.SUCCEEDED, Fate.TWICE)
        if protocol == "anthropic":
            error = {"type": "error", "error": {"type": "api_error", "message": "failed"}}
            results: dict[Fate, dict[str, Any]] = {
                Fate.ERRORED: {"type": "errored", "error": error}
            }
            result = (
                {"type": "succeeded", "message": said}
                if is_said
                else results.get(fate, {"type": fate.value})
            )
            return {"custom_id": own, "result": result}
        line: dict[str, Any] = {"id": f"r-{own}", "custom_id": own, "error": None}
        if is_said:
            return line | {
                "response": {"status_code": 200, "request_id": "r", "body": said}
            }
        if fate is Fate.ERRORED:
            body = {"error": {"code": "server_error", "message": "failed"}}
            return line | {
                "response": {"status_code": 500, "request_id": "r", "body": body}
            }
        code = "batch_expired" if fate is Fate.EXPIRED else "batch_cancelled"
        return line | {"response": None, "error": {"code": code, "message": code}}


def _error(status: int, kind: str = "api_error", message: str = "no") -> Response:
    error = {"type": kind, "message": message}
    return _json({"type": "error", "error": error}, status)


def _json(told: dict[str, Any], status: int = 200) -> Response:
    return Response(status, json.dumps(told).encode(), {"request-id": "req_1"})
