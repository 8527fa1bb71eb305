"""What the documents say is what the code does: their tables, examples and commands."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import click
import dagster as dg
import numpy as np
import pytest
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from trading_assets.adapters.market_data.simulated import SimulatedMarketData
from trading_assets.adapters.storage.duckdb_tables import DuckDbWarehouse
from trading_assets.adapters.storage.port import Replacement
from trading_assets.cli import main
from trading_assets.core.book import Book
from trading_assets.core.calibration import multiples
from trading_assets.core.commission import commission
from trading_assets.core.exchange import SimulatedExchange
from trading_assets.core.filling import Ticket
from trading_assets.core.indicator_formulas import FORMULAS
from trading_assets.core.model_cutoffs import CUTOFFS, MARGIN_DAYS
from trading_assets.core.outcomes import outcomes_of
from trading_assets.core.panel import Panel
from trading_assets.core.prompts import NAMES, VARIABLES
from trading_assets.core.reply import DECISION_RULES, Reply
from trading_assets.core.rule_modules import registered, rules_of
from trading_assets.core.statistics import STATISTICS
from trading_assets.defs.location import check_strategies, definitions_of
from trading_assets.defs.resources import Settings
from trading_assets.models.bar import CoverageStatus
from trading_assets.models.base import Value
from trading_assets.models.order import Leg
from trading_assets.models.table import Table
from trading_assets.models.tables import BARS, TABLES
from trading_assets.sessions import trading_calendar
from trading_assets.strategies.loading import load_strategy
from trading_assets.strategies.spec import (
    AutogenAnalyst,
    Budget,
    Charts,
    CommissionPlan,
    Costs,
    Execution,
    FixedNotional,
    FixedShares,
    LlmAnalyst,
    PanelAnalyst,
    Risk,
    RiskFraction,
    RulesAnalyst,
    StrategySpec,
    VolatilityTarget,
)
from trading_assets_tests.core.viewing import make_views
from trading_assets_tests.fake_gateway import Fault
from trading_assets_tests.make import (
    OHLC,
    Happened,
    Said,
    flat,
    make_actions,
    make_bars,
    make_days,
    make_signals,
    make_ticket,
)

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (
        ROOT / "README.md",
        ROOT / ".github/CONTRIBUTING.md",
        *ROOT.glob("docs/*.md"),
    )
)
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)

type Rows = list[list[str]]


def text(name: str) -> str:
    return (ROOT / name).read_text()


def section(name: str, heading: str) -> str:
    """What stands under *heading*, up to the next heading of any level."""
    found = re.search(
        rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)",
        text(name),
        flags=re.MULTILINE | re.DOTALL,
    )
    assert found, f"{name} has no heading {heading}"
    return found[1]


def rows_of(markdown: str) -> Rows:
    """Cells of every row of every table, without their headings."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    rules = {at for at, line in enumerate(lines) if line.startswith("| ---")}
    kept = [at for at in range(len(lines)) if at not in rules and at + 1 not in rules]
    return [[cell.strip() for cell in lines[at][1:-1].split("|")] for at in kept]


def blocks(name: str, language: str) -> list[str]:
    return [body for word, body in FENCE.findall(text(name)) if word == language]


# The strategy file

SECTIONS: Mapping[str, type[Value]] = {
    "The whole file": StrategySpec,
    "rules": RulesAnalyst,
    "llm": LlmAnalyst,
    "panel": PanelAnalyst,
    "autogen": AutogenAnalyst,
    "budget": Budget,
    "charts": Charts,
    "fixed_shares": FixedShares,
    "fixed_notional": FixedNotional,
    "risk_fraction": RiskFraction,
    "volatility_target": VolatilityTarget,
    "risk": Risk,
    "execution": Execution,
    "costs": Costs,
}
LIKE: Mapping[str, type[Value]] = {"panel": LlmAnalyst, "autogen": LlmAnalyst}
"""Sections whose other keys are described in another."""

STRATEGY_FILE = "docs/strategy-file.md"
BOUNDS = ("ge", "gt", "le", "lt")


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_key_is_described_in_the_order_of_the_code(heading: str) -> None:
    described = [row[0].strip("`") for row in rows_of(section(STRATEGY_FILE, heading))]

    elsewhere = LIKE[heading].model_fields.keys() - {"kind"} if heading in LIKE else set()
    assert described == [k for k in SECTIONS[heading].model_fields if k not in elsewhere]


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_default_is_the_one_of_the_code(heading: str) -> None:
    for name, _, default, *_ in rows_of(section(STRATEGY_FILE, heading)):
        field = SECTIONS[heading].model_fields[name.strip("`")]
        if field.default is PydanticUndefined:
            assert default == "required", name
        elif default.startswith("see "):
            assert isinstance(field.default, BaseModel), name
        else:
            assert yaml.safe_load(default.strip("`")) == plain(field.default), name


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_bound_and_every_word_of_a_choice_is_named(heading: str) -> None:
    for name, _, _, allowed, _ in rows_of(section(STRATEGY_FILE, heading)):
        field = SECTIONS[heading].model_fields[name.strip("`")]
        for bound in bounds(field.metadata):
            assert re.search(rf"\b{bound}\b", allowed), f"{name}: {bound}"
        for word in words(field.annotation):
            assert f"`{word}`" in allowed, f"{name}: {word}"


@pytest.mark.parametrize("name", sorted(rules_of()))
def test_every_packaged_rule_is_described(name: str) -> None:
    rows = rows_of(section(STRATEGY_FILE, name))
    described = {row[0].strip("`"): yaml.safe_load(row[2].strip("`")) for row in rows}
    schema = rules_of()[name].json_schema()["properties"]

    assert described == {key: own["default"] for key, own in schema.items()}
    for key, _, _, allowed, _ in rows:
        own = schema[key.strip("`")]
        for bound in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
            assert bound not in own or re.search(rf"\b{own[bound]}\b", allowed), key


def plain(value: Any) -> Any:
    """A default as YAML would have it."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def bounds(metadata: list[Any]) -> list[Any]:
    found = [getattr(each, bound, None) for each in metadata for bound in BOUNDS]
    return [bound for bound in found if bound is not None]


def words(annotation: Any) -> list[str]:
    """What a choice may be; nothing for what is no choice."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [each.value for each in annotation]
    inner = [words(each) for each in get_args(annotation) if not isinstance(each, str)]
    literal = [each for each in get_args(annotation) if isinstance(each, str)]
    return [*literal, *(word for each in inner for word in each)]


# Examples

EXAMPLES = [
    pytest.param(name, body, id=f"{name}:{body.split()[1]}")
    for name in DOCUMENTS
    for body in blocks(name, "yaml")
]


@pytest.mark.parametrize(("name", "body"), EXAMPLES)
def test_every_strategy_in_a_document_is_valid(
    name: str, body: str, tmp_path: Path
) -> None:
    for module in blocks(name, "python"):
        (tmp_path / "my_rules.py").write_text(module)
    path = tmp_path / "example.yaml"
    path.write_text(body)

    check_strategies([load_strategy(path)])


def test_the_example_of_a_rule_has_opinions(tmp_path: Path) -> None:
    (module,) = blocks("docs/adding-a-rule.md", "python")
    (tmp_path / "my_rules.py").write_text(module)
    dip = registered("dip", "my_rules.py", tmp_path).bound({"low": 20})
    views = make_views(
        [100.0, 100.0, 100.0, 100.0],
        {
            "rsi_3": [10.0, 10.0, 80.0, None],
            "sma_200": [90.0, 110.0, 90.0, 90.0],
            "atr_14": [2.0, 2.0, 2.0, 2.0],
        },
    )

    opinions = dip.opinions(views)

    assert dip.indicators == ("rsi_3", "sma_200", "atr_14")
    assert opinions.action.tolist() == [1, 0, -1, 0]
    assert opinions.abstains.tolist() == [False, False, False, True]
    assert opinions.score.tolist()[:3] == [80.0, 80.0, 60.0]
    assert (opinions.stop[0], opinions.target[0]) == (94.0, 112.0)
    assert opinions.reason(0) == "RSI(3) 10.0, close 100.00"


def test_the_example_of_a_source_keeps_the_promises(tmp_path: Path) -> None:
    (module,) = blocks("docs/adding-market-data.md", "python")
    (tmp_path / "test_my_source.py").write_text(module)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout


def test_every_kind_of_indicator_is_in_the_table() -> None:
    rows = rows_of(section("docs/adding-an-indicator.md", "Kinds of our own"))
    described = {row[0].strip("`"): (row[1], row[2]) for row in rows}

    assert list(described) == list(FORMULAS)
    for kind, formula in FORMULAS.items():
        numbers, columns = described[kind]
        assert numbers == ", ".join(each.name for each in formula.parameters)
        assert columns == ", ".join(f"`{stem}`" for stem in formula.stems)


def test_every_reason_for_a_gap_is_explained() -> None:
    rows = rows_of(section("docs/adding-market-data.md", "What it promises"))

    assert [row[0] for row in rows] == [f"`{status.value}`" for status in CoverageStatus]


# Fill rules

FILL_RULES = "docs/fill-rules.md"
FREE = Costs(commission=CommissionPlan.NONE, slippage_bps=0)
FILL_EXAMPLES = [
    row
    for number in ("2. Market orders at the open", "3. Resting orders", "5. At the close")
    for row in rows_of(section(FILL_RULES, number))
] + rows_of(section(FILL_RULES, "4. Legs of today's entries"))


def test_there_are_examples_of_every_step() -> None:
    assert len(FILL_EXAMPLES) >= 20


@pytest.mark.parametrize(
    ("orders", "candles", "fills"),
    FILL_EXAMPLES,
    ids=[" / ".join(row) for row in FILL_EXAMPLES],
)
def test_every_candle_table_gives_its_fills(orders: str, candles: str, fills: str) -> None:
    days = make_days({"AAA": [flat(100), *map(candle, candles.split(", "))]})
    book = Book.opened_with(10_000)
    asked = orders.split("; ")
    if asked[0] == "held 10":
        book.apply_fill(
            "AAA", signed_shares=10, price=100, commission=0, session="2024-01-01"
        )
    exchange = SimulatedExchange(strategy="reference", days=days, costs=FREE, book=book)
    exchange.submit(0, tickets(asked))

    for day in range(1, len(days.sessions)):
        exchange.trade(day)

    happened = [
        (
            row["order_id"].rpartition("-")[2],
            row["price"],
            days.sessions.index(row["session"]),
        )
        for row in exchange.log.fills
    ]
    assert happened == told(fills)


def candle(written: str) -> OHLC | None:
    if written == "none":
        return None
    first, high, low, last = map(float, written.split())
    return first, high, low, last


def tickets(asked: list[str]) -> Iterator[Ticket]:
    """Orders as the tables write them: ``buy stop 102 limit 104``, ``stop 95``."""
    parent = ""
    for order in asked:
        word, *rest = order.split()
        if word == "buy":
            prices = dict(zip(rest[::2], map(float, rest[1::2]), strict=True))
            entry = make_ticket(Leg.ENTRY, +1, **prices)
            parent = entry.order_id
            yield entry
        elif word == "exit":
            yield make_ticket(Leg.EXIT, -1)
        elif word in {"stop", "target"}:
            level = {"stop" if word == "stop" else "limit": float(rest[0])}
            yield make_ticket(Leg(word), -1, parent_id=parent, **level)


def told(fills: str) -> list[tuple[str, float, int]]:
    """Fills as the tables write them: ``entry 98, target 110 on day 2``."""
    found = re.findall(r"(\w+) ([\d.]+)(?: on day (\d+))?", fills)
    return [(leg, float(price), int(day or 1)) for leg, price, day in found]


@pytest.mark.parametrize(
    ("plan", "shares", "price", "charged"), rows_of(section(FILL_RULES, "What it costs"))
)
def test_every_commission_is_as_told(
    plan: str, shares: str, price: str, charged: str
) -> None:
    asked = CommissionPlan(plan.strip("`"))

    assert commission(asked, shares=int(shares), price=float(price)) == float(charged)


# Outcomes

OUTCOMES = "docs/outcomes.md"
OUTCOME_EXAMPLES = rows_of(section(OUTCOMES, "Examples"))


def test_there_are_examples_of_every_kind_of_outcome() -> None:
    assert len(OUTCOME_EXAMPLES) >= 16
    assert {row[2] for row in OUTCOME_EXAMPLES} == {"target", "stop", "time", "none"}


@pytest.mark.parametrize("row", OUTCOME_EXAMPLES, ids=" / ".join)
def test_every_outcome_is_as_told(row: list[str]) -> None:
    signal, bars, *expected = row
    action, *levels = signal.split(", ")
    prices = dict(level.split() for level in levels)
    said = Said(
        0,
        "AAA",
        None if action == "abstention" else action,
        stop=float(prices["stop"]) if "stop" in prices else None,
        target=float(prices["target"]) if "target" in prices else None,
    )
    candles: list[OHLC | None] = [flat(100)]
    happened: list[Happened] = []
    for written in bars.split(", "):
        if written.startswith("split"):
            ratio = float(written.split()[1])
            happened.append(Happened(len(candles), "AAA", "split", ratio))
        else:
            candles.append(candle(written))
    count = sum(own is not None for own in candles) - 1
    panel = Panel.of(make_bars({"AAA": candles}), make_actions(happened))

    [found] = outcomes_of(make_signals([said]), panel, FREE, horizons=(count,)).to_dict(
        "records"
    )

    ended, price, multiple = (
        "none" if own is None or own != own else own  # noqa: PLR0124 - NaN
        for own in (found["first_touch"], found["exit_price"], found["r_multiple"])
    )
    moved = (found[name] for name in ("return_frac", "mfe_frac", "mae_frac"))
    gained, best, worst = (f"{100 * frac:g} %" for frac in (round(own, 6) for own in moved))
    shown = [own if own == "none" else f"{own:g}" for own in (price, multiple)]
    assert [ended, shown[0], gained, shown[1], best, worst] == expected


@pytest.mark.parametrize(
    ("probability", "payoff", "stake", "multiple"),
    rows_of(section(OUTCOMES, "Sizing by calibrated confidence")),
)
def test_every_multiple_of_a_size_is_as_told(
    probability: str, payoff: str, stake: str, multiple: str
) -> None:
    p, b = float(probability), float(payoff)

    assert p - (1 - p) / b == pytest.approx(float(stake))
    assert multiples(np.array([p]), np.array([b])) == pytest.approx(float(multiple))


# Tables


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_column_is_described_with_its_type(table: Table) -> None:
    described = [
        (name, sql) for name, sql, _ in rows_of(section("docs/tables.md", table.name))
    ]

    assert described == [
        (
            f"**`{name}`**" if name in table.key else f"`{name}`",
            f"{column.sql_type} ?" if column.is_nullable else column.sql_type,
        )
        for name, column in table.columns.items()
    ]


def test_every_figure_is_defined_as_in_the_tear_sheet() -> None:
    rows = rows_of(section("docs/tables.md", "performance"))
    told_of = {name.strip("*`"): meaning for name, _, meaning in rows}

    for name, statistic in STATISTICS.items():
        assert told_of[name].lower() == statistic.definition.rstrip(".").lower()


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> DuckDbWarehouse:
    """Every table, without a row."""
    stored = DuckDbWarehouse(tmp_path_factory.mktemp("home") / "warehouse.duckdb")
    for table in TABLES:
        empty = table.empty()
        stored.replace(Replacement(table, empty[list(table.partition)], empty))
    return stored


def commands(name: str) -> list[list[str]]:
    """Words of every command in the blocks of a document, without what is piped on."""
    script = "\n".join(blocks(name, "sh"))
    lines = re.findall(
        r"^ *(?:\S+ )*?((?:trading-assets|make) (?:\"[^\"]*\"|'[^']*'|[^\n\"'>#])*)",
        script,
        re.MULTILINE,
    )
    return [shlex.split(line) for line in lines]


COMMANDS = [
    pytest.param(words, id=" ".join(words)[:70])
    for name in DOCUMENTS
    for words in commands(name)
]


def test_commands_are_found_in_the_documents() -> None:
    assert len(COMMANDS) > 20


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_in_a_document_can_be_given(
    words: list[str], warehouse: DuckDbWarehouse
) -> None:
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", text("Makefile"), flags=re.MULTILINE)
        return
    command, context = parsed(words[1:])

    if command.name == "query":
        warehouse.query(context.params["sql"])


def parsed(words: list[str]) -> tuple[click.Command, click.Context]:
    """The command that *words* ask for, and its parameters."""
    command: click.Command = main
    context = main.make_context("trading-assets", list(words))
    while isinstance(command, click.Group):
        _, found, words = command.resolve_command(context, words)
        assert found is not None
        command = found
        context = command.make_context(command.name, list(words), parent=context)
    return command, context


def test_the_readme_lists_every_command() -> None:
    listed = re.findall(
        r"^\| `trading-assets ([a-z ]+?)(?: [^a-z`].*?| FILE| NAME)?`",
        text("README.md"),
        re.MULTILINE,
    )

    assert listed == [
        "demo",
        "backfill",
        "trade",
        *(f"strategies {name}" for name in ("list", "validate", "schema")),
        "query",
        "status",
        "calibration",
        "explain",
        "halt",
        "resume",
        "halts",
        "flatten",
        *(f"approvals {name}" for name in ("list", "show", "approve", "reject", "send")),
        "reconcile",
        "notify",
        "backup",
        "restore",
        "ibkr ping",
        "ibkr bars",
        "symbols search",
        "symbols list",
        *(f"batches {name}" for name in ("submit", "list", "poll", "cancel", "forget")),
        *(f"prompts {name}" for name in ("list", "show", "diff")),
        "probe",
        "dev",
        "web",
        "daemon",
    ]
    assert {words.split()[0] for words in listed} == set(main.commands)


# Operations


def test_every_check_is_described(tmp_path: Path) -> None:
    file = tmp_path / "real.yaml"
    file.write_text(
        "name: real\nuniverse: [AAPL]\nstart: 2024-01-02\n"
        "analyst: {kind: rules, rule: breakout}\nexecution: {broker: ibkr}\n"
    )
    settings = Settings.from_environment(
        {
            "TRADING_HOME": str(tmp_path),
            "TRADING_STRATEGIES": str(tmp_path),
            "MLFLOW_TRACKING_URI": "http://127.0.0.1:1",
        }
    )
    assets = [
        asset
        for asset in definitions_of(settings).assets or ()
        if isinstance(asset, dg.AssetsDefinition)
    ]
    there = {
        (
            re.sub("^real/(replay/)?", "<strategy>/", spec.asset_key.to_user_string()),
            spec.name,
            "yes" if spec.blocking else "no",
        )
        for asset in assets
        for spec in asset.check_specs
    }

    rows = rows_of(section("docs/operations.md", "Checks"))
    assert {(row[0].strip("`"), row[1].strip("`"), row[2]) for row in rows} == there


# The README


LINKS = [
    pytest.param(name, link, id=f"{name} -> {link}")
    for name in DOCUMENTS
    for link in re.findall(r"\]\(([^)\s]+)\)", text(name))
    if "://" not in link
]


@pytest.mark.parametrize(("name", "link"), LINKS)
def test_every_link_leads_somewhere(name: str, link: str) -> None:
    target, _, anchor = link.partition("#")
    path = (ROOT / name).parent / target if target else ROOT / name

    assert path.exists()
    if anchor:
        headings = re.findall(r"^#+ (.+)$", path.read_text(), flags=re.MULTILINE)
        anchors = {
            re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings
        }
        assert anchor in anchors


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_has_one_sentence_per_line(name: str) -> None:
    prose = FENCE.sub("", text(name))
    lines = [
        line for line in prose.splitlines() if not re.match(r"^([|>!#]|- |\d\. )", line)
    ]

    # a figure's own point, as in 3.12, is followed by no space and a capital
    assert not [line for line in lines if re.search(r"[.?!] [A-Z]", line)]


def test_the_five_minutes_go_word_for_word(tmp_path: Path) -> None:
    lines = [body for body in blocks("README.md", "sh") if belongs_to_five_minutes(body)]
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    (tmp_path / "trading_assets").symlink_to(ROOT / "trading_assets")
    store_the_demos_bars(tmp_path / ".trading")
    own = {
        k: v for k, v in os.environ.items() if not k.startswith(("TRADING_", "DAGSTER_"))
    }

    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(lines)],
        cwd=tmp_path,
        env=own | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "first is valid" in done.stdout
    assert "mine/prices, from" in done.stdout
    assert re.search(r"^first  2025-11-03 to ", done.stdout, flags=re.MULTILINE)
    assert re.search(r"^AAPL +(BUY|SELL|HOLD) ", done.stdout, flags=re.MULTILINE)
    assert list((tmp_path / "mine/home/charts/first/daily/AAPL").glob("*.png"))


def belongs_to_five_minutes(block: str) -> bool:
    chapter = text("README.md").partition("## Five minutes")[2].partition("\n## ")[0]
    return block in chapter and "trading-assets dev" not in block


def store_the_demos_bars(home: Path) -> None:
    """What `make demo` leaves of three symbols, without waiting for it."""
    calendar = trading_calendar()
    now = datetime.now(UTC)
    first, last = (
        calendar.on_or_after(datetime(2024, 1, 2, tzinfo=UTC).date()),
        calendar.last_closed(now),
    )
    history = SimulatedMarketData(1, calendar).history(("AAPL", "MSFT", "SPY"), first, last)
    bars = BARS.conform(history.bars.assign(recorded_at=now))
    assert np.isfinite(bars["close"]).all()
    stored = DuckDbWarehouse(home / "warehouse.duckdb")
    stored.replace(Replacement(BARS, bars[["symbol", "session"]], bars))


# The promises about orders

PROMISES = rows_of(section("docs/interactive-brokers.md", "Exactly once"))
HELD_BY = re.compile(r"<!-- (?:([A-Z_ ]+): )?([a-z0-9_ ]+) -->$")
"""Behind a promise: the faults that it is about, and the tests that hold us to it."""

ABOUT_HISTORY = {Fault.PACING, Fault.EMPTY_HISTORY}


@pytest.mark.parametrize("promise", PROMISES, ids=lambda row: row[0])
def test_every_promise_about_orders_has_its_tests(promise: list[str]) -> None:
    held_by = HELD_BY.search(promise[1])
    written = {
        name
        for path in (ROOT / "trading_assets_tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)\(", path.read_text(), flags=re.MULTILINE)
    }

    assert held_by
    assert set(held_by[2].split()) <= written


def test_every_fault_of_orders_and_connections_has_a_promise() -> None:
    found = [HELD_BY.search(promise) for _, promise in PROMISES]
    named = {name for own in found if own and own[1] for name in own[1].split()}

    assert named == {fault.name for fault in Fault if fault not in ABOUT_HISTORY}


# Analysts

ANALYSTS = "docs/analysts.md"


def test_every_rule_about_replies_is_described() -> None:
    described = rows_of(section(ANALYSTS, "A reply"))
    rules = [[f"`{rule.name}`", rule.meaning] for rule in DECISION_RULES]

    assert [row[0].strip("`") for row in described if len(row) == 3] == list(
        Reply.model_fields
    )
    assert [row for row in described if len(row) == 2] == rules


def test_every_prompt_and_every_variable_is_described() -> None:
    rows = rows_of(section(ANALYSTS, "Prompts"))

    assert [row[0].strip("`") for row in rows if len(row) == 3] == [
        f"{name}.j2" for name in NAMES
    ]
    assert {row[0].strip("`"): row[1] for row in rows if len(row) == 2} == VARIABLES


def test_every_cutoff_is_told() -> None:
    rows = rows_of(section(ANALYSTS, "Honesty"))

    assert {name.strip("`"): day for name, day in rows} == {
        name: cutoff.last_day.isoformat() for name, cutoff in CUTOFFS.items()
    }
    assert f"{MARGIN_DAYS} days" in section(ANALYSTS, "Honesty")
