import sys
from pathlib import Path

import pytest

from trading_assets.core.rule_modules import registered, rules_of
from trading_assets.errors import InvalidStrategy

HEADER = """from trading_assets.core.opinions import Opinions
from trading_assets.core.rules import rule
"""
MINE = f"""{HEADER}
@rule()
def mine(views, *, level: float = 5.0):
    return Opinions.of(views, buy=views.close > level, sell=views.close < level, reason=str)
"""


def write(folder: Path, text: str) -> str:
    (folder / "mine.py").write_text(text)
    return "mine.py"


def refusal(name: str, module: str | None = None, base: Path | None = None) -> str:
    with pytest.raises(InvalidStrategy) as caught:
        registered(name, module, base)
    return str(caught.value)


def test_three_rules_come_with_the_package() -> None:
    assert sorted(rules_of()) == ["breakout", "sma_cross", "trend"]


def test_an_unknown_rule_is_refused_with_the_nearest_and_all_others() -> None:
    assert refusal("brakeout") == (
        "no rule brakeout in the package; did you mean breakout? "
        "(known: breakout, sma_cross, trend)"
    )


def test_a_rule_is_found_in_a_file_beside_the_strategy(tmp_path: Path) -> None:
    found = registered("mine", write(tmp_path, MINE), tmp_path)

    assert found.bound({}).parameters == {"level": 5.0}


def test_a_rule_is_found_in_a_dotted_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rules_of_a_friend.py").write_text(MINE)
    monkeypatch.syspath_prepend(str(tmp_path))

    assert registered("mine", "rules_of_a_friend").name == "mine"


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    before = registered("mine", write(tmp_path, MINE), tmp_path)
    after = registered("mine", write(tmp_path, MINE.replace("5.0", "6.0")), tmp_path)

    assert before.bound({}).parameters == {"level": 5.0}
    assert after.bound({}).parameters == {"level": 6.0}


def test_a_file_that_did_not_change_is_imported_once(tmp_path: Path) -> None:
    first = registered("mine", write(tmp_path, MINE), tmp_path)

    assert registered("mine", "mine.py", tmp_path) is first


def test_nothing_is_left_beside_the_file(tmp_path: Path) -> None:
    registered("mine", write(tmp_path, MINE), tmp_path)

    assert [each.name for each in tmp_path.iterdir()] == ["mine.py"]


def test_two_folders_may_have_a_file_of_the_same_name(tmp_path: Path) -> None:
    for folder, level in (("a", "1.0"), ("b", "2.0")):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, MINE.replace("5.0", level))

    levels = [
        registered("mine", "mine.py", tmp_path / folder).bound({}).parameters["level"]
        for folder in "ab"
    ]

    assert levels == [1.0, 2.0]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("def broken(:\n    pass\n", 1, "SyntaxError: invalid syntax"),
        (f"{HEADER}\nLEVEL = nowhere\n", 4, "NameError: name 'nowhere' is not defined"),
        ("import no_such_package\n", 1, "ModuleNotFoundError: No module named"),
        ("1 / 0\n", 1, "ZeroDivisionError: division by zero"),
        (f"{HEADER}\n@rule()\ndef mine(views, level=5):\n    pass\n", 4, "keyword-only"),
    ],
)
def test_a_file_that_fails_is_refused_with_its_line(
    tmp_path: Path, text: str, line: int, message: str
) -> None:
    told = refusal("mine", write(tmp_path, text), tmp_path)

    assert told.startswith(f"{tmp_path / 'mine.py'}:{line}: ")
    assert message in told


def test_a_file_that_failed_is_no_module(tmp_path: Path) -> None:
    before = set(sys.modules)

    refusal("mine", write(tmp_path, "import no_such_package\n"), tmp_path)

    assert set(sys.modules) == before


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert refusal("mine", "mine.py", tmp_path) == (
        f"{tmp_path / 'mine.py'}: can't be read: No such file or directory"
    )


def test_a_module_that_is_not_there_is_refused() -> None:
    told = refusal("mine", "no_such_module")

    assert told.startswith("module no_such_module can't be imported: ")
    assert "No module named 'no_such_module'" in told


def test_a_packaged_rule_is_not_looked_for_elsewhere(tmp_path: Path) -> None:
    told = refusal("trend", write(tmp_path, MINE), tmp_path)

    assert "it is a packaged one: leave module out (known: mine)" in told


def test_a_module_without_rules_says_so(tmp_path: Path) -> None:
    assert "(known: none)" in refusal("mine", write(tmp_path, "X = 1\n"), tmp_path)


def test_two_rules_of_one_name_are_refused(tmp_path: Path) -> None:
    again = MINE + MINE.replace(HEADER, "").replace(
        "@rule()", '@rule(name="mine")'
    ).replace("def mine", "def other")

    assert refusal("mine", write(tmp_path, again), tmp_path) == (
        "mine.py: two rules are called mine"
    )


def test_types_known_to_checkers_alone_are_no_trouble(tmp_path: Path) -> None:
    text = f"""from __future__ import annotations
from typing import TYPE_CHECKING
{HEADER}
if TYPE_CHECKING:
    from trading_assets.core.views import Views

@rule()
def mine(views: Views, *, level: int = 5) -> Opinions:
    return Opinions.of(views, buy=views.close > level, sell=views.close < level, reason=str)
"""

    assert registered("mine", write(tmp_path, text), tmp_path).faults({"level": "5"})
