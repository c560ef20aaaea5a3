"""UTF-8 for all that is written, whatever the locale."""

from __future__ import annotations

import codecs
import io
import os
import sys


def speak_utf8() -> None:
    """From now on, this process and those that it starts write UTF-8, and nothing is unwritable.

    Our sentences have signs such as × and –, and users' names any letters: under an ASCII locale (LC_ALL=C
    without Python's UTF-8 mode, or PYTHONIOENCODING=ascii) printing them would end a command or a child. What
    has another encoding, such as Latin-1, keeps it, and gets a `?` for what it lacks. Lone surrogates, by
    which Python stands for the bytes of a file's name that are not UTF-8, are written escaped.
    """
    unicode = True
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper):
            continue
        if codecs.lookup(stream.encoding).name in ("ascii", "utf-8"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
        else:
            stream.reconfigure(errors="replace")
            unicode = False
    if unicode:
        os.environ["PYTHONIOENCODING"] = "utf-8:backslashreplace"
        os.environ["PYTHONUTF8"] = "1"
