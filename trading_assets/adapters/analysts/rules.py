"""An analyst made of arithmetic: the default."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import override

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_assets.adapters.analysts.port import (
    NOBODY,
    Analyst,
    Asking,
    Briefings,
    Estimate,
    Opined,
)
from trading_assets.core.opinions import Opinions, confidence_of
from trading_assets.core.panel import FIELDS
from trading_assets.core.rule_modules import registered, rules_of
from trading_assets.core.rules import BoundRule
from trading_assets.core.views import Views
from trading_assets.errors import InvalidStrategy
from trading_assets.models.signal import Action
from trading_assets.models.tables import SIGNALS
from trading_assets.strategies.faults import Fault
from trading_assets.strategies.loading import LoadedStrategy
from trading_assets.strategies.spec import RulesAnalyst as RulesSpec
from trading_assets.strategies.spec import fingerprint

ACTIONS = np.array([Action.SELL.value, Action.HOLD.value, Action.BUY.value], dtype=object)
"""By the action's number plus one."""

FORMAT = "2"
"""Changes when the same opinions become other rows."""


@dataclass(frozen=True, slots=True)
class RulesAnalyst(Analyst):
    """Asks a rule about all briefings at once."""

    rule: BoundRule

    @property
    @override
    def name(self) -> str:
        return f"rules:{self.rule.rule.name}"

    @property
    @override
    def version_hash(self) -> str:
        return fingerprint(FORMAT, self.rule.rule.version_hash, self.rule.parameters)

    @property
    @override
    def indicators(self) -> tuple[str, ...]:
        return self.rule.indicators

    @property
    @override
    def bars(self) -> int:
        return self.rule.bars

    @property
    @override
    def needs_charts(self) -> bool:
        return False

    @property
    @override
    def asks_models(self) -> bool:
        return False

    @override
    def signals(self, briefings: Briefings, asking: Asking = NOBODY) -> Opined:
        del asking  # it asks nobody
        views = briefings.views.seeing(self.indicators, self.bars)
        opinions = self.rule.opinions(views)
        actions = ACTIONS[opinions.action + 1]
        actions[opinions.abstains] = None
        columns = {
            "strategy": briefings.strategy,
            "symbol": views.symbol,
            "session": views.session.astype("datetime64[ns]"),
            "action": actions,
            "confidence": _confidences(opinions),
            "confidence_score": opinions.score,
            "entry": opinions.entry,
            "stop_loss": opinions.stop,
            "take_profit": opinions.target,
            "risk_reward": _risk_reward(opinions),
            "reasoning": list(_reasons(views, opinions)),
            "analyst": self.name,
            "model": "",
            "prompt_version": "",
            "call_id": "",
            "cost_usd": 0.0,
            "input_tokens": 0,
            "output_tokens": 0,
            "latency_seconds": 0.0,
            "is_abstention": opinions.abstains,
            "is_out_of_sample": True,  # arithmetic remembers nothing
            "inputs_hash": list(_hashes(views, self.version_hash)),
        }
        frame = pd.DataFrame(columns, index=range(len(views)))
        return Opined(SIGNALS.conform(frame))

    @override
    def estimate(self, briefings: Briefings, asking: Asking = NOBODY) -> Estimate:
        del briefings, asking
        return Estimate(partitions=0, questions=0, expected_usd=0.0, most_usd=0.0)


def rules_analyst_of(strategy: LoadedStrategy, asked: RulesSpec) -> RulesAnalyst:
    """The rule that *strategy* asks.

    Raises:
        InvalidStrategy: If its rule is not to be found, or doesn't take its parameters; the
            message names file, line and key of every fault.
    """
    folder, key = strategy.path.parent, "module"
    try:
        rules_of(asked.module, folder)
        key = "rule"
        rule = registered(asked.rule, asked.module, folder)
    except InvalidStrategy as error:
        raise strategy.refusal([Fault(("analyst", key), str(error))]) from error
    faults = rule.faults(asked.parameters)
    if faults:
        raise strategy.refusal(
            Fault(("analyst", *fault.keys), fault.message) for fault in faults
        )
    return RulesAnalyst(rule.bound(asked.parameters))


def _confidences(opinions: Opinions) -> list[str | None]:
    pairs = zip(opinions.abstains.tolist(), opinions.score.tolist(), strict=True)
    return [None if abstains else confidence_of(score).value for abstains, score in pairs]


def _risk_reward(opinions: Opinions) -> NDArray[np.float64]:
    """(target - entry) / (entry - stop), signs kept; NaN without a stop apart."""
    risk = opinions.entry - opinions.stop
    apart = np.where(risk == 0, np.nan, risk)
    return (opinions.target - opinions.entry) / apart


def _reasons(views: Views, opinions: Opinions) -> Iterator[str]:
    incomplete = views.incomplete
    for row, abstains in enumerate(opinions.abstains.tolist()):
        if abstains and incomplete[row]:
            yield f"Too few bars yet for {', '.join(views.missing(row))}"
        else:
            yield opinions.reason(row)


def _hashes(views: Views, version_hash: str) -> Iterator[str]:
    """Per row, a hash of all that the rule could see there, and of the rule."""
    windows = [views.window(name, views.bars) for name in FIELDS]
    columns = [views[name][:, np.newaxis] for name in views.indicators]
    seen = np.hstack([*windows, *columns])
    # One NaN for all, and no negative zero: equal rows shall be equal bytes.
    plain = np.where(np.isnan(seen), np.nan, seen + 0.0).astype("<f8")
    names = zip(views.symbol.tolist(), views.session.astype(str).tolist(), strict=True)
    seed = hashlib.blake2b(version_hash.encode(), digest_size=8)
    for (symbol, session), row in zip(names, plain, strict=True):
        own = seed.copy()
        own.update(f"{symbol} {session} ".encode())
        own.update(row.tobytes())
        yield own.hexdigest()
