"""The risk gate: what stands between an opinion and an order.

A rule is a pure function that answers None, or why not. The first that objects refuses;
its name and its numbers become the refused order's reason. Nothing here asks a model.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from trading_assets.strategies.spec import Risk

TOLERANCE = 1e-9
"""Relative slack of a comparison with a limit: a reward of exactly 1.0 R passes."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """An entry that asks to be let through.

    Attributes:
        sign: +1 to go long, -1 to go short.
        shares: Whole shares.
        close: Of the session it is decided in, currency per share.
        entry: Price the view was formed at; so are stop and target its levels.
        commission: Estimated, account currency.
    """

    sign: int
    shares: int
    close: float
    entry: float
    stop: float | None
    target: float | None
    commission: float

    @property
    def notional(self) -> float:
        """Its worth at the close, account currency."""
        return self.shares * self.close


@dataclass(slots=True)
class Room:
    """What the book still has room for this evening.

    Attributes:
        cash: Not yet spoken for; what tonight's exits will bring does not count.
        positions: Held or ordered; those that exit next open still count.
        equity_before: At the close before, account currency.
        orders: Entries let through so far.
        notional: Their worth at the close, account currency.
    """

    equity: float
    cash: float
    positions: int
    equity_before: float
    orders: int = 0
    notional: float = 0.0

    def take(self, proposal: Proposal) -> None:
        """Let *proposal* through: what comes after it has that much less room."""
        self.cash -= cash_needed(proposal)
        self.positions += 1
        self.orders += 1
        self.notional += proposal.notional


type Rule = Callable[[Proposal, Room, Risk], str | None]


def level_order(proposal: Proposal, room: Room, risk: Risk) -> str | None:
    """A stop must lie on the losing side of the entry, a target on the winning one."""
    del room, risk
    stop, target, sign = proposal.stop, proposal.target, proposal.sign
    if stop is not None and sign * (proposal.entry - stop) <= 0:
        return f"stop {stop:.4f} on the wrong side of entry {proposal.entry:.4f}"
    if target is not None and sign * (target - proposal.entry) <= 0:
        return f"target {target:.4f} on the wrong side of entry {proposal.entry:.4f}"
    return None


def min_risk_reward(proposal: Proposal, room: Room, risk: Risk) -> str | None:
    """Reward over risk, from the signal's levels, must reach the limit."""
    del room
    if not risk.min_risk_reward:
        return None
    if proposal.stop is None or proposal.target is None:
        return f"needs stop and target for {risk.min_risk_reward:g}, the signal lacks one"
    reward = abs(proposal.target - proposal.entry)
    ratio = reward / abs(proposal.entry - proposal.stop)
    return _below(ratio, risk.min_risk_reward, "risk/reward")


def min_profit_frac(proposal: Proposal, room: Room, risk: Risk) -> str | None:
    """The way to the target, as a fraction of the entry, must reach the limit."""
    del room
    if not risk.min_profit_frac:
        return None
    if proposal.target is None:
        return f"needs a target for {risk.min_profit_frac:g}, the signal has none"
    profit = abs(proposal.target - proposal.entry) / proposal.entry
    return _below(profit, risk.min_profit_frac, "profit fraction")


def max_positions(proposal: Proposal, room: Room, risk: Risk) -> str | None:
    """No more symbols at once than the limit."""
    del proposal
    if risk.max_positions is None or room.positions < risk.max_positions:
        return None
    return f"{room.positions} positions held or ordered of {risk.max_positions} allowed"


def cash_check(proposal: Proposal, room: Room, risk: Risk) -> str | None:
    """The close's worth and the commission must be there in cash."""
    needed = cash_needed(proposal)
    if not risk.cash_check or needed <= room.cash:
        return None
    return f"needs {needed:,.2f}, {room.cash:,.2f} are free"


def max_order_notional(proposal: Proposal, room: Room, risk: Risk) -> str | None:
    """No single entry is worth more than the limit."""
    del room
    return _beyond(proposal.notional, risk.max_order_notional, "worth")


def max_daily_notional(proposal: Proposal, room: Room, risk: Risk) -> str | None:
    """All entries of the evening together are worth no more than the limit."""
    worth = room.notional + proposal.notional
    return _beyond(worth, risk.max_daily_notional, "worth of this evening's entries")


def max_orders_per_day(proposal: Proposal, room: Room, risk: Risk) -> str | None:
    """No more entries in an evening than the limit."""
    del proposal
    if risk.max_orders_per_day is None or room.orders < risk.max_orders_per_day:
        return None
    return f"{room.orders} entries this evening of {risk.max_orders_per_day} allowed"


def max_daily_loss_frac(proposal: Proposal, room: Room, risk: Risk) -> str | None:
    """After a session that lost more than the limit, nothing is entered."""
    del proposal
    if risk.max_daily_loss_frac is None:
        return None
    allowed = risk.max_daily_loss_frac * max(room.equity_before, 0.0)
    return _beyond(room.equity_before - room.equity, allowed, "loss since the close before")


RULES: Mapping[str, Rule] = {
    rule.__name__: rule
    for rule in (
        level_order,
        min_risk_reward,
        min_profit_frac,
        max_positions,
        cash_check,
        max_order_notional,
        max_daily_notional,
        max_orders_per_day,
        max_daily_loss_frac,
    )
}
"""In the order in which they are asked."""


def cash_needed(proposal: Proposal) -> float:
    """What an entry ties up, account currency; a short ties up its worth as a long does."""
    return proposal.notional + proposal.commission


def clamp_to_weight(shares: float, *, close: float, equity: float, risk: Risk) -> int:
    """Whole shares, no more than ``max_weight_frac`` of equity at the close."""
    wanted = math.floor(shares * (1 + TOLERANCE))
    if risk.max_weight_frac is None:
        return wanted
    allowed = max(equity, 0.0) * risk.max_weight_frac / close
    return min(wanted, math.floor(allowed * (1 + TOLERANCE)))


def objection(proposal: Proposal, room: Room, risk: Risk) -> str | None:
    """Name and numbers of the first rule that refuses *proposal*, or None."""
    for name, rule in RULES.items():
        if (why := rule(proposal, room, risk)) is not None:
            return f"{name}: {why}"
    return None


def _beyond(worth: float, limit: float | None, what: str) -> str | None:
    if limit is None or worth <= limit * (1 + TOLERANCE):
        return None
    return f"{what} {worth:,.2f} above {limit:,.2f}"


def _below(value: float, limit: float, what: str) -> str | None:
    if value >= limit * (1 - TOLERANCE):
        return None
    return f"{what} {value:.4f} below {limit:g}"
