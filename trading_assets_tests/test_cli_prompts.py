"""What ``trading-assets prompts`` says."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from trading_assets.cli import main
from trading_assets.core.prompts import NAMES, PACKAGED, prompts_of, read_prompts
from trading_assets.strategies.loading import load_strategy

FILES = {
    "bold": "{kind: llm, model: openai/gpt-6-luna, prompts: own}",
    "quiet": "{kind: llm, model: openai/gpt-6-luna}",
    "arithmetic": "{kind: rules, rule: breakout}",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three strategies, one of which decides in its own words."""
    for name, analyst in FILES.items():
        (tmp_path / f"{name}.yaml").write_text(
            f"name: {name}\nuniverse: [AAPL]\nstart: 2024-01-02\nanalyst: {analyst}\n"
        )
    (tmp_path / "own").mkdir()
    text = (PACKAGED / "llm.j2").read_text().replace("decide.", "decide boldly.")
    (tmp_path / "own/llm.j2").write_text(text)
    monkeypatch.setenv("TRADING_STRATEGIES", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def said(*words: str) -> Result:
    return CliRunner().invoke(main, ["prompts", *words])


def test_every_prompt_is_listed_with_its_version() -> None:
    lines = said("list").output.splitlines()

    packaged = read_prompts(PACKAGED)
    assert [line.split()[0] for line in lines[1:-1]] == list(NAMES)
    for line in lines[1:-1]:
        name, version, *_, where = line.split()
        assert (version, where) == (packaged[name].version, "package")


def test_a_strategys_prompts_are_listed_with_the_version_of_them_all(folder: Path) -> None:
    output = said("list", "--strategy", "bold").output

    analyst = load_strategy(folder / "bold.yaml").spec.analyst
    assert output.endswith(
        f"bold: prompt version {prompts_of(analyst, folder).version}\n"  # type: ignore[arg-type]
    )
    assert str(folder / "own/llm.j2") in output
    assert "weekly" not in output


def test_a_prompt_is_shown_as_its_file_has_it(folder: Path) -> None:
    assert said("show", "llm").output == (PACKAGED / "llm.j2").read_text()
    assert (
        said("show", "llm", "--strategy", "bold").output
        == (folder / "own/llm.j2").read_text()
    )


def test_a_difference_is_shown_against_the_package_or_another_strategy(
    folder: Path,
) -> None:
    changed = ["-Your task: decide.\n", "+Your task: decide boldly.\n"]
    against_package = said("diff", "llm", "--strategy", "bold").output

    lines = against_package.splitlines(keepends=True)
    assert lines[:2] == [f"--- {PACKAGED}/llm.j2\n", f"+++ {folder}/own/llm.j2\n"]
    assert [line for line in lines[2:] if line[0] in "+-"] == changed
    other = said("diff", "llm", "--strategy", "bold", "--strategy", "quiet").output
    assert "-Your task: decide boldly.\n+Your task: decide.\n" in other
    assert said("diff", "llm", "--strategy", "quiet").output == ""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["show", "lmm"], "NAME must be a prompt, was lmm; did you mean llm? (allowed: "),
        (
            ["show", "daily", "--strategy", "bold"],
            "NAME must be a prompt of bold, was daily (allowed: system, briefing, llm, rep",
        ),
        (
            ["list", "--strategy", "nobody"],
            "--strategy must be one of arithmetic, bold, quiet, was nobody",
        ),
        (
            ["list", "--strategy", "arithmetic"],
            "--strategy must be one that asks a model, arithmetic asks rules",
        ),
        (
            ["diff", "llm", *["--strategy", "bold"] * 3],
            "--strategy must be given once or twice, was 3 times",
        ),
    ],
)
def test_what_there_is_none_of_is_refused(words: list[str], expected: str) -> None:
    result = said(*words)

    assert result.exit_code == 2
    assert expected in result.output


def test_a_broken_prompt_is_refused_with_its_line(folder: Path) -> None:
    (folder / "own/llm.j2").write_text("\n{{ compnay }}")

    result = said("list", "--strategy", "bold")

    assert result.exit_code == 2
    assert f"{folder}/own/llm.j2:2: compnay is no variable" in result.output
