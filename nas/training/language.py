"""Carries a `LanguageRecipe` out: trains one language model from scratch, epoch by epoch."""

from __future__ import annotations

import math

import keras
import numpy as np

from nas import datasets
from nas.datasets import PreparedText
from nas.networks.language import LanguageModel
from nas.training import device
from nas.training.epochs import StopAtOnce, check_finite, steps_per_execution, train_epochs
from nas.training.language_recipe import LanguageRecipe
from nas.training.reader import Reader
from nas.training.run import Run
from nas.training.saving import save_model


def train(run: Run) -> None:
    """Trains `run.architecture` by `run.recipe`; the trainer that `LanguageRecipe` names (see `Run`).

    Each epoch of the history has `loss` and `val_loss` (nats for each token), `perplexity` and
    `val_perplexity`, and for characters `val_bits_per_character`; those of the training text were
    measured on the way, with dropout.

    With `run.folder`, an interrupted training goes on after its last finished epoch, as if it had never
    stopped, and the trained model is left there as `model.keras`.

    Raises:
        DivergedError: the loss was not finite.
        InputError: recipe and data don't fit together.
    """
    recipe: LanguageRecipe = run.recipe
    prepared = datasets.load(run.data, PreparedText)
    cost = recipe.cost(run.architecture, prepared)
    run.parameters, run.multiply_adds = cost.parameters, cost.multiply_adds
    keras.utils.set_random_seed(run.seed)
    model = LanguageModel(
        run.architecture.text(),
        len(prepared.vocabulary),
        recipe.units_of(run.architecture, len(prepared.vocabulary)),
        layers=recipe.layers,
        tied=recipe.tied,
        dropout_embedding=recipe.dropout_embedding,
        dropout_input=recipe.dropout_input,
        dropout_recurrent=recipe.dropout_recurrent,
        dropout_output=recipe.dropout_output,
        init_scale=recipe.init_scale,
        seed=run.seed,
    )
    model.build()
    _Training(run, prepared, model).fit()
    if run.folder is not None:
        run.files["model"] = str(save_model(model, run.folder / "model.keras"))


class _Training:
    """One model in training, with the texts that it learns from and is judged by."""

    def __init__(self, run: Run, prepared: PreparedText, model: LanguageModel) -> None:
        self.run, self.recipe = run, run.recipe
        self._digest, self._characters = prepared.digest, prepared.level == "character"
        tokens = prepared.split("train")[: self.recipe.train_tokens]
        self.student = self._reader(model, tokens, prepared.eos, self.recipe.streams)
        self.judge = self._reader(
            model, prepared.split("validation"), prepared.eos, self.recipe.validation_streams
        )
        optimizer = self.student.optimizer
        optimizer.build(self.student.trainable_variables)
        self._variables = [*model.variables, *optimizer.variables]

    def _reader(self, model: LanguageModel, tokens: np.ndarray, eos: int, streams: int) -> Reader:
        recipe = self.recipe
        reader = Reader(model, tokens, eos, min(streams, len(tokens)), recipe.window)
        kind = keras.optimizers.SGD if recipe.optimizer == "sgd" else keras.optimizers.Adam
        reader.compile(
            optimizer=kind(
                recipe.learning_rate,
                global_clipnorm=recipe.clip_norm,
                weight_decay=recipe.weight_decay or None,
            ),
            steps_per_execution=steps_per_execution(reader.windows),
            jit_compile=device.compiles(self.run.device),
        )
        return reader

    def fit(self) -> None:
        """Trains all epochs (see `train_epochs`)."""
        train_epochs(self.run, self._epoch, self._variables, self._digest)

    def _epoch(self, epoch: int) -> dict[str, float]:
        learning_rate = self.recipe.learning_rate_at(epoch)
        self.student.optimizer.learning_rate = learning_rate
        loss = self.student.learn([StopAtOnce(epoch)])
        judged = self.judge.read()
        check_finite(judged, f"after epoch {epoch + 1}, on the validation text")
        measured = {
            "loss": loss,
            "perplexity": perplexity(loss),
            "val_loss": judged,
            "val_perplexity": perplexity(judged),
            "learning_rate": learning_rate,
        }
        if self._characters:
            measured["val_bits_per_character"] = judged / math.log(2)
        return measured


def perplexity(nats: float) -> float:
    """e to the mean nats of a token; of more than 700 nats that of 700: JSON knows no infinite number."""
    return math.exp(min(nats, 700.0))
