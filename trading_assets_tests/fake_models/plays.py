"""What may become of a request."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Fault(StrEnum):
    """What goes wrong; the names are those of scripts and of models' names."""

    NONE = "none"
    UNAUTHORIZED = "unauthorized"
    EXPIRED_KEY = "expired_key"
    FORBIDDEN = "forbidden"
    PAYMENT = "payment"
    BAD_REQUEST = "bad_request"
    NOT_FOUND = "not_found"
    TOO_LARGE = "too_large"
    CONFLICT = "conflict"
    RATE_LIMITED = "rate_limited"
    SPEND_LIMIT = "spend_limit"
    SERVER_ERROR = "server_error"
    BAD_GATEWAY = "bad_gateway"
    UNAVAILABLE = "unavailable"
    GATEWAY_TIMEOUT = "gateway_timeout"
    OVERLOADED = "overloaded"
    HTML = "html"
    MALFORMED_JSON = "malformed_json"
    OTHER_JSON = "other_json"
    EMPTY = "empty"
    FENCED = "fenced"
    PROSE = "prose"
    TRUNCATED = "truncated"
    REFUSAL = "refusal"
    FILTERED = "filtered"
    FAILED = "failed"
    SLOW = "slow"
    TRICKLE = "trickle"
    DROP_BEFORE = "drop_before"
    DROP_AFTER = "drop_after"
    DROP_AMID = "drop_amid"
    NO_USAGE = "no_usage"
    WRONG_USAGE = "wrong_usage"
    NO_SCHEMA = "no_schema"
    NO_IMAGES = "no_images"
    ECHO_KEY = "echo_key"
    POLICY = "policy"
    REDIRECT = "redirect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """What becomes of one request.

    Attributes:
        text: What the model says; None for JSON that fits the schema.
        retry_after: Header of a refusal, as it is written; None for none.
        retry_after_ms: The same in milliseconds.
        seconds: How long a slow answer takes, and how long any answer waits.
        headers: More of them.
    """

    fault: Fault = Fault.NONE
    text: str | None = None
    retry_after: str | None = None
    retry_after_ms: str | None = None
    seconds: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
