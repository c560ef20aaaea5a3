"""A language model in MLflow: texts in, perplexities and likely next tokens out.

This file goes into the registered model and runs where it is served, without the rest of our code: it
imports nothing of ours, and only what the model's requirements name.
"""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

LIKELY = 10
"""Tokens that are named as likely to come next."""

EOS, UNKNOWN = "<eos>", "<unk>"


class LanguageServer:
    """A SavedModel with the vocabulary that lies beside it (see `nas.training.language_export`)."""

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        text = json.loads((folder / "assets.extra" / "text.json").read_text(encoding="utf-8"))
        self._level, self._vocabulary, self._words = text["level"], text["vocabulary"], text["words"]
        self._numbers = {token: number for number, token in enumerate(self._vocabulary)}
        self._model = tf.saved_model.load(str(folder))

    def predict(self, model_input: Any, params: Any = None) -> pd.DataFrame:
        """One row for each text.

        Args:
            model_input: a table with the column `text`, or a list of texts. Their words are found as in
                the text that was learnt from; each line end is a token.

        Returns:
            `tokens` (how many), `unknown` (how many of them are not in the vocabulary), `perplexity`
            (of characters: `bits_per_character`) and `next`: JSON, the likely next tokens with their
            probabilities.
        """
        texts = model_input["text"] if isinstance(model_input, pd.DataFrame) else model_input
        return pd.DataFrame([self._row(str(text)) for text in texts])

    def _row(self, text: str) -> dict[str, Any]:
        tokens = self._tokens(text)
        numbers = [self._numbers.get(token, self._numbers[UNKNOWN]) for token in tokens]
        given = np.array([numbers or [self._numbers[EOS]]], "int32")
        found = self._model.serve(given)
        nats = float(np.mean(found["nats"].numpy())) if tokens else float("nan")
        chances = found["next"].numpy()[0]
        best = np.argsort(-chances, kind="stable")[:LIKELY]
        likely = {self._vocabulary[number]: round(float(chances[number]), 6) for number in best}
        measured = (
            {"bits_per_character": nats / np.log(2)}
            if self._level == "character"
            else {"perplexity": float(np.exp(nats))}
        )
        return {
            "tokens": len(tokens),
            "unknown": sum(token not in self._numbers for token in tokens),
            **measured,
            "next": json.dumps(likely, ensure_ascii=False),
        }

    def _tokens(self, text: str) -> list[str]:
        """The tokens of all lines, with a line end between two of them."""
        lines = [line.strip() if self._level == "character" else self._in(line) for line in text.split("\n")]
        tokens: list[str] = []
        for number, line in enumerate(lines):
            tokens += [EOS] * (number > 0) + list(line)
        return tokens

    def _in(self, line: str) -> list[str]:
        """The words of a line, as `nas.datasets.prepared.tokens.Words` finds them."""
        words = self._words  # of models that were exported earlier: only `pattern` and `lower`
        line = line.translate(str.maketrans(words.get("replaced", {})))
        line = line.lower() if words["lower"] else line
        line = unicodedata.normalize(words["form"], line) if words.get("form") else line
        return re.findall(words["pattern"], line)


def _load_pyfunc(path: str) -> LanguageServer:
    """What MLflow calls to load the model."""
    return LanguageServer(Path(path))
