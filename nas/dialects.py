"""Where DVC reads a YAML file otherwise than we do: it knows YAML 1.2 and is stricter in flow style."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nas.errors import cut
from nas.experiment import read_yaml

SHOWN = 100
"""Characters of a value that a sentence shows."""


def read_otherwise(path: Path) -> list[str]:
    """What of a YAML file DVC refuses or reads as another value, each in a sentence with what to write.

    We read YAML 1.1 (PyYAML), where `yes` is true, `010` is 8, `1:30` is 90 and `2026-01-01` a date.

    Raises:
        InputError: we can't read it either.
    """
    from ruamel.yaml import YAML  # what DVC reads with; only here, because it takes a while
    from ruamel.yaml.constructor import DuplicateKeyError
    from ruamel.yaml.error import YAMLError

    ours = read_yaml(path, "no YAML")
    try:
        dvcs = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (YAMLError, ValueError, LookupError, TypeError, AttributeError) as error:
        # the library meets values such as +_ with errors of Python's own
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        why = cut(getattr(error, "problem", None) or str(error).splitlines()[0], 2 * SHOWN)
        if isinstance(error, DuplicateKeyError):
            return [f"{where}: DVC can't read this ({why}); we take the last of them: leave only one"]
        return [f"{where}: DVC can't read this ({why}); quote texts that hold a colon, as in {{a: 'b:c'}}"]
    return [
        f"{path}: DVC reads {cut(key, SHOWN)} as {_shown(theirs)}, not as {_shown(own)}; "
        "write it in quotes, or in plain digits, or as true or false"
        for key, own, theirs in _unequal(ours, dvcs)
    ]


def _shown(value: Any) -> str:
    try:
        return cut(repr(value), SHOWN)
    except ValueError:  # Python writes no numbers of more than 4,300 digits
        return "a very long number"


def _unequal(ours: Any, theirs: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(ours, dict) and isinstance(theirs, dict) and len(ours) == len(theirs):
        for (name, own), (other, value) in zip(ours.items(), theirs.items(), strict=True):
            inner = f"{key}.{name}" if key else str(name)
            if not _same(name, other):
                yield f"the key {inner}", name, other
            else:
                yield from _unequal(own, value, inner)
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (own, value) in enumerate(zip(ours, theirs, strict=True)):
            yield from _unequal(own, value, f"{key}[{number}]")
    elif not _same(ours, theirs):
        yield key, ours, theirs


def _same(ours: Any, theirs: Any) -> bool:
    """`1e-3` is a text to us and a number to DVC: options take either for the same number."""
    if isinstance(ours, str) and isinstance(theirs, int | float) and not isinstance(theirs, bool):
        try:
            return float(ours) == float(theirs)
        except (ValueError, OverflowError):
            return False
    unknown = ours != ours and theirs != theirs  # both are NaN
    return unknown or (ours == theirs and isinstance(ours, bool) == isinstance(theirs, bool))
