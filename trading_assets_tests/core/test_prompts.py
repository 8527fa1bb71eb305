import re
from pathlib import Path
from typing import Any

import pytest

from trading_assets.core.prompts import (
    AUTOGEN,
    NAMES,
    PACKAGED,
    VARIABLES,
    WITH_TOOLS,
    Prompts,
    names_for,
    prompts_of,
    read_prompts,
)
from trading_assets.errors import InvalidPrompt
from trading_assets_tests.core.briefings import autogen_analyst, llm, panel_analyst

ANALYSTS = [
    make(blind=blind, sees=sees, **more)
    for make, more in ((llm, {}), (panel_analyst, {"debate": True}), (autogen_analyst, {}))
    for blind in (True, False)
    for sees in (["charts", "table"], ["charts"], ["table"])
]
TOOLS: dict[str, Any] = {
    "blind": False,
    "module": "tools.py",
    "fundamental": ["earnings"],
    "sentiment": ["news"],
}
ANALYSTS.append(autogen_analyst(**TOOLS))
BLIND_CONTEXT: dict[str, Any] = {"symbol": "STOCK", "blind": True}


def own(folder: Path, **texts: str | bytes) -> Path:
    """A folder of a strategy file with prompts beside it."""
    (folder / "mine").mkdir()
    for name, text in texts.items():
        raw = text if isinstance(text, bytes) else text.encode()
        (folder / "mine" / f"{name}.j2").write_bytes(raw)
    return folder


def refusal(folder: Path, **told: Any) -> str:
    """What prompts of *folder* are refused with, without the folder's own path."""
    with pytest.raises(InvalidPrompt) as caught:
        prompts_of(llm(prompts="mine", **told), folder)
    return str(caught.value).replace(f"{folder / 'mine'}/", "")


def test_the_package_has_every_prompt() -> None:
    assert set(read_prompts(PACKAGED)) == set(NAMES)


@pytest.mark.parametrize("analyst", ANALYSTS, ids=str)
def test_every_analyst_can_be_asked_with_the_packages_prompts(
    analyst: Any, tmp_path: Path
) -> None:
    assert tuple(prompts_of(analyst, tmp_path).prompts) == names_for(analyst)


def test_each_kind_uses_its_own() -> None:
    assert names_for(llm()) == ("system", "briefing", "llm", "repair")
    assert set(names_for(panel_analyst())) == set(NAMES) - {"llm", "bull", "bear", *AUTOGEN}
    assert set(names_for(panel_analyst(debate=True))) == set(NAMES) - {"llm", *AUTOGEN}
    common = {"system", "briefing", "earlier", "repair"}
    assert set(names_for(autogen_analyst())) == common | set(AUTOGEN) - set(WITH_TOOLS)
    assert set(names_for(autogen_analyst(**TOOLS))) == common | set(AUTOGEN)


def test_nothing_in_the_package_asks_a_blind_model_for_a_date_or_a_company() -> None:
    for prompt in read_prompts(PACKAGED).values():
        blind = re.sub(r"{% else %}.*?{% endif %}", "", prompt.text, flags=re.DOTALL)
        assert not re.search(r"\b(19|20)\d\d\b|session }}|company", blind), prompt.name


# Versions


def test_a_version_is_that_of_the_texts(tmp_path: Path) -> None:
    packaged = prompts_of(llm(), tmp_path).version
    changed = prompts_of(llm(prompts="mine"), own(tmp_path, llm="Decide."))
    back = PACKAGED / "llm.j2"

    assert re.fullmatch(r"[0-9a-f]{12}", packaged)
    assert changed.version != packaged
    (tmp_path / "mine/llm.j2").write_bytes(back.read_bytes())
    assert prompts_of(llm(prompts="mine"), tmp_path).version == packaged


def test_lines_that_end_as_windows_ends_them_are_the_same_prompt(tmp_path: Path) -> None:
    windows = (PACKAGED / "llm.j2").read_bytes().replace(b"\n", b"\r\n")
    mine = prompts_of(llm(prompts="mine"), own(tmp_path, llm=b"\xef\xbb\xbf" + windows))

    assert mine.version == prompts_of(llm(), tmp_path).version


def test_a_prompt_that_is_not_used_is_no_part_of_the_version(tmp_path: Path) -> None:
    folder = own(tmp_path, bull="Shout.")

    for analyst, same in ((llm, True), (panel_analyst, True)):
        mine = prompts_of(analyst(prompts="mine"), folder).version
        assert (mine == prompts_of(analyst(), folder).version) is same
    loud = prompts_of(panel_analyst(prompts="mine", debate=True), folder)
    assert loud.version != prompts_of(panel_analyst(debate=True), folder).version


# Own prompts


def test_own_prompts_win_and_the_rest_is_the_packages(tmp_path: Path) -> None:
    mine = prompts_of(llm(prompts="mine"), own(tmp_path, llm="Decide on {{ symbol }}."))

    assert mine.render("llm", BLIND_CONTEXT) == "Decide on STOCK."
    assert not mine.prompts["llm"].is_packaged
    assert mine.prompts["system"].is_packaged


def test_own_prompts_may_include_those_of_their_set(tmp_path: Path) -> None:
    folder = own(tmp_path, llm="a {% include 'briefing.j2' %}", briefing="b {{ symbol }}")

    assert prompts_of(llm(prompts="mine"), folder).render("llm", BLIND_CONTEXT) == (
        "a b STOCK"
    )


def test_files_that_begin_with_a_dot_are_left_alone(tmp_path: Path) -> None:
    folder = own(tmp_path, llm="Decide.")
    (folder / "mine/.DS_Store").touch()

    assert prompts_of(llm(prompts="mine"), folder).render("llm", {}) == "Decide."


def test_a_file_that_is_no_prompt_is_named(tmp_path: Path) -> None:
    folder = own(tmp_path, lmm="Decide.", notes="")

    lines = refusal(folder).splitlines()
    assert lines[0].startswith("lmm.j2: is no prompt; did you mean llm.j2? (allowed: sys")
    assert lines[1].startswith("notes.j2: is no prompt (allowed: ")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    told = refusal(tmp_path)

    assert told.endswith("mine: must be a folder of prompts: No such file or directory")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n{% if blind %}", "llm.j2:2: Unexpected end of template"),
        ("a\n\n{{ sybmol }}", "llm.j2:3: sybmol is no variable; did you mean symbol? (all"),
        (
            "{% if not blind %}\n{{ day }}{% endif %}",
            "llm.j2:2: day is no variable (allowed",
        ),
        ("{{ session }}", "llm.j2:1: 'session' is undefined"),
        ("\n{{ limits.entry }}", "llm.j2:2: 'dict object' has no attribute 'entry'"),
        ("{{ symbol | shout }}", "llm.j2:1: No filter named 'shout'."),
        ("{{ [1] | random }}", "llm.j2:1: No filter named 'random'."),
        ("{{ lipsum() }}", "llm.j2:1: lipsum is no variable (allowed: "),
        ("{{ 1 / 0 }}", "llm.j2:1: division by zero"),
        (
            "{% include 'decision.j2' %}",
            "llm.j2:1: there is no prompt decision.j2 here; has ",
        ),
        ("{% include 'llm.j2' %}", "llm.j2:1: maximum recursion depth exceeded"),
        (b"a\n\xff", "llm.j2:2: must be UTF-8, has the byte 0xff"),
        (
            "{{ ''.__class__ }}",
            "llm.j2:1: access to attribute '__class__' of 'str' object is",
        ),
        ("{{ earlier.append(1) }}", "llm.j2:1: access to attribute 'append' of 'list'"),
        ("{{ range(999999999) }}", "llm.j2:1: Range too big."),
    ],
)
def test_a_broken_prompt_is_refused_with_file_and_line(
    text: str | bytes, expected: str, tmp_path: Path
) -> None:
    assert refusal(own(tmp_path, llm=text)).startswith(expected)


def test_every_broken_prompt_is_told_at_once(tmp_path: Path) -> None:
    folder = own(tmp_path, llm="{{ x }}", system="\n{{ y }}")

    assert [line.split(" ")[0] for line in refusal(folder).splitlines()] == [
        "system.j2:2:",
        "llm.j2:1:",
    ]


def test_a_fault_of_what_is_included_is_told_where_it_is(tmp_path: Path) -> None:
    folder = own(tmp_path, llm="{% include 'repair.j2' %}", repair="\n{{ limits.x }}")

    assert refusal(folder).startswith("repair.j2:2: ")


def test_what_only_some_briefings_break_is_refused_when_it_is_filled_in() -> None:
    broken = Prompts(read_prompts(PACKAGED))

    with pytest.raises(InvalidPrompt, match=r"system\.j2:\d+: 'blind' is undefined"):
        broken.render("system", {"sees_charts": True, "sees_table": True})


def test_a_named_strategy_may_use_the_session(tmp_path: Path) -> None:
    folder = own(tmp_path, llm="On {{ session }}.")

    prompts_of(llm(prompts="mine", blind=False), folder)
    assert "'session' is undefined" in refusal(folder)


def test_every_variable_is_known_to_some_prompt() -> None:
    texts = "".join(prompt.text for prompt in read_prompts(PACKAGED).values())
    unused = {name for name in VARIABLES if not re.search(rf"\b{name}\b", texts)}

    assert unused == {"table_bars"}
