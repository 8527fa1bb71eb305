"""Orders at Interactive Brokers between the evenings: fills, doubts and missing legs."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import dagster as dg

from trading_assets.adapters.brokers.watch import (
    Look,
    OrderWatch,
    SeenFill,
    UnguardedLeg,
)
from trading_assets.adapters.notifications.port import Notifier
from trading_assets.models.notice import Topic
from trading_assets.strategies.spec import StrategySpec

EVERY_SECONDS = 60
WINDOW = timedelta(days=4)
"""How old an execution may be and still be news: a long weekend without a daemon."""

AGAIN_AFTER = timedelta(minutes=15)
"""A leg that goes on missing is told again."""

FILL, GUARDED = "fill", "leg"


@dataclass(frozen=True, slots=True)
class Memory:
    """What the monitor remembers from tick to tick.

    Attributes:
        fills: Executions that were told, as long as they could be told again.
        told: By topic, what was last told.
        legs_at: When missing legs were last told, ISO 8601; empty for never.
    """

    fills: tuple[str, ...] = ()
    told: dict[str, list[str]] = field(default_factory=dict)
    legs_at: str = ""

    @classmethod
    def of(cls, cursor: str | None) -> Self:
        """What *cursor* says; nothing at the first tick."""
        kept = json.loads(cursor or "{}")
        return cls(
            tuple(kept.get("fills", ())), kept.get("told", {}), kept.get("legs_at", "")
        )

    @property
    def cursor(self) -> str:
        """As it is kept."""
        return json.dumps({"fills": self.fills, "told": self.told, "legs_at": self.legs_at})


def order_monitor_sensor(
    specs: Sequence[StrategySpec], now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> dg.SensorDefinition:
    """Look after the orders of *specs* while the market is open.

    Args:
        specs: Strategies that are traded for real.
        now: Asked for the time.
    """

    @dg.sensor(
        name="order_monitor",
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "While the market is open: reconciles with the broker, records and tells "
            "fills, and tells of orders, positions and legs that are not as they should be."
        ),
    )
    def order_monitor(
        context: dg.SensorEvaluationContext,
        order_watch: dg.ResourceParam[OrderWatch],
        notifier: dg.ResourceParam[Notifier],
    ) -> dg.SensorResult:
        at, before = now(), Memory.of(context.cursor)
        look = order_watch.look(specs, at - WINDOW)
        news = [it for it in look.fills if it.execution.exec_key not in before.fills]
        legs = _legs_to_tell(look, before, at)
        _tell(notifier, look, news, legs, before)
        return dg.SensorResult(
            skip_reason=look.said,
            asset_events=[*map(_observed_fill, news), *map(_observed_leg, legs)],
            cursor=_after(before, look, legs, at).cursor,
        )

    return order_monitor


def _legs_to_tell(look: Look, before: Memory, at: datetime) -> tuple[UnguardedLeg, ...]:
    """The missing legs, if they are others than before or were told long ago."""
    is_known = _names(look.legs) == before.told.get(Topic.MISSING_LEG, [])
    is_recent = bool(before.legs_at) and (
        at < datetime.fromisoformat(before.legs_at) + AGAIN_AFTER
    )
    return () if is_known and is_recent else look.legs


def _tell(
    notifier: Notifier,
    look: Look,
    news: Sequence[SeenFill],
    legs: Sequence[UnguardedLeg],
    before: Memory,
) -> None:
    told = {
        Topic.FILL: [_said(fill) for fill in news],
        Topic.UNKNOWN_ORDER: _news(Topic.UNKNOWN_ORDER, look.doubtful, before),
        Topic.POSITIONS_DISAGREE: _news(Topic.POSITIONS_DISAGREE, look.disagreeing, before),
        Topic.MISSING_LEG: [str(leg) for leg in legs],
    }
    for topic, lines in told.items():
        if lines:
            notifier.tell(topic, "\n".join(lines))


def _news(topic: Topic, lines: Iterable[str], before: Memory) -> list[str]:
    """Those of *lines* that were not told at the last look that could see."""
    return [line for line in lines if line not in before.told.get(topic, ())]


def _after(
    before: Memory, look: Look, legs: Sequence[UnguardedLeg], at: datetime
) -> Memory:
    """What is remembered; of a look that nobody has answered only the fills are."""
    fills = tuple(it.execution.exec_key for it in look.fills)
    if not look.has_asked:
        return Memory(fills, before.told, before.legs_at)
    told = {
        Topic.UNKNOWN_ORDER.value: [*look.doubtful],
        Topic.POSITIONS_DISAGREE.value: [*look.disagreeing],
        Topic.MISSING_LEG.value: _names(look.legs),
    }
    return Memory(fills, told, at.isoformat() if legs else before.legs_at)


def _names(legs: Iterable[UnguardedLeg]) -> list[str]:
    return [f"{leg.missing.ticket.order_id} {leg.missing.state}" for leg in legs]


def _said(fill: SeenFill) -> str:
    own = fill.execution
    return (
        f"{fill.strategy}: {own.side} {own.shares:g} {own.symbol} at {own.price:g} "
        f"({fill.order_id})"
    )


def _observed_fill(fill: SeenFill) -> dg.AssetObservation:
    own = fill.execution
    metadata: dict[str, Any] = {
        "symbol": own.symbol,
        "side": own.side.value,
        "shares": own.shares,
        "price": own.price,
        "order_id": fill.order_id,
        "execution": own.exec_key,
        "filled_at": own.at.isoformat(),
        "commission": "not told yet" if own.commission is None else own.commission,
    }
    return _observation(fill.strategy, FILL, _said(fill), metadata)


def _observed_leg(leg: UnguardedLeg) -> dg.AssetObservation:
    missing = leg.missing
    ticket = missing.ticket
    metadata: dict[str, Any] = {
        "symbol": ticket.symbol,
        "leg": ticket.leg.value,
        "shares": ticket.shares,
        "held": missing.held,
        "order_id": ticket.order_id,
        "state": missing.state,
        "why": missing.why,
        "done": leg.done,
    }
    return _observation(ticket.strategy, GUARDED, str(leg), metadata)


def _observation(
    strategy: str, kind: str, said: str, metadata: dict[str, Any]
) -> dg.AssetObservation:
    return dg.AssetObservation(
        asset_key=dg.AssetKey([strategy, "fills"]),
        description=said,
        metadata={"about": kind, **metadata},
    )
