"""The one place that knows the package ``openai``; its retries are off."""

import json
from collections.abc import Awaitable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from trading_assets.adapters.models.gate import Gate, open_gate, wait_at_gate
from trading_assets.adapters.models.hearing import SdkErrors, connect_seconds, heard
from trading_assets.adapters.models.replies import (
    Reply,
    Silence,
    excerpt,
    is_refusal,
    parsed,
    words,
)

if TYPE_CHECKING:
    from openai import AsyncOpenAI

TAG = "trading_batch"
"""Name of our own id in a batch's metadata."""


class OpenAiCaller:
    """Sends requests to Responses or to Chat Completions, each exactly once."""

    def __init__(self, base_url: str, timeout_seconds: float, *, is_chat: bool) -> None:
        # Seconds, and not needed where everything is on record.
        import openai  # noqa: PLC0415

        from trading_assets.adapters.models.reply_bounds import (  # noqa: PLC0415
            PLAIN,
            HTTPError,
            bound_reply,
        )

        self._errors = SdkErrors(
            openai.APIStatusError, openai.APIConnectionError, HTTPError, openai.OpenAIError
        )
        self._timeout_seconds = timeout_seconds
        self._is_chat = is_chat
        self._client = openai.AsyncOpenAI(
            api_key="none",
            base_url=base_url,
            timeout=openai.Timeout(
                timeout_seconds, connect=connect_seconds(timeout_seconds)
            ),
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(
                event_hooks={"request": [wait_at_gate], "response": [bound_reply]},
                headers=PLAIN,
                follow_redirects=False,
            ),
        )
        self._by_key: dict[str, openai.AsyncOpenAI] = {}

    async def send(
        self, key: str, arguments: dict[str, Any], gate: Gate
    ) -> Reply | Silence:
        """Send one request through *gate*; what came back, in time or not at all."""
        client = self._of_key(key)
        part = client.chat.completions if self._is_chat else client.responses
        asked = part.with_raw_response.create(**arguments)
        return await heard(asked, gate, self._errors)

    def _of_key(self, key: str) -> "AsyncOpenAI":
        if key not in self._by_key:
            self._by_key[key] = self._client.with_options(api_key=key or "none")
        return self._by_key[key]

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.close()


class OpenAiBatchCaller(OpenAiCaller):
    """Sends requests to Batches, each exactly once."""

    async def create(
        self, key: str, tag: str, requests: Sequence[tuple[str, dict[str, Any]]]
    ) -> Reply | Silence:
        """Hand in a batch that bears *tag*: its file, and then the batch of it."""
        client = self._of_key(key)
        about = {"method": "POST", "url": "/v1/responses"}
        lines = (
            json.dumps({"custom_id": own_id, **about, "body": it})
            for own_id, it in requests
        )
        file = (f"{tag}.jsonl", "\n".join(lines).encode())
        came = await self._told(
            client.files.with_raw_response.create(file=file, purpose="batch")
        )
        file_id = _file_id(came)
        if not file_id:
            return _not_filed(came)
        return await self._told(
            client.batches.with_raw_response.create(
                input_file_id=file_id,
                endpoint="/v1/responses",
                completion_window="24h",
                metadata={TAG: tag},
            )
        )

    async def newest(self, key: str, limit: int) -> Reply | Silence:
        """The last batches, newest first."""
        batches = self._of_key(key).batches.with_raw_response
        return await self._told(batches.list(limit=limit))

    async def state(self, key: str, remote_id: str) -> Reply | Silence:
        """How far a batch has come."""
        batches = self._of_key(key).batches.with_raw_response
        return await self._told(batches.retrieve(remote_id))

    async def results(self, key: str, place: str) -> Reply | Silence:
        """The lines of a file of a batch that has ended."""
        files = self._of_key(key).files.with_raw_response
        return await self._told(files.content(place))

    async def cancel(self, key: str, remote_id: str) -> Reply | Silence:
        """Have a batch stopped."""
        batches = self._of_key(key).batches.with_raw_response
        return await self._told(batches.cancel(remote_id))

    async def _told(self, asked: Awaitable[Any]) -> Reply | Silence:
        """What came back; what could cost something is on the disk by now."""
        return await heard(asked, open_gate(self._timeout_seconds), self._errors)


def _file_id(came: Reply | Silence) -> str:
    """Of a file that was taken; empty if it was not."""
    if isinstance(came, Silence) or came.status != HTTPStatus.OK:
        return ""
    return words((parsed(came.body) or {}).get("id"))


def _not_filed(came: Reply | Silence) -> Reply | Silence:
    """What it means that a file was not taken: a file alone asks nobody."""
    if isinstance(came, Silence):
        return Silence(is_sent=False, is_timeout=came.is_timeout, reason=came.reason)
    if is_refusal(came.status):
        return came
    why = f"the file was not taken: HTTP {came.status}: {excerpt(came.body)}"
    return Silence(is_sent=False, is_timeout=False, reason=why)
