from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trading_assets.adapters.analysts.choice import analyst_of
from trading_assets.adapters.analysts.port import Analyst, Briefings
from trading_assets.adapters.analysts.rules import RulesAnalyst
from trading_assets.core.indicators import indicator_of
from trading_assets.core.rule_modules import registered, rules_of
from trading_assets.core.views import Views, views_of
from trading_assets.errors import DataMissing, InvalidStrategy
from trading_assets.strategies.loading import PACKAGED, load_strategies, load_strategy
from trading_assets_tests.adapters.analysts.contract import AnalystContract
from trading_assets_tests.core.viewing import day, make_indicators, make_panel, make_views

STRATEGY = """\
name: mine
universe: [AAPL]
start: 2020-01-02
analyst:
  kind: rules
  rule: {rule}
"""
BREAKOUT = {"highest_20": [100.0], "lowest_10": [90.0], "atr_14": [2.0]}


def rules_analyst(rule: str, **parameters: object) -> RulesAnalyst:
    return RulesAnalyst(registered(rule).bound(parameters))


def asked(rule: str, close: float, columns: dict[str, list[float]]) -> dict[str, Any]:
    views = make_views([close], columns)
    return rules_analyst(rule).signals(Briefings("mine", views)).rows.iloc[0].to_dict()


def written(folder: Path, rule: str, *lines: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(STRATEGY.format(rule=rule) + "".join(f"  {line}\n" for line in lines))
    return path


class TestBreakout(AnalystContract):
    """The promises, kept by a rule with levels."""

    @pytest.fixture
    def analyst(self) -> Analyst:
        return rules_analyst("breakout")

    @pytest.fixture
    def views(self) -> Views:
        columns = {
            "AAA": {
                "highest_20": [None, 100.0, 100.0, 100.0],
                "lowest_10": [None, 90.0, 90.0, 90.0],
                "atr_14": [2.0, 2.0, 2.0, 0.0],
            },
            "BBB": {
                "highest_20": [10.0] * 4,
                "lowest_10": [9.0] * 4,
                "atr_14": [1.0, 1.0, None, 1.0],
            },
        }
        closes = {"AAA": [101.0, 101.0, 95.0, 89.0], "BBB": [9.5, 10.5, 8.0, 9.5]}
        return views_of(make_panel(closes), make_indicators(columns), day(0), day(9))


class TestSmaCross(AnalystContract):
    """The promises, kept by a rule without levels."""

    @pytest.fixture
    def analyst(self) -> Analyst:
        return rules_analyst("sma_cross")

    @pytest.fixture
    def views(self) -> Views:
        columns = {"sma_10": [None, 11.0, 9.0, 10.0], "sma_50": [10.0] * 4}
        return make_views([10.0] * 4, columns)


def test_a_breakout_becomes_a_buy_with_its_levels() -> None:
    row = asked("breakout", 101.0, BREAKOUT)

    assert (row["action"], row["confidence"], row["confidence_score"]) == (
        "BUY",
        "HIGH",
        75.0,
    )
    # Stop and target 2.5 and 5 average true ranges of 2 away.
    assert (row["entry"], row["stop_loss"], row["take_profit"]) == (101.0, 96.0, 111.0)
    assert row["risk_reward"] == 2.0
    assert row["reasoning"] == (
        "close 101.00; highest of the 20 bars before 100.00, lowest of 10 90.00"
    )
    assert row["analyst"] == "rules:breakout"


def test_risk_and_reward_keep_their_signs_when_sold() -> None:
    row = asked("breakout", 89.0, BREAKOUT)

    assert (row["action"], row["stop_loss"], row["take_profit"]) == ("SELL", 94.0, 79.0)
    assert row["risk_reward"] == 2.0


def test_a_stop_at_the_entry_has_no_ratio() -> None:
    assert np.isnan(asked("breakout", 101.0, BREAKOUT | {"atr_14": [0.0]})["risk_reward"])


def test_without_levels_everything_about_them_is_empty() -> None:
    row = asked("sma_cross", 10.0, {"sma_10": [11.0], "sma_50": [10.0]})

    levels = [row[name] for name in ("entry", "stop_loss", "take_profit", "risk_reward")]
    assert row["action"] == "BUY"
    assert np.isnan(levels).all()


def test_arithmetic_is_no_model_and_costs_nothing() -> None:
    row = asked("breakout", 101.0, BREAKOUT)

    assert (row["model"], row["prompt_version"], row["call_id"]) == ("", "", "")
    assert row["cost_usd"] == 0.0


def test_an_abstention_names_what_is_missing() -> None:
    columns = BREAKOUT | {"highest_20": [None], "atr_14": [None]}

    row = asked("breakout", 101.0, columns)

    assert row["reasoning"] == "Too few bars yet for highest_20, atr_14"


class TestInputsHash:
    """What an opinion was made of."""

    def hash_of(self, close: float = 101.0, **changed: list[float]) -> object:
        return asked("breakout", close, BREAKOUT | changed)["inputs_hash"]

    def test_the_same_is_the_same(self) -> None:
        assert self.hash_of() == self.hash_of()

    def test_another_price_or_indicator_is_another(self) -> None:
        assert self.hash_of(close=101.5) != self.hash_of()
        assert self.hash_of(atr_14=[2.5]) != self.hash_of()

    def test_what_the_rule_does_not_see_is_not_in_it(self) -> None:
        assert self.hash_of(sma_9=[5.0]) == self.hash_of()

    def test_another_parameter_is_another(self) -> None:
        views = make_views([101.0], BREAKOUT)

        hashes = [
            rules_analyst("breakout", stop_atr=stop).signals(Briefings("x", views)).rows
            for stop in (2.5, 3.0)
        ]

        assert hashes[0]["inputs_hash"][0] != hashes[1]["inputs_hash"][0]

    def test_zero_has_no_sign(self) -> None:
        assert self.hash_of(atr_14=[0.0]) == self.hash_of(atr_14=[-0.0])


@pytest.mark.parametrize("rule", sorted(rules_of()))
def test_what_packaged_rules_ask_for_can_be_computed(rule: str) -> None:
    for name in rules_analyst(rule).indicators:
        assert name in indicator_of(name).columns


def test_what_was_not_computed_is_missing_data() -> None:
    with pytest.raises(DataMissing, match="atr_14"):
        rules_analyst("breakout").signals(Briefings("mine", make_views([1.0])))


class TestAnalystOf:
    """From a strategy file to its analyst."""

    def test_it_asks_for_what_its_rule_needs(self, tmp_path: Path) -> None:
        path = written(tmp_path, "sma_cross", "fast: 5", "slow: 20")

        analyst = analyst_of(load_strategy(path))

        assert analyst.name == "rules:sma_cross"
        assert analyst.indicators == ("sma_5", "sma_20")
        assert (analyst.bars, analyst.needs_charts) == (1, False)

    def test_its_version_changes_with_its_parameters_and_with_no_name(
        self, tmp_path: Path
    ) -> None:
        versions = [
            analyst_of(load_strategy(written(tmp_path, *lines))).version_hash
            for lines in (
                ["sma_cross"],
                ["sma_cross", "fast: 10"],
                ["sma_cross", "fast: 11"],
            )
        ]

        assert versions[0] == versions[1] != versions[2]

    def test_an_unknown_rule_is_told_with_its_line(self, tmp_path: Path) -> None:
        path = written(tmp_path, "trnd")

        with pytest.raises(InvalidStrategy) as caught:
            analyst_of(load_strategy(path))

        assert str(caught.value) == (
            f"{path}:6: analyst.rule: no rule trnd in the package; did you mean trend? "
            f"(known: breakout, sma_cross, trend)"
        )

    def test_wrong_parameters_are_all_told_with_their_lines(self, tmp_path: Path) -> None:
        path = written(tmp_path, "sma_cross", 'fast: "10"', "slo: 50")

        with pytest.raises(InvalidStrategy) as caught:
            analyst_of(load_strategy(path))

        assert str(caught.value).splitlines() == [
            f'{path}:7: analyst.fast: must be a whole number, was "10"',
            f"{path}:8: analyst.slo: unknown key; did you mean slow? (allowed: fast, slow)",
        ]

    def test_parameters_that_do_not_go_together_are_told(self, tmp_path: Path) -> None:
        path = written(tmp_path, "sma_cross", "fast: 60")

        with pytest.raises(InvalidStrategy, match=r":4: analyst: fast must be below slow"):
            analyst_of(load_strategy(path))

    def test_a_rule_of_ones_own_stands_beside_the_file(self, tmp_path: Path) -> None:
        (tmp_path / "my_rules.py").write_text(
            "from trading_assets.core.opinions import Opinions\n"
            "from trading_assets.core.rules import rule\n"
            "@rule(bars=2)\n"
            "def rising(views):\n"
            "    before, now = views.window('close', 2).T\n"
            "    up, down = now > before, now < before\n"
            "    return Opinions.of(views, buy=up, sell=down, reason=str)\n"
        )
        path = written(tmp_path, "rising", "module: my_rules.py")
        views = make_views([3.0, 4.0, 2.0, 2.0])

        signals = analyst_of(load_strategy(path)).signals(Briefings("mine", views)).rows

        assert signals["action"].tolist() == [None, "BUY", "SELL", "HOLD"]
        assert signals["reasoning"][0] == "Too few bars yet for a window of 2"

    def test_a_module_that_fails_is_told_with_both_places(self, tmp_path: Path) -> None:
        (tmp_path / "my_rules.py").write_text("\n\noops\n")
        path = written(tmp_path, "rising", "module: my_rules.py")

        with pytest.raises(InvalidStrategy) as caught:
            analyst_of(load_strategy(path))

        assert str(caught.value) == (
            f"{path}:7: analyst.module: {tmp_path / 'my_rules.py'}:3: "
            f"NameError: name 'oops' is not defined"
        )

    @pytest.mark.parametrize(
        "strategy", load_strategies(PACKAGED), ids=lambda s: s.spec.name
    )
    def test_what_is_packaged_can_be_asked(self, strategy: object) -> None:
        assert analyst_of(strategy).indicators  # type: ignore[arg-type]
