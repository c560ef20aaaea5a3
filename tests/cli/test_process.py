"""Whoever reads standard output may leave: nothing is said of it, by whatever library it is written."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.cli.conftest import ROOT

WRITERS = {
    "typer": "typer.echo('x' * 100)",
    "rich": "screen().print('x' * 100)",
    "print": "print('x' * 100)",
    "print whole": "print('x' * 100, flush=True)",
    "bytes": "sys.stdout.buffer.write(b'x' * 100_000)",
    "a thread": "t = threading.Thread(target=typer.echo, args=('x',)); t.start(); t.join()",
}


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_output_without_a_reader_goes_nowhere(writer: str, unbuffered: str) -> None:
    script = (
        "import sys, threading, typer\nfrom nas.cli.common import screen\n"
        "from nas.cli.process import outlive_reader\noutlive_reader()\n"
        f"for _ in range(3):\n    {writer}\n"
        "print('the last words, not flushed')\nsys.stderr.write('end')\n"
    )
    reader, writer_end = os.pipe()
    os.close(reader)
    with os.fdopen(writer_end, "w") as broken:
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=broken,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (0, "end")


def test_output_that_is_read_stays_whole_and_keeps_its_encoding() -> None:
    script = (
        "import sys\nfrom nas.cli.process import outlive_reader\n"
        "before = sys.stdout\nprint('first')\noutlive_reader()\n"
        "same = ('encoding', 'errors', 'line_buffering', 'write_through')\n"
        "assert sys.stdout is not before\n"
        "assert all(getattr(sys.stdout, name) == getattr(before, name) for name in same)\n"
        "print('zweite – Zeile\\n' * 10_000, end='')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "utf-16-le:replace"},
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode("utf-16-le") == "first\n" + "zweite – Zeile\n" * 10_000


def test_output_that_python_leaves_unbuffered_stays_so() -> None:
    script = (
        "import os\nfrom nas.cli.process import outlive_reader\noutlive_reader()\n"
        "print('at once', end='')\nos._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-u", "-c", script], cwd=ROOT, capture_output=True, timeout=60)
    assert done.stdout == b"at once"
