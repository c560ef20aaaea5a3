"""Carries an `ImageRecipe` out: trains one image classifier from scratch, epoch by epoch."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import numpy as np

from nas import datasets, networks
from nas.datasets import PreparedImages
from nas.training import device
from nas.training.epochs import StopAtOnce, check_finite, steps_per_execution, train_epochs
from nas.training.image_input import ImageInput, Trainee
from nas.training.image_recipe import ImageRecipe
from nas.training.image_serving import serving_model, whitening
from nas.training.latency import seconds_per_example
from nas.training.optimizing import WeightAverage, optimizer_of
from nas.training.run import Run
from nas.training.saving import save_model


def train(run: Run) -> None:
    """Trains `run.architecture` by `run.recipe`; the trainer that `ImageRecipe` names (see `Run`).

    With `run.folder`, an interrupted training goes on after its last finished epoch, as if it had never
    stopped, and the trained network is left there as `model.keras`, ready to be served. The checkpoint
    stays beside it: whoever begins a finished training again, because its result was lost on the way,
    gets that result at once.

    Raises:
        DivergedError: the loss was not finite.
        InputError: recipe and data don't fit together.
    """
    recipe: ImageRecipe = run.recipe
    prepared = datasets.load(run.data, PreparedImages)
    shape, classes = recipe.network_shapes(prepared)
    cost = recipe.cost(run.architecture, prepared)
    run.parameters, run.multiply_adds = cost.parameters, cost.multiply_adds
    keras.utils.set_random_seed(run.seed)
    with device.precision(recipe.precision, run.device):
        settings = networks.Settings(
            shape,
            classes,
            seed=run.seed,
            batch_norm_momentum=recipe.batch_norm_momentum,
            batch_norm_epsilon=recipe.batch_norm_epsilon,
            weight_decay=recipe.weight_decay,
            stack=recipe.stack_of(run.architecture),
        )
        network = networks.build_network(run.architecture, settings)
        _Training(run, prepared, network).fit()
        served = network.served()
        if recipe.latency_examples:
            run.latency_seconds = seconds_per_example(served, shape, recipe.latency_examples)
    if run.folder is not None:
        path = save_model(serving_model(served, prepared, recipe), run.folder / "model.keras")
        run.files["model"] = str(path)


class _Training:
    """One network in training, with its data and its checkpoint."""

    def __init__(self, run: Run, prepared: PreparedImages, network: networks.Network) -> None:
        self.run, self.recipe, self._digest = run, run.recipe, prepared.digest
        self.data = _Data(prepared, self.recipe, device.resident_bytes(run.device))
        mean, deviation = whitening(prepared)
        preparation = ImageInput(self.recipe, prepared.image_shape, mean, deviation, run.seed)
        steps = self.recipe.epochs * self.data.steps
        self.trainee = Trainee(
            network,
            preparation,
            self.data.resident,
            steps,
            label_smoothing=self.recipe.label_smoothing,
            weight_average=self.recipe.weight_average,
        )
        self._average = self.trainee.average
        self.trainee.compile(
            optimizer=optimizer_of(self.recipe, self.data.steps),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
            steps_per_execution=steps_per_execution(self.data.steps, self.recipe.steps_per_execution),
            jit_compile=device.compiles(run.device),
        )
        optimizer = self.trainee.optimizer
        optimizer.build(self.trainee.trainable_variables)
        self._variables = [*network.model.variables, *optimizer.variables, preparation.seed_generator.state]
        if self._average is not None:
            self._variables += self._average.variables

    def fit(self) -> None:
        """Trains all epochs (see `train_epochs`); it ends with the average of the weights, if any."""
        train_epochs(self.run, self._epoch, self._variables, self._digest)
        if self._average is not None:
            self._average.put_in_place()

    def _epoch(self, epoch: int) -> dict[str, float]:
        learning_rate = self.recipe.learning_rate_at(epoch)
        if self.recipe.schedule_every == "epoch":
            self.trainee.optimizer.learning_rate = learning_rate
        self.trainee.go_on_after(epoch * self.data.steps)
        trained = self.trainee.fit(
            **self.data.training(self.run.seed, epoch),
            epochs=1,
            shuffle=False,
            verbose=0,
            callbacks=[StopAtOnce(epoch)],
        ).history
        with nullcontext() if self._average is None else self._averaged(self._average, epoch):
            judged = self.trainee.evaluate(**self.data.validation(), verbose=0, return_dict=True)
        check_finite(judged["loss"], f"after epoch {epoch + 1}, on the validation images")
        return {
            "loss": float(trained["loss"][0]),
            "accuracy": float(trained["accuracy"][0]),
            "val_loss": float(judged["loss"]),
            "val_accuracy": float(judged["accuracy"]),
            "learning_rate": learning_rate,
        }

    def _averaged(self, average: WeightAverage, epoch: int) -> AbstractContextManager[None]:
        """Within, the network has the average of the weights, those after the epoch's last step included."""
        average(keras.ops.convert_to_tensor((epoch + 1) * self.data.steps, dtype="int32"))
        return average.in_place()


class _Data:
    """Training and validation images: held on the device and named by index, or streamed.

    Args:
        prepared: the data set.
        recipe: says how many training images there are and how large a batch is.
        resident_bytes: the largest data set that is held on the device.
    """

    def __init__(self, prepared: PreparedImages, recipe: ImageRecipe, resident_bytes: int) -> None:
        self._images, labels = prepared.split("train")
        self._validation_images, self._validation_labels = prepared.split("validation")
        self._rows = stratified(labels, recipe.train_examples)
        self._labels = labels[self._rows]
        self.batch_size = min(recipe.batch_size, len(self._rows))
        self.steps = len(self._rows) // self.batch_size
        total = len(self._rows) + len(self._validation_images)
        fits = total * math.prod(prepared.image_shape) <= resident_bytes
        self.resident: np.ndarray | None = None
        if fits:
            self.resident = np.concatenate([self._images[self._rows], self._validation_images])

    def training(self, seed: int, epoch: int) -> dict[str, Any]:
        """Arguments of `fit`: a random order of the images, whole batches only."""
        generator = np.random.default_rng([seed, epoch])
        order = generator.permutation(len(self._rows))[: self.steps * self.batch_size].astype("int32")
        if self.resident is not None:
            return {"x": order, "y": self._labels[order], "batch_size": self.batch_size}
        return {"x": _Stream(self._images, self._rows[order], self._labels[order], self.batch_size)}

    def validation(self) -> dict[str, Any]:
        """Arguments of `evaluate`; batches are larger because nothing is kept for a gradient."""
        count, labels, batch_size = len(self._validation_labels), self._validation_labels, 2 * self.batch_size
        if self.resident is not None:
            rows = np.arange(len(self._rows), len(self._rows) + count, dtype="int32")
            return {"x": rows, "y": labels, "batch_size": batch_size}
        return {"x": _Stream(self._validation_images, np.arange(count), labels, batch_size)}


class _Stream(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of raw images, read from disk when they are needed."""

    def __init__(self, images: np.ndarray, rows: np.ndarray, labels: np.ndarray, batch_size: int) -> None:
        super().__init__()
        self._images, self._rows, self._labels, self._batch_size = images, rows, labels, batch_size

    def __len__(self) -> int:
        return math.ceil(len(self._rows) / self._batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        part = slice(index * self._batch_size, (index + 1) * self._batch_size)
        return self._images[self._rows[part]], self._labels[part]


def stratified(labels: np.ndarray, count: int | None) -> np.ndarray:
    """Rows of `count` examples with the classes in proportion; the same ones for every child.

    Args:
        labels: class of each example, with shape `(n,)`.
        count: how many to take; None or more than there are: all, in their order.
    """
    if count is None or count >= len(labels):
        return np.arange(len(labels))
    generator = np.random.default_rng(0)
    place = np.empty(len(labels))
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        place[rows] = (np.arange(len(rows)) + generator.random()) / len(rows)
    return np.sort(np.argsort(place, kind="stable")[:count])
