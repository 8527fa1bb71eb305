"""What we need from the place where pictures are kept."""

import re
from datetime import date
from typing import Protocol

from trading_assets.errors import InvalidInput

STEP = re.compile(r"[A-Za-z0-9_^=][A-Za-z0-9_^=.\-]*")


class ChartStore(Protocol):
    """Pictures by path.

    Every store keeps these promises, and `ChartStoreContract` in the tests asks for each:

    - Whoever reads a path gets all of the bytes of one `put`, never a part.
    - Putting the same path again replaces what was there.
    - Paths are relative, of plain names divided by ``/``; none leads out of the store.
    """

    def put(self, path: str, png: bytes) -> None:
        """Keep *png* under *path*.

        Raises:
            InvalidInput: If *path* is not a plain relative path.
        """
        ...

    def get(self, path: str) -> bytes:
        """Return what was put under *path*.

        Raises:
            InvalidInput: If *path* is not a plain relative path.
            DataMissing: If nothing was put there.
        """
        ...

    def exists(self, path: str) -> bool:
        """Tell whether something was put under *path*.

        Raises:
            InvalidInput: If *path* is not a plain relative path.
        """
        ...


def chart_path(strategy: str, timeframe: str, symbol: str, session: date) -> str:
    """Where a chart belongs: the same for the same chart, and for no other.

    ``BRK/B`` becomes ``trend/daily/BRK_B/2024-01-12.png``; no symbol has an underscore of
    its own.
    """
    return f"{strategy}/{timeframe}/{symbol.replace('/', '_')}/{session.isoformat()}.png"


def steps_of(path: str) -> tuple[str, ...]:
    """The names along *path*, each safe as the name of a file or a folder.

    Raises:
        InvalidInput: If *path* is absolute, empty, or steps up or sideways.
    """
    steps = tuple(path.split("/"))
    if not all(STEP.fullmatch(step) for step in steps):
        raise InvalidInput(
            f"chart path {path!r}: must be relative, of names made of letters, digits "
            "and _ ^ = . - that do not begin with a dot or a dash"
        )
    return steps
