"""Approvals: what waits for a person, and what was said of it; the first word counts.

Rows are only ever added. Whoever says something of a proposal waits for its turn at it and
is told what was said before, so that of two who speak at once one is heard.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from trading_assets.adapters.ledger.engine import LedgerPart, writing
from trading_assets.adapters.ledger.schema import (
    APPROVAL_PROPOSALS,
    APPROVAL_RULINGS,
    SESSION_APPROVALS,
)
from trading_assets.errors import ApprovalClosed
from trading_assets.models.approval import (
    DESK,
    EXPIRY,
    FOLLOWING,
    OPEN,
    Approval,
    ApprovalState,
    Proposal,
    Ruling,
)
from trading_assets.models.intent import OrderTicket
from trading_assets.strategies.spec import ApprovalRule

STILL_SAID = {ApprovalState.APPROVED, ApprovalState.REJECTED, ApprovalState.SUBMITTED}
"""What has become of a proposal by its answer, and by nothing else."""

KEY = ("lane", "order_id", "number")
SAME = [APPROVAL_RULINGS.c[name] == APPROVAL_PROPOSALS.c[name] for name in KEY]
PLAIN = (
    "lane",
    "strategy",
    "account",
    "session",
    "payload_hash",
    "close",
    "reason",
    "reasoning",
    "proposed_at",
    "expires_at",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a walk asks of people.

    Attributes:
        at: Now.
        rules: Sessions of a simulated book that wait for people from now on, and by which
            rule.
        sessions: What was asked of these before, and is not among *proposals*, is
            superseded.
        proposals: Of *sessions*.
    """

    at: datetime
    rules: Mapping[date, ApprovalRule] = field(default_factory=dict)
    sessions: Sequence[date] = ()
    proposals: Sequence[Proposal] = ()


class ApprovalBook(LedgerPart):
    """What waits for people, in SQLite or PostgreSQL."""

    def recent(self, since: datetime) -> list[Approval]:
        """Every proposal that could still be approved after *since*, oldest first."""
        return self._found(APPROVAL_PROPOSALS.c.expires_at > since)

    def called(self, order_id: str) -> list[Approval]:
        """Every proposal of the entry or exit with that id, oldest first."""
        return self._found(APPROVAL_PROPOSALS.c.order_id == order_id)

    def of(
        self, strategy: str, lane: str, sessions: Iterable[date] | None = None
    ) -> list[Approval]:
        """Every proposal of a book, oldest first.

        Args:
            strategy: Whose book.
            lane: Which of its books.
            sessions: In which they were decided; None for all.
        """
        own = [APPROVAL_PROPOSALS.c.strategy == strategy, APPROVAL_PROPOSALS.c.lane == lane]
        if sessions is not None:
            own.append(APPROVAL_PROPOSALS.c.session.in_(list(sessions)))
        return self._found(*own)

    def approve(self, asked: Approval, who: str, why: str, at: datetime) -> Ruling:
        """Let the orders of *asked* be sent; saying it twice says it once.

        Returns:
            The word that counts: this one, or that of whoever approved it before.

        Raises:
            ApprovalClosed: If somebody has rejected it, or it is over; it says who or when.
        """
        return self._answer(asked, ApprovalState.APPROVED, who, why, at)

    def reject(self, asked: Approval, who: str, why: str, at: datetime) -> Ruling:
        """Have the orders of *asked* not sent; saying it twice says it once.

        Returns:
            The word that counts: this one, or that of whoever rejected it before.

        Raises:
            ApprovalClosed: If somebody has approved it, or it is over; it says who or when.
        """
        return self._answer(asked, ApprovalState.REJECTED, who, why, at)

    def expire(self, at: datetime) -> list[Approval]:
        """Write down which proposals are over at the instant *at*; those that were news."""
        said = sa.select(APPROVAL_RULINGS.c.seq).where(*SAME)
        answered = said.correlate(APPROVAL_PROPOSALS).exists()
        over = self._found(APPROVAL_PROPOSALS.c.expires_at <= at, ~answered)
        return [it for it in over if self._told(it, lambda own: _expired(own, at))]

    def note(
        self, asked: Approval, state: ApprovalState, who: str, why: str, at: datetime
    ) -> bool:
        """Write down what has become of *asked*; False where that can't be any more."""
        ruling = Ruling(state=state, who=who, why=why, at=at)
        return self._told(asked, lambda _: ruling)

    def supersede(self, strategy: str, who: str, why: str, at: datetime) -> list[Approval]:
        """Have nothing that waits for *strategy*, or is approved, sent; what it was."""
        own = self._found(
            APPROVAL_PROPOSALS.c.strategy == strategy,
            APPROVAL_PROPOSALS.c.expires_at > at,
        )
        state = ApprovalState.SUPERSEDED
        return [it for it in own if self.note(it, state, who, why, at)]

    def sessions(self, strategy: str, lane: str) -> dict[date, ApprovalRule]:
        """Sessions of a simulated book whose orders waited, and by which rule."""
        query = sa.select(SESSION_APPROVALS.c.session, SESSION_APPROVALS.c.rule).where(
            SESSION_APPROVALS.c.strategy == strategy, SESSION_APPROVALS.c.lane == lane
        )
        with self._engine.connect() as connection:
            return {
                row.session: ApprovalRule(row.rule) for row in connection.execute(query)
            }

    def answers(
        self, strategy: str, lane: str
    ) -> dict[date, dict[tuple[str, str], Ruling]]:
        """What people said of a book's orders, by the session that decided them.

        Then by order id and hash of what was asked. What was superseded before it was over
        was not answered.
        """
        found: dict[date, dict[tuple[str, str], Ruling]] = {}
        for asked in self.of(strategy, lane):
            own = asked.proposal
            if asked.answer is not None and asked.state is not ApprovalState.SUPERSEDED:
                key = (own.order_id, own.payload_hash)
                found.setdefault(own.session, {})[key] = asked.answer
        return found

    def _answer(
        self, asked: Approval, state: ApprovalState, who: str, why: str, at: datetime
    ) -> Ruling:
        ruling = Ruling(state=state, who=who, why=why, at=at)
        with writing(self._engine) as connection:
            standing = _locked(connection, asked)
            said = standing.answer
            if said is not None and said.state is state and standing.state in STILL_SAID:
                return said
            if not standing.waits(at):
                raise ApprovalClosed(_why_closed(standing))
            _add(connection, standing, ruling)
        return ruling

    def _told(self, asked: Approval, say: Callable[[Approval], Ruling]) -> bool:
        """Add what there is to *say* of a proposal, if that can follow on what stands."""
        with writing(self._engine) as connection:
            standing = _locked(connection, asked)
            ruling = say(standing)
            if ruling.state not in FOLLOWING.get(standing.state, ()):
                return False
            _add(connection, standing, ruling)
        return True

    def _found(self, *where: sa.ColumnElement[bool]) -> list[Approval]:
        with self._engine.connect() as connection:
            return _approvals(connection, *where)


def ask(connection: sa.Connection, strategy: str, lane: str, asked: Asked) -> None:
    """Record what a walk asks of people, in the transaction that records the walk.

    What is asked already with the same content is left as it is, with its answer.
    """
    rules = [
        {
            "strategy": strategy,
            "lane": lane,
            "session": session,
            "rule": rule.value,
            "recorded_at": asked.at,
        }
        for session, rule in asked.rules.items()
    ]
    if rules:
        connection.execute(sa.insert(SESSION_APPROVALS), rules)
    if not asked.sessions:
        return
    before = _approvals(
        connection,
        APPROVAL_PROPOSALS.c.strategy == strategy,
        APPROVAL_PROPOSALS.c.lane == lane,
        APPROVAL_PROPOSALS.c.session.in_(list(asked.sessions)),
    )
    standing = [it for it in before if it.state is not ApprovalState.SUPERSEDED]
    _supersede(connection, standing, asked)
    known = {(it.proposal.order_id, it.proposal.payload_hash) for it in standing}
    for own in asked.proposals:
        if (own.order_id, own.payload_hash) not in known:
            numbers = [it.number for it in before if it.proposal.order_id == own.order_id]
            row = _row(own, max(numbers, default=0) + 1)
            connection.execute(sa.insert(APPROVAL_PROPOSALS), row)


def _supersede(
    connection: sa.Connection, standing: Iterable[Approval], asked: Asked
) -> None:
    wanted = {(own.order_id, own.payload_hash) for own in asked.proposals}
    ruling = Ruling(
        state=ApprovalState.SUPERSEDED,
        who=DESK,
        why="its session was decided anew",
        at=asked.at,
    )
    for it in standing:
        own = it.proposal
        is_wanted = (own.order_id, own.payload_hash) in wanted
        if it.state in OPEN and not is_wanted and asked.at < own.expires_at:
            _add(connection, _locked(connection, it), ruling)


def _approvals(connection: sa.Connection, *where: sa.ColumnElement[bool]) -> list[Approval]:
    query = (
        sa.select(APPROVAL_PROPOSALS)
        .where(*where)
        .order_by(
            APPROVAL_PROPOSALS.c.proposed_at,
            *(APPROVAL_PROPOSALS.c[name] for name in KEY),
        )
    )
    rows = connection.execute(query).all()
    said: dict[tuple[Any, ...], list[Ruling]] = {}
    rulings = (
        sa.select(APPROVAL_RULINGS)
        .join(APPROVAL_PROPOSALS, sa.and_(*SAME))
        .where(*where)
        .order_by(APPROVAL_RULINGS.c.seq)
    )
    for row in connection.execute(rulings) if rows else ():
        key = (row.lane, row.order_id, row.number)
        said.setdefault(key, []).append(_ruling(row))
    return [
        Approval(
            number=row.number,
            proposal=_proposal(row),
            rulings=tuple(said.get((row.lane, row.order_id, row.number), ())),
        )
        for row in rows
    ]


def _locked(connection: sa.Connection, asked: Approval) -> Approval:
    """*asked* as it stands now; nobody else says anything of it until this is over."""
    is_it = _is(APPROVAL_PROPOSALS, asked)
    connection.execute(
        sa.select(APPROVAL_PROPOSALS.c.number).where(*is_it).with_for_update()
    )
    (standing,) = _approvals(connection, *is_it)
    return standing


def _add(connection: sa.Connection, standing: Approval, ruling: Ruling) -> None:
    own = standing.proposal
    row = {
        "lane": own.lane,
        "order_id": own.order_id,
        "number": standing.number,
        "seq": len(standing.rulings) + 1,
        "state": ruling.state.value,
        "who": ruling.who,
        "why": ruling.why,
        "at": ruling.at,
    }
    connection.execute(sa.insert(APPROVAL_RULINGS), row)


def _expired(asked: Approval, at: datetime) -> Ruling:
    until = f"{asked.proposal.expires_at:%Y-%m-%d %H:%M} UTC"
    why = f"nobody had approved it by {until}"
    return Ruling(state=ApprovalState.EXPIRED, who=EXPIRY, why=why, at=at)


def _why_closed(standing: Approval) -> str:
    order_id = standing.proposal.order_id
    if standing.state is ApprovalState.PROPOSED:
        until = standing.proposal.expires_at
        return f"expired: {order_id} could be approved until {until:%Y-%m-%d %H:%M} UTC"
    last = standing.rulings[-1]
    said = standing.answer if standing.answer is not None else last
    now = "" if said is last else f"; it is {last.state} since"
    return f"{order_id} was {said} (at {said.at:%Y-%m-%d %H:%M:%S} UTC){now}"


def _is(table: sa.Table, asked: Approval) -> list[sa.ColumnElement[bool]]:
    own = asked.proposal
    key = {"lane": own.lane, "order_id": own.order_id, "number": asked.number}
    return [table.c[name] == value for name, value in key.items()]


def _row(own: Proposal, number: int) -> dict[str, Any]:
    payload = [ticket.model_dump(mode="json") for ticket in own.tickets]
    plain = {name: getattr(own, name) for name in PLAIN}
    return plain | {
        "order_id": own.order_id,
        "number": number,
        "payload": json.dumps(payload, sort_keys=True),
    }


def _proposal(row: sa.Row[Any]) -> Proposal:
    tickets = [OrderTicket.model_validate(own) for own in json.loads(row.payload)]
    plain = {name: getattr(row, name) for name in PLAIN}
    return Proposal(tickets=tuple(tickets), **plain)


def _ruling(row: sa.Row[Any]) -> Ruling:
    return Ruling(state=ApprovalState(row.state), who=row.who, why=row.why, at=row.at)
