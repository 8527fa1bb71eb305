"""What an account should hold by all that we know, held against what the broker says."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from trading_assets.core.order_states import SHARE_TOLERANCE, current_executions
from trading_assets.models.account import Adoption, AdoptionKind
from trading_assets.models.intent import Execution


@dataclass(frozen=True, slots=True, order=True)
class Split:
    """Each share of *symbol* became *ratio* shares at *at*, before an open."""

    at: datetime
    symbol: str
    ratio: float


@dataclass(frozen=True, slots=True)
class Difference:
    """A symbol of which the broker holds other than we can explain.

    Attributes:
        expected: Shares, signed.
        held: Shares, signed.
        strangers: Executions of nobody's order of ours, not adopted, of that symbol.
    """

    symbol: str
    expected: float
    held: float
    strangers: tuple[Execution, ...] = ()

    def __str__(self) -> str:
        """For people."""
        told = "; ".join(
            f"{it.side} {it.shares:g} at {it.price:g} on {it.at:%Y-%m-%d %H:%M} UTC "
            f"({it.exec_key})"
            for it in self.strangers
        )
        traded = f"; traded by others: {told}" if told else ""
        return (
            f"{self.symbol}: the broker holds {self.held:g}, fills, corporate actions and "
            f"adoptions make {self.expected:g}{traded}"
        )


def expected_shares(
    ours: Iterable[str],
    executions: Iterable[Execution],
    adoptions: Iterable[Adoption],
    splits: Iterable[Split],
) -> dict[str, float]:
    """Shares that an account should hold, signed, by symbol; none that is zero.

    Args:
        ours: References of our orders, of every strategy.
        executions: Of the account, by whomever; somebody else's count once adopted.
        adoptions: Of the account.
        splits: Of the symbols concerned.
    """
    refs = set(ours)
    changes = [
        (it.at, it.symbol, it.side.sign * it.shares)
        for it in current_executions(executions)
        if it.order_ref in refs
    ]
    changes += [(it.at, it.symbol, it.shares) for it in adoptions]
    waiting = sorted(splits)
    shares: defaultdict[str, float] = defaultdict(float)
    for at, symbol, change in sorted(changes):
        waiting = _applied(shares, waiting, at)
        shares[symbol] += change
    _applied(shares, waiting, None)
    return {own: held for own, held in shares.items() if abs(held) > SHARE_TOLERANCE}


def differences(
    expected: Mapping[str, float],
    held: Mapping[str, float],
    strangers: Iterable[Execution] = (),
) -> list[Difference]:
    """Symbols of which *held* is not *expected*, ascending."""
    others: defaultdict[str, list[Execution]] = defaultdict(list)
    for execution in strangers:
        others[execution.symbol].append(execution)
    return [
        Difference(
            symbol, expected.get(symbol, 0.0), held.get(symbol, 0.0), tuple(others[symbol])
        )
        for symbol in sorted({*expected, *held})
        if abs(expected.get(symbol, 0.0) - held.get(symbol, 0.0)) > SHARE_TOLERANCE
    ]


def strangers(
    ours: Iterable[str], executions: Iterable[Execution], adoptions: Iterable[Adoption]
) -> list[Execution]:
    """Executions of nobody's order of ours that were not adopted, oldest first."""
    refs, adopted = set(ours), {it.exec_key for it in adoptions if it.exec_key}
    return [
        it
        for it in current_executions(executions)
        if it.order_ref not in refs and it.exec_key not in adopted
    ]


def shares_for(
    sign: int, held: float, others: float, adoptions: Iterable[Adoption], symbol: str
) -> int:
    """How many of the shares that an account holds a strategy may close, at most.

    What other strategies hold on the same side is theirs, and what was adopted into
    nobody's book is nobody's to sell.

    Args:
        sign: +1 to close what is long, -1 what is short.
        held: By the account, signed.
        others: By the account's other strategies together, signed.
        adoptions: Of the account.
        symbol: Of the shares.
    """
    nobodys = sum(it.shares for it in adoptions if it.symbol == symbol and not it.strategy)
    free = sign * held - max(sign * others, 0) - max(sign * nobodys, 0)
    return max(int(free + SHARE_TOLERANCE), 0)


def adoptions_of(
    account: str,
    found: Iterable[Difference],
    con_ids: Mapping[str, int],
    *,
    who: str,
    why: str,
    at: datetime,
    strategy: str = "",
    price: float | None = None,
) -> list[Adoption]:
    """What makes the differences *found* expected: trades by others, and the rest.

    Args:
        account: Whose they are.
        found: Differences between what it holds and what we expect.
        con_ids: The broker's numbers of the symbols that it holds.
        who: Takes them for granted.
        why: In their words.
        at: When; what is held counts from then on.
        strategy: Whose book it comes into, or leaves; empty for nobody's.
        price: Of what no execution tells the price of, currency per share.
    """
    adopted: list[Adoption] = []
    for each in found:
        rest = each.held - each.expected
        parts: list[tuple[AdoptionKind, float, str, float | None]] = [
            (AdoptionKind.EXTERNAL_TRADE, it.side.sign * it.shares, it.exec_key, it.price)
            for it in each.strangers
        ]
        rest -= sum(shares for _, shares, _, _ in parts)
        if abs(rest) > SHARE_TOLERANCE:
            parts.append((AdoptionKind.BASELINE, rest, "", price))
        adopted += [
            Adoption(
                account=account,
                kind=kind,
                symbol=each.symbol,
                con_id=con_ids.get(each.symbol, 0),
                shares=shares,
                price=paid,
                strategy=strategy,
                exec_key=exec_key,
                who=who,
                why=why,
                at=at,
            )
            for kind, shares, exec_key, paid in parts
        ]
    return adopted


def _applied(
    shares: defaultdict[str, float], waiting: list[Split], until: datetime | None
) -> list[Split]:
    """Split what is held by those of *waiting* that come before; the rest of them."""
    due = [own for own in waiting if until is None or own.at <= until]
    for own in due:
        shares[own.symbol] = float(int(round(shares[own.symbol] * own.ratio, 9)))
    return waiting[len(due) :]
