import re
from datetime import date
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from trading_assets.core.statistics import STATISTICS, history_of, performance_of
from trading_assets.core.tear_sheet import (
    draw,
    fill_rule,
    refusals_by_rule,
    specification,
    tear_sheet,
)
from trading_assets.errors import InvalidInput
from trading_assets.models.base import Lane
from trading_assets.models.tables import FILLS, ORDERS, POSITIONS, TRADES
from trading_assets.strategies.spec import StrategySpec

CAPITAL = 100_000.0
NASTY = "<script>alert('x')</script> & \"co\""
VOID = {"meta", "br", "line", "rect", "path", "link", "img"}


def make_spec(**changes: Any) -> StrategySpec:
    said: dict[str, Any] = {
        "name": "trend_following",
        "universe": ["AAPL", "SPY"],
        "start": date(2023, 1, 3),
        "capital": CAPITAL,
        "analyst": {"kind": "rules", "rule": "trend", "fast": 10},
        **changes,
    }
    return StrategySpec.model_validate(said)


def make_book(count: int = 300, *, mean: float = 0.0006) -> pd.DataFrame:
    steps = np.random.default_rng(5).normal(mean, 0.01, count)
    equity = CAPITAL * np.cumprod(1 + steps)
    return pd.DataFrame(
        {
            "session": pd.bdate_range("2023-01-03", periods=count),
            "cash": equity / 2,
            "equity": equity,
            "gross_exposure_frac": 0.5,
            "book_hash": "9f3c2ab1d4e5f607",
        }
    )


def make_trades() -> pd.DataFrame:
    row = {
        "symbol": "AAPL",
        "opened_session": pd.Timestamp("2023-02-01"),
        "closed_session": pd.Timestamp("2023-03-01"),
        "side": "BUY",
        "shares": 10,
        "entry_price": 100.0,
        "exit_price": 105.0,
        "commission": 2.0,
        "exit_reason": "target",
    }
    pnls = [50.0, -30.0, 1.0, 400.0, -70.0]
    return pd.DataFrame(
        [{**row, "trade_id": f"t{i}", "pnl": pnl} for i, pnl in enumerate(pnls)]
    )


def make_positions(book: pd.DataFrame) -> pd.DataFrame:
    row = {
        "symbol": "SPY",
        "shares": -20,
        "average_cost": 400.0,
        "close": 390.0,
        "market_value": -7800.0,
        "unrealized_pnl": 200.0,
        "is_stale": True,
    }
    sessions = book["session"].iloc[-2:]
    return pd.DataFrame([{**row, "session": session} for session in sessions])


def make_orders(*reasons: str, status: str = "refused") -> pd.DataFrame:
    sessions = pd.bdate_range("2023-02-01", periods=len(reasons))
    return pd.DataFrame({"session": sessions, "reason": reasons}).assign(
        symbol="AAPL", status=status
    )


def make_sheet(**changes: Any) -> str:
    book = changes.pop("portfolio", make_book())
    given: dict[str, Any] = {
        "spec": make_spec(),
        "lane": Lane.SIMULATED,
        "portfolio": book,
        "positions": make_positions(book),
        "trades": make_trades(),
        "orders": make_orders("min_profit_frac: 0.01 is below 0.05", "cash: no"),
        "benchmark": make_book(mean=0.0002)[["session", "equity"]].rename(
            columns={"equity": "close"}
        ),
        **changes,
    }
    if "performance" not in given:
        given["performance"] = performance_of(
            book,
            given["trades"],
            FILLS.empty(),
            capital=given["spec"].capital,
            benchmark=given["benchmark"],
        )
    return tear_sheet(**given)


class Page(HTMLParser):
    """Every tag closed, every attribute seen, every word kept."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.tags: set[str] = set()
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_the_page_is_well_formed() -> None:
    page = Page(make_sheet())

    assert page.open == []
    assert {"svg", "table", "title", "footer"} <= page.tags


def test_the_page_fetches_nothing() -> None:
    html = make_sheet()
    page = Page(html)

    assert not page.tags & {"script", "link", "img", "iframe", "object"}
    assert not {name for name, _ in page.attributes} & {"src", "href", "srcset"}
    assert not re.search(r"http|//|url\(|@import", html)


def test_what_people_wrote_is_text_and_never_markup() -> None:
    html = make_sheet(
        spec=make_spec(description=NASTY),
        orders=make_orders(f"rule {NASTY}"),
        trades=make_trades().assign(exit_reason=NASTY),
    )

    assert "script" not in Page(html).tags
    assert html.count(NASTY) == 0
    assert NASTY in Page(html).text


@pytest.mark.parametrize("name", STATISTICS)
def test_every_statistic_is_there_with_its_definition(name: str) -> None:
    page = Page(make_sheet())

    assert STATISTICS[name].label in page.text
    assert ("title", STATISTICS[name].definition) in page.attributes


def test_the_headline_stands_beside_the_benchmark() -> None:
    html = make_sheet(
        performance={
            **dict.fromkeys(STATISTICS),
            "total_return_frac": 0.123,
            "benchmark_return_frac": -0.045,
            "trades": 5,
        }
    )

    assert '<dd class="value up">+12.3 %</dd>' in html
    assert "SPY −4.5 %" in html  # noqa: RUF001 - a real minus


def test_an_invented_market_is_called_so() -> None:
    assert "invented by a random generator" in make_sheet(is_simulated_market=True)
    assert "invented" not in make_sheet(is_simulated_market=False)


def test_the_best_trades_come_before_the_worst() -> None:
    html = make_sheet()

    best, worst, every = re.findall(r"<caption>.*?</table>", html, flags=re.DOTALL)

    assert re.findall(r"[+−]\d+(?=</td>)", best) == ["+398", "+48"]  # noqa: RUF001 - a minus
    assert re.findall(r"[+−]\d+(?=</td>)", worst) == [  # noqa: RUF001 - a real minus
        "−72",  # noqa: RUF001 - as above
        "−32",  # noqa: RUF001 - as above
        "−1",  # noqa: RUF001 - as above
    ]
    assert every.count("<tr>") == 6


def test_only_the_last_session_positions_are_open() -> None:
    html = make_sheet()

    assert html.count("<b>SPY</b></td>") == 1
    assert "older close" in html


def test_refusals_are_counted_by_the_rule_that_they_name() -> None:
    orders = pd.concat(
        [
            make_orders("max_positions: 10 of 10", "cash: 5 of 9", "cash: 1 of 9", "?!"),
            make_orders("cash: fine", status="submitted"),
        ]
    )

    found = refusals_by_rule(orders)

    assert [(r.rule, r.count) for r in found] == [
        ("cash", 2),
        ("max_positions", 1),
        ("unnamed", 1),
    ]
    assert (found[0].reason, found[0].session) == ("cash: 1 of 9", date(2023, 2, 3))


def test_the_fill_rule_is_one_sentence_about_this_strategy() -> None:
    plain = make_spec(
        execution={"order": "limit_at_entry", "bracket": False},
        costs={"commission": "none", "slippage_bps": 0, "dividends": "ignore"},
    )

    assert "open of the next session" in fill_rule(make_spec())
    assert "stop and target rest" in fill_rule(make_spec())
    assert "limit orders" in fill_rule(plain)
    assert "stop and target" not in fill_rule(plain)
    assert "dividends are ignored" in fill_rule(plain)
    assert "broker's executions" in fill_rule(plain, Lane.IBKR)
    assert fill_rule(plain).count(". ") == 0


def test_the_specification_shown_is_the_specification() -> None:
    spec = make_spec()

    assert StrategySpec.model_validate(yaml.safe_load(specification(spec))) == spec


def test_the_footer_names_specification_and_book() -> None:
    spec = make_spec()

    footer = make_sheet(spec=spec).partition("<footer>")[2]

    assert spec.book_hash in footer
    assert "9f3c2ab1d4e5f607" in footer


def test_the_same_inputs_give_the_same_page() -> None:
    assert make_sheet() == make_sheet()


@pytest.mark.filterwarnings("error", "ignore::ResourceWarning")
@pytest.mark.parametrize("count", [1, 2, 30])
def test_a_young_book_without_trades_has_a_page(count: int) -> None:
    html = make_sheet(
        portfolio=make_book(count),
        positions=POSITIONS.empty(),
        trades=TRADES.empty(),
        orders=ORDERS.empty(),
        benchmark=None,
        spec=make_spec(benchmark=None),
    )

    assert Page(html).open == []
    assert "None was closed yet" in html
    assert "no rule stood in the way" in html
    assert "nan" not in Page(html).text.lower().split()


@pytest.mark.filterwarnings("error", "ignore::ResourceWarning")
def test_a_ruined_book_has_a_page() -> None:
    equity = np.linspace(CAPITAL, -20_000, 60)

    html = make_sheet(portfolio=make_book(60).assign(equity=equity))

    assert Page(html).open == []
    assert "−120.0 %" in html  # noqa: RUF001 - a real minus


def test_a_row_from_a_store_with_its_gaps_reads_the_same() -> None:
    performance = performance_of(
        make_book(), make_trades(), FILLS.empty(), capital=CAPITAL, benchmark=None
    )
    stored = pd.Series(performance, dtype=object).where(
        lambda figures: figures.notna(), float("nan")
    )

    given = {"benchmark": None}
    assert make_sheet(performance=stored.to_dict(), **given) == make_sheet(
        performance=performance, **given
    )


def test_the_curves_stay_inside_the_drawing() -> None:
    drawing = draw(history_of(make_book(), capital=CAPITAL))
    points = [float(n) for n in re.findall(r"-?[\d.]+", drawing.equity)]

    assert len(points) == 2 * 300
    assert points[0] == 52.0
    assert points[-2] == 1072.0
    assert all(10 <= y <= 318 for y in points[1::2])
    assert min(points[1::2]) < 40


def test_a_curve_that_multiplies_is_drawn_to_a_logarithmic_scale() -> None:
    grown = make_book(400).assign(equity=CAPITAL * 1.01 ** np.arange(400))

    labels = [mark.label for mark in draw(history_of(grown, capital=CAPITAL)).worth]

    assert labels == ["100k", "200k", "500k", "1M", "2M", "5M"]


def test_axes_carry_round_values_and_dates() -> None:
    drawing = draw(history_of(make_book(), capital=CAPITAL))

    assert len(drawing.worth) in range(3, 9)
    assert "2024" in [mark.label for mark in drawing.dates]
    assert [strip.says[:7] for strip in drawing.months][:2] == ["2023-01", "2023-02"]


def test_a_page_about_nothing_is_refused() -> None:
    empty = make_book().iloc[:0]

    with pytest.raises(InvalidInput, match="at least one session"):
        make_sheet(portfolio=empty, positions=POSITIONS.empty())
