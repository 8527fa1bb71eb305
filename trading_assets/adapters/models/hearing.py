"""What comes back from a request that a vendor's SDK sends."""

from collections.abc import Awaitable
from typing import Any, NamedTuple, cast

from trading_assets.adapters.models.gate import Gate
from trading_assets.adapters.models.replies import Reply, ReplyTooLong, Silence
from trading_assets.adapters.models.silence import silence_after, silence_of

LONGEST_CONNECT_SECONDS = 10.0


class SdkErrors(NamedTuple):
    """What an SDK raises; the packages of both vendors call them so.

    Attributes:
        status: For a reply with a status of 400 or more; has its ``response``.
        connection: For no reply.
        transport: What it lets through of the HTTP below it, in the middle of a body.
        other: For anything else that it does not like.
    """

    status: type[Exception]
    connection: type[Exception]
    transport: type[Exception]
    other: type[Exception]


def connect_seconds(timeout_seconds: float) -> float:
    """How long to wait for a connection, so that it is known that nothing was sent."""
    return min(LONGEST_CONNECT_SECONDS, timeout_seconds / 2)


async def heard(asked: Awaitable[Any], gate: Gate, errors: SdkErrors) -> Reply | Silence:
    """What came back through *gate* from what was *asked* for raw, in time or not."""
    try:
        async with gate:
            raw = await asked
            body = await raw.http_response.aread()
    except errors.status as error:
        came = cast("Any", error).response
        return Reply(came.status_code, dict(came.headers), came.content)
    except (errors.connection, errors.transport) as error:
        return silence_of(error, gate.timeout_seconds)
    except TimeoutError:
        return silence_after(gate.timeout_seconds)
    except (ReplyTooLong, errors.other) as error:
        return Silence(is_sent=True, is_timeout=False, reason=str(error))
    return Reply(raw.status_code, dict(raw.headers), body)
