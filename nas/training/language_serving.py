"""Trained language models, measured on text that they were not trained on."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import keras
import numpy as np

from nas import datasets
from nas.datasets import PreparedText
from nas.errors import InputError
from nas.networks.language import LanguageModel
from nas.training.language import perplexity
from nas.training.measured import Z95, Measured
from nas.training.reader import Reader

WINDOW = 100
"""Time steps for each call: without a gradient, it changes nothing but the speed."""

BLOCKS = 100
"""Pieces of the text whose means say how much the measurement varies."""


def load(model: str, data: PreparedText) -> LanguageModel:
    """Opens a trained language model.

    Raises:
        InputError: it is none, or one of another vocabulary.
    """
    loaded = keras.models.load_model(Path(model), compile=False)
    if not isinstance(loaded, LanguageModel) or loaded.vocabulary != len(data.vocabulary):
        raise InputError(
            f"{model} is not a language model for the {len(data.vocabulary):,} tokens of {data.name}"
        )
    return loaded


def measure(model: str, data: str, split: str) -> dict[str, Any]:
    """Measures a language model on one split, read in one piece with the state carried from end to end.

    Args:
        model: path of a `.keras` file that the training left.
        data: folder of the prepared data.
        split: `train`, `validation` or `test`.

    Returns:
        `Measured` as JSON: the perplexity of words, the bits per character of characters, over all tokens
        of the split, line ends included. Its interval comes from the means of `BLOCKS` consecutive pieces
        of the text, which are nearly independent. Its details: `nats_per_token`; `frequency`, a list of
        groups of tokens by their rank in the training text (`rank`, as in `11–100`; `share` of the
        split's tokens; `perplexity` within the group).

    Raises:
        InputError: the model doesn't fit the data.
    """
    prepared = datasets.load(Path(data), PreparedText)
    tokens = prepared.split(split)
    reader = Reader(load(model, prepared), tokens, prepared.eos, 1, min(WINDOW, len(tokens)))
    reader.compile(jit_compile=False)
    nats = reader.each()
    mean, half = float(nats.mean()), _half_interval(nats)
    characters = prepared.level == "character"
    show = _bits if characters else perplexity
    return Measured(
        "bits_per_character" if characters else "perplexity",
        show(mean),
        show(max(0.0, mean - half)),
        show(mean + half),
        len(tokens),
        "characters" if characters else "tokens",
        lower_is_better=True,
        details={"nats_per_token": mean, "frequency": by_frequency(np.asarray(tokens), nats)},
    ).to_json()


def by_frequency(tokens: np.ndarray, nats: np.ndarray) -> list[dict[str, Any]]:
    """How well tokens are predicted by how frequent they are in training: their numbers are their ranks.

    Args:
        tokens: token numbers, with shape `(n,)`.
        nats: −ln p of each, with shape `(n,)`.

    Example:
        >>> by_frequency(np.array([0, 5, 50]), np.array([0.0, 0.0, math.log(8)]))[-1]
        {'rank': '11–100', 'share': 0.3333333333333333, 'perplexity': 8.0}
    """
    rows = []
    first = 0
    while first <= tokens.max(initial=0):
        last = 10 * max(first, 1)
        group = (tokens >= first) & (tokens < last)
        if group.any():
            rows.append(
                {
                    "rank": f"{first + 1}–{last}",
                    "share": float(group.mean()),
                    "perplexity": round(perplexity(float(nats[group].mean())), 6),
                }
            )
        first = last
    return rows


def _half_interval(nats: np.ndarray) -> float:
    """Half of the 95 % interval of the mean, from the means of consecutive blocks of equal length."""
    length = len(nats) // min(BLOCKS, len(nats))
    means = nats[: len(nats) // length * length].reshape(-1, length).mean(axis=1)
    return Z95 * float(means.std(ddof=1)) / math.sqrt(len(means)) if len(means) > 1 else 0.0


def _bits(nats: float) -> float:
    return nats / math.log(2)
