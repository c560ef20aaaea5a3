"""Reads a text with a language model, window by window, carrying the state over."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from nas.datasets.streams import windows
from nas.networks.language import LanguageModel


class Reader(keras.Model):  # type: ignore[misc]
    """A language model with a text that it reads: what is trained, and what judges.

    The text lies on the device. `read` and `learn` go over it once, from a zero state, so that every
    token is predicted once, from all tokens before it in its stream.

    Input: 1D int32 tensor with the number of one window. Output: nats (−ln p) of each token of that
    window, 0 where the last window is not full, with shape `(1, streams, window)`. The state is a
    variable that each call leaves for the next; gradients don't pass it.

    Args:
        model: several readers may share one.
        tokens: the text, an integer array with shape `(n,)`.
        eos: the token that the first one is predicted from.
        streams: pieces of the text that are read side by side.
        window: time steps of a window.
    """

    def __init__(self, model: LanguageModel, tokens: np.ndarray, eos: int, streams: int, window: int) -> None:
        super().__init__(name="reader")
        self.model = model
        cut = windows(np.asarray(tokens), eos, streams, window)
        self.windows = len(cut.inputs)
        self.streams = streams
        self._counts = cut.weights.sum(axis=(1, 2), dtype="float32")
        # Variables and no constants: a backend would copy a constant into the compiled program.
        self._inputs = self._held(cut.inputs, "int32", "inputs")
        self._targets = self._held(cut.targets, "int32", "targets")
        self._weights = self._held(cut.weights, "float32", "weights")
        self._state = [
            [
                self._held(np.zeros(shape), "float32", f"state_{layer}_{place}")
                for place, shape in enumerate(shapes)
            ]
            for layer, shapes in enumerate(model.state_shapes(streams))
        ]
        self.nats = keras.metrics.Mean(name="nats")

    def _held(self, values: np.ndarray, dtype: str, name: str) -> keras.Variable:
        return keras.Variable(values.astype(dtype), dtype=dtype, trainable=False, name=name)

    def build(self, input_shape: Any) -> None:
        self.built = True

    def call(self, number: Any, training: bool = False) -> Any:
        inputs, targets, weights = (
            ops.take(held, number[0], axis=0) for held in (self._inputs, self._targets, self._weights)
        )
        before = [[ops.stop_gradient(ops.convert_to_tensor(part)) for part in layer] for layer in self._state]
        logits, after = self.model(inputs, before, training=training)
        for layer, left in zip(self._state, after, strict=True):
            for held, value in zip(layer, left, strict=True):
                held.assign(ops.cast(value, "float32"))
        nats = ops.sparse_categorical_crossentropy(targets, logits, from_logits=True)
        return (nats * weights)[None]

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Sum over the steps, mean over the streams: the loss of Zaremba et al. (2014)."""
        return ops.sum(y_pred) / self.streams

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        count = ops.sum(y)
        self.nats.update_state(ops.sum(y_pred) / count, sample_weight=count)
        return self.get_metrics_result()

    def learn(self, callbacks: list[keras.callbacks.Callback]) -> float:
        """Trains on the whole text once; mean nats of a token on the way."""
        self._forget()
        history = self.fit(
            **self._arguments(), epochs=1, shuffle=False, verbose=0, callbacks=callbacks
        ).history
        return float(history["nats"][0])

    def read(self) -> float:
        """Mean nats of a token, without training."""
        self._forget()
        return float(self.evaluate(**self._arguments(), verbose=0, return_dict=True)["nats"])

    def each(self) -> np.ndarray:
        """Nats of each token in the order of the text, with shape `(n,)`; for a single stream."""
        self._forget()
        nats = self.predict(np.arange(self.windows, dtype="int32"), batch_size=1, verbose=0)
        return np.asarray(nats, "float64").reshape(-1)[: int(self._counts.sum())]

    def _arguments(self) -> dict[str, Any]:
        return {
            "x": np.arange(self.windows, dtype="int32"),
            "y": self._counts[:, None],
            "batch_size": 1,
        }

    def _forget(self) -> None:
        for layer in self._state:
            for held in layer:
                held.assign(ops.zeros(held.shape, held.dtype))
