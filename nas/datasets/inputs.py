"""The user's files behind a prepared data set: what they hold, and whether that changed since."""

from __future__ import annotations

import hashlib
import json
import os
import time
import unicodedata
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nas.datasets.source import Places, Source
from nas.errors import DataError

_SETTLED_NS = 2 * 10**9
"""A file that changed less long ago may change again within one tick of the file system's clock."""


@dataclass(frozen=True)
class Inputs:
    """The files that a source reads, as they lie there now.

    Attributes:
        files: path → name, which is the same wherever the workspace lies.
        stats: of each file: size, modification time, change time, inode. No program can set the change
            time, so that contents replaced under an old modification time (`cp -p`, `rsync --times`)
            show here.
    """

    files: Mapping[Path, str]
    stats: Mapping[Path, tuple[int, int, int, int]]

    @classmethod
    def of(cls, source: Source, places: Places) -> Inputs:
        """Looks at the files of `source` without reading them."""
        try:
            found = sorted({file for file in source.inputs(places) if file.is_file()})
            stats = {file: _stat(file) for file in found}
        except OSError as error:
            raise DataError(f"the files of the data can't be looked at: {error}") from error
        return cls(_names(found, places.root), stats)

    @property
    def counted(self) -> dict[str, int]:
        """How many files with how many bytes."""
        return {"files": len(self.files), "bytes": sum(stat[0] for stat in self.stats.values())}

    @cached_property
    def contents(self) -> str:
        """SHA-256 over the name and the SHA-256 of each file, in the order of the names."""
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            hashes = pool.map(_sha256, self.files)
            pairs = sorted(zip(self.files.values(), hashes, strict=True))
        return _digest(pairs)

    @cached_property
    def seen(self) -> str:
        """A digest of names and stats: equal only if nothing touched a file."""
        return _digest(sorted((self.files[file], *stat) for file, stat in self.stats.items()))

    @property
    def settled(self) -> bool:
        """Whether the last change is so long ago that `seen` would show another one."""
        newest = max((max(stat[1:3]) for stat in self.stats.values()), default=0)
        return newest < time.time_ns() - _SETTLED_NS

    def check_untouched(self) -> None:
        """Raises DataError if a file isn't any more what it was when it was looked at."""
        for file, stat in self.stats.items():
            if not file.is_file() or _stat(file) != stat:
                raise DataError(f"{file} changed while it was read: let it rest and prepare the data again")

    @property
    def described(self) -> dict[str, Any]:
        """What `prepared.json` says of them."""
        return {**self.counted, "digest": self.contents} if self.files else self.counted


class Seen:
    """What is known of the inputs of a prepared data set, so that they aren't hashed each time.

    It lies beside the folder, because times and inodes are those of this machine, and the folder is DVC's.

    Args:
        folder: of the prepared data set.
        digest: of the prepared data; what was noted for other data counts for nothing.
    """

    def __init__(self, folder: Path, digest: str) -> None:
        self._file = folder.with_name(f".{folder.name}.inputs")
        self._digest = digest
        try:
            noted = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            noted = None  # it saves time and decides nothing
        fits = isinstance(noted, dict) and noted.get("prepared") == digest
        self._noted: dict[str, Any] = noted if fits else {}

    @property
    def contents(self) -> str | None:
        """The contents that were prepared, of data whose `prepared.json` doesn't say it."""
        return self._noted.get("contents")

    def are(self, inputs: Inputs, contents: str) -> bool:
        """Whether nothing touched the files since they had these contents."""
        return self._noted.get("contents") == contents and self._noted.get("seen") == inputs.seen

    def note(self, inputs: Inputs) -> None:
        """Remembers that the files, as they lie there now, are those that were prepared."""
        noted = {
            "prepared": self._digest,
            "contents": inputs.contents,
            "seen": inputs.seen if inputs.settled else None,
        }
        if noted == self._noted:
            return
        part = self._file.with_name(f"{self._file.name}.{os.getpid()}.part")
        try:
            part.write_text(json.dumps(noted), encoding="utf-8")
            os.replace(part, self._file)
        except OSError:  # a folder that can't be written: the files are hashed again next time
            part.unlink(missing_ok=True)


def difference(inputs: Inputs, written: Mapping[str, Any] | None, seen: Seen) -> str:
    """How the files differ from those that were prepared, in words; empty if they don't.

    Numbers and sizes are compared first, then times; contents only of files that were touched. Data
    that an earlier version prepared say nothing of contents: those that are found first count.

    Args:
        inputs: the files now.
        written: what `prepared.json` says of them.
        seen: what is known of them on this machine.
    """
    before = dict(written or {})
    counted = {key: before.get(key) for key in inputs.counted}
    if counted == inputs.counted:
        contents = before.get("digest") or seen.contents
        if contents is not None and seen.are(inputs, contents):
            return ""
        if contents in (None, inputs.contents):
            seen.note(inputs)
            return ""
        last = max(inputs.stats, key=lambda file: max(inputs.stats[file][1:3]))
        return f"{_counts(before)} then and now, but with other names or contents (changed last: {last})"
    return f"{_counts(before)} then, {_counts(inputs.counted)} now"


def _counts(counted: Mapping[str, Any]) -> str:
    return f"{counted['files']:,} files with {counted['bytes']:,} bytes" if counted else "none"


def _names(files: Sequence[Path], root: Path) -> dict[Path, str]:
    """A name for each file: its path below the folder that all have in common.

    Where that folder lies is not part of it, and a source's options say it. Files inside the workspace
    and others are named apart, because only the former keep their distance when the workspace moves.
    """
    names: dict[Path, str] = {}
    for inside in (True, False):
        group = [file for file in files if file.is_relative_to(root) is inside]
        if group:
            top = os.path.commonpath([file.parent for file in group])
            names |= {file: unicodedata.normalize("NFC", file.relative_to(top).as_posix()) for file in group}
    return names


def _stat(file: Path) -> tuple[int, int, int, int]:
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{file} can't be read ({error})") from error


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=True).encode()).hexdigest()
