"""What can go wrong on purpose, and when."""

from dataclasses import dataclass, field
from enum import Enum
from time import monotonic

Options = dict[str, object]
"""What a fault itself is told, such as `text` or `seconds`."""

PLACE_ORDER = 3
CANCEL_ORDER = 4
GLOBAL_CANCEL = 58
START_API = 71


class Fault(Enum):
    """One way in which a gateway can fail; the options are given to `inject`.

    Those about a message apply to the next one of the kinds named here, those about a
    fill to the next fill. A fault that is *standing* stays until it is lifted.
    """

    DROP_BEFORE_PLACE = "the connection ends before the order is taken: it never was"
    DROP_AFTER_PLACE = (
        "the order is taken, and the connection ends before a word about it; `filled=True`"
        " fills it meanwhile at its limit or the last price, `filled=False` keeps a market"
        " order waiting for the next price"
    )
    SILENT_ORDER = "the order is taken and lives, and nothing is ever said unasked"
    LOST_ORDER = "the order is swallowed: never taken, nothing said"
    REJECT = "201 with `text`; the order never works"
    INACTIVE = "the order is acknowledged and does not work; `text` says why"
    READ_ONLY = "321 on everything about orders (standing)"
    NO_PERMISSION = "no market data: 354 on ticks, 162 on history; 460 on orders"
    CLIENT_ID_IN_USE = "326 at the start of a session, which then ends"
    TIF_PRESET = "10349 on an order that goes on working"
    LINK_LOST_IN_FILL = (
        "half of the fill is told, then 1100; the rest happens unheard until"
        " `restore_link` says 1102 or 1101"
    )
    RESTART = "the message vanishes and the gateway restarts; `seconds` it is away"
    SECOND_PERM_ID = "a modified order is told with another permanent id"
    EXECUTION_TWICE = "the same execution is told twice"
    EXECUTION_CORRECTED = "the execution is told, then corrected to `price` or `shares`"
    COMMISSION_FIRST = "the commission is told before its execution"
    FILL_BEFORE_STATUS = "the execution is told before any status of its order"
    CANCELLED_BUT_FILLED = (
        "the order is told to be cancelled, and then it is filled; `heard=False` keeps"
        " the fill quiet until somebody asks"
    )
    WHAT_IF_TWICE = "a preview is told first without numbers, then with them"
    SLOW_ANSWERS = "every answer comes `seconds` late (standing)"
    GARBAGE_FRAME = "a frame of nonsense comes before the answer"
    TRUNCATED_FRAME = "half a frame comes, then the connection ends"
    PACING = "162 with a pacing violation on a request for history"
    EMPTY_HISTORY = "a request for history is answered with no bars and no error"
    NO_ANSWER = "a request for history, or what `message` says, is never answered"


ABOUT_MESSAGES: dict[Fault, frozenset[int]] = {
    Fault.DROP_BEFORE_PLACE: frozenset({PLACE_ORDER}),
    Fault.DROP_AFTER_PLACE: frozenset({PLACE_ORDER}),
    Fault.SILENT_ORDER: frozenset({PLACE_ORDER}),
    Fault.LOST_ORDER: frozenset({PLACE_ORDER}),
    Fault.REJECT: frozenset({PLACE_ORDER}),
    Fault.INACTIVE: frozenset({PLACE_ORDER}),
    Fault.TIF_PRESET: frozenset({PLACE_ORDER}),
    Fault.SECOND_PERM_ID: frozenset({PLACE_ORDER}),
    Fault.WHAT_IF_TWICE: frozenset({PLACE_ORDER}),
    Fault.READ_ONLY: frozenset({PLACE_ORDER, CANCEL_ORDER, 5, 15, 16, 58, 99}),
    Fault.NO_PERMISSION: frozenset({1, 20, PLACE_ORDER}),
    Fault.CLIENT_ID_IN_USE: frozenset({START_API}),
    Fault.CANCELLED_BUT_FILLED: frozenset({CANCEL_ORDER}),
    Fault.PACING: frozenset({20}),
    Fault.EMPTY_HISTORY: frozenset({20}),
    Fault.NO_ANSWER: frozenset({20}),
}
"""The messages that set a fault off; one that is not here takes any of them."""

STANDING = frozenset({Fault.READ_ONLY, Fault.SLOW_ANSWERS})


@dataclass(frozen=True, slots=True)
class Subject:
    """What a fault may apply to: a message, or the order that a fill is of."""

    message: int | None = None
    client_id: int | None = None
    symbol: str = ""
    order_ref: str = ""


@dataclass
class Injected:
    """A fault that waits for its moment.

    Attributes:
        left: How often it still applies; None for ever.
        until: When it ends even so, on the monotonic clock; None never.
        only: What the subject must be; a name that is missing may be anything.
        options: What it is told.
    """

    fault: Fault
    left: int | None
    only: dict[str, object]
    options: Options = field(default_factory=dict)
    until: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether it applies to nothing any more."""
        return self.left == 0 or (self.until is not None and monotonic() > self.until)

    def fits(self, subject: Subject) -> bool:
        """Whether it applies to *subject*."""
        messages = ABOUT_MESSAGES.get(self.fault)
        if messages and "message" not in self.only and subject.message not in messages:
            return False
        return all(getattr(subject, name) == wanted for name, wanted in self.only.items())


class Script:
    """The faults to come, first come first served."""

    def __init__(self) -> None:
        self._waiting: list[Injected] = []

    def add(self, injected: Injected) -> None:
        """Let *injected* wait for its moment."""
        self._waiting.append(injected)

    def lift(self, fault: Fault) -> None:
        """Forget every injection of *fault*."""
        self._waiting = [one for one in self._waiting if one.fault is not fault]

    def take(self, fault: Fault, subject: Subject) -> Options | None:
        """The options of *fault* if it applies to *subject* now, which uses it up."""
        self._waiting = [one for one in self._waiting if not one.is_over]
        for one in self._waiting:
            if one.fault is fault and one.fits(subject):
                if one.left is not None:
                    one.left -= 1
                return one.options
        return None

    @property
    def waiting(self) -> list[Fault]:
        """The faults that may still happen."""
        return [one.fault for one in self._waiting if not one.is_over]
