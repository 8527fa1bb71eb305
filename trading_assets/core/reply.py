"""A model's words become a reply, or sentences that say what is wrong with them.

One schema serves every turn, as a provider forgets what it has read of a briefing when the
schema changes. It asks for evidence and reasoning before the action, because a model
writes in this order. What a schema can't enforce is a rule here, with a name; every fault
is a sentence that can be sent back.
Nothing is ever mended in silence: a reply is taken as it is, or not at all.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, ConfigDict, Strict, ValidationError

from trading_assets.models.base import Value
from trading_assets.models.signal import Action
from trading_assets.strategies.faults import faults_of

SCHEMA_NAME = "view"

MOST_ENTRY_FRAC = 0.25
"""How far an entry may lie from the close, as a fraction of it."""

LEAST_STOP_ATR, MOST_STOP_ATR = 0.25, 10.0
"""How near and how far from the entry a stop may lie, average true ranges of 14 days."""

MOST_TARGET_FRAC = 1.0
"""How far a target may lie from the entry, as a fraction of it."""

HIGHEST_CONFIDENCE = 100.0

LONGEST_REPLY = 100_000
"""Characters; nothing longer is looked into."""

MOST_FAULTS, LONGEST_FAULT = 12, 300
"""Of one reply, and characters of each: a reply may have one in every item of a list."""

LEVELS = ("entry", "stop_loss", "take_profit")

_BRACKET = re.compile(r"[][{}]")
_NOT_PRINTED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

_LEVEL = {"anyOf": [{"type": "number"}, {"type": "null"}]}
_PROPERTIES: Mapping[str, Mapping[str, Any]] = {
    "symbol": {"type": "string", "description": "The symbol exactly as it was given."},
    "evidence": {
        "type": "array",
        "items": {"type": "string"},
        "description": "Facts from charts and table, one each, with their numbers.",
    },
    "reasoning": {
        "type": "string",
        "description": "How the evidence leads to the action, in a few sentences.",
    },
    "action": {"type": "string", "enum": [each.value for each in Action]},
    "confidence": {
        "type": "number",
        "description": "0 to 100: how likely the target is to be reached before the stop; "
        "for HOLD, how likely staying out is right.",
    },
    "entry": {**_LEVEL, "description": "Price the view rests on; null for none."},
    "stop_loss": {**_LEVEL, "description": "Price at which it is wrong; null for none."},
    "take_profit": {
        **_LEVEL,
        "description": "Price at which it has come true; null for none.",
    },
    "invalidation": {
        "type": "string",
        "description": "What, if it is seen, would make this view wrong.",
    },
}

SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": _PROPERTIES,
        "required": list(_PROPERTIES),
        "additionalProperties": False,
    },
    separators=(",", ":"),
)
"""JSON Schema of every reply: all keys required, no bound and no pattern relied on."""


type Faults = tuple[str, ...]
"""Sentences about a reply that can be sent back to whoever gave it, at least one."""


def printable(text: str) -> str:
    """*text* without what can't be stored or sent: lone surrogates, control characters."""
    return _NOT_PRINTED.sub(" ", text.encode("utf-8", "replace").decode())


def _text(written: object) -> object:
    return printable(written).strip() if isinstance(written, str) else written


def _listed(written: object) -> object:
    if not isinstance(written, list):
        raise ValueError("must be a list of texts")  # noqa: TRY004 - pydantic's
    return written


Text = Annotated[str, BeforeValidator(_text), Strict()]
Level = Annotated[float, Strict()] | None


class Reply(Value):
    """What a model said in one turn, in the scale of its briefing.

    Attributes:
        confidence: 0 to 100, as declared.
        entry: Price the view rests on; None for no level, as for the two below.
        stop_loss: Where it is wrong.
        take_profit: Where it has come true.
        invalidation: What would make it wrong, in words.
    """

    # What was said beyond what was asked does no harm.
    model_config = ConfigDict(extra="ignore")

    symbol: Text
    evidence: Annotated[tuple[Text, ...], BeforeValidator(_listed)]
    reasoning: Text
    action: Action
    confidence: Annotated[float, Strict()]
    entry: Level
    stop_loss: Level
    take_profit: Level
    invalidation: Text

    @property
    def levels(self) -> dict[str, float]:
        """Those that it names."""
        named = {name: getattr(self, name) for name in LEVELS}
        return {name: level for name, level in named.items() if level is not None}

    @property
    def sign(self) -> int:
        """+1 where it is right when the price rises, -1 where when it falls."""
        return -1 if self.action is Action.SELL else 1


class Terms(NamedTuple):
    """What replies to one briefing are held against, in its scale.

    Attributes:
        symbol: As it was called.
        close: The last one, above 0.
        atr: Average true range of 14 days; None while it warms up.
    """

    symbol: str
    close: float
    atr: float | None


class Rule(NamedTuple):
    """Something that holds for every good reply.

    Attributes:
        meaning: For people, in a few words.
        faults: Sentences for the model; none where it holds.
    """

    name: str
    meaning: str
    faults: Callable[[Reply, Terms], Iterator[str]]


def reply_of(text: str, terms: Terms, rules: Sequence[Rule]) -> Reply | Faults:
    """What *text* says, or all that is wrong with it.

    Args:
        text: One JSON object, alone, in a fence, or among other words without brackets.
        rules: `TURN_RULES`, or `DECISION_RULES` for what may be traded.
    """
    if len(text) > LONGEST_REPLY:
        return (f"the reply must have at most {LONGEST_REPLY} characters, had {len(text)}",)
    found = object_in(text)
    if found is None:
        return ("the reply must be one JSON object and nothing else in brackets",)
    try:
        reply = Reply.model_validate(found)
    except ValidationError as error:
        return _few(list(map(str, faults_of(error, found, Reply))))
    return tuple(f for rule in rules for f in rule.faults(reply, terms)) or reply


def object_in(text: str) -> dict[str, Any] | None:
    """The JSON object in *text*; None if there is none, or any bracket beside it.

    Of an object that was cut off, or a list around one, nobody knows what is missing.
    """
    at = text.find("{")
    if at < 0:
        return None
    try:
        found, end = _DECODER.raw_decode(text, at)
    # A number of a thousand digits and ten thousand brackets are no JSON for us.
    except (ValueError, RecursionError):
        return None
    return None if _BRACKET.search(text[:at] + text[end:]) else found


def _few(faults: Sequence[str]) -> Faults:
    """*faults* as they can be sent back, however many there are."""
    shown = tuple(_shortened(each, LONGEST_FAULT) for each in faults[:MOST_FAULTS])
    left = len(faults) - len(shown)
    return (*shown, f"and {left} more like these") if left else shown


def _shortened(text: str, longest: int) -> str:
    """*text*, or as much of it as there is room for."""
    return text if len(text) <= longest else f"{text[: longest - 2]} …"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)


_DECODER = json.JSONDecoder(object_pairs_hook=_once)


def _symbol(reply: Reply, terms: Terms) -> Iterator[str]:
    if reply.symbol != terms.symbol:
        yield f'symbol must be "{terms.symbol}", was "{reply.symbol[:40]}"'


def _reasoning(reply: Reply, _: Terms) -> Iterator[str]:
    if not reply.reasoning:
        yield "reasoning must not be empty"


def _confidence(reply: Reply, _: Terms) -> Iterator[str]:
    if not 0 <= reply.confidence <= HIGHEST_CONFIDENCE:
        yield f"confidence must be from 0 to 100, was {reply.confidence:g}"
    if 0 < reply.confidence < 1:
        yield f"confidence must be of 100, not of 1, was {reply.confidence:g}"


def _prices(reply: Reply, _: Terms) -> Iterator[str]:
    for name, level in reply.levels.items():
        if level <= 0:
            yield f"{name} must be above 0, was {level:g}"


def _levels(reply: Reply, _: Terms) -> Iterator[str]:
    missing = [name for name in LEVELS if name not in reply.levels]
    if not missing:
        return
    if reply.action is not Action.HOLD:
        yield f"{reply.action} needs entry, stop_loss and take_profit, lacks " + (
            " and ".join(missing)
        )
    elif len(missing) < len(LEVELS):
        yield "HOLD must have all three levels or none, lacks " + " and ".join(missing)


def _order(reply: Reply, _: Terms) -> Iterator[str]:
    if reply.action is Action.HOLD or len(reply.levels) < len(LEVELS):
        return
    entry, stop, target = (reply.levels[name] for name in LEVELS)
    if not reply.sign * stop < reply.sign * entry < reply.sign * target:
        below = "below" if reply.sign > 0 else "above"
        yield (
            f"{reply.action} needs stop_loss {below} entry and entry {below} take_profit, "
            f"was stop_loss {stop:g}, entry {entry:g}, take_profit {target:g}"
        )


def _entry(reply: Reply, terms: Terms) -> Iterator[str]:
    entry = reply.levels.get("entry", terms.close)
    if abs(entry - terms.close) > MOST_ENTRY_FRAC * terms.close:
        yield (
            f"entry must be within {100 * MOST_ENTRY_FRAC:g} % of the last close "
            f"{terms.close:g}, was {entry:g}"
        )


def _stop(reply: Reply, terms: Terms) -> Iterator[str]:
    if len(reply.levels) < len(LEVELS) or reply.action is Action.HOLD or not terms.atr:
        return
    distance = abs(reply.levels["entry"] - reply.levels["stop_loss"]) / terms.atr
    if not LEAST_STOP_ATR <= distance <= MOST_STOP_ATR:
        yield (
            f"stop_loss must be {LEAST_STOP_ATR:g} to {MOST_STOP_ATR:g} average true "
            f"ranges ({terms.atr:.4g} each) from entry, was {distance:.3g}"
        )


def _target(reply: Reply, _: Terms) -> Iterator[str]:
    if len(reply.levels) < len(LEVELS) or reply.action is Action.HOLD:
        return
    entry, target = reply.levels["entry"], reply.levels["take_profit"]
    if abs(target - entry) > MOST_TARGET_FRAC * entry:
        yield (
            f"take_profit must be within {100 * MOST_TARGET_FRAC:g} % of entry {entry:g}, "
            f"was {target:g}"
        )


TURN_RULES = (
    Rule("symbol", "it speaks of the symbol that was asked about", _symbol),
    Rule("reasoning", "it says why", _reasoning),
    Rule("confidence", "0 to 100, and not a fraction of 1", _confidence),
    Rule("prices", "every level is above 0", _prices),
)
"""What every turn has to keep."""

DECISION_RULES = (
    *TURN_RULES,
    Rule("levels", "BUY and SELL name all three; HOLD all three or none", _levels),
    Rule("order", "stop below entry below target for BUY, mirrored for SELL", _order),
    Rule("entry_distance", "entry within 25 % of the close", _entry),
    Rule("stop_distance", "stop 0.25 to 10 ATR (14) from the entry", _stop),
    Rule("target_distance", "target within 100 % of the entry", _target),
)
"""What a decision has to keep, as it may be traded."""
