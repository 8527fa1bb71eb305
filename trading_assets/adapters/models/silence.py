"""Whether a request that nobody answered may have arrived."""

from trading_assets.adapters.models.replies import Silence

NEVER_SENT = {
    "ConnectError",
    "ConnectTimeout",
    "PoolTimeout",
    "ProxyError",
    "UnsupportedProtocol",
    "LocalProtocolError",
}
"""Faults of HTTP that happen before anything is sent, by the name of their class."""


def silence_of(error: Exception, timeout_seconds: float) -> Silence:
    """What an error of a connection means.

    Args:
        error: Of HTTP, or an SDK's with that as its cause.
        timeout_seconds: How long was waited at most.
    """
    fault = error.__cause__ or error
    cause = type(fault).__name__
    if cause == "LocalProtocolError":  # it quotes the header that it did not like
        said = "the request can't be put together"
    else:
        said = str(fault)
    is_timeout = "Timeout" in cause
    waited = f" after at most {timeout_seconds:g} s" if is_timeout else ""
    return Silence(
        is_sent=cause not in NEVER_SENT,
        is_timeout=is_timeout,
        reason=" ".join(f"{cause}{waited}: {said}".split()),
    )


def silence_after(timeout_seconds: float) -> Silence:
    """No whole reply within the time."""
    return Silence(
        is_sent=True,
        is_timeout=True,
        reason=f"no whole reply within {timeout_seconds:g} s",
    )
