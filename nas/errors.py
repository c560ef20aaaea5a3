"""The errors that nasflow raises, one class for each thing that a caller can do about them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NasError(Exception):
    """Root of every error that nasflow raises on purpose."""


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
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else "allowed: " + ", ".join(names)
