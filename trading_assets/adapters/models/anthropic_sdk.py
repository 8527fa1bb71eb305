"""The one place that knows the package ``anthropic``.

Its retries are off: it would obey a server that says to come back in a day, and each of
its attempts may be billed without a word.
"""

from typing import Any

from trading_assets.adapters.models.gate import Gate, wait_at_gate
from trading_assets.adapters.models.replies import Reply, Silence
from trading_assets.adapters.models.silence import silence_after, silence_of


class AnthropicCaller:
    """Sends requests to Messages, each exactly once."""

    def __init__(self, base_url: str, timeout_seconds: float) -> None:
        # Seconds, and not needed where everything is on record.
        import anthropic  # noqa: PLC0415

        self._sdk = anthropic
        self._client = anthropic.AsyncAnthropic(
            api_key="none",
            base_url=base_url,
            timeout=timeout_seconds,
            max_retries=0,
            open_telemetry=False,
            http_client=anthropic.DefaultAsyncHttpxClient(
                event_hooks={"request": [wait_at_gate]}
            ),
        )
        self._by_key: dict[str, anthropic.AsyncAnthropic] = {}

    async def send(
        self, key: str, arguments: dict[str, Any], gate: Gate
    ) -> Reply | Silence:
        """Send one request through *gate*; what came back, in time or not at all."""
        if key not in self._by_key:
            self._by_key[key] = self._client.with_options(api_key=key or "none")
        create = self._by_key[key].messages.with_raw_response.create
        try:
            async with gate:
                raw = await create(**arguments)
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
