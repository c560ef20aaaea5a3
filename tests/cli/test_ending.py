"""Every command ends with the right exit code and, on wrong input, with one sentence."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from nas.cli import main, search
from nas.cli.app import app
from nas.cli.process import Stopped, ends_on_signals
from nas.errors import SearchError
from nas.search.record import Record
from nas.workspace import Workspace
from tests.cli.conftest import ROOT, Nas, Write

COMMANDS = [str(info.name) for info in app.registered_commands]


def test_help_names_every_command(nas: Nas) -> None:
    ended = nas("--help")
    assert ended.code == 0
    expected = [
        "data",
        "search",
        "status",
        "top",
        "show",
        "finalize",
        "evaluate",
        "scale",
        "transfer",
        "track",
        "serve",
        "report",
        "compare",
        "summary",
        "doctor",
    ]
    assert expected == COMMANDS
    assert all(f" {name} " in ended.out for name in expected)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_teaches_by_an_example(nas: Nas, command: str) -> None:
    ended = nas(command, "--help")
    assert ended.code == 0
    text = ended.out[ended.out.index("Examples:") :]
    assert f"nas {command}" in text


def test_the_version_is_told(nas: Nas) -> None:
    assert nas("--version").out.startswith("nasflow 0.")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["serch"], "No such command 'serch'. Did you mean 'search', 'serve'; see `nas --help`"),
        (["top"], "Missing argument 'EXPERIMENT'; see `nas top --help`"),
        (["search", "tiny", "--childs", "3"], "No such option: --childs (Possible options: --children)"),
        (["search", "tiny", "--children", "0"], "Invalid value for '--children'"),
        (["search", "tiny", "--hours", "0"], "--hours must be more than 0. Received: 0"),
        (["search", "tiny", "--hours", "nan"], "--hours must be more than 0. Received: nan"),
        (["search", "tiny", "--set", "recipe.epoch=3"], "'epoch' of recipe 'image': did you mean 'epochs'?"),
        (["search", "tiny", "--set", "epochs"], "a setting is written key=value"),
        (["search", "tinny"], "did you mean 'tiny'?"),
        (["data", "digit"], "no experiment and no source of data is named 'digit': did you mean 'digits'?"),
        (["top", "tiny"], "the search 'tiny' (seed 7) was not begun yet: `nas search tiny` begins it"),
        (["status", "tiny"], "'tiny' was not begun yet: `nas search tiny` begins it"),
        (["status", "other"], "no search is named 'other' (none was begun here)"),
        (["show", "0"], "name the experiment of the child"),
        (["show", "vgg"], "an architecture begins with its kind"),
        (["show", "conv:3x3@0"], "'3x3@0' is not a layer"),
        (["finalize", "tiny"], "was not begun yet"),
        (["evaluate", "tiny"], "'tiny' has no winner yet: `nas finalize tiny` chooses one"),
        (["track", "tiny"], "was not begun yet"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(
    nas: Nas, write: Write, arguments: list[str], sentence: str
) -> None:
    write()
    ended = nas(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert sentence in ended.err
    assert ended.err.startswith("nas: ")
    assert ended.err.count("\n") == 1


def test_a_record_that_is_held_is_exit_code_75_and_names_the_holder(
    nas: Nas, write: Write, workspace: Workspace
) -> None:
    write(budget={"children": 1})
    nas("search", "tiny", "--no-track")
    (path,) = workspace.state.glob("*/record.sqlite")
    with Record.read(path) as record:
        definition = record.definition
    with Record.hold(path, definition):
        ended = nas("search", "tiny", "--no-track")
    assert ended.code == 75
    assert "is working on this search" in ended.err


def test_another_error_of_ours_is_exit_code_1(
    nas: Nas, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise SearchError("it can't go on")

    write()
    monkeypatch.setattr(search, "open_search", broken)
    ended = nas("search", "tiny", "--no-track")
    assert (ended.code, ended.err) == (1, "nas: it can't go on\n")


def test_an_error_that_nobody_expected_keeps_its_traceback(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    write()
    monkeypatch.setattr(search, "open_search", broken)
    with pytest.raises(ZeroDivisionError):
        main(["search", "tiny", "--no-track"])


def test_only_the_first_signal_interrupts() -> None:
    before = signal.getsignal(signal.SIGTERM)
    closed = False

    def work() -> None:
        nonlocal closed
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            closed = True

    with pytest.raises(Stopped) as stop, ends_on_signals():
        work()
    assert closed
    assert stop.value.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_early_signal_ends_the_command_without_a_traceback() -> None:
    script = (
        "import signal, sys\n"
        "class Early:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'typer':\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Early())\n"
        "from nas.cli import main\n"
        "main(['status'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "Stopped. `nas status` goes on from here.\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_search_leaves_no_process_and_goes_on(
    nas: Nas,
    write: Write,
    workspace: Workspace,
    tmp_path: Path,
    start: Callable[..., subprocess.Popen[str]],
    number: signal.Signals,
    code: int,
) -> None:
    write(budget={"children": 4}, evaluator__trainer="tests.fakes:hang")
    notes = tmp_path / "trainings"
    process = start("search", "tiny", "--no-track", NAS_TEST_TRAININGS=str(notes))
    while not notes.exists() or notes.read_text().count("pid") < 2:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert "tiny, seed 7: 0 of 4 children are there" in out
    assert err == "Stopped. `nas search tiny --no-track` goes on from here.\n"
    for line in notes.read_text().splitlines():
        assert not psutil.pid_exists(int(line.split()[1]))
    state = nas("status").out
    assert "0/4" in state
    assert "rests" in state
    write(budget={"children": 4})
    assert nas("search", "tiny", "--no-track").code == 0
