"""One message of a client on its way to an answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from trading_assets_tests.fake_gateway import answers
from trading_assets_tests.fake_gateway.account import Account
from trading_assets_tests.fake_gateway.book import Book
from trading_assets_tests.fake_gateway.faults import Fault, Options, Script, Subject
from trading_assets_tests.fake_gateway.market import Instrument, Market
from trading_assets_tests.fake_gateway.orders import Events, Records
from trading_assets_tests.fake_gateway.session import Session

NO_DEFINITION = "No security definition has been found for the request"
AMBIGUOUS = "The contract description specified is ambiguous; more than one fits."


class Host(Protocol):
    """What an answer needs of the gateway; see `FakeGateway` for what each does."""

    account: Account
    market: Market
    script: Script
    book: Book
    now: Callable[[], datetime]

    @property
    def client_ids(self) -> set[int]: ...

    @property
    def is_link_up(self) -> bool: ...

    def known_records(self) -> Records: ...

    def is_today(self, at: datetime | None) -> bool: ...

    def fill(self, client_id: int, order_id: int) -> None: ...

    def say_to(self, session: Session, fields: Sequence[object]) -> None: ...

    def announce(self, events: Events) -> None: ...


@dataclass(frozen=True, slots=True)
class Talk:
    """A message, who sent it, and where to answer.

    Attributes:
        fields: All of them, the kind of message first.
        subject: What faults look at.
    """

    gateway: Host
    session: Session
    fields: list[str]
    subject: Subject

    def say(self, *fields: object) -> None:
        """Answer."""
        self.gateway.say_to(self.session, fields)

    def refuse(self, request_id: int, code: int, text: str) -> None:
        """Answer that it cannot be done."""
        self.say(*answers.error(request_id, code, text))

    def fault(self, fault: Fault) -> Options | None:
        """The options of *fault* if it applies now, which uses it up."""
        return self.gateway.script.take(fault, self.subject)

    def number(self, at: int) -> int:
        """The field at *at* as a whole number."""
        return int(self.fields[at])


Answer = Callable[[Talk], None]
"""Runs under the gateway's lock, on the thread of its loop."""


def only_instrument(
    talk: Talk, request_id: int, asked: dict[str, str]
) -> Instrument | None:
    """The one instrument that *asked* means; None after saying 200 if it is not one."""
    found = talk.gateway.market.meant(asked)
    if len(found) != 1:
        talk.refuse(request_id, 200, AMBIGUOUS if found else NO_DEFINITION)
        return None
    return found[0]
