"""Frames and fields: how both sides write a message down.

A frame is a length, four bytes with the highest first, and that many bytes of UTF-8.
Every field ends with a zero byte. The handshake differs: the client begins with
`API` and a zero byte, and the frame after it holds versions without a zero byte.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

SERVER_VERSION = 176
OLDEST_VERSION = 100
GREETING = b"API\0"
LENGTH = struct.Struct(">I")
LONGEST_FRAME = 16 * 1024 * 1024

UNSET = "1.7976931348623157E308"
"""What Interactive Brokers writes for a double without a value."""
UNSET_INTEGER = "2147483647"


INVALID = "Error validating request.-'bN' : cause - "
"""How the text of 321 begins."""


class BadFrame(Exception):
    """The other side has written what is no message of this protocol."""


def written(value: object) -> str:
    """A field as text: a yes is 1, nothing is empty, a whole number has no fraction."""
    match value:
        case None:
            return ""
        case bool():
            return "1" if value else "0"
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return str(value)


def framed(*fields: object) -> bytes:
    """One message, ready to be sent."""
    payload = "".join(f"{written(field)}\0" for field in fields).encode()
    return LENGTH.pack(len(payload)) + payload


def fields_of(payload: bytes) -> list[str]:
    """The fields of a payload.

    Raises:
        BadFrame: If the last field does not end, or the text is no UTF-8.
    """
    if not payload.endswith(b"\0"):
        raise BadFrame(f"a message must end with a zero byte, was {payload[-20:]!r}")
    try:
        return payload[:-1].decode().split("\0")
    except UnicodeDecodeError as error:
        raise BadFrame(f"a message must be UTF-8: {error}") from error


class FrameReader:
    """Cuts a stream of bytes into payloads, wherever the network has cut it."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._greeted = False

    def read(self, data: bytes) -> list[bytes]:
        """The payloads that *data* completes, in order; the first holds the versions.

        Raises:
            BadFrame: If the stream does not begin with the greeting, or a length is absurd.
        """
        self._bytes += data
        return [*iter(self._next, None)]

    def _next(self) -> bytes | None:
        if not self._greeted and not self._take_greeting():
            return None
        if len(self._bytes) < LENGTH.size:
            return None
        (length,) = LENGTH.unpack_from(self._bytes)
        if length > LONGEST_FRAME:
            raise BadFrame(f"a frame of {length} bytes; at most {LONGEST_FRAME} are read")
        end = LENGTH.size + length
        if len(self._bytes) < end:
            return None
        payload = bytes(self._bytes[LENGTH.size : end])
        del self._bytes[:end]
        return payload

    def _take_greeting(self) -> bool:
        start = bytes(self._bytes[: len(GREETING)])
        if not GREETING.startswith(start):
            raise BadFrame(f"a client must begin with {GREETING!r}, began with {start!r}")
        if len(start) < len(GREETING):
            return False
        del self._bytes[: len(GREETING)]
        self._greeted = True
        return True


def agreed_version(payload: bytes) -> int:
    """The version that both sides speak, from the client's `v157..176`.

    Raises:
        BadFrame: If there is none, or the offer cannot be read.
    """
    offer, _, _options = payload.decode(errors="replace").partition(" ")
    low, _, high = offer.removeprefix("v").partition("..")
    if not offer.startswith("v") or not low.isdigit() or not (high or low).isdigit():
        raise BadFrame(f"versions must be like v157..176, were {offer!r}")
    if int(low) > SERVER_VERSION or int(high or low) < SERVER_VERSION:
        raise BadFrame(f"only version {SERVER_VERSION} is spoken here, offered was {offer}")
    return SERVER_VERSION


class Place(NamedTuple):
    """One field of a layout."""

    name: str
    default: str


class Layout:
    """The fields of one kind of message, by name.

    It is written as words: `name` is a field that is empty unless given, `name=0` one
    with another default, `_=0` one that is always the same.
    """

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = tuple(places)
        self._names = {place.name for place in places} - {"_"}

    @classmethod
    def of(cls, words: str) -> Self:
        """The layout that *words* describe."""
        pairs = (word.partition("=") for word in words.split())
        return cls([Place(name, default) for name, _, default in pairs])

    def __len__(self) -> int:
        return len(self._places)

    def write(self, **values: object) -> list[object]:
        """The fields of a message in order, defaults where *values* says nothing."""
        if unknown := values.keys() - self._names:
            raise BadFrame(f"no field is called {', '.join(sorted(unknown))}")
        return [values.get(place.name, place.default) for place in self._places]

    def read(self, fields: Iterable[str]) -> dict[str, str]:
        """The named fields of a message.

        Raises:
            BadFrame: If there are more or fewer fields than the layout has.
        """
        found = list(fields)
        if len(found) != len(self):
            raise BadFrame(f"{len(found)} fields, {len(self)} are read here")
        pairs = zip(self._places, found, strict=True)
        return {place.name: field for place, field in pairs if place.name != "_"}
