"""How lines of text become numbers: levels, the vocabulary of the training text, and encoding."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nas.errors import DataError, InputError, nearest

EOS = "<eos>"
"""The token at the end of every line."""

UNKNOWN = "<unk>"
"""The token in place of every one that is not in the vocabulary."""

LEVELS: Mapping[str, Callable[[str], Sequence[str]]] = {"word": str.split, "character": str.strip}
"""What the tokens of a line are, without its `<eos>`: its words between white space, or all characters
of the line stripped of its outer white space."""


@dataclass(frozen=True)
class Words:
    """How words are found in a line of text.

    Attributes:
        pattern: a regular expression that a word matches; nothing else of the line is kept.
        lower: the line is made lower-case before.
    """

    pattern: str
    lower: bool

    def spaced(self, line: str) -> str:
        """The words of `line` with a space between any two."""
        return " ".join(re.findall(self.pattern, line.lower() if self.lower else line))


WORDS: Mapping[str, Words] = {
    "spaced": Words(r"\S+", lower=False),
    "plain": Words(r"<unk>|\w+(?:'\w+)?|[^\w\s]", lower=True),
}
"""`spaced`: what stands between white space, as it is. `plain`: text as people type it, made lower-case, with
words and punctuation marks apart."""

_BLOCK_TOKENS = 2**18


def check_level(level: object) -> None:
    """Raises InputError unless `level` is one of `LEVELS`."""
    if not isinstance(level, str) or level not in LEVELS:
        raise InputError(f"level can't be {level!r} ({nearest(str(level), LEVELS)})")


def check_words(words: object) -> None:
    """Raises InputError unless `words` is one of `WORDS`."""
    if not isinstance(words, str) or words not in WORDS:
        raise InputError(f"words can't be {words!r} ({nearest(str(words), WORDS)})")


def count(lines: Iterable[str], level: str, where: str) -> Counter[str]:
    """How often each token occurs in `lines`, `<eos>` for each line included.

    Args:
        lines: without their line ends.
        level: a name in `LEVELS`.
        where: words that name the text, for errors.

    Raises:
        DataError: there are no lines, or one has `<eos>` as a word of its own.

    Example:
        >>> sorted(count([" no it was n't ", "no"], "word", "text").items())
        [('<eos>', 2), ('it', 1), ("n't", 1), ('no', 2), ('was', 1)]
    """
    split = LEVELS[level]
    counts: Counter[str] = Counter()
    number = 0
    for number, line in enumerate(lines, 1):
        tokens = split(line)
        if EOS in line and level == "word" and EOS in tokens:
            raise DataError(
                f"{where}, line {number} has the word {EOS}, which is set at the end of each line and "
                "must not stand in the text; remove it"
            )
        counts.update(tokens)
    if not number:
        raise DataError(f"{where} has no lines")
    counts[EOS] = number
    return counts


def vocabulary(counts: Mapping[str, int], limit: int | None = None) -> tuple[str, ...]:
    """The vocabulary for these counts: by frequency, then by code point; it has `<eos>` and `<unk>`.

    A word `<unk>` that stands in the text, as in the Penn Treebank's, is that same token.

    Args:
        counts: of the training text, with `count`.
        limit: the largest number of tokens, those two included; the rarest are left out, and counted
            as `<unk>` where it takes its place. None: all that occur.

    Example:
        >>> vocabulary({"b": 3, "a": 3, "rare": 1, "also": 1, "<eos>": 2}, limit=4)
        ('a', 'b', '<eos>', '<unk>')
    """
    words = sorted(counts.keys() - {EOS, UNKNOWN}, key=lambda token: (-counts[token], token))
    kept = {token: counts[token] for token in (words if limit is None else words[: limit - 2])}
    kept[EOS] = counts[EOS]
    kept[UNKNOWN] = sum(counts.values()) - sum(kept.values())
    return tuple(sorted(kept, key=lambda token: (-kept[token], token)))


def encode(lines: Iterable[str], level: str, tokens: Sequence[str]) -> Iterator[np.ndarray]:
    """The lines as token numbers, `<eos>` after each; some hundred thousand at a time.

    Args:
        lines: without their line ends.
        level: a name in `LEVELS`.
        tokens: the vocabulary.

    Yields:
        int32 arrays with shape `(n,)`, which joined are the whole text.

    Example:
        >>> [block.tolist() for block in encode(["a b", "c a"], "word", ("a", "b", "<eos>", "<unk>"))]
        [[0, 1, 2, 3, 0, 2]]
    """
    split = LEVELS[level]
    numbers = {token: number for number, token in enumerate(tokens)}
    eos, unknown = numbers[EOS], numbers[UNKNOWN]
    block: list[int] = []
    for line in lines:
        block += [numbers.get(token, unknown) for token in split(line)]
        block.append(eos)
        if len(block) >= _BLOCK_TOKENS:
            yield np.array(block, dtype=np.int32)
            block = []
    if block:
        yield np.array(block, dtype=np.int32)
