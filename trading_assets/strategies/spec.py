"""What a strategy file may say."""

import hashlib
import json
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    field_validator,
    model_validator,
)

from trading_assets.models.base import StrategyName, Symbol, Value
from trading_assets.models.question import Effort, ModelName
from trading_assets.sessions import FIRST_DAY, LAST_DAY
from trading_assets.strategies.cron import check_evening

DECIDING = {"order", "bracket"}
"""What of `Execution` decides which orders there are."""

RESERVED_NAMES = frozenset({"market", "account"})
"""Asset groups that are not a strategy's."""


def _day(written: object) -> date:
    """Only a date as people write it: a number would be taken for seconds since 1970."""
    try:
        day = date.fromisoformat(written) if isinstance(written, str) else written
    except ValueError:
        day = None
    if not isinstance(day, date) or isinstance(day, datetime):
        raise ValueError("must be a date such as 2020-01-02")  # noqa: TRY004 - pydantic's
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError(f"must be a date from {FIRST_DAY} to {LAST_DAY}")
    return day


Number = Annotated[float, Strict()]
"""No text and no truth value: ``"100"`` and ``true`` are refused."""

Whole = Annotated[int, Strict()]
Flag = Annotated[bool, Strict()]
Fraction = Annotated[Number, Field(gt=0, le=1)]
Day = Annotated[date, BeforeValidator(_day)]

DEFAULT_CHART = (
    "sma_20",
    "sma_50",
    "sma_200",
    "bb_20_2",
    "volume",
    "rsi_14",
    "macd_12_26_9",
)


class Draw(StrEnum):
    """Which sessions get their charts drawn."""

    NONE = "none"
    CURRENT = "current"
    ALL = "all"


class RulesAnalyst(Value):
    """An analyst made of arithmetic.

    Attributes:
        rule: Name of a registered rule.
        module: Where to look for rules of your own: a dotted module, or a ``.py`` file
            beside the strategy file. None for the packaged ones.

    Any other key is a parameter of the rule, and is checked against its signature.
    """

    model_config = ConfigDict(extra="allow")

    kind: Literal["rules"]
    rule: str = Field(min_length=1)
    module: str | None = Field(default=None, min_length=1)

    @property
    def parameters(self) -> dict[str, object]:
        """What the file says beyond the declared keys: the rule's own parameters."""
        return dict(self.model_extra or {})


class Budget(Value):
    """What asking models may cost, US dollars; None (``null``) switches a limit off.

    Attributes:
        run_usd: Of one run.
        day_usd: Of one day of this strategy, in UTC.
        strategy_usd: Of this strategy, ever.
    """

    run_usd: Number | None = Field(default=5.0, ge=0)
    day_usd: Number | None = Field(default=10.0, ge=0)
    strategy_usd: Number | None = Field(default=100.0, ge=0)


class Sight(StrEnum):
    """What a model is shown."""

    CHARTS = "charts"
    TABLE = "table"


class ModelAnalyst(Value):
    """What all analysts that ask a model have in common.

    Attributes:
        kind: ``llm``, ``panel`` or ``autogen``.
        model: Who is asked, ``provider/model``: ``anthropic/…``, ``openai/…``, or
            ``compatible/…`` for a server that speaks Chat Completions.
        fallback: Who is asked instead, in this order, when nobody answers there.
        effort: How long it may think.
        max_tokens: Of an answer, thinking included.
        samples: How often the decision is asked for; what most say counts, and how many
            of them is the confidence.
        blind: Whether ticker, dates and price levels are kept from the model, so that it
            can't remember what came next.
        sees: What it is shown.
        table_bars: How many of the last bars are in the table.
        prompts: A folder with prompts of your own, named from the strategy file's folder;
            those that are not in it are the package's.
        concurrency: How many questions wait for their answers at the same time.
        timeout_seconds: Longest wait for one answer.
        budget: What it may cost.
        cutoff: Last day of what a model was trained on, for one that the package doesn't
            know; where it does, the later day counts.
    """

    kind: str
    model: ModelName
    fallback: tuple[ModelName, ...] = ()
    effort: Effort = Effort.MEDIUM
    max_tokens: Whole = Field(default=8000, ge=256, le=64_000)
    samples: Whole = Field(default=1, ge=1, le=15)
    blind: Flag = True
    sees: tuple[Sight, ...] = Field(default=(Sight.CHARTS, Sight.TABLE), min_length=1)
    table_bars: Whole = Field(default=20, ge=5, le=120)
    prompts: str | None = Field(default=None, min_length=1)
    concurrency: Whole = Field(default=8, ge=1, le=200)
    timeout_seconds: Number = Field(default=180.0, gt=0, le=3600)
    budget: Budget = Budget()
    cutoff: Day | None = None

    @property
    def sees_charts(self) -> bool:
        """Whether it is shown the charts."""
        return Sight.CHARTS in self.sees

    @property
    def models(self) -> tuple[str, ...]:
        """All that may be asked, in this order."""
        return (self.model, *self.fallback)

    @field_validator("sees")
    @classmethod
    def _sees_each_once(cls, sees: tuple[Sight, ...]) -> tuple[Sight, ...]:
        if len(set(sees)) < len(sees):
            raise ValueError("must name each once")
        return sees

    @model_validator(mode="after")
    def _asks_each_model_once(self) -> Self:
        repeated = sorted({each for each in self.models if self.models.count(each) > 1})
        if repeated:
            raise ValueError(
                f"model and fallback must name each once, repeat {', '.join(repeated)}"
            )
        return self


class LlmAnalyst(ModelAnalyst):
    """A model that looks at both charts and decides in one turn."""

    kind: Literal["llm"]  # pyright: ignore[reportIncompatibleVariableOverride] - frozen


class PanelAnalyst(ModelAnalyst):
    """Several turns of one model: readers of both charts, then who decides.

    Attributes:
        debate: Whether one argues for buying and one against it before the decision.
    """

    kind: Literal["panel"]  # pyright: ignore[reportIncompatibleVariableOverride] - frozen
    debate: Flag = False


class AutogenAnalyst(ModelAnalyst):
    """Agents of Microsoft AutoGen that talk in turn; needs the extra ``agents``.

    Attributes:
        module: Where the two below are: a dotted module, or a ``.py`` file beside the
            strategy file.
        fundamental: Functions of ``(symbol, session)`` whose texts an agent for
            fundamentals is told; without any there is no such agent.
        sentiment: The same for an agent for sentiment.
    """

    kind: Literal["autogen"]  # pyright: ignore[reportIncompatibleVariableOverride] - frozen
    module: str | None = Field(default=None, min_length=1)
    fundamental: tuple[str, ...] = ()
    sentiment: tuple[str, ...] = ()

    @property
    def tools(self) -> tuple[str, ...]:
        """Names of all functions that it asks for."""
        return (*self.fundamental, *self.sentiment)

    @model_validator(mode="after")
    def _tools_are_found_and_may_name_the_symbol(self) -> Self:
        named = [key for key in ("fundamental", "sentiment") if getattr(self, key)]
        if named and self.blind:
            raise ValueError(
                f"{' and '.join(named)} would tell which symbol it is: set blind to false, "
                "or leave them out"
            )
        if named and self.module is None:
            raise ValueError(f"{' and '.join(named)} need module, where functions are")
        if len(set(self.tools)) < len(self.tools):
            raise ValueError("fundamental and sentiment must name each function once")
        return self


AsksModels = LlmAnalyst | PanelAnalyst | AutogenAnalyst
"""Any analyst that asks a model."""

Analyst = Annotated[
    RulesAnalyst | LlmAnalyst | PanelAnalyst | AutogenAnalyst, Field(discriminator="kind")
]


class Charts(Value):
    """What is drawn, and when.

    Attributes:
        draw: None means: as the kind of analyst needs it.
    """

    daily_sessions: Whole = Field(default=60, ge=10, le=250)
    weekly_weeks: Whole = Field(default=52, ge=10, le=250)
    indicators: tuple[str, ...] = DEFAULT_CHART
    draw: Draw | None = None


class SizedBy(StrEnum):
    """What an order's size is scaled by, beside its own arithmetic."""

    CALIBRATED = "calibrated"


class FixedShares(Value):
    """The same number of shares each time."""

    kind: Literal["fixed_shares"]
    shares: Whole = Field(gt=0)
    confidence: SizedBy | None = None


class FixedNotional(Value):
    """The same worth each time, account currency."""

    kind: Literal["fixed_notional"]
    notional: Number = Field(gt=0)
    confidence: SizedBy | None = None


class RiskFraction(Value):
    """As many shares as lose *risk_frac* of equity at the stop."""

    kind: Literal["risk_fraction"]
    risk_frac: Fraction = 0.01
    confidence: SizedBy | None = None


class VolatilityTarget(Value):
    """As many shares as swing by *annual_volatility_frac* of equity in a year."""

    kind: Literal["volatility_target"]
    annual_volatility_frac: Fraction
    window_sessions: Whole = Field(default=20, ge=5, le=252)
    confidence: SizedBy | None = None


SCALES = frozenset({"confidence"})
"""What no sizing had at first: books decided without it must stand."""

Sizing = Annotated[
    FixedShares | FixedNotional | RiskFraction | VolatilityTarget,
    Field(discriminator="kind"),
]


class Risk(Value):
    """Limits; None (``null``) switches one off.

    Attributes:
        max_order_notional: Worth of one entry at the close, account currency.
        max_daily_notional: The same of all entries of one session's decision.
        max_orders_per_day: Entries of one session's decision; a bracket counts once.
        max_daily_loss_frac: Fall of equity since the close before, beyond which no entry
            is let through.
    """

    min_risk_reward: Number | None = Field(default=1.0, ge=0)
    min_profit_frac: Number | None = Field(default=0.05, ge=0)
    max_positions: Whole | None = Field(default=10, ge=1)
    max_weight_frac: Number | None = Field(default=0.20, gt=0)
    cash_check: Flag = True
    allow_short: Flag = False
    max_order_notional: Number | None = Field(default=None, gt=0)
    max_daily_notional: Number | None = Field(default=None, gt=0)
    max_orders_per_day: Whole | None = Field(default=None, ge=1)
    max_daily_loss_frac: Fraction | None = None


CAPS = frozenset(
    {
        "max_order_notional",
        "max_daily_notional",
        "max_orders_per_day",
        "max_daily_loss_frac",
    }
)
"""Limits that there were not always: books decided without them must stand."""


class EntryOrder(StrEnum):
    """How an entry is sent."""

    MARKET_NEXT_OPEN = "market_next_open"
    LIMIT_AT_ENTRY = "limit_at_entry"
    STOP_AT_ENTRY = "stop_at_entry"


class BrokerKind(StrEnum):
    """Who trades."""

    SIMULATED = "simulated"
    IBKR = "ibkr"


class Guard(StrEnum):
    """What is done about a leg that should be at the broker and is not."""

    ALARM = "alarm"
    EXIT = "exit"


class ApprovalRule(StrEnum):
    """Which orders wait for a person before they are sent."""

    NONE = "none"
    ENTRIES = "entries"
    REQUIRED = "required"


class Execution(Value):
    """Where and how orders are sent.

    Attributes:
        bracket: Whether an entry brings its stop and target along.
        account: At Interactive Brokers; None for the one of the environment. With real
            money it must be named.
        guard: What is done about a stop or target that should be at the broker and is
            not: tell people, or send that leg again as well, once.
        approval: Which orders wait for a person: none, entries with their legs, or all.
            It decides nothing about an order but whether it waits.
        max_drift_frac: How far the price may be, when an approved entry is sent, from the
            close that it was decided on; beyond it the entry is refused.
    """

    broker: BrokerKind = BrokerKind.SIMULATED
    order: EntryOrder = EntryOrder.MARKET_NEXT_OPEN
    bracket: Flag = True
    account: str | None = Field(default=None, pattern=r"^[A-Z]{1,3}[0-9]{4,12}$")
    guard: Guard = Guard.ALARM
    approval: ApprovalRule = ApprovalRule.NONE
    max_drift_frac: Fraction | None = 0.02

    @model_validator(mode="after")
    def _names_an_account_only_where_there_is_one(self) -> Self:
        if self.broker is BrokerKind.SIMULATED and self.account is not None:
            raise ValueError(f"account is for broker ibkr, was {self.account}")
        return self


class CommissionPlan(StrEnum):
    """What a broker takes per order."""

    NONE = "none"
    IBKR_FIXED = "ibkr_fixed"
    IBKR_TIERED = "ibkr_tiered"


class Dividends(StrEnum):
    """What becomes of them."""

    CASH = "cash"
    IGNORE = "ignore"


class Costs(Value):
    """What trading costs.

    Attributes:
        slippage_bps: Against us on market and stop fills, ten-thousandths of the price.
    """

    commission: CommissionPlan = CommissionPlan.IBKR_FIXED
    slippage_bps: Number = Field(default=1.0, ge=0, lt=10_000)
    dividends: Dividends = Dividends.CASH


class StrategySpec(Value):
    """A strategy: what to look at, who has the opinion, and the arithmetic after it.

    Attributes:
        universe: Symbols it may trade, without repetition.
        start: First day of its history; its first partition is the session on or after.
        capital: What its book starts with, account currency.
        indicators: Columns wanted beyond those that rule, sizing and charts ask for.
        benchmark: What its performance is held against; None for nothing.
        schedule: Cron of its evening, in the exchange's time.
    """

    name: StrategyName
    description: str = ""
    universe: tuple[Symbol, ...] = Field(min_length=1)
    start: Day
    capital: Number = Field(default=100_000, gt=0)
    analyst: Analyst
    indicators: tuple[str, ...] = ()
    charts: Charts = Charts()
    sizing: Sizing = RiskFraction(kind="risk_fraction")
    risk: Risk = Risk()
    execution: Execution = Execution()
    costs: Costs = Costs()
    benchmark: Symbol | None = "SPY"
    schedule: str = "15 17 * * 1-5"

    @field_validator("name")
    @classmethod
    def _is_not_reserved(cls, name: str) -> str:
        if name in RESERVED_NAMES:
            raise ValueError(f"must not be one of {sorted(RESERVED_NAMES)}")
        return name

    @field_validator("universe")
    @classmethod
    def _names_each_symbol_once(cls, universe: tuple[str, ...]) -> tuple[str, ...]:
        repeated = sorted({symbol for symbol in universe if universe.count(symbol) > 1})
        if repeated:
            raise ValueError(f"must name each symbol once, repeats {repeated}")
        return universe

    @field_validator("schedule")
    @classmethod
    def _fires_in_the_evening(cls, schedule: str) -> str:
        check_evening(schedule)
        return schedule

    @property
    def draw(self) -> Draw:
        """Which sessions get charts: what the file says, or as the analyst needs them."""
        looks = isinstance(self.analyst, ModelAnalyst) and self.analyst.sees_charts
        return self.charts.draw or (Draw.ALL if looks else Draw.CURRENT)

    @property
    def is_traded_for_real(self) -> bool:
        """Whether its orders go to a broker outside."""
        return self.execution.broker is BrokerKind.IBKR

    @property
    def book_hash(self) -> str:
        """Of all that decides what becomes of a signal.

        Who trades, for which account, and who looks after it do not: a replay of the same
        signals is held against what was traded.
        """
        return fingerprint(
            self.name,
            sorted(self.universe),
            self.start,
            self.capital,
            _without_idle(self.sizing, SCALES),
            _without_idle(self.risk, CAPS),
            {"broker": "simulated", **self.execution.model_dump(include=DECIDING)},
            self.costs,
        )


def fingerprint(*parts: object) -> str:
    """A short hash of values, the same on every machine and in every process."""
    canonical = json.dumps(parts, default=_plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _without_idle(section: Value, later: frozenset[str]) -> dict[str, object]:
    """*section* as it was written before it knew *later*, but for those that are set."""
    plain = section.model_dump(mode="json")
    return {key: own for key, own in plain.items() if own is not None or key not in later}


def _plain(part: object) -> object:
    if isinstance(part, Value):
        return part.model_dump(mode="json")
    return str(part)
