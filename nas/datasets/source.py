"""What a source of data offers, whatever its kind: the interface of the built-in ones and of a user's own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from nas.errors import InputError

Progress = Callable[[int, int | None, str], None]
"""Called as `progress(done, total, what)`; `total` is None where it isn't known."""


def silent(done: int, total: int | None, what: str) -> None:
    """The progress callback that shows nothing."""


@dataclass(frozen=True)
class Places:
    """The folders that a source may use.

    Attributes:
        root: the workspace; relative paths in options start here (`resolve`).
        raw: downloads are kept here, as they came.
        scratch: an empty folder for large intermediate files, removed after preparing.
    """

    root: Path
    raw: Path
    scratch: Path

    def resolve(self, path: str) -> Path:
        """The file or folder that an option names."""
        return self.root / Path(path).expanduser()


class Raw(ABC):
    """All that a source has read, of one kind of data; it knows how it is split, written and described.

    Beside it stand the subclass of `Source` with the options of this kind, and the subclass of
    `nas.datasets.Prepared` that opens what `write` has written.
    """

    KIND: ClassVar[str]
    """The kind's name in `nas.datasets.prepared.base.KINDS`."""

    @abstractmethod
    def write(self, folder: Path, source: Source, progress: Progress) -> dict[str, Any]:
        """Splits the data as the options of `source` say, and writes them into `folder`.

        Args:
            folder: an empty folder (but for `scratch`), which becomes the prepared data set.
            source: that has read this.
            progress: called with `(done, total, what)`.

        Returns:
            What `prepared.json` says of the data, as plain JSON: `sizes`, `digest`, and all else that
            the kind's `Prepared.read` asks for.

        Raises:
            InputError: an option is not allowed for these data, or the source is one of another kind.
            DataError: something is wrong in the data.
            TemporaryError: the disk is full.
        """


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """Where a data set comes from; its fields are the options beside `source` in the YAML.

    A subclass adds its own options (plain YAML values), checks them when built, and reads; it derives
    from the source of its kind, `ImageSource` or `TextSource`, which has that kind's options. What it
    must guarantee: the same options give the same data in the same order on every machine; a problem
    in the data is a DataError that names the file, the row and what was expected; nothing is unpickled
    or evaluated. It need not cache or scale anything. `nas.testing.datasets` has contract tests.
    """

    LOCATORS: ClassVar[frozenset[str]] = frozenset()
    """Options that say only where the same bytes come from: no part of what is prepared."""

    @abstractmethod
    def read(self, places: Places, progress: Progress) -> Raw:
        """Reads all data, downloading them first if need be.

        Raises:
            DataError: something is wrong in the data.
            TemporaryError: a server can't be reached, or the disk is full.
        """

    def inputs(self, places: Places) -> Iterable[Path]:
        """The user's files that are read, so that a later change of their names or contents is noticed."""
        return ()


def is_int(value: object) -> bool:
    """Whether `value` is an integer; booleans are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def check_text(option: str, value: object) -> None:
    """Raises InputError unless `value` is a text that isn't empty."""
    if not isinstance(value, str) or not value:
        raise InputError(f"{option} must be a text. Received: {value!r}")


def check_amount(option: str, value: object, unit: str) -> None:
    """Raises InputError unless `value` can say how many `unit` to split off; None is allowed."""
    count = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    fraction = isinstance(value, float) and 0 < value < 1
    if not (value is None or count or fraction):
        raise InputError(
            f"{option} must be a number of {unit} ≥ 1, or a fraction between 0 and 1. Received: {value!r}"
        )
