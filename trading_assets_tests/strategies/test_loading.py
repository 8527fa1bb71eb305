from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.errors import InvalidStrategy
from trading_assets.strategies.faults import Fault
from trading_assets.strategies.loading import (
    PACKAGED,
    described,
    json_schema,
    load_strategies,
    load_strategy,
)

MINIMAL = """\
name: mine
universe: [AAPL, MSFT]
start: 2020-01-02
analyst: {kind: rules, rule: trend}
"""


def write(folder: Path, text: str | bytes, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def told(folder: Path, text: str | bytes) -> list[str]:
    """What a file with this *text* is refused with, the path cut off each line."""
    path = write(folder, text)
    with pytest.raises(InvalidStrategy) as caught:
        load_strategy(path)
    return [line.removeprefix(f"{path}:") for line in str(caught.value).splitlines()]


class TestReading:
    """What a file may look like."""

    def test_a_file_is_what_it_says(self, tmp_path: Path) -> None:
        loaded = load_strategy(write(tmp_path, MINIMAL))

        assert loaded.spec.name == "mine"
        assert loaded.spec.universe == ("AAPL", "MSFT")
        assert loaded.spec.start == date(2020, 1, 2)
        assert loaded.path == tmp_path / "mine.yaml"

    def test_tickers_that_are_words_of_old_yaml_are_tickers(self, tmp_path: Path) -> None:
        text = MINIMAL.replace("[AAPL, MSFT]", "[ON, NO, Y, OFF, 'TRUE', BRK.B, ^GSPC]")

        universe = load_strategy(write(tmp_path, text)).spec.universe

        assert universe == ("ON", "NO", "Y", "OFF", "TRUE", "BRK.B", "^GSPC")

    @pytest.mark.parametrize(
        ("written", "expected"),
        [("100_000", 100_000), ("1e5", 100_000), ("2.5", 2.5), ("+.5", 0.5), ("1.", 1)],
    )
    def test_numbers_are_written_as_people_do(
        self, tmp_path: Path, written: str, expected: float
    ) -> None:
        spec = load_strategy(write(tmp_path, f"{MINIMAL}capital: {written}\n")).spec

        assert spec.capital == expected

    @pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"# caf\xc3\xa9\r\n", b"---\n"])
    def test_marks_of_editors_are_no_trouble(self, tmp_path: Path, mark: bytes) -> None:
        assert load_strategy(write(tmp_path, mark + MINIMAL.encode())).spec.name == "mine"

    @pytest.mark.parametrize("nothing", ["null", "~", "Null", ""])
    def test_null_switches_a_limit_off(self, tmp_path: Path, nothing: str) -> None:
        text = f"{MINIMAL}risk:\n  max_positions: {nothing}\n"

        assert load_strategy(write(tmp_path, text)).spec.risk.max_positions is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("sizng: 3", "5: sizng: unknown key; did you mean sizing? (", id="key"),
        pytest.param(
            "risk: {max_weight: 1}",
            "5: risk.max_weight: unknown key; did you mean max_weight_frac? (allowed: "
            "allow_short, cash_check, max_daily_loss_frac, max_daily_notional, "
            "max_order_notional, max_orders_per_day, max_positions, max_weight_frac, "
            "min_profit_frac, min_risk_reward)",
            id="nested key",
        ),
        pytest.param(
            "bracket: true",
            "5: bracket: unknown key; did you mean execution.bracket? (",
            id="key in the wrong place",
        ),
        pytest.param(
            'capital: "100"', '5: capital: must be a number, was "100"', id="quoted number"
        ),
        pytest.param("capital: true", "5: capital: must be a number, was true", id="truth"),
        pytest.param(
            "capital: 0", "5: capital: must be greater than 0, was 0", id="out of range"
        ),
        pytest.param(
            "risk:\n  max_positions: 2.5",
            "6: risk.max_positions: must be a whole number or null, was 2.5",
            id="no whole number",
        ),
        pytest.param(
            "risk: {cash_check: yes}",
            '5: risk.cash_check: must be true or false, was "yes"',
            id="old yaml's yes",
        ),
        pytest.param(
            "execution: {order: market_open}",
            "5: execution.order: must be 'market_next_open', 'limit_at_entry' or "
            "'stop_at_entry', was \"market_open\"; did you mean market_next_open?",
            id="choice",
        ),
        pytest.param(
            "execution: {broker: ibk}",
            "5: execution.broker: must be 'simulated' or 'ibkr', was \"ibk\"; did you mean "
            "ibkr?",
            id="choice of two",
        ),
        pytest.param(
            "sizing: {kind: fixed_share, shares: 5}",
            "5: sizing.kind: must be one of fixed_shares, fixed_notional, risk_fraction, "
            'volatility_target, was "fixed_share"; did you mean fixed_shares?',
            id="kind",
        ),
        pytest.param(
            "sizing: {shares: 5}",
            "5: sizing.kind: is missing; must be one of fixed_shares, fixed_notional, "
            "risk_fraction, volatility_target",
            id="no kind",
        ),
        pytest.param(
            "sizing:\n  kind: fixed_shares\n  share: 5",
            "5: sizing.shares: is missing; is it what you mean by share?",
            id="misspelt and needed",
        ),
        pytest.param(
            "sizing: {kind: risk_fraction, shares: 5}",
            "5: sizing.shares: unknown key (allowed: confidence, kind, risk_frac)",
            id="key of another kind",
        ),
        pytest.param("charts: 5", "5: charts: must be a mapping of keys and values, was 5"),
        pytest.param(
            "indicators: sma_20",
            '5: indicators: must be a list such as [AAPL, MSFT], was "sma_20"',
            id="no list",
        ),
        pytest.param(
            "benchmark: spy",
            "5: benchmark: must match '^[A-Z0-9^][A-Z0-9.\\-/^=]{0,15}$' or null, "
            'was "spy"; did you mean SPY?',
            id="small letters",
        ),
        pytest.param(
            "benchmark: 6758",
            "5: benchmark: must be text (in quotes, if it looks like something else) or "
            "null, was 6758",
            id="ticker of digits",
        ),
        pytest.param(
            "schedule: 0 16 * * *",
            "5: schedule: must not fire from 09:25 to 16:59 exchange time",
            id="too early",
        ),
        pytest.param("name: other", "5: name: said before, on line 1", id="said twice"),
        pytest.param(
            "risk:\n  cash_check: true\n  cash_check: true",
            "7: risk.cash_check: said before, on line 6",
            id="said twice inside",
        ),
        pytest.param(
            "capital: !!python/object/apply:os.getcwd []",
            "5: capital: the tag tag:yaml.org,2002:python/object/apply:os.getcwd is not",
            id="tag",
        ),
        pytest.param("capital: !!int abc", '5: capital: "abc" is no int', id="wrong tag"),
        pytest.param("? [a, b]\n: 1", "5: a key must be a word", id="odd key"),
    ],
)
def test_a_fault_is_told_with_its_line_key_and_what_is_allowed(
    tmp_path: Path, text: str, expected: str
) -> None:
    assert told(tmp_path, f"{MINIMAL}{text}\n")[0].startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", "1: is empty: a strategy must be a mapping", id="empty"),
        pytest.param(
            "# nothing\n", "1: is empty: a strategy must be a mapping", id="comment"
        ),
        pytest.param(
            "- a\n- b\n", '1: must be a mapping such as `name: trend`, was ["a", "b"]'
        ),
        pytest.param("trend\n", '1: must be a mapping such as `name: trend`, was "trend"'),
        pytest.param("name: mine\n\tstart: 3\n", "2: column 1: while scanning", id="tab"),
        pytest.param(
            "name: [AAPL\n", "2: column 1: while parsing a flow sequence", id="open"
        ),
        pytest.param("name: a: b\n", "1: column 8: mapping values are not allowed here"),
        pytest.param(
            "a: &x 1\nb: *x\n", "2: column 4: an alias is not allowed", id="alias"
        ),
        pytest.param(
            "a: 1\n---\nb: 2\n", "2: column 1: expected a single document", id="two"
        ),
        pytest.param(
            "a: 1\nb: \x07\n", "2: the character U+0007 is not allowed", id="control"
        ),
        pytest.param(
            b"a: 1\nb: \xff\n", "2: must be UTF-8, has the byte 0xff", id="latin-1"
        ),
        pytest.param("[" * 5_000, "1: is nested too deeply", id="depths"),
    ],
)
def test_what_is_no_yaml_mapping_is_refused_with_its_line(
    tmp_path: Path, text: str | bytes, expected: str
) -> None:
    lines = told(tmp_path, text)

    assert len(lines) == 1
    assert lines[0].startswith(expected)


def test_a_tab_is_told_what_to_do_about(tmp_path: Path) -> None:
    assert told(tmp_path, "name:\n\ta: 3\n")[0].endswith("; indent with spaces")


def test_all_faults_of_a_file_come_at_once_in_the_order_of_its_lines(
    tmp_path: Path,
) -> None:
    text = (
        "name: Mine\nname: other\nuniverse: [AAPL, AAPL]\nanalyst: {kind: rulez}\nfoo: 1\n"
    )

    assert [line.split(" ")[:2] for line in told(tmp_path, text)] == [
        ["1:", "name:"],
        ["1:", "start:"],
        ["2:", "name:"],
        ["3:", "universe:"],
        ["4:", "analyst.kind:"],
        ["5:", "foo:"],
    ]


def test_a_list_item_is_told_by_its_own_line(tmp_path: Path) -> None:
    text = MINIMAL.replace("[AAPL, MSFT]", "\n  - AAPL\n  - msft\n")

    assert told(tmp_path, text)[0].startswith("4: universe[1]: must match")


def test_what_was_received_is_cut_short(tmp_path: Path) -> None:
    assert len(told(tmp_path, f"{MINIMAL}capital: {'x' * 10_000}\n")[0]) < 150


class TestFolder:
    """Many files."""

    def test_strategies_come_by_name(self, tmp_path: Path) -> None:
        write(tmp_path, MINIMAL.replace("mine", "beta"), "1.yaml")
        write(tmp_path, MINIMAL.replace("mine", "alpha"), "2.yml")
        write(tmp_path, "not for us", "notes.txt")
        write(tmp_path, "not: ready", ".draft.yaml")

        assert [each.spec.name for each in load_strategies(tmp_path)] == ["alpha", "beta"]

    def test_a_name_that_is_taken_is_refused(self, tmp_path: Path) -> None:
        first = write(tmp_path, MINIMAL, "a.yaml")
        second = write(tmp_path, f"# a copy\n{MINIMAL}", "b.yaml")

        with pytest.raises(InvalidStrategy) as caught:
            load_strategies(tmp_path)

        assert str(caught.value) == f"{second}:2: name: mine is taken by {first}"

    def test_faults_of_all_files_come_at_once(self, tmp_path: Path) -> None:
        write(tmp_path, "", "a.yaml")
        write(tmp_path, MINIMAL, "b.yaml")
        write(tmp_path, f"{MINIMAL}capital: no\n", "c.yaml")

        with pytest.raises(InvalidStrategy) as caught:
            load_strategies(tmp_path)

        assert str(caught.value) == (
            f"{tmp_path / 'a.yaml'}:1: is empty: a strategy must be a mapping\n"
            f'{tmp_path / "c.yaml"}:5: capital: must be a number, was "no"'
        )

    def test_a_folder_that_is_not_there_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidStrategy, match=r"must be a folder.*No such file"):
            load_strategies(tmp_path / "nowhere")

    def test_a_file_is_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidStrategy, match=r"must be a folder.*Not a directory"):
            load_strategies(write(tmp_path, MINIMAL))

    def test_a_folder_without_strategies_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(
            InvalidStrategy, match=r"has no strategy; each is a file ending"
        ):
            load_strategies(tmp_path)

    def test_a_file_that_is_not_there_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidStrategy, match="can't be read: No such file"):
            load_strategy(tmp_path / "nowhere.yaml")


def test_a_fault_found_later_still_has_its_line(tmp_path: Path) -> None:
    text = MINIMAL.replace("{kind: rules, rule: trend}", "\n  kind: rules\n  rule: trend\n")
    strategy = load_strategy(write(tmp_path, text))

    refusal = strategy.refusal([Fault(("analyst", "rule"), "no such rule")])

    assert str(refusal) == f"{strategy.path}:6: analyst.rule: no such rule"


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_a_strategy_or_refused_in_our_words(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("any") / "any.yaml"
    path.write_bytes(text.encode(errors="surrogatepass"))

    with pytest.raises(InvalidStrategy, match=r"any\.yaml:\d+: "):
        load_strategy(path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(deadline=None)
@given(
    key=st.sampled_from(
        ["name", "universe", "start", "capital", "analyst", "sizing", "risk", "charts"]
    ),
    value=VALUES,
)
def test_any_value_is_taken_or_refused_by_its_key(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: object
) -> None:
    content = yaml.safe_load(MINIMAL) | {"start": "2020-01-02", key: value}
    path = tmp_path_factory.mktemp("any") / "any.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")

    try:
        load_strategy(path)
    except InvalidStrategy as error:
        lines = str(error).splitlines()
        assert all(f": {key}" in line or "not allowed" in line for line in lines), lines


class TestPackaged:
    """The two that everybody begins with."""

    def test_they_load(self) -> None:
        names = [each.spec.name for each in load_strategies(PACKAGED)]

        assert names == ["breakout", "trend_following"]

    def test_one_has_legs_and_one_has_not(self) -> None:
        brackets = [each.spec.execution.bracket for each in load_strategies(PACKAGED)]

        assert brackets == [False, True]

    def test_they_trade_the_same_ten_symbols_under_the_default_limits(self) -> None:
        first, second = (each.spec for each in load_strategies(PACKAGED))

        assert first.universe == second.universe
        assert len(first.universe) == 10
        assert first.risk == second.risk == type(first.risk)()


class TestJsonSchema:
    """What editors know."""

    def test_it_knows_every_key_of_what_is_packaged(self) -> None:
        schema = json_schema()

        for strategy in load_strategies(PACKAGED):
            content = yaml.safe_load(strategy.path.read_text(encoding="utf-8"))
            assert content.keys() <= schema["properties"].keys()

    def test_it_allows_no_other_key_and_needs_four(self) -> None:
        schema = json_schema()

        assert schema["additionalProperties"] is False
        assert schema["required"] == ["name", "universe", "start", "analyst"]

    def test_it_tells_bounds_and_choices(self) -> None:
        parts = json_schema()["$defs"]

        assert parts["FixedShares"]["properties"]["shares"]["exclusiveMinimum"] == 0
        assert parts["Dividends"]["enum"] == ["cash", "ignore"]

    def test_it_tells_what_keys_mean(self) -> None:
        schema = json_schema()

        assert schema["properties"]["capital"]["description"] == (
            "What its book starts with, account currency."
        )
        assert (
            schema["$defs"]["Execution"]["description"] == "Where and how orders are sent."
        )

    def test_it_tells_what_inherited_keys_mean(self) -> None:
        parts = json_schema()["$defs"]

        for kind in ("LlmAnalyst", "PanelAnalyst", "AutogenAnalyst"):
            for name, own in parts[kind]["properties"].items():
                assert own.get("description"), f"{kind}.{name}"
        assert parts["PanelAnalyst"]["description"].startswith("Several turns")

    def test_a_rules_parameters_hold_where_it_is_named(self) -> None:
        days = {"type": "integer", "minimum": 2}
        schema = json_schema({"mine": {"type": "object", "properties": {"days": days}}})

        analyst = schema["$defs"]["RulesAnalyst"]

        assert analyst["properties"]["rule"]["examples"] == ["mine"]
        assert analyst["allOf"][0]["if"]["properties"]["rule"] == {"const": "mine"}
        assert analyst["allOf"][0]["then"] == {"properties": {"days": days}}


def test_a_docstring_is_taken_apart() -> None:
    text = "What.\n\nArgs:\n    a: One\n        more.\n    b: Two.\n\nReturns:\n    It."

    assert described(text, "Args") == (
        "What.\n\nReturns:\n    It.",
        {"a": "One more.", "b": "Two."},
    )
