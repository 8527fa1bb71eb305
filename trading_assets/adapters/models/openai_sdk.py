"""The one place that knows the package ``openai``; its retries are off."""

from typing import Any

from trading_assets.adapters.models.gate import Gate, wait_at_gate
from trading_assets.adapters.models.replies import Reply, Silence
from trading_assets.adapters.models.silence import silence_after, silence_of


class OpenAiCaller:
    """Sends requests to Responses or to Chat Completions, each exactly once."""

    def __init__(self, base_url: str, timeout_seconds: float, *, is_chat: bool) -> None:
        # Seconds, and not needed where everything is on record.
        import openai  # noqa: PLC0415

        self._sdk = openai
        self._is_chat = is_chat
        self._client = openai.AsyncOpenAI(
            api_key="none",
            base_url=base_url,
            timeout=timeout_seconds,
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(
                event_hooks={"request": [wait_at_gate]}
            ),
        )
        self._by_key: dict[str, openai.AsyncOpenAI] = {}

    async def send(
        self, key: str, arguments: dict[str, Any], gate: Gate
    ) -> Reply | Silence:
        """Send one request through *gate*; what came back, in time or not at all."""
        if key not in self._by_key:
            self._by_key[key] = self._client.with_options(api_key=key or "none")
        client = self._by_key[key]
        part = client.chat.completions if self._is_chat else client.responses
        try:
            async with gate:
                raw = await part.with_raw_response.create(**arguments)
        except self._sdk.APIStatusError as error:
            return Reply(
                error.status_code, dict(error.response.headers), error.response.content
            )
        except self._sdk.APIConnectionError as error:
            return silence_of(error, gate.timeout_seconds)
        except TimeoutError:
            return silence_after(gate.timeout_seconds)
        return Reply(raw.status_code, dict(raw.headers), raw.http_response.content)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.close()
