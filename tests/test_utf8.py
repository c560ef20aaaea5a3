"""Output is UTF-8 under an ASCII locale, in commands, flows and the processes that they start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = "8×8 – café कि \N{ROCKET}"
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "", "PYTHONCOERCECLOCALE": "0"}


def told(code: str, **environment: str) -> bytes:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


@pytest.mark.parametrize(
    "environment", [ASCII, {"PYTHONIOENCODING": "ascii"}, {**ASCII, "PYTHONIOENCODING": "ascii:strict"}]
)
def test_an_ascii_locale_gets_utf8_in_this_process_and_in_those_that_it_starts(
    environment: dict[str, str],
) -> None:
    inner = f"print({TEXT!a}, chr(0xdcff))"
    code = (
        "import subprocess, sys; from nas.utf8 import speak_utf8; speak_utf8()\n"
        f"{inner}; sys.stdout.flush(); subprocess.run([sys.executable, '-c', {inner!r}], check=True)"
    )
    assert told(code, **environment).decode("utf-8").splitlines() == [f"{TEXT} \\udcff"] * 2


def test_another_encoding_is_kept_and_lacks_some_letters() -> None:
    code = f"from nas.utf8 import speak_utf8; speak_utf8(); print({TEXT!a})"
    assert told(code, PYTHONIOENCODING="latin-1").decode("latin-1") == "8×8 ? café ?? ?\n"


@pytest.mark.parametrize(
    "start",
    ["from nas.cli import main\ntry: main(['--version'])\nexcept SystemExit: pass", "import flows"],
)
def test_commands_and_flows_begin_so(start: str) -> None:
    assert told(f"{start}\nprint({TEXT!a})", **ASCII).decode("utf-8").splitlines()[-1] == TEXT
