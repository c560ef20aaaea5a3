"""Prepared text: the tokens of each split as numbers, and the vocabulary that they index."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from nas.datasets.prepared.arrays import digest_of, opened
from nas.datasets.prepared.base import SPLITS, Prepared, check_split, shared_fields
from nas.errors import DataError

EOS = "<eos>"
"""The token at the end of every line."""

UNKNOWN = "<unk>"
"""The token in place of every one that is not in the vocabulary."""

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
    """

    KIND: ClassVar[str] = "text"

    level: str
    vocabulary: tuple[str, ...]
    unknown: Mapping[str, int]

    @classmethod
    def read(cls, folder: Path, description: Mapping[str, Any]) -> Self:
        vocabulary = _read_vocabulary(vocabulary_file(folder))
        for token in (EOS, UNKNOWN):
            if token not in vocabulary:
                raise DataError(f"{vocabulary_file(folder)} has no '{token}'; prepare it again")
        prepared = cls(
            **shared_fields(folder, description),
            level=str(description["level"]),
            vocabulary=vocabulary,
            unknown={name: int(description["unknown"][name]) for name in SPLITS},
        )
        for name in SPLITS:
            prepared.split(name)
        return prepared

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

    def contents_digest(self) -> str:
        tokens = {f"{name}_tokens": self.split(name) for name in SPLITS}
        vocabulary = _read_vocabulary(vocabulary_file(self.folder))
        return digest_of(tokens, level=self.level, vocabulary=list(vocabulary))

    @property
    def summary(self) -> str:
        sizes = ", ".join(f"{size:,} {split}" for split, size in self.sizes.items())
        return f"{sizes} tokens (level {self.level}, line ends included)"

    @property
    def facts(self) -> dict[str, str]:
        shares = ", ".join(f"{self.unknown[name] / self.sizes[name]:.2%} of {name}" for name in SPLITS)
        never = not self.unknown["train"] and any(self.unknown.values())
        shown = " ".join("␣" if token == " " else token for token in self.vocabulary[:_SHOWN_TOKENS])
        return {
            "types": f"{len(self.vocabulary):,}, the most frequent: {shown}",
            UNKNOWN: shares + (" (a smaller vocabulary would teach it)" if never else ""),
        }


def array_file(folder: Path, split: str) -> Path:
    """The file of a split's tokens."""
    return folder / f"{split}_tokens.npy"


def vocabulary_file(folder: Path) -> Path:
    """The file of the vocabulary: a JSON list, one token a line."""
    return folder / "vocabulary.json"


def _read_vocabulary(file: Path) -> tuple[str, ...]:
    try:
        tokens = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file} can't be read as a vocabulary ({error}); prepare it again") from error
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise DataError(f"{file} must be a list of texts; prepare it again")
    return tuple(tokens)
