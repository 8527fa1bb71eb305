"""The order of what is told about a fill, and how it can come out wrong.

Pure functions: events in their natural order in, events as they are told out.
"""

from collections.abc import Callable

from trading_assets_tests.fake_gateway.faults import Fault
from trading_assets_tests.fake_gateway.orders import (
    Charged,
    Event,
    Events,
    Executed,
    Opened,
    Stated,
)


def told_twice(events: Events, fill: Executed) -> Events:
    """The execution comes again, right after the first time."""
    at = events.index(fill)
    return [*events[: at + 1], fill, *events[at + 1 :]]


def commission_first(events: Events, fill: Executed) -> Events:
    """The commission comes right before its execution."""
    return _moved(events, lambda one: _is_charge_of(one, fill), before=fill)


def fill_first(events: Events, fill: Executed) -> Events:
    """The execution comes before any word about its order."""
    perm_id = fill.execution.perm_id
    for one in events:
        if isinstance(one, Opened | Stated) and one.order.perm_id == perm_id:
            return _moved(events, lambda moved: moved == fill, before=one)
    return events


def _is_charge_of(event: Event, fill: Executed) -> bool:
    return isinstance(event, Charged) and event.execution == fill.execution


def _moved(events: Events, is_moved: Callable[[Event], bool], *, before: Event) -> Events:
    moved = [one for one in events if is_moved(one)]
    others = [one for one in events if not is_moved(one)]
    at = next(at for at, one in enumerate(others) if one is before)
    return [*others[:at], *moved, *others[at:]]


DISTORTIONS: dict[Fault, Callable[[Events, Executed], Events]] = {
    Fault.EXECUTION_TWICE: told_twice,
    Fault.COMMISSION_FIRST: commission_first,
    Fault.FILL_BEFORE_STATUS: fill_first,
}
