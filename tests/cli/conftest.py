"""A workspace with a tiny experiment over a list of networks, and the command in this process or another."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nas import datasets
from nas.cli import main
from nas.experiment import Data
from nas.workspace import Workspace
from tests.making import write_experiment

ROOT = Path(__file__).parents[2]
NETS = ("conv:3x3x4@0", "conv:1x3x4@0,3x3x8@0+1", "conv:3x1x8@0", "conv:1x1x8@0", "conv:3x3x8@0")
ENTRIES = [{"architecture": NETS[number % len(NETS)]} for number in range(64)]


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str


Nas = Callable[..., Outcome]
Write = Callable[..., Path]


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = Workspace(tmp_path_factory.mktemp("digits"))
    return datasets.prepare(Data(source="digits"), workspace).folder


@pytest.fixture
def workspace(tmp_path: Path, digits: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """With the data prepared, and the variable that leads commands here."""
    workspace = Workspace(tmp_path)
    shutil.copytree(digits, workspace.prepared("digits"))
    monkeypatch.setenv("NAS_HOME", str(tmp_path))
    return workspace


@pytest.fixture
def write(workspace: Workspace) -> Write:
    """Writes the experiment `tiny` or another one: `write("name", budget__children=4)`."""

    def write(name: str = "tiny", **changes: Any) -> Path:
        listed = {"name": "list", "entries": ENTRIES}
        return write_experiment(workspace.root, name, **{"controller": listed, **changes})

    return write


@pytest.fixture
def nas(capsys: pytest.CaptureFixture[str]) -> Nas:
    """Runs the command in this process."""

    def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(arguments)
        written = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return Outcome(end.value.code, written.out, written.err)

    return run


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the command in a process of its own, which is gone when the test ends."""
    begun: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", "from nas.cli import main; main()", *arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        begun.append(process)
        return process

    yield start
    for process in begun:
        with process:
            process.kill()
