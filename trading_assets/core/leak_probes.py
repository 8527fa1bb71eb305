"""Whether a model remembers what it must not know, and whether it looks at all.

A backtest of a model that remembers the past measures its memory. So it is asked for what
it could only remember, and its opinion for what must not change it, and what must:

- *recognition*: which symbol is it, and when, from a blind briefing.
- *recall*: where did a symbol go after a session, by name and day, without a chart.
- *named*: how many actions are others when name and dates are told. Some are others when
  nothing at all is changed, so each question is put a second time for comparison.
- *counterfactual*: how many trades are other actions when the bars are turned upside down.

A share of answers is an estimate, so each comes with the interval in which the true one
lies with 95 % confidence, after Wilson, and nothing is concluded from a few.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from functools import cache
from pathlib import Path

import numpy as np

from trading_assets.core.briefing import Briefing
from trading_assets.core.panel import Panel
from trading_assets.core.prompts import SUFFIX, Prompt, Prompts
from trading_assets.core.reply import object_in
from trading_assets.models.question import Image, Question
from trading_assets.strategies.spec import ModelAnalyst

TEMPLATES = Path(__file__).with_name("templates")
SYSTEM, RECOGNITION, RECALL = "probe_system", "probe_recognition", "probe_recall"
SCHEMA_NAME = "probe"

HORIZON_SESSIONS = 20
"""How far ahead *recall* asks."""

MOST_SYMBOLS = 20
"""How many *recognition* has to choose from."""

FEWEST = 30
"""Answers below which a probe finds nothing rather than that there is nothing."""

NORMAL_95 = 1.959963984540054
"""Of the standard normal distribution, 95 % lie within so much."""

UP, DOWN = "up", "down"


class Probe(StrEnum):
    """What is tried."""

    SYMBOL = "recognition of the symbol"
    QUARTER = "recognition of the quarter"
    RECALL = "recall of the direction"
    REPEAT = "asked twice"
    NAMED = "named against blind"
    COUNTERFACTUAL = "upside down"


class Verdict(StrEnum):
    """What a probe comes to."""

    LEAK = "leak"
    NONE_FOUND = "none found"
    LOOKS = "looks"
    BLIND = "does not look"
    UNDECIDED = "undecided"
    NOTE = "for comparison"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What came of a probe.

    Attributes:
        hits: Right answers, or actions that changed.
        count: Answers, or pairs of actions, that could be counted.
        unread: Those that could not.
        chance: The share of *hits* that would mean nothing.
        low: Below which the true share does not lie, with 95 % confidence.
        high: Above which it does not.
        said: The verdict in a sentence.
    """

    probe: Probe
    hits: int
    count: int
    unread: int
    chance: float
    low: float
    high: float
    verdict: Verdict
    said: str

    @property
    def share(self) -> float | None:
        """*hits* of *count*; None without any."""
        return self.hits / self.count if self.count else None


type Pair = tuple[str | None, str | None]
"""What was said and what is so, or two actions; None for what could not be read."""


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Where the true share lies with 95 % confidence; 0 to 1 for no count."""
    if not count:
        return 0.0, 1.0
    rate, square = hits / count, NORMAL_95**2
    middle = (rate + square / (2 * count)) / (1 + square / count)
    spread = math.sqrt(rate * (1 - rate) / count + square / (4 * count**2))
    reach = NORMAL_95 * spread / (1 + square / count)
    # Rounding must not leave the share itself outside.
    return max(min(middle - reach, rate), 0.0), min(max(middle + reach, rate), 1.0)


def remembered(probe: Probe, answers: Sequence[Pair], chance: float) -> Finding:
    """Whether more of *answers* are right than *chance* explains.

    Args:
        probe: One that asks for what can only be remembered.
        answers: What was said, and what is so.
        chance: Share that is right without any memory.
    """
    hits, count, unread = _counted(answers, is_hit=lambda said, so: said == so)
    low, high = wilson(hits, count)
    if low > chance:
        verdict, said = Verdict.LEAK, "it knows more than chance explains"
    elif count < FEWEST:
        verdict, said = Verdict.UNDECIDED, f"{count} answers are too few to tell"
    else:
        verdict, said = Verdict.NONE_FOUND, "no better than chance, as far as this shows"
    return Finding(
        probe=probe,
        hits=hits,
        count=count,
        unread=unread,
        chance=chance,
        low=low,
        high=high,
        verdict=verdict,
        said=said,
    )


def repeated(pairs: Sequence[Pair]) -> Finding:
    """How many actions are others although nothing was changed."""
    hits, count, unread = _counted(pairs, is_hit=lambda one, other: one != other)
    low, high = wilson(hits, count)
    return Finding(
        probe=Probe.REPEAT,
        hits=hits,
        count=count,
        unread=unread,
        chance=0.0,
        low=low,
        high=high,
        verdict=Verdict.NOTE,
        said="so many actions change by themselves",
    )


def named(pairs: Sequence[Pair], noise: Finding) -> Finding:
    """Whether name and dates change more actions than *noise* does.

    Args:
        pairs: Actions without and with them.
        noise: As `repeated` found it.
    """
    hits, count, unread = _counted(pairs, is_hit=lambda one, other: one != other)
    low, high = wilson(hits, count)
    if noise.count and low > noise.high:
        verdict, said = Verdict.LEAK, "name and dates change what it says"
    elif min(count, noise.count) < FEWEST:
        verdict, said = Verdict.UNDECIDED, f"{count} pairs are too few to tell"
    else:
        verdict, said = Verdict.NONE_FOUND, "no more changes than by themselves"
    return Finding(
        probe=Probe.NAMED,
        hits=hits,
        count=count,
        unread=unread,
        chance=noise.share or 0.0,
        low=low,
        high=high,
        verdict=verdict,
        said=said,
    )


def counterfactual(pairs: Sequence[Pair]) -> Finding:
    """Whether most trades are other actions when the bars are turned upside down.

    Args:
        pairs: Actions on the bars as they are, and as they are not. What was no trade
            may stay none, so it is passed over.
    """
    trades = [pair for pair in pairs if pair[0] != "HOLD"]
    hits, count, unread = _counted(trades, is_hit=lambda one, other: one != other)
    low, high = wilson(hits, count)
    if low > 1 / 2:
        verdict, said = Verdict.LOOKS, "it says another thing of another picture"
    elif high < 1 / 2:
        verdict, said = Verdict.BLIND, "most trades stay the same upside down"
    else:
        verdict, said = Verdict.UNDECIDED, f"{count} trades are too few to tell"
    return Finding(
        probe=Probe.COUNTERFACTUAL,
        hits=hits,
        count=count,
        unread=unread,
        chance=1 / 2,
        low=low,
        high=high,
        verdict=verdict,
        said=said,
    )


def _counted(
    pairs: Sequence[Pair], *, is_hit: Callable[[str, str], bool]
) -> tuple[int, int, int]:
    read = [(one, other) for one, other in pairs if one is not None and other is not None]
    hits = sum(is_hit(one, other) for one, other in read)
    return hits, len(read), len(pairs) - len(read)


def quarter_of(session: date) -> str:
    """Such as ``2024-Q1``."""
    return f"{session.year}-Q{(session.month + 2) // 3}"


def quarters_between(first: date, last: date) -> tuple[str, ...]:
    """Every quarter from that of *first* to that of *last*."""
    numbers = range(_quarter_number(first), _quarter_number(last) + 1)
    return tuple(f"{number // 4}-Q{number % 4 + 1}" for number in numbers)


def _quarter_number(day: date) -> int:
    return 4 * day.year + (day.month - 1) // 3


def candidates(symbol: str, universe: Sequence[str]) -> tuple[str, ...]:
    """*symbol* among others of *universe*, ascending, at most `MOST_SYMBOLS` of them."""
    others = sorted(set(universe) - {symbol}, key=lambda own: _drawn(symbol, own))
    return tuple(sorted([symbol, *others[: MOST_SYMBOLS - 1]]))


def _drawn(symbol: str, other: str) -> str:
    """A number that has nothing to do with either name, and is always the same."""
    return hashlib.sha256(f"{symbol} {other}".encode()).hexdigest()


def commonest(truths: Sequence[str | None]) -> float:
    """Share of the commonest of *truths*: who always says it is right so often."""
    counts = Counter(truths).values()
    return max(counts, default=0) / max(len(truths), 1)


def direction(panel: Panel, at: int, last: int) -> str | None:
    """Where the symbol went after the bar *last*; None if that is not known yet."""
    rows, later = panel.rows(at), last + HORIZON_SESSIONS
    if later >= rows.stop:
        return None
    close = panel.as_of(slice(last, later + 1), later)["close"]
    return UP if close[-1] > close[0] else DOWN


def mirrored(panel: Panel, at: int, last: int) -> Panel:
    """One symbol's bars up to *last*, upside down about its close there.

    What rose by a factor falls by it, so a trend up becomes the same trend down.
    """
    rows = slice(panel.rows(at).start, last + 1)
    own = panel.as_of(rows, last)
    turned = {name: own["close"][-1] ** 2 / own[name] for name in ("open", "close")}
    turned["high"] = own["close"][-1] ** 2 / own["low"]
    turned["low"] = own["close"][-1] ** 2 / own["high"]
    ones = np.ones(rows.stop - rows.start)
    return replace(
        panel,
        symbols=(panel.symbols[at],),
        offsets=np.asarray([0, len(ones)], dtype=np.int64),
        sessions=panel.sessions[rows],
        **turned,
        volume=own["volume"],
        price_ratio=ones,
        share_ratio=ones,
    )


@cache
def probe_prompts() -> Prompts:
    """What is asked, in words."""
    names = (SYSTEM, RECOGNITION, RECALL)
    paths = {name: TEMPLATES / f"{name}{SUFFIX}" for name in names}
    return Prompts(
        {name: Prompt(name, own.read_text("utf-8"), own) for name, own in paths.items()}
    )


def recognition(
    analyst: ModelAnalyst,
    briefing: Briefing,
    symbols: Sequence[str],
    quarters: Sequence[str],
) -> Question:
    """Which of *symbols* a blind *briefing* is of, and of which of *quarters*."""
    told = {"symbols": list(symbols), "quarters": list(quarters)}
    table = [briefing.table] if briefing.table else []
    return _question(
        analyst,
        (*briefing.charts, *table),
        probe_prompts().render(RECOGNITION, told),
        {"symbol": symbols, "quarter": quarters},
    )


def recall(analyst: ModelAnalyst, symbol: str, session: date) -> Question:
    """Where *symbol* went after *session*, from memory alone."""
    told = {"symbol": symbol, "session": str(session), "horizon": HORIZON_SESSIONS}
    task = probe_prompts().render(RECALL, told)
    return _question(analyst, (), task, {"direction": (UP, DOWN)})


def _question(
    analyst: ModelAnalyst,
    shared: tuple[str | Image, ...],
    task: str,
    choices: Mapping[str, Sequence[str]],
) -> Question:
    properties = {
        name: {"type": "string", "enum": list(own)} for name, own in choices.items()
    }
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return Question(
        model=analyst.model,
        system=probe_prompts().render(SYSTEM, {}),
        shared=shared,
        task=task,
        schema_name=SCHEMA_NAME,
        schema=json.dumps(schema, separators=(",", ":")),
        effort=analyst.effort,
        max_tokens=analyst.max_tokens,
    )


def choice_in(text: str, key: str, allowed: Sequence[str]) -> str | None:
    """What *text* says for *key*; None unless it is one object with one of *allowed*."""
    said = (object_in(text) or {}).get(key)
    return said if isinstance(said, str) and said in allowed else None
