"""Prepared text: the tokens of each split as numbers, and the vocabulary that they index."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from nas.datasets.prepared.arrays import digest_of, opened
from nas.datasets.prepared.base import SPLITS, Prepared, check_split, shared_fields
from nas.datasets.prepared.tokens import EOS, UNKNOWN, Words, encode, rule
from nas.errors import DataError

DTYPE = "<i4"
"""Type of the token arrays on the disk."""

_SHOWN_TOKENS = 12


@dataclass(frozen=True, kw_only=True)
class PreparedText(Prepared):
    """Running text as token numbers, which stay on disk until they are used.

    The digest is that of all tokens, the vocabulary and the level. `sizes` counts tokens, line ends
    included.

    Attributes:
        level: what a token is: `word` or `character`.
        vocabulary: the tokens, the most frequent of the training split first; a token's number is its
            index. `<eos>` and `<unk>` are among them.
        unknown: how many tokens of each split are `<unk>`.
        words: how words were found in the text, a name in `nas.datasets.prepared.tokens.WORDS`.
        words_version: the version of that rule.
    """

    KIND: ClassVar[str] = "text"

    level: str
    vocabulary: tuple[str, ...]
    unknown: Mapping[str, int]
    words: str = "spaced"
    words_version: int = 1

    @classmethod
    def read(cls, folder: Path, description: Mapping[str, Any]) -> Self:
        vocabulary = _read_vocabulary(vocabulary_file(folder))
        for token in (EOS, UNKNOWN):
            if token not in vocabulary:
                raise DataError(f"{vocabulary_file(folder)} has no '{token}'; prepare it again")
        words, version = description.get("words", "spaced"), description.get("words_version", 1)
        rule(words, version)
        prepared = cls(
            **shared_fields(folder, description),
            level=str(description["level"]),
            vocabulary=vocabulary,
            unknown={name: int(description["unknown"][name]) for name in SPLITS},
            words=words,
            words_version=version,
        )
        for name in SPLITS:
            prepared.split(name)
        return prepared

    @property
    def rule(self) -> Words:
        """How words were found in the text, and are in what a model is given later."""
        return rule(self.words, self.words_version)

    @property
    def eos(self) -> int:
        """The number of `<eos>`, which ends every line."""
        return self.vocabulary.index(EOS)

    def split(self, name: str) -> np.ndarray:
        """The tokens of the split `name` (train, validation or test) in the order of the text.

        Returns:
            A read-only memory map of int32 with shape `(n,)`.

        Raises:
            DataError: there is no such split, or its file changed since it was prepared.
        """
        check_split(name, self.sizes)
        return opened(array_file(self.folder, name), DTYPE, (self.sizes[name],))

    def encode(self, text: str) -> np.ndarray:
        """Any text as token numbers, in the way that the splits were made: one `<eos>` a line.

        Returns:
            int32 array with shape `(n,)`.
        """
        lines = text.removesuffix("\n").split("\n")
        if self.level == "word":
            lines = [self.rule.spaced(line) for line in lines]
        return np.concatenate(list(encode(lines, self.level, self.vocabulary)))

    def contents_digest(self) -> str:
        vocabulary = _read_vocabulary(vocabulary_file(self.folder))
        return digest_of_text({name: self.split(name) for name in SPLITS}, self.level, vocabulary)

    @property
    def summary(self) -> str:
        sizes = ", ".join(f"{size:,} {split}" for split, size in self.sizes.items())
        return f"{sizes} tokens"

    @property
    def facts(self) -> dict[str, str]:
        shares = ", ".join(f"{self.unknown[name] / self.sizes[name]:.2%} of {name}" for name in SPLITS)
        never = not self.unknown["train"] and any(self.unknown.values())
        plain = ", lower-case and apart from punctuation" if self.words == "plain" else ""
        earlier = {}
        if plain and self.words_version == 1 and self.source == "text":
            earlier["words"] = (
                "by the rule of an earlier version, which parts them at combining marks and at ’; prepared "
                "with --again they follow the present one, and are other data if they change by it"
            )
        shown = " ".join("␣" if token == " " else token for token in self.vocabulary[:_SHOWN_TOKENS])
        return {
            "level": f"{self.level}{plain}, and {EOS} at the end of each line",
            **earlier,
            "vocabulary": f"{len(self.vocabulary):,} tokens, the most frequent: {shown}",
            UNKNOWN: shares + (" (a smaller vocabulary would teach it)" if never else ""),
        }


def array_file(folder: Path, split: str) -> Path:
    """The file of a split's tokens."""
    return folder / f"{split}_tokens.npy"


def vocabulary_file(folder: Path) -> Path:
    """The file of the vocabulary: a JSON list, one token a line."""
    return folder / "vocabulary.json"


def write_vocabulary(folder: Path, vocabulary: Sequence[str]) -> None:
    """Writes the vocabulary as `PreparedText` reads it."""
    text = json.dumps(list(vocabulary), ensure_ascii=False, indent=0)
    vocabulary_file(folder).write_text(text + "\n", encoding="utf-8")


def digest_of_text(splits: Mapping[str, np.ndarray], level: str, vocabulary: Sequence[str]) -> str:
    """The digest of prepared text: of the tokens of all splits, the level and the vocabulary."""
    arrays = {f"{name}_tokens": tokens for name, tokens in splits.items()}
    return digest_of(arrays, level=level, vocabulary=list(vocabulary))


def _read_vocabulary(file: Path) -> tuple[str, ...]:
    try:
        tokens = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file} can't be read as a vocabulary ({error}); prepare it again") from error
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise DataError(f"{file} must be a list of texts; prepare it again")
    return tuple(tokens)
