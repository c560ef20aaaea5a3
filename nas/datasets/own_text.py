"""A user's own text files, read line by line."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.datasets.prepared.tokens import check_words
from nas.datasets.source import Places, Progress, check_amount, check_text
from nas.datasets.text import RawText, TextSource, split_off, words_of
from nas.errors import DataError, InputError

_DEFAULT_FRACTION = 0.1


@dataclass(frozen=True)
class Lines:
    """The lines of a UTF-8 file without their ends, read anew each time they are gone through.

    Only `\\n` ends a line; a `\\r` before it is white space like any other. A byte order mark is skipped.

    Raises:
        DataError: while they are gone through: the file can't be read, or bytes are not UTF-8, which
            the message names with their line.
    """

    file: Path

    def __iter__(self) -> Iterator[str]:
        offset = 0
        try:
            with self.file.open("rb") as opened:
                for number, line in enumerate(opened, 1):
                    text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
                    yield self._decoded(text, number, offset + len(line) - len(text))
                    offset += len(line)
        except OSError as error:
            raise DataError(f"{self.file} can't be read ({error})") from error

    def _decoded(self, line: bytes, number: int, offset: int) -> str:
        try:
            return line.decode("utf-8").removesuffix("\n")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{self.file}, line {number}: byte {offset + error.start:,} of the file (counted from 0), "
                f"0x{line[error.start]:02x}, is not UTF-8 ({error.reason}); save the file as UTF-8"
            ) from error


@dataclass(frozen=True, kw_only=True)
class Text(TextSource):
    """Text files in UTF-8: one for each split, or one whose last lines are split off.

    Each line is a unit that `<eos>` ends: a sentence, a paragraph, a verse.

    Attributes:
        words: with level `word`, how words are found. `spaced`: they are what stands between white space, as
            it is; for files that were prepared for this. `plain`: text as people write it is made
            lower-case, and words and punctuation marks are set apart, in every script that sets spaces
            between words (see `nas.datasets.prepared.tokens.rule`). Text that the registered model is
            given later is treated alike.
        train: the file with the training text; a relative path starts at the workspace.
        validation: a file of its own, or how many of the last lines of `train` are split off, as a
            count or as a fraction below 1 of its lines; None: 0.1. Where there are fewer lines than
            parts (a text may be a single line), fractions are of its words or characters, and the
            text is cut inside its lines.
        test: like `validation`; its lines come after those of the validation split.
    """

    words: str = "spaced"
    train: str
    validation: Any = None
    test: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_words(self.words)
        if self.words != "spaced" and self.level != "word":
            raise InputError(
                f"words={self.words!r} says how words are found, and there are none with "
                f"level={self.level!r}: leave it out"
            )
        check_text("train", self.train)
        for option in ("validation", "test"):
            value = getattr(self, option)
            if not isinstance(value, str) or not value:
                check_amount(option, value, "lines")

    def read(self, places: Places, progress: Progress) -> RawText:
        """Looks for the files; their lines are read when they are gone through."""
        parts: dict[str, Iterable[str]] = {}
        for name, file in self._files(places).items():
            path = getattr(self, name)
            if not file.is_file():
                raise DataError(f"no file is at {file} ({name}={path!r})")
            if not file.stat().st_size:
                raise DataError(f"{file} is empty ({name}={path!r})")
            parts[name] = Lines(file)
        progress(0, None, "read the text")
        amounts = {
            name: _DEFAULT_FRACTION if amount is None else amount
            for name, amount in (("validation", self.validation), ("test", self.test))
            if name not in parts
        }
        if amounts:
            parts |= split_off(parts["train"], level=self.level, **amounts)
        if self.words != "spaced":
            parts = {name: words_of(lines, self.words) for name, lines in parts.items()}
        return RawText(**parts, words=self.words)

    def inputs(self, places: Places) -> Iterable[Path]:
        return self._files(places).values()

    def _files(self, places: Places) -> dict[str, Path]:
        options = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: places.resolve(path) for name, path in options.items() if isinstance(path, str)}
