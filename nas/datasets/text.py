"""Text as a source gives it, line by line: counted, given a vocabulary, and written as token numbers."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from nas.datasets.files import check_space
from nas.datasets.prepared import tokens
from nas.datasets.prepared.arrays import create, opened
from nas.datasets.prepared.base import SPLITS
from nas.datasets.prepared.text import DTYPE, PreparedText, array_file, digest_of_text, write_vocabulary
from nas.datasets.source import Places, Progress, Raw, Source, is_int
from nas.errors import DataError, InputError

_SMALLEST_VOCABULARY = 3
_TOKEN_BYTES = 4
_MANY_UNSPACED = 0.25

logger = logging.getLogger("nas")


@dataclass(frozen=True)
class RawText(Raw):
    """The text of each split, line by line.

    Each is a text, whose lines end with `\\n`, or a collection of lines without their ends that can be
    gone through more than once (`nas.datasets.own_text.Lines` reads those of a file), so that a source
    can be larger than memory. A source that has one text only splits off the ends with `split_off`.

    Words stand apart by white space. `words`, a name in `nas.datasets.prepared.tokens.WORDS`, says how the
    source has set them apart (`words_of`), so that the same is done with text that a model is given later;
    `words_version` which version of that rule it took, None being the present one.
    """

    KIND: ClassVar[str] = PreparedText.KIND

    train: str | Iterable[str]
    validation: str | Iterable[str]
    test: str | Iterable[str]
    words: str = "spaced"
    words_version: Any = None  # a number, but type checkers must let `RawText(**passages)` pass

    def __post_init__(self) -> None:
        tokens.check_words(self.words)
        for name in SPLITS:
            if isinstance(getattr(self, name), Iterator):
                raise DataError(
                    f"the {name} lines must be a list, or another collection that can be gone through "
                    f"more than once. Received: {type(getattr(self, name)).__name__}"
                )

    @property
    def parts(self) -> dict[str, Iterable[str]]:
        """The lines of each split."""
        return {name: lines_of(getattr(self, name)) for name in SPLITS}

    def write(self, folder: Path, source: Source, progress: Progress) -> dict[str, Any]:
        if not isinstance(source, TextSource):
            raise InputError(
                f"{type(source).__name__} reads text, so it must be a nas.datasets.TextSource, which has "
                "the options of its tokens"
            )
        counts = {}
        for name, lines in self.parts.items():
            counts[name] = tokens.count(lines, source.level, f"the {name} text")
            progress(len(counts), len(SPLITS), "count tokens")
        if counts["train"].keys() <= {tokens.EOS, tokens.UNKNOWN}:
            raise DataError(f"the train text has no {source.level}s, only line ends")
        if self.words == "plain" and tokens.unspaced(counts["train"]) > _MANY_UNSPACED:
            logger.warning(
                "this text is written without spaces between words, so that whole clauses count as words: "
                "write `level: character` in place of `words: plain`, or set spaces and write `words: spaced`"
            )
        vocabulary = tokens.vocabulary(counts["train"], source.vocabulary)
        sizes = {name: counts[name].total() for name in SPLITS}
        check_space(folder, sum(sizes.values()) * _TOKEN_BYTES, "write the tokens")
        unknown = self._write(folder, source.level, vocabulary, sizes, progress)
        write_vocabulary(folder, vocabulary)
        # What counts is what lies on the disk now, so the digest is taken from there.
        arrays = {name: opened(array_file(folder, name), DTYPE, (sizes[name],)) for name in SPLITS}
        return {
            "level": source.level,
            "words": self.words,
            **(
                {"words_version": version}
                if (version := tokens.rule(self.words, self.words_version).version) > 1
                else {}
            ),
            "sizes": sizes,
            "unknown": unknown,
            "digest": digest_of_text(arrays, source.level, vocabulary),
        }

    def _write(
        self,
        folder: Path,
        level: str,
        vocabulary: tuple[str, ...],
        sizes: Mapping[str, int],
        progress: Progress,
    ) -> dict[str, int]:
        """Writes the tokens of all splits; returns how many of each are unknown."""
        stranger, total, done = vocabulary.index(tokens.UNKNOWN), sum(sizes.values()), 0
        unknown = dict.fromkeys(SPLITS, 0)
        for name, lines in self.parts.items():
            with create(array_file(folder, name), DTYPE, (sizes[name],)) as file:
                for block in tokens.encode(lines, level, vocabulary):
                    file.write(block.astype(DTYPE).data)
                    unknown[name] += int((block == stranger).sum())
                    done += len(block)
                    progress(min(done, total), total, "write tokens")
        return unknown


@dataclass(frozen=True, kw_only=True)
class TextSource(Source):
    """A source of running text.

    It has no options for the sizes of splits, and no seed: text is read in its order, so what a source
    splits off are whole passages, which it finds by a rule of its own.

    Attributes:
        level: what a token is. `word`: what stands between white space; `character`: each character of
            a line without its outer white space. `<eos>` ends every line, also an empty one.
        vocabulary: the largest number of different tokens, `<eos>` and `<unk>` included: the rarest of
            the training text become `<unk>`, and so does what only the other splits have. None: all of
            the training text.
    """

    level: str = "word"
    vocabulary: Any = None

    def __post_init__(self) -> None:
        tokens.check_level(self.level)
        if self.vocabulary is not None and not (
            is_int(self.vocabulary) and self.vocabulary >= _SMALLEST_VOCABULARY
        ):
            raise InputError(
                f"vocabulary must be a number of tokens ≥ {_SMALLEST_VOCABULARY}, or null for all. "
                f"Received: {self.vocabulary!r}"
            )

    @abstractmethod
    def read(self, places: Places, progress: Progress) -> RawText:
        """Reads all text, downloading it first if need be."""


@dataclass(frozen=True)
class _Passage:
    """The lines `start` to `stop` of a text, which are found anew each time they are gone through."""

    lines: Iterable[str]
    start: int
    stop: int

    def __iter__(self) -> Iterator[str]:
        return islice(iter(self.lines), self.start, self.stop)


@dataclass(frozen=True)
class _Piece:
    """The words or characters `start` to `stop` of a text, counted over all its lines."""

    lines: Iterable[str]
    level: str
    start: int
    stop: int

    def __iter__(self) -> Iterator[str]:
        first, joint = 0, " " if self.level == "word" else ""
        for line in self.lines:
            found = tokens.LEVELS[self.level](line)
            inside = found[max(0, self.start - first) : max(0, self.stop - first)]
            if inside:
                yield joint.join(inside)
            first += len(found)


@dataclass(frozen=True)
class _Spaced:
    """Lines with their words set apart, which are found anew each time they are gone through."""

    lines: Iterable[str]
    words: tokens.Words

    def __iter__(self) -> Iterator[str]:
        return map(self.words.spaced, self.lines)


def words_of(lines: Iterable[str], words: str, version: int | None = None) -> Iterable[str]:
    """Lines with their words set apart by white space.

    Args:
        lines: as they are in a text.
        words: how words are found, a name in `nas.datasets.prepared.tokens.WORDS`.

        version: of that rule; None: the present one.

    Example:
        >>> list(words_of(["It's late, Anna!"], "plain"))
        ["it's late , anna !"]
    """
    return _Spaced(lines, tokens.rule(words, version))


def lines_of(text: str | Iterable[str]) -> Iterable[str]:
    """The lines of a text; nothing follows the last line end. Lines that are split already stay so.

    Example:
        >>> lines_of("one\\n\\nthree\\n")
        ['one', '', 'three']
    """
    if not isinstance(text, str):
        return text
    lines = text.split("\n")
    return lines if lines[-1] else lines[:-1]


def split_off(
    text: str | Iterable[str], *, level: str = "", **amounts: int | float
) -> dict[str, Iterable[str]]:
    """Cuts a text into passages: what stays comes first, then what is split off, in the order named.

    Args:
        text: a text, or its lines, which can be gone through more than once.
        level: a text with fewer lines than there are passages (it may be a single line) is cut inside its
            lines, between two tokens of this level, if all amounts are fractions; empty: it is refused.
        amounts: name → how many lines, as a count or as a fraction below 1 of all lines.

    Returns:
        The lines of `train`, which is what stays, and of each name in `amounts`.

    Raises:
        DataError: a passage would have no line.

    Example:
        >>> passages = split_off("a\\nb\\nc\\nd\\ne\\n", validation=1, test=0.2)
        >>> {name: list(lines) for name, lines in passages.items()}
        {'train': ['a', 'b', 'c'], 'validation': ['d'], 'test': ['e']}
    """
    lines, unit = lines_of(text), "lines"
    total = sum(1 for _ in lines)
    inside = bool(level) and 0 < total <= len(amounts) and all(amount < 1 for amount in amounts.values())
    if inside:
        total, unit = sum(len(tokens.LEVELS[level](line)) for line in lines), f"{level}s"
    counts = {
        name: max(1, int(amount * total + 0.5)) if amount < 1 else int(amount)
        for name, amount in amounts.items()
    }
    start = total - sum(counts.values())
    if start < 1:
        wanted = " and ".join(f"{name}={amount}" for name, amount in amounts.items())
        advice = "" if inside else "; fractions in place of counts cut a text of few lines inside a line"
        raise DataError(
            f"the text has {total:,} {unit}, {sum(counts.values()):,} are to be split off ({wanted}) and "
            f"one at least must stay to train on{advice * bool(level)}"
        )

    def passage(first: int, stop: int) -> Iterable[str]:
        return _Piece(lines, level, first, stop) if inside else _Passage(lines, first, stop)

    passages: dict[str, Iterable[str]] = {"train": passage(0, start)}
    for name, size in counts.items():
        passages[name] = passage(start, start + size)
        start += size
    return passages
