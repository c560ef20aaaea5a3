"""A trained language model as a SavedModel, which needs no code of ours."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from nas import datasets
from nas.datasets import PreparedText
from nas.errors import SearchError
from nas.networks.language import LanguageModel
from nas.training.language_serving import load
from nas.training.saving import served

TOLERANCE = 1e-3
"""Largest difference of a probability or of nats that counts as rounding."""

TOKENS = (2, 20)
"""Streams and steps of the validation text that the export is compared on."""

VOCABULARY = "assets.extra/text.json"
"""Beside the SavedModel's own files, to come from text to tokens and back: `level`, `vocabulary` and `words`:
the words of a line are all that match `pattern`, after each character of `replaced` is replaced, the line is
made lower-case if `lower`, and brought to the normal form `form`."""


def export(model: str, data: str, folder: str) -> dict[str, Any]:
    """Writes a trained language model for others, in a fresh process.

    The SavedModel's endpoint `serve` takes token numbers, int32 with shape `(texts, tokens)`, and gives
    `next`, the probabilities of the token that follows, `(texts, vocabulary)`, and `nats`, −ln p of each
    token from those before it, `(texts, tokens)`: the perplexity of a text is e to their mean. A text
    begins with a zero state, after a line end.

    Args:
        model: path of `model.keras`.
        data: folder of the prepared data.
        folder: where `saved_model` is put.

    Returns:
        JSON: the name of what was written for `keras` and `saved_model`.

    Raises:
        SearchError: the SavedModel does not give what the Keras model gives.
        InputError: the model doesn't fit the data.
    """
    prepared = datasets.load(Path(data), PreparedText)
    network, target = load(model, prepared), Path(folder) / "saved_model"
    serving = Serving(network, prepared.eos)
    serving.build(None)
    archive = keras.export.ExportArchive()
    archive.track(serving)
    tokens = keras.InputSpec(shape=(None, None), dtype="int32", name="tokens")
    archive.add_endpoint("serve", lambda tokens: serving(tokens), input_signature=[tokens])
    archive.write_out(str(target), verbose=False)
    _write_vocabulary(target / VOCABULARY, prepared)
    streams, steps = TOKENS
    text = np.resize(np.asarray(prepared.split("validation")), (streams, steps)).astype("int32")
    expected = serving(text)
    reloaded = served(target, text)
    for name, values in expected.items():
        difference = float(np.abs(ops.convert_to_numpy(values) - reloaded[name]).max())
        if not difference <= TOLERANCE:
            raise SearchError(
                f"the exported SavedModel predicts otherwise than the Keras model: {name} differs by up to "
                f"{difference:.3g} (at most {TOLERANCE:g} is rounding)"
            )
    return {"keras": Path(model).name, "saved_model": "saved_model"}


class Serving(keras.layers.Layer):  # type: ignore[misc]
    """A language model as others use it: whole texts in, the next token and the surprise out.

    Args:
        model: trained.
        eos: the token before the first.
    """

    def __init__(self, model: LanguageModel, eos: int) -> None:
        super().__init__(name="serving")
        self.model, self._eos = model, eos

    def build(self, input_shape: Any) -> None:
        self.built = True

    def call(self, tokens: Any) -> dict[str, Any]:
        first = ops.full_like(tokens[:, :1], self._eos)
        logits, _ = self.model(ops.concatenate([first, tokens], axis=1), training=False)
        nats = ops.sparse_categorical_crossentropy(tokens, logits[:, :-1], from_logits=True)
        return {"next": ops.softmax(logits[:, -1]), "nats": nats}


def _write_vocabulary(path: Path, data: PreparedText) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = {"level": data.level, "words": asdict(data.rule), "vocabulary": list(data.vocabulary)}
    path.write_text(json.dumps(text, ensure_ascii=False), encoding="utf-8")
