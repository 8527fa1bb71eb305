"""The one place that knows the package ``anthropic``.

Its retries are off: it would obey a server that says to come back in a day, and each of
its attempts may be billed without a word.
"""

from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from trading_assets.adapters.models.gate import Gate, open_gate, wait_at_gate
from trading_assets.adapters.models.hearing import SdkErrors, connect_seconds, heard
from trading_assets.adapters.models.replies import Reply, Silence

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic


class AnthropicCaller:
    """Sends requests to Messages, each exactly once."""

    def __init__(self, base_url: str, timeout_seconds: float) -> None:
        # Seconds, and not needed where everything is on record.
        import anthropic  # noqa: PLC0415

        from trading_assets.adapters.models.reply_bounds import (  # noqa: PLC0415
            PLAIN,
            HTTPError,
            bound_reply,
        )

        self._errors = SdkErrors(
            anthropic.APIStatusError,
            anthropic.APIConnectionError,
            HTTPError,
            anthropic.AnthropicError,
        )
        self._timeout_seconds = timeout_seconds
        self._client = anthropic.AsyncAnthropic(
            api_key="none",
            base_url=base_url,
            timeout=anthropic.Timeout(
                timeout_seconds, connect=connect_seconds(timeout_seconds)
            ),
            max_retries=0,
            open_telemetry=False,
            http_client=anthropic.DefaultAsyncHttpxClient(
                event_hooks={"request": [wait_at_gate], "response": [bound_reply]},
                headers=PLAIN,
                follow_redirects=False,
            ),
        )
        self._by_key: dict[str, anthropic.AsyncAnthropic] = {}

    async def send(
        self, key: str, arguments: dict[str, Any], gate: Gate
    ) -> Reply | Silence:
        """Send one request through *gate*; what came back, in time or not at all."""
        create = self._of_key(key).messages.with_raw_response.create
        return await heard(create(**arguments), gate, self._errors)

    def _of_key(self, key: str) -> "AsyncAnthropic":
        if key not in self._by_key:
            self._by_key[key] = self._client.with_options(api_key=key or "none")
        return self._by_key[key]

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.close()


class AnthropicBatchCaller(AnthropicCaller):
    """Sends requests to Message Batches, each exactly once."""

    async def create(
        self, key: str, tag: str, requests: Sequence[tuple[str, dict[str, Any]]]
    ) -> Reply | Silence:
        """Hand in a batch; *tag* has no place in it."""
        del tag
        own: Any = [{"custom_id": own_id, "params": it} for own_id, it in requests]
        batches = self._of_key(key).messages.batches.with_raw_response
        return await self._told(batches.create(requests=own))

    async def newest(self, key: str, limit: int) -> Reply | Silence:
        """The last batches, newest first."""
        batches = self._of_key(key).messages.batches.with_raw_response
        return await self._told(batches.list(limit=limit))

    async def state(self, key: str, remote_id: str) -> Reply | Silence:
        """How far a batch has come."""
        batches = self._of_key(key).messages.batches.with_raw_response
        return await self._told(batches.retrieve(remote_id))

    async def results(self, key: str, place: str) -> Reply | Silence:
        """The lines of a batch that has ended.

        From where we ask all else: the package would take key and all to wherever the
        batch itself says that they are.
        """
        path = f"/v1/messages/batches/{quote(place, safe='')}/results"
        headers = {"Accept": "application/binary", "X-Stainless-Raw-Response": "true"}
        options: Any = {"headers": headers}
        return await self._told(self._of_key(key).get(path, cast_to=str, options=options))

    async def cancel(self, key: str, remote_id: str) -> Reply | Silence:
        """Have a batch stopped."""
        batches = self._of_key(key).messages.batches.with_raw_response
        return await self._told(batches.cancel(remote_id))

    async def _told(self, asked: Awaitable[Any]) -> Reply | Silence:
        """What came back; what could cost something is on the disk by now."""
        return await heard(asked, open_gate(self._timeout_seconds), self._errors)
