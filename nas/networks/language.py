"""A language model: an embedding, layers of a recurrent cell, and a softmax over the vocabulary."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from nas.networks.recurrent_layer import Recurrent
from nas.spaces import parse_architecture

State = list[list[Any]]
"""For each layer the tensors of its state, each with shape `(streams, units)`."""


@keras.saving.register_keras_serializable(package="nasflow")
class LanguageModel(keras.Model):  # type: ignore[misc]
    """Predicts each next token of running text (Zoph & Le 2017, §4.2).

    Input: 2D tensor of token numbers, with shape `(streams, steps)`, and the state in which an earlier
    call left the model (None: zeros). Output: logits of the token after each one, float32 with shape
    `(streams, steps, vocabulary)`, and the new state.

    In training, whole tokens of the vocabulary are dropped from the embedding, and the masks on the input
    of each layer, on the recurrent state and on the softmax's input are the same at all steps of a call
    (Gal & Ghahramani 2016).

    Args:
        architecture: text form of the cell.
        vocabulary: number of tokens.
        units: of the embedding and of each layer.
        layers: number of recurrent layers.
        tied: the softmax uses the embedding's matrix, transposed.
        dropout_embedding, dropout_input, dropout_recurrent, dropout_output: rates, see
            `nas.training.language_recipe.LanguageRecipe`.
        init_scale: weights begin uniformly in ± this; the softmax's bias begins at zero.
        seed: of the weights and of the masks.
    """

    def __init__(
        self,
        architecture: str,
        vocabulary: int,
        units: int,
        layers: int = 2,
        tied: bool = False,
        dropout_embedding: float = 0.0,
        dropout_input: float = 0.0,
        dropout_recurrent: float = 0.0,
        dropout_output: float = 0.0,
        init_scale: float = 0.05,
        seed: int = 0,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.architecture, self.vocabulary, self.units, self.tied = architecture, vocabulary, units, tied
        self.dropout_embedding, self.dropout_input = dropout_embedding, dropout_input
        self.dropout_recurrent, self.dropout_output = dropout_recurrent, dropout_output
        self.init_scale, self.seed = init_scale, seed
        self.embedding = self._matrix("embedding", (vocabulary, units), 0)
        self.recurrent = [
            Recurrent(
                parse_architecture(architecture),
                units,
                init_scale=init_scale,
                seed=seed + 1 + layer,
                name=f"recurrent_{layer + 1}",
            )
            for layer in range(layers)
        ]
        self.softmax = None if tied else self._matrix("softmax", (units, vocabulary), layers + 1)
        self.bias = self.add_weight(name="bias", shape=(vocabulary,), initializer="zeros")
        self.masks = keras.random.SeedGenerator(seed)

    def _matrix(self, name: str, shape: tuple[int, int], number: int) -> Any:
        uniform = keras.initializers.RandomUniform(
            -self.init_scale, self.init_scale, seed=self.seed + 1000 + number
        )
        return self.add_weight(name=name, shape=shape, initializer=uniform)

    def build(self, input_shape: Any = None) -> None:
        for layer in self.recurrent:
            layer.build((None, None, self.units))
        self.built = True

    def call(self, tokens: Any, state: State | None = None, training: bool = False) -> tuple[Any, State]:
        streams = ops.shape(tokens)[0]
        sequence = ops.cast(ops.take(self.embedding, tokens, axis=0), self.compute_dtype)
        if training and self.dropout_embedding:
            kept = keras.random.dropout(
                ops.ones((self.vocabulary,), sequence.dtype), self.dropout_embedding, seed=self.masks
            )
            sequence = sequence * ops.take(kept, tokens, axis=0)[:, :, None]
        after: State = []
        for number, layer in enumerate(self.recurrent):
            sequence = self._dropped(sequence, self.dropout_input, (streams, 1, self.units), training)
            mask = None
            if training and self.dropout_recurrent:
                ones = ops.ones((streams, self.units), sequence.dtype)
                mask = keras.random.dropout(ones, self.dropout_recurrent, seed=self.masks)
            sequence, left = layer(sequence, None if state is None else state[number], recurrent_mask=mask)
            after.append(list(left))
        sequence = self._dropped(sequence, self.dropout_output, (streams, 1, self.units), training)
        weights = ops.transpose(self.embedding) if self.softmax is None else self.softmax
        logits = ops.matmul(sequence, ops.cast(weights, sequence.dtype))
        return ops.cast(logits, "float32") + ops.cast(self.bias, "float32"), after

    def _dropped(self, values: Any, rate: float, shape: tuple[Any, ...], training: bool) -> Any:
        if not (training and rate):
            return values
        return keras.random.dropout(values, rate, noise_shape=shape, seed=self.masks)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape, self.vocabulary), self.state_shapes(input_shape[0])

    def state_shapes(self, streams: Any) -> list[list[tuple[Any, int]]]:
        """The shapes of a state: for each layer those of its tensors."""
        return [[(streams, self.units)] * len(layer.cell.state_size) for layer in self.recurrent]

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config()
        return config | {
            "architecture": self.architecture,
            "vocabulary": self.vocabulary,
            "units": self.units,
            "layers": len(self.recurrent),
            "tied": self.tied,
            "dropout_embedding": self.dropout_embedding,
            "dropout_input": self.dropout_input,
            "dropout_recurrent": self.dropout_recurrent,
            "dropout_output": self.dropout_output,
            "init_scale": self.init_scale,
            "seed": self.seed,
        }
