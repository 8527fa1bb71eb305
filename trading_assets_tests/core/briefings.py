"""Briefings and answers for tests of consultations."""

import json
from typing import Any

from trading_assets.core.briefing import Briefing, briefing_of
from trading_assets.core.panel import Panel
from trading_assets.models.question import Answer, Outcome, Usage
from trading_assets.strategies.spec import AutogenAnalyst, Charts, LlmAnalyst, PanelAnalyst
from trading_assets_tests.core.markets import walk

MODEL = "anthropic/claude-haiku-5-5"
CHARTS = Charts(
    daily_sessions=20, weekly_weeks=10, indicators=("sma_20", "volume", "rsi_14")
)


def llm(**told: Any) -> LlmAnalyst:
    return LlmAnalyst.model_validate({"kind": "llm", "model": MODEL} | told)


def panel_analyst(**told: Any) -> PanelAnalyst:
    return PanelAnalyst.model_validate({"kind": "panel", "model": MODEL} | told)


def autogen_analyst(**told: Any) -> AutogenAnalyst:
    return AutogenAnalyst.model_validate({"kind": "autogen", "model": MODEL} | told)


def brief(panel: Panel | None = None, last: int = -1, **told: Any) -> Briefing:
    """A briefing on the last bar of a walk that ends at 40, or of *panel*."""
    bars = panel or walk(60)
    row = range(len(bars.sessions))[last]
    return briefing_of(bars, 0, row, CHARTS, llm(**told), "csv")


def reply(**told: Any) -> dict[str, Any]:
    """A decision to buy in the scale of a blind briefing, valid by default."""
    return {
        "symbol": "STOCK",
        "evidence": ["close above SMA 20"],
        "reasoning": "It rises.",
        "action": "BUY",
        "confidence": 60,
        "entry": 100,
        "stop_loss": 95,
        "take_profit": 112,
        "invalidation": "A close below 95.",
    } | told


def hold(**told: Any) -> dict[str, Any]:
    levels = dict.fromkeys(("entry", "stop_loss", "take_profit"))
    return reply(action="HOLD", **levels) | told


def sell(**told: Any) -> dict[str, Any]:
    return reply(action="SELL", stop_loss=105, take_profit=90) | told


def answer(said: dict[str, Any] | str, call_id: str = "call", **told: Any) -> Answer:
    """What a model answered: *said*, as JSON if it is a reply."""
    text = said if isinstance(said, str) else json.dumps(said)
    values: dict[str, Any] = {
        "call_id": call_id,
        "outcome": Outcome.ANSWERED,
        "question_key": "key",
        "text": text,
        "reason": "",
        "model_asked": MODEL,
        "model_answered": "claude-haiku-5-5",
        "usage": Usage(),
        "cost_usd": 0.25,
        "latency_seconds": 1.0,
        "is_recorded": False,
    }
    return Answer(**values | told)


def refusal(reason: str = "policy", call_id: str = "call") -> Answer:
    return answer("", call_id, outcome=Outcome.REFUSED, reason=reason)
