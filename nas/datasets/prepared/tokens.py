"""How lines of text become numbers: levels, the vocabulary of the training text, and encoding."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

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

    `nas.tracking.served_text`, which runs without our code, does the same from these values.

    Attributes:
        pattern: a regular expression that a word matches; nothing else of the line is kept.
        lower: the line is made lower-case before.
        replaced: characters and what stands for them, before all else.
        form: the normal form of Unicode that the line is brought to, after it is lower-case; empty: none.
        version: raised when a rule changes; prepared text keeps the one that it was made by.
    """

    pattern: str
    lower: bool
    replaced: Mapping[str, str] = field(default_factory=dict)
    form: str = ""
    version: int = 1

    def spaced(self, line: str) -> str:
        """The words of `line` with a space between any two."""
        line = line.translate({ord(character): other for character, other in self.replaced.items()})
        line = line.lower() if self.lower else line
        line = unicodedata.normalize(self.form, line) if self.form else line  # type: ignore[arg-type]
        return " ".join(re.findall(self.pattern, line))


WORDS = ("spaced", "plain")
"""`spaced`: what stands between white space, as it is. `plain`: text as people type it, made lower-case, with
words and punctuation marks apart."""

_APOSTROPHES = "’‘‛＇ʼ՚׳´"
"""What people type for an apostrophe: right and left quotation marks, the modifier letter (Ukrainian), the
Armenian one, geresh (Hebrew), the acute accent of European keyboards."""

_INVISIBLE = "\u00ad\u061c\u200e\u200f\u2060\ufeff" + "".join(
    map(chr, [*range(0x202A, 0x202F), *range(0x2066, 0x206A)])
)
"""Soft hyphens, marks of the writing direction and bans on line breaks: they belong to no word."""


@cache
def rule(words: str, version: int | None = None) -> Words:
    """How words are found.

    A word of `plain` is made of letters, digits and underscores with all their combining marks and joiners
    (U+200C, U+200D), and may have an apostrophe within. Letters are those of the normal form NFC; the
    apostrophes ' ’ ʼ and their like are one; a middle dot (Catalan) or gershayim (Hebrew) between letters is
    no punctuation; soft hyphens and marks of the writing direction are left out, and a zero-width space is
    white space. A symbol keeps its marks, its tone of skin and what it is joined with (emoji).

    Where a script sets no spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese), all between
    two punctuation marks is one word: such text is to be learnt by characters.

    Source: Unicode Standard Annex 29, Word Boundaries, of which this is the part that needs no dictionary.

    Args:
        words: a name in `WORDS`.
        version: of the rule; None: the present one. The first of `plain` tore words apart at combining marks.

    Raises:
        ValueError: there is no such rule.
    """
    if words == "spaced" and version in (None, 1):
        return Words(r"\S+", lower=False)
    if words == "plain" and version == 1:
        return Words(r"<unk>|\w+(?:'\w+)?|[^\w\s]", lower=True)
    if words != "plain" or version not in (None, 2):
        raise ValueError(f"words={words!r}, words_version={version!r}")
    marks = _marks()
    run = rf"[\w{marks}\u200c\u200d]"
    within = r"(?:·(?=\w)|(?<=[א-ת])[\"״](?=[א-ת]))"
    word = rf"\w{run}*(?:{within}{run}+)*"
    symbol = rf"[^\w\s\u200c\u200d][{marks}\U0001f3fb-\U0001f3ff]*"
    return Words(
        rf"<unk>|{word}(?:'{word})?|{symbol}(?:\u200d{symbol})*",
        lower=True,
        replaced={
            **dict.fromkeys(_APOSTROPHES, "'"),
            **dict.fromkeys(_INVISIBLE, ""),
            "\u200b": " ",
        },
        form="NFC",
        version=2,
    )


def _marks() -> str:
    """All combining marks, as the ranges of a character class."""
    ranges: list[list[int]] = []
    for code in (*range(0x300, 0x20000), *range(0xE0100, 0xE01F0)):  # there are none elsewhere
        if unicodedata.category(chr(code))[0] == "M":
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]{2}")


def unspaced(counts: Mapping[str, int]) -> float:
    """The share of words that are of scripts without spaces between words.

    Example:
        >>> unspaced({"我们都是人": 1, "people": 3})
        0.25
    """
    strange = sum(count for word, count in counts.items() if _UNSPACED.search(word))
    return strange / max(1, sum(counts.values()))


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
