"""What keeps a decided order from a real broker: each refusal by name, with its numbers."""

import logging
from collections.abc import Callable, Sequence
from functools import cached_property

from trading_assets.adapters.ibkr.session import Books, Splits, TradingSession
from trading_assets.core.deciding import Decided, Plan
from trading_assets.core.order_states import OrderStanding, OrderState
from trading_assets.core.recorded import held_back
from trading_assets.errors import InvalidInput, NoAnswer, RequestRefused
from trading_assets.models.base import Side
from trading_assets.models.intent import OrderTicket
from trading_assets.models.order import Leg

logger = logging.getLogger(__name__)

PREVIEW_SECONDS = 5.0
"""Longest wait for what the broker thinks of an order's margin."""


class Gate:
    """Lets out what may be sent now, for one strategy and one evening."""

    def __init__(
        self,
        books: Books,
        halted: Callable[[str], str],
        splits: Splits,
        session: TradingSession | None,
        closable: Callable[[str, int], int],
    ) -> None:
        """Ask nobody anything yet.

        Args:
            books: With what is known of earlier orders.
            halted: Why new orders of a strategy are halted; empty if they are not.
            splits: Of whatever may be held.
            session: The connection; None where nothing can be sent.
            closable: How many shares of a symbol the account has for this strategy to
                close, long (+1) or short (-1).
        """
        self._closable = closable
        self._books, self._halted, self._splits = books, halted, splits
        self._session = session
        self._margin_taken = 0.0
        self._has_previews = True

    def let_out(
        self, plan: Plan, decided: Sequence[Decided], too_late: str
    ) -> list[Decided]:
        """*decided*, with what may not be sent refused, and why.

        Args:
            plan: Whose orders they are.
            decided: Of one session.
            too_late: Why it is; empty if it is not.

        Raises:
            NoAnswer: If the gateway does not say what has to be known.
        """
        return held_back(decided, lambda each: too_late or self._objection(plan, each))

    def _objection(self, plan: Plan, each: Decided) -> str | None:
        own, session = each.ticket, self._session
        if why := self._halted(plan.spec.name):
            return f"halt: {why}"
        if session is None:
            return "readonly: IBKR_READONLY is not no"
        if why := self.stops(own.symbol, own.leg, -own.sign, own.shares):
            return why
        return self._margin(plan, each, session) if own.leg is Leg.ENTRY else None

    def stops(self, symbol: str, leg: Leg, held_sign: int, shares: int) -> str:
        """What of the account itself keeps an order from going out; empty for nothing.

        Asked when it is decided, and again before it is sent: a person may have been busy.

        Args:
            symbol: Of the order.
            leg: Exits may not close more than there is.
            held_sign: Side of what it would close, +1 for long.
            shares: Of the order.

        Raises:
            NoAnswer: If the gateway does not say what it holds.
        """
        if symbol in self._disagreeing:
            return f"positions_agree: {self._disagreeing[symbol]}"
        if why := self._unsettled(symbol):
            return f"unresolved_order: {why}"
        if leg is Leg.EXIT and (there := self._closable(symbol, held_sign)) < shares:
            return (
                f"not_held: the account has {there} of {shares} shares for this strategy "
                "to close; see trading-assets reconcile --adopt --strategy"
            )
        return ""

    @cached_property
    def _disagreeing(self) -> dict[str, str]:
        """Symbols of which the broker holds other than we can explain, and what."""
        assert self._session is not None  # noqa: S101 - asked only with a session
        found = self._books.differences(
            self._session.account, self._session.positions(), self._splits()
        )
        return {each.symbol: str(each) for each in found}

    def _unsettled(self, symbol: str) -> str:
        """Which order of *symbol* has to be looked into first; empty for none."""
        standing = self._doubtful.get(symbol)
        if standing is None:
            return ""
        return f"{standing.order_id} is {standing.state}; see trading-assets reconcile"

    @cached_property
    def _doubtful(self) -> dict[str, OrderStanding]:
        """Orders that have to be looked into, by their symbol."""
        assert self._session is not None  # noqa: S101 - as above
        return {
            it.intent.ticket.symbol: it
            for it in self._books.intents.unsettled(self._session.account)
            if it.state is OrderState.MISSING
            or it.is_short_of_executions
            or it.is_ambiguous
        }

    def _margin(self, plan: Plan, each: Decided, session: TradingSession) -> str | None:
        """What the broker says against an entry's margin, with what was let out before.

        One that is not answered is let out: the broker looks at the margin again when
        the order comes, and refuses it then.
        """
        if not self._has_previews:
            return None
        ticket = _ticket(plan, each)
        try:
            preview = session.desk.preview(ticket, PREVIEW_SECONDS)
        except (RequestRefused, InvalidInput) as refusal:
            return f"broker: {refusal}"
        except NoAnswer as silence:
            logger.warning("no previews of margins tonight: %s", silence)
            self._has_previews = False
            return None
        needed = preview.initial_margin + self._margin_taken
        if needed > preview.equity_with_loan:
            return (
                f"margin: {needed:,.2f} needed, {preview.equity_with_loan:,.2f} are there"
            )
        self._margin_taken += preview.initial_margin_change
        return None


def _ticket(plan: Plan, each: Decided) -> OrderTicket:
    own = each.ticket
    return OrderTicket.model_validate(
        {
            "strategy": plan.spec.name,
            "session": own.order_id.removeprefix(f"{plan.spec.name}-")[:10],
            "symbol": own.symbol,
            "leg": own.leg,
            "side": Side.BUY if own.sign > 0 else Side.SELL,
            "shares": own.shares,
            "order_type": own.order_type,
            "limit_price": own.limit_price,
            "stop_price": own.stop_price,
        }
    )
