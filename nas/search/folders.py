"""Folders that are whole or not there: what a pipeline's stage leaves behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nas.errors import InputError


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """An empty folder to write into, which takes the place of `folder` when the block ends well.

    Nobody ever finds half of the new content in `folder`: after an error or a kill it is still the
    old one (or, in the instant between two renamings, absent).
    """
    fresh, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    for left_behind in (fresh, old):
        shutil.rmtree(left_behind, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"{folder} can't be written: {error}") from error
    try:
        yield fresh
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


LARGEST_JSON = 64 * 2**20
"""Bytes of a file of this program's own that are read."""


def read_json(path: Path) -> dict[str, Any]:
    """The keys and values that `write_json` wrote, or somebody else in its place.

    Raises:
        InputError: it can't be read, is larger than `LARGEST_JSON`, or holds something else.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_JSON + 1)
        if len(content) > LARGEST_JSON:
            raise InputError(f"{path} is too large: at most {LARGEST_JSON:,} bytes are read")
        found = json.loads(content)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path} is damaged ({error}); the command that made it, or `dvc checkout`, makes it again"
        ) from error
    if not isinstance(found, dict):
        raise InputError(f"{path} must hold keys and values. Received: {found!r}")
    return found


def write_json(path: Path, value: Any) -> None:
    """Writes JSON that people can read and that is the same whenever `value` is."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
