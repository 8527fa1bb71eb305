"""Valid proposals for tests: name only what a test is about."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from trading_assets.adapters.ledger.approvals import ApprovalBook, Asked
from trading_assets.adapters.ledger.store import Ledger
from trading_assets.core.approving import payload_hash
from trading_assets.models.approval import Approval, Proposal
from trading_assets.models.base import Lane
from trading_assets.models.intent import OrderTicket
from trading_assets_tests.make_intents import AT, make_order_ticket

UNTIL = AT + timedelta(hours=16)


def make_proposal(tickets: Sequence[OrderTicket] | None = None, **changes: Any) -> Proposal:
    """An entry of 10 shares that waits in a simulated book until `UNTIL`."""
    account = changes.get("account", "")
    lane = Lane.IBKR if account else Lane.SIMULATED
    asked = tuple(tickets or [make_order_ticket(lane=lane)])
    given: dict[str, Any] = {
        "strategy": asked[0].strategy,
        "lane": lane.value,
        "account": account,
        "session": asked[0].session,
        "close": 100.0,
        "reason": "BUY with score 64; fixed_shares 10.00 -> 10",
        "reasoning": "it rises",
        "payload_hash": payload_hash(asked, account),
        "proposed_at": AT,
        "expires_at": UNTIL,
    }
    return Proposal(tickets=asked, **{**given, **changes})


def propose(place: str | Path, *proposals: Proposal, at: datetime = AT) -> list[Approval]:
    """Ask for *proposals* in the ledger at *place*; how they stand, in that order."""
    ledger, book = Ledger.open(place), ApprovalBook.open(place)
    for own in proposals:
        others = [it.proposal for it in book.of(own.strategy, own.lane, [own.session])]
        asked = Asked(at=at, proposals=[*others, own], sessions=[own.session])
        generation = ledger.next_generation(own.strategy, own.lane)
        ledger.append(own.strategy, own.lane, generation, [], {}, asked=asked)
    ledger.close()
    found = [book.called(own.order_id)[-1] for own in proposals]
    book.close()
    return found
