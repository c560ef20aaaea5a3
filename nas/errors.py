"""The errors that nasflow raises, one class for each thing that a caller can do about them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_SHOWN = 200
"""Characters of a refused value that an error shows; a value may be as large as a file."""

_LONG_WORD = re.compile(r"\S{1001,}")
"""Longer than a path: a value too."""

_MESSAGE = 2000
"""Characters of an error's whole message."""


class NasError(Exception):
    """Root of every error that nasflow raises on purpose."""

    def __str__(self) -> str:
        words = _LONG_WORD.sub(lambda word: cut(word[0], _SHOWN), super().__str__())
        before, received, value = words.partition("Received: ")
        return cut(before + received + cut(value, _SHOWN), _MESSAGE)


class InputError(NasError):
    """Fix the input: a configuration, an argument or an architecture is not allowed.

    The message says what is wrong with which value, what is allowed, and what to do.
    """


class DataError(InputError):
    """Fix the data: a file is missing, damaged or not what it was declared to be."""


class TemporaryError(NasError):
    """Try again later: something outside is busy or unreachable; nothing was lost."""


class RefusedError(NasError):
    """Mend what is refused: something outside was reached and does not take what it was given."""


class RecordLockedError(TemporaryError):
    """Another process holds this search's record; the message names its process id."""


class ChildError(NasError):
    """Give this child up; the search goes on."""


class SearchError(NasError):
    """Stop the search: going on would damage its record or can't lead anywhere."""


def cut(text: str, longest: int) -> str:
    """The beginning of a text that is longer, and how much is left out.

    Example:
        >>> cut("abcdefgh", 3)
        'abc… (5 more characters)'
    """
    more = len(text) - longest
    return text if more <= 0 else f"{text[:longest]}… ({more:,} more characters)"


def printable(text: str) -> str:
    """`text` without what a terminal or a page would act upon: control characters and halves of characters.

    Example:
        >>> printable("red\\x1b[31m and\\nmore")
        'red�[31m and�more'
    """
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def nearest(name: str, valid: Iterable[str]) -> str:
    """A hint naming the valid name nearest to `name`, ready to be put into an error message.

    Example:
        >>> nearest("fliters", ["filters", "depth"])
        "did you mean 'filters'?"
        >>> nearest("zzz", ["filters", "depth"])
        'allowed: depth, filters'
        >>> nearest("zzz", [])
        'none is allowed'
    """
    names = sorted(valid)
    if not names:
        return "none is allowed"
    close = difflib.get_close_matches(name[:_SHOWN], names, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else "allowed: " + ", ".join(names)
