"""The simulated broker: fills from recorded bars, kept in the ledger.

Each session is stored with the hash of all that led to it, and redoing one starts a new
generation from the book before it. Older generations stay and are not read again: of a
session only the newest counts, and only while its link to the session before it holds.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import override

import pandas as pd

from trading_assets.adapters.brokers.chain import Chain, days_of, records_of
from trading_assets.adapters.brokers.port import Broker, Market, Traded
from trading_assets.adapters.ledger.approvals import Asked
from trading_assets.adapters.ledger.store import BookSession, Ledger
from trading_assets.core.approving import proposals_of
from trading_assets.core.deciding import Plan
from trading_assets.core.market_days import Answers, MarketDays
from trading_assets.core.recorded import answer_by
from trading_assets.core.walk import (
    Opening,
    Walked,
    link,
    symbols_concerned,
    walk,
)
from trading_assets.errors import BookSuperseded, DataMissing
from trading_assets.models.base import Lane
from trading_assets.models.table import Table
from trading_assets.sessions import trading_calendar
from trading_assets.strategies.spec import ApprovalRule

LANE_WAIT_SECONDS = 300.0


class SimulatedBroker(Broker):
    """Trades a strategy's signals against recorded bars; see `Broker` for its promises."""

    def __init__(
        self,
        ledger: Ledger,
        lane: Lane = Lane.SIMULATED,
        wait_seconds: float = LANE_WAIT_SECONDS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._ledger = ledger
        self._lane = lane
        self._wait_seconds = wait_seconds
        self._now = now

    @property
    @override
    def lane(self) -> Lane:
        return self._lane

    @override
    def alone(self, strategy: str) -> AbstractContextManager[None]:
        return self._ledger.lane(strategy, self._lane, self._wait_seconds)

    @override
    def trade_through(
        self,
        plan: Plan,
        sessions: Sequence[date],
        first: date,
        market: Market,
        *,
        heeds_people: bool = False,
    ) -> Traded:
        with self.alone(plan.spec.name):
            chain = self._chain(plan.spec.name, sessions[0])
            asked_from = sessions.index(first)
            self._refuse_a_hole(plan, chain, sessions, asked_from)
            look_from = min(asked_from, len(chain.standing))
            opening = self._opening(plan, chain, look_from)
            outside = opening.symbols.difference(plan.universe)
            days = market(sessions[look_from], sessions[-1], sorted(outside))
            days = self._as_decided(plan, days, sessions)
            held = self._held(plan, days.sessions, opening, outside)
            stands = _standing_days(plan, chain.standing[look_from:], days, held)
            if stands == len(days.sessions):
                return Traded((), days_of(chain.broken))
            begin = look_from + stands
            halted = self._halted_now(plan, days) if heeds_people else {}
            asking = self._asking_now(plan, days) if heeds_people else {}
            days = replace(
                days.since(stands),
                halted={**days.halted, **halted},
                approvals={**days.approvals, **asking},
            )
            walked = walk(plan, days, self._opening(plan, chain, begin))
            before = chain.standing[begin - 1].spec_hash if begin else plan.rules_hash
            asked = self._asked(plan, walked, days, asking)
            generation = chain.generation(begin)
            traded = self._recorded(plan, walked, generation, halted, asked)
            return replace(traded, is_new_plan=before != plan.rules_hash)

    @override
    def rows(self, strategy: str, table: Table, sessions: Sequence[date]) -> pd.DataFrame:
        chain = self._chain(strategy).standing
        standing = {entry.session for entry in chain}
        absent = [session for session in sessions if session not in standing]
        if absent:
            raise DataMissing(
                f"{strategy} {self._lane}: {len(absent)} sessions from {absent[0]} to "
                f"{absent[-1]} are not decided; materialize {strategy}/orders first"
            )
        return self._ledger.rows(strategy, self._lane, table, sessions, chain)

    @override
    def decided(self, strategy: str) -> tuple[date, ...]:
        return days_of(self._chain(strategy).standing)

    @override
    def superseded(self, strategy: str) -> tuple[date, ...]:
        return days_of(self._chain(strategy).broken)

    def _chain(self, strategy: str, start: date | None = None) -> Chain:
        return Chain.of(self._ledger.chain(strategy, self._lane), start)

    def _refuse_a_hole(
        self, plan: Plan, chain: Chain, sessions: Sequence[date], asked_from: int
    ) -> None:
        """Sessions that were decided and no longer stand are not redone by the way."""
        stands = len(chain.standing)
        if chain.broken and asked_from > stands:
            strategy, begin = plan.spec.name, sessions[stands]
            raise BookSuperseded(
                f"{strategy} {self._lane}: sessions from {begin} on rest on inputs that "
                f"have changed since, so {sessions[asked_from]} cannot follow them; run "
                f"trading-assets backfill --strategy {strategy} --from {begin}"
            )

    def _opening(self, plan: Plan, chain: Chain, at: int) -> Opening:
        """The book before the session number *at*."""
        if at == 0:
            return Opening.with_capital(plan.spec.capital)
        before = chain.standing[at - 1]
        state = self._ledger.state(plan.spec.name, self._lane, before.session)
        if state is None:
            raise DataMissing(f"{plan.spec.name} {self._lane}: no book of {before.session}")
        return Opening.from_state(state, before.book_hash)

    def _held(
        self, plan: Plan, sessions: Sequence[date], opening: Opening, outside: set[str]
    ) -> list[set[str]]:
        """What was held, or had an order waiting, before each of *sessions*.

        Only what is beyond the universe matters; nothing is bought there, so without any
        at the beginning there is none later.
        """
        if not outside:
            return [set()] * len(sessions)
        strategy, lane = plan.spec.name, self._lane
        states = (self._ledger.state(strategy, lane, session) for session in sessions[:-1])
        later = (Opening.from_state(state, "").symbols for state in states if state)
        return [opening.symbols, *later]

    def _halted_now(self, plan: Plan, days: MarketDays) -> dict[date, str]:
        """The last of *days*, if a halt stands that it has not been decided under yet."""
        last = days.sessions[-1]
        standing = self._ledger.halts.standing(plan.spec.name)
        if standing is None or last in days.halted:
            return {}
        return {last: standing.reason}

    def _as_decided(
        self, plan: Plan, days: MarketDays, sessions: Sequence[date]
    ) -> MarketDays:
        """*days* with what people had said of the sessions that were decided before."""
        name, lane, approvals = plan.spec.name, self._lane, self._ledger.approvals
        following = dict(pairwise(sessions))
        answers: dict[date, Answers] = {
            following[session]: own
            for session, own in approvals.answers(name, lane).items()
            if session in following
        }
        return replace(
            days,
            halted=self._ledger.halts.sessions(name, lane),
            approvals=approvals.sessions(name, lane),
            answers=answers,
        )

    def _asking_now(self, plan: Plan, days: MarketDays) -> dict[date, ApprovalRule]:
        """The last of *days*, if people are to be asked and it was decided without them.

        A replay shows what the signals alone would have come to: it asks nobody.
        """
        last, rule = days.sessions[-1], plan.spec.execution.approval
        is_asked = rule is not ApprovalRule.NONE and self._lane is Lane.SIMULATED
        return {last: rule} if is_asked and last not in days.approvals else {}

    def _asked(
        self,
        plan: Plan,
        walked: Walked,
        days: MarketDays,
        asking: Mapping[date, ApprovalRule],
    ) -> Asked:
        """What people are asked of the last of *days*, unless it is too late by now."""
        now, last = self._now(), days.sessions[-1]
        until = answer_by(last, trading_calendar())
        if last not in days.approvals or (last not in asking and now >= until):
            return Asked(at=now)
        proposals = proposals_of(
            plan.spec.name,
            [row for row in walked.orders if row["session"] == last],
            days.closes(len(days.sessions) - 1),
            days.reasoning,
            lane=self._lane,
            account="",
            at=now,
            expires_at=until,
        )
        return Asked(at=now, rules=asking, sessions=[last], proposals=proposals)

    def _recorded(
        self,
        plan: Plan,
        walked: Walked,
        generation: int | None,
        halted: Mapping[date, str],
        asked: Asked,
    ) -> Traded:
        strategy, lane = plan.spec.name, self._lane
        if generation is None:
            generation = self._ledger.next_generation(strategy, lane)
        records = records_of(plan, walked.closings)
        self._ledger.append(strategy, lane, generation, records, walked.rows, halted, asked)
        walked_sessions = tuple(closing.session for closing in walked.closings)
        return Traded(walked_sessions, self.superseded(strategy))


def _standing_days(
    plan: Plan,
    stored: Sequence[BookSession],
    days: MarketDays,
    held: Sequence[set[str]],
) -> int:
    """How many of *days*, from the first on, were decided from the inputs they have now."""
    for day, entry in enumerate(stored[: len(days.sessions)]):
        concerned = symbols_concerned(plan, held[day])
        if link(plan, days, day, entry.previous_hash, concerned) != entry.book_hash:
            return day
    return min(len(stored), len(days.sessions))
