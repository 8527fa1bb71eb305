from pathlib import Path

import pytest

from trading_assets.core.rule_modules import registered
from trading_assets.core.source_hash import source_hash
from trading_assets.errors import InvalidStrategy

MODULE = '''"""A rule with a helper, a constant and a class."""
from functools import cache
from trading_assets.core.opinions import Opinions
from trading_assets.core.rules import rule

LIMIT = 10.0
UNRELATED = 1


class Band:
    width = 2


def unrelated():
    return 1


@cache
def helper(close):
    # the heart of it
    return close > LIMIT + Band.width


@rule(indicators=lambda: needs())
def mine(views):
    """Long above the limit."""
    buy = [helper(close) for close in views.close]
    return Opinions.of(views, buy=buy, sell=[not each for each in buy], reason=str)


def needs():
    return ("sma_5",)
'''


def hash_of(folder: Path, text: str) -> str:
    (folder / "mine.py").write_text(text)
    return registered("mine", "mine.py", folder).version_hash


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("views.close]", "views.open]", id="its own source"),
        pytest.param("close > LIMIT", "close >= LIMIT", id="a helper"),
        pytest.param("LIMIT = 10.0", "LIMIT = 11.0", id="a constant that a helper names"),
        pytest.param("width = 2", "width = 3", id="a class that a helper names"),
        pytest.param('"sma_5"', '"sma_6"', id="what it needs"),
    ],
)
def test_whatever_an_opinion_follows_from_changes_the_hash(
    tmp_path: Path, before: str, after: str
) -> None:
    original = hash_of(tmp_path, MODULE)

    assert MODULE.count(before) == 1
    assert hash_of(tmp_path, MODULE.replace(before, after)) != original


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("# the heart of it", "# something else", id="a comment"),
        pytest.param("Long above the limit.", "Above the limit.", id="a docstring"),
        pytest.param("[helper(close) for", "[ helper( close )  for", id="layout"),
        pytest.param("UNRELATED = 1", "UNRELATED = 2", id="another constant"),
        pytest.param("return 1", "return 2", id="another function"),
        pytest.param("LIMIT = 10.0\n", "\n\n\nLIMIT = 10.0\n", id="where it stands"),
    ],
)
def test_what_changes_no_opinion_changes_no_hash(
    tmp_path: Path, before: str, after: str
) -> None:
    original = hash_of(tmp_path, MODULE)

    assert MODULE.count(before) == 1
    assert hash_of(tmp_path, MODULE.replace(before, after)) == original


def test_the_file_it_stands_in_is_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()

    assert hash_of(tmp_path, MODULE) == hash_of(tmp_path / "elsewhere", MODULE)


def test_a_function_without_a_file_is_refused() -> None:
    scope: dict[str, object] = {}
    exec("def homeless(views): return views", scope)  # noqa: S102 - that is the point

    with pytest.raises(InvalidStrategy, match="homeless must stand in a file"):
        source_hash([scope["homeless"]])  # type: ignore[list-item]
