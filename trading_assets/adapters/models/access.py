"""Where models are, and the keys that open them.

Keys are handed in as values and never shown: what is kept of one is a short hash.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self, override
from urllib.parse import urlsplit

from trading_assets.errors import InvalidInput
from trading_assets.models.question import Provider

SEPARATOR = re.compile(r"[,\s]+")
ID_LENGTH = 12
SHORTEST_SECRET = 6
"""Characters; a key with fewer is a word."""

BASE_URLS = {
    Provider.ANTHROPIC: "https://api.anthropic.com",
    Provider.OPENAI: "https://api.openai.com/v1",
    Provider.COMPATIBLE: "",
}
"""Where a provider is unless told otherwise."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key, and the name under which it is on record."""

    secret: str = field(repr=False)

    @property
    def key_id(self) -> str:
        """A short hash of it; ``none`` where there is none."""
        if not self.secret:
            return "none"
        return hashlib.sha256(self.secret.encode()).hexdigest()[:ID_LENGTH]


@dataclass(frozen=True, slots=True, repr=False)
class Access:
    """The keys of a provider, in the order in which they are tried, and where it is."""

    keys: tuple[ApiKey, ...] = ()
    base_url: str = ""

    @classmethod
    def of(cls, keys: str = "", base_url: str = "", name: str = "a key of models") -> Self:
        """Read what a person has written.

        Args:
            keys: One, or several separated by commas or blanks.
            base_url: Empty for the provider's own.
            name: What *keys* are called where they were written.

        Raises:
            InvalidInput: If *base_url* is no address of HTTP, or a key can't be one; they
                are not shown.
        """
        url = base_url.strip().rstrip("/")
        if url and urlsplit(url).scheme not in ("http", "https"):
            raise InvalidInput("the base URL of models must begin with http:// or https://")
        found = [key for key in dict.fromkeys(SEPARATOR.split(keys)) if key]
        if not all(key.isascii() and key.isprintable() for key in found):
            raise InvalidInput(
                f"{name} has a character that no key has, such as a quote of a word "
                "processor; it is not shown"
            )
        return cls(tuple(map(ApiKey, found)), url)

    @override
    def __repr__(self) -> str:
        ids = ", ".join(key.key_id for key in self.keys)
        return f"Access(keys=[{ids}], host={urlsplit(self.base_url).hostname or ''!r})"


Accesses = Mapping[Provider, Access]


def accesses(variables: Mapping[str, str]) -> Accesses:
    """How each provider is reached, as environment *variables* have it.

    ``COMPATIBLE_BASE_URL`` falls back to ``OPENAI_BASE_URL``; only then does
    ``COMPATIBLE_API_KEY`` fall back to ``OPENAI_API_KEY``, so that nobody's key goes to
    somebody else's server.

    Raises:
        InvalidInput: If an address is none of HTTP, or a key can't be one.
    """
    openai = (
        variables.get("OPENAI_API_KEY", ""),
        variables.get("OPENAI_BASE_URL", ""),
    )
    own_url = variables.get("COMPATIBLE_BASE_URL", "")
    own_key = variables.get("COMPATIBLE_API_KEY", "")
    shared_key, shared_url = ("", own_url) if own_url else openai
    return {
        Provider.ANTHROPIC: Access.of(
            variables.get("ANTHROPIC_API_KEY", ""),
            variables.get("ANTHROPIC_BASE_URL", ""),
            "ANTHROPIC_API_KEY",
        ),
        Provider.OPENAI: Access.of(*openai, "OPENAI_API_KEY"),
        Provider.COMPATIBLE: Access.of(
            own_key or shared_key, shared_url, "COMPATIBLE_API_KEY"
        ),
    }


class KeyPool:
    """Keys of one provider; one is used until it is refused, then the next.

    Limits are an organization's, so spreading questions over its keys gains nothing, and
    loses what the provider keeps in its cache.
    """

    def __init__(self, keys: tuple[ApiKey, ...]) -> None:
        self._keys = keys
        self._refused: set[str] = set()

    @property
    def current(self) -> ApiKey | None:
        """The first that was not refused; None if there is none left."""
        good = (key for key in self._keys if key.key_id not in self._refused)
        return next(good, None)

    def refuse(self, key: ApiKey) -> None:
        """Never use *key* again."""
        self._refused.add(key.key_id)

    def scrubbed(self, body: bytes) -> bytes:
        """*body* without any key in it; some servers repeat what they were sent.

        What a server of one's own is given for a key, such as ``x``, is no secret, and
        stands in every text.
        """
        for key in self._keys:
            if len(key.secret) >= SHORTEST_SECRET:
                body = body.replace(key.secret.encode(), f"<key {key.key_id}>".encode())
        return body
