"""One message of a client on its way to an answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trading_assets_tests.fake_gateway import answers
from trading_assets_tests.fake_gateway.faults import Fault, Options, Subject
from trading_assets_tests.fake_gateway.market import Instrument
from trading_assets_tests.fake_gateway.session import Session

if TYPE_CHECKING:
    from trading_assets_tests.fake_gateway.server import FakeGateway

NO_DEFINITION = "No security definition has been found for the request"
AMBIGUOUS = "The contract description specified is ambiguous; more than one fits."


@dataclass(frozen=True, slots=True)
class Talk:
    """A message, who sent it, and where to answer.

    Attributes:
        fields: All of them, the kind of message first.
        subject: What faults look at.
    """

    gateway: "FakeGateway"
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
