"""When a strategy's evening may begin."""

import re
from itertools import product

FIELDS = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of month", 1, 31),
    ("month", 1, 12),
    ("day of week", 0, 7),
)
NAMES = {
    "month": (
        *("jan", "feb", "mar", "apr", "may", "jun"),
        *("jul", "aug", "sep", "oct", "nov", "dec"),
    ),
    "day of week": ("sun", "mon", "tue", "wed", "thu", "fri", "sat"),
}
ITEM = re.compile(r"(\*|\w+)(?:-(\w+))?(?:/(\w+))?")

TOO_LATE_FROM = (9, 25)
"""Five minutes before the open, orders of the session before are no longer decided."""

READY_FROM = (17, 0)
"""The partition of a session is there at this exchange time, in summer and in winter."""


def check_evening(cron: str) -> None:
    """Refuse a *cron* that fires while no session is there to be decided.

    Args:
        cron: Five fields, in the exchange's time.

    Raises:
        ValueError: If it is no cron, or fires between `TOO_LATE_FROM` and `READY_FROM`.
    """
    parts = cron.split()
    if len(parts) != len(FIELDS):
        raise ValueError('must be a cron of five fields such as "15 17 * * 1-5"')
    minutes, hours, *_ = (
        _field(part, *field) for part, field in zip(parts, FIELDS, strict=True)
    )
    for at in product(sorted(hours), sorted(minutes)):
        if TOO_LATE_FROM <= at < READY_FROM:
            raise ValueError(
                f"must not fire from 09:25 to 16:59 exchange time, when the last session's "
                f"orders are too late or its partition is not there yet; fires at "
                f"{at[0]:02d}:{at[1]:02d}"
            )


def _field(text: str, name: str, low: int, high: int) -> set[int]:
    """Every value that one field of a cron stands for."""
    values: set[int] = set()
    for item in text.lower().split(","):
        match = ITEM.fullmatch(item)
        if match is None:
            raise ValueError(f"must be a cron; its {name} {text!r} can't be read")
        first, last, step = match.groups()
        if first == "*":
            begin, end = low, high
        else:
            begin = _number(first, name, low, high)
            end = _number(last, name, low, high) if last else (high if step else begin)
        if begin > end:
            raise ValueError(f"must be a cron; its {name} {item!r} runs backwards")
        values.update(range(begin, end + 1, _number(step or "1", name, 1, high)))
    return values


def _number(text: str, name: str, low: int, high: int) -> int:
    names = NAMES.get(name, ())
    if text in names:
        return names.index(text) + low
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        raise ValueError(
            f"must be a cron; its {name} must be {low} to {high}, not {text!r}"
        )
    return int(text)
