"""What the README shows works: its commands, its example, its experiments and its templates."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
import typer
import yaml

from nas.cli import main
from nas.cli.app import app
from nas.experiment import load

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXPERIMENTS = sorted(path.stem for path in (ROOT / "experiments").glob("*.yaml"))
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
LINES = [line.strip() for language, block in BLOCKS if not language for line in block.splitlines()]
COMMANDS = [shlex.split(line, comments=True)[1:] for line in LINES if line.startswith("nas ")]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_exists_with_its_options_and_experiment(words: list[str]) -> None:
    command = typer.main.get_command(app).commands[words[0]]  # type: ignore[attr-defined]
    context = command.make_context(words[0], words[1:])
    named = context.params.get("experiment") or context.params.get("name")
    for name in named if isinstance(named, list | tuple) else [named]:
        assert not name or name in EXPERIMENTS, name


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_is_right_and_in_the_table(name: str) -> None:
    load(ROOT / "experiments" / f"{name}.yaml")
    rows = re.findall(r"^\| (`[^|]*) \|", README, re.MULTILINE)
    shown: set[str] = set()
    for row in rows:
        first, *others = re.findall(r"`([a-z0-9-]+)`", row)
        family = first.rpartition("-")[0]  # `cifar10-nas-v1`, `-v2`
        shown |= {first, *(f"{family}{other}" if other.startswith("-") else other for other in others)}
    assert name in shown


def test_the_example_in_python_runs() -> None:
    (code,) = (block for language, block in BLOCKS if language == "python")
    found: dict[str, object] = {}
    exec(code, found)
    assert found["model"].output_shape == (None, 1)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["my-images", "my-text"])
def test_a_template_says_what_to_change(name: str) -> None:
    text = (ROOT / "experiments" / f"{name}.yaml").read_text(encoding="utf-8")
    assert "CHANGE" in text.split("\n", 1)[1]


def test_the_template_for_text_goes_from_a_file_to_a_tested_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The README's commands, with smaller numbers."""
    monkeypatch.setenv("NAS_HOME", str(tmp_path))
    (tmp_path / "experiments").mkdir()
    (tmp_path / "data" / "raw").mkdir(parents=True)
    shutil.copyfile(ROOT / "LICENSE", tmp_path / "data" / "raw" / "my-text.txt")
    experiment = yaml.safe_load((ROOT / "experiments" / "my-text.yaml").read_text(encoding="utf-8"))
    experiment["recipe"] |= {"epochs": 1, "parameters": 20_000}
    experiment["evaluator"] = {"name": "train", "trainer": "tests.final.fakes:train_finals_only"}
    experiment["budget"] = {"children": 8}
    experiment["final"] |= {"top": 1, "recipe": {"epochs": 1}, "grid": {}}
    experiment["workers"] |= {"device": "cpu", "threads": 1, "slots": 2}
    (tmp_path / "experiments" / "my-text.yaml").write_text(yaml.safe_dump(experiment))
    for command in ("data", "search", "finalize", "evaluate"):
        own = [] if command == "data" else ["--no-track"]
        with pytest.raises(SystemExit) as ended:
            main([command, "my-text", *own])
        told = capsys.readouterr()
        assert ended.value.code == 0, told.err
    assert "perplexity" in told.out
    assert (tmp_path / "data" / "models" / "my-text" / "saved_model").is_dir()
