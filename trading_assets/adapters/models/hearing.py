"""What comes back from a request that a vendor's SDK sends."""

from collections.abc import Awaitable
from typing import Any, NamedTuple, cast

from trading_assets.adapters.models.gate import Gate
from trading_assets.adapters.models.replies import Reply, Silence
from trading_assets.adapters.models.silence import silence_after, silence_of


class SdkErrors(NamedTuple):
    """What an SDK raises; the packages of both vendors call them so.

    Attributes:
        status: For a reply with a status of 400 or more; has its ``response``.
        connection: For no reply.
    """

    status: type[Exception]
    connection: type[Exception]


async def heard(asked: Awaitable[Any], gate: Gate, errors: SdkErrors) -> Reply | Silence:
    """What came back through *gate* from what was *asked* for raw, in time or not."""
    try:
        async with gate:
            raw = await asked
            body = await raw.http_response.aread()
    except errors.status as error:
        came = cast("Any", error).response
        return Reply(came.status_code, dict(came.headers), came.content)
    except errors.connection as error:
        return silence_of(error, gate.timeout_seconds)
    except TimeoutError:
        return silence_after(gate.timeout_seconds)
    return Reply(raw.status_code, dict(raw.headers), body)
