"""Training of cells in a stack: size by the recipe, auxiliary heads, progress, and what is left of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from nas import datasets, plugins
from nas.errors import InputError
from nas.networks import Network, Settings, build_network
from nas.spaces import parse_architecture
from nas.training import image
from nas.training.image_input import ImageInput, Trainee
from nas.training.image_recipe import ImageRecipe
from nas.training.run import Run
from tests.networks.stacks import Plain, Twist

MakeRun = Callable[..., Run]
CELL = Twist(3).text()
PLAIN = Plain.name
BOTH = {"name": PLAIN, "cells": 2, "filters": 4, "drop": 0.5, "auxiliary": 0.4}


def without_seconds(history: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{key: value for key, value in epoch.items() if key != "seconds"} for epoch in history]


@pytest.mark.parametrize(("cells", "filters"), [(2, 8), (4, 16)])
def test_the_recipes_stack_says_how_large_a_network_of_a_cell_is(
    run: MakeRun, tmp_path: Path, cells: int, filters: int
) -> None:
    training = run(CELL, tmp_path, epochs=1, stack={"name": PLAIN, "cells": cells, "filters": filters})
    image.train(training)
    cost = Plain(cells, filters).cost(Twist(3), (8, 8, 1), 10)
    assert (training.parameters, training.multiply_adds) == (cost.parameters, cost.multiply_adds)
    served = keras.models.load_model(tmp_path / "model.keras")
    (network,) = [layer for layer in served.layers if isinstance(layer, keras.Model)]
    assert network.count_params() == cost.parameters


def test_a_cell_is_shown_as_the_first_one_of_its_stack(digits: datasets.Prepared) -> None:
    recipe = ImageRecipe(upsample=None, crop=None, stack={"name": PLAIN, "filters": 6})
    assert recipe.shapes(Twist(3), digits) == ((8, 8, 6), 6)


def test_a_cell_without_a_stack_and_a_whole_network_with_one_are_refused(digits: datasets.Prepared) -> None:
    options: dict[str, Any] = {"upsample": None, "crop": None}
    with pytest.raises(InputError, match="is a cell: the recipe needs a stack"):
        ImageRecipe(**options).cost(Twist(3), digits)
    whole, stacked = parse_architecture("resnet:4x1x1"), ImageRecipe(**options, stack={"name": PLAIN})
    with pytest.raises(InputError, match="'resnet' is not a convolutional cell"):
        stacked.cost(whole, digits)
    assert stacked.required_by(whole) == {"stack": None}
    assert stacked.required_by(Twist(3)) == {}


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        (6, "stack must be its name and its options"),
        ({"cells": 6}, "stack must be its name and its options"),
        ({"name": "no"}, "no stack is named 'no'"),
        ({"name": PLAIN, "cell": 6}, "unknown option 'cell' of stack .*'cells'"),
        ({"name": PLAIN, "cells": 0}, "at least one cell"),
        ({"name": "nas.spaces.resnet:ResNet"}, "is not a nas.spaces.Stack"),
    ],
)
def test_a_stack_that_is_wrong_is_refused_when_the_recipe_is_read(stack: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ImageRecipe(stack=stack)


def test_a_recipe_with_a_stack_survives_json() -> None:
    recipe = ImageRecipe(stack=BOTH)
    assert plugins.make("recipe", {"name": "image", **recipe.to_json()}) == recipe
    assert "stack" not in ImageRecipe().to_json()


def trainee(network: Network, steps: int, label_smoothing: float = 0.0) -> Trainee:
    recipe = ImageRecipe(upsample=None, crop=None, flip=False)
    preparation = ImageInput(recipe, (8, 8, 1), np.zeros(1), np.ones(1), 0)
    made = Trainee(network, preparation, steps=steps, label_smoothing=label_smoothing)
    made.compile(
        optimizer=keras.optimizers.SGD(0.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    return made


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_loss_of_an_auxiliary_head_is_weighted_and_metrics_are_of_the_main_output(
    smoothing: float,
) -> None:
    settings = Settings((8, 8, 1), 3, seed=0, weight_decay=0.0, stack=Plain(2, 4, auxiliary=0.4))
    network = build_network(Twist(3), settings)
    network.model.get_layer("logits").kernel.assign(np.zeros((4, 3)))
    network.model.get_layer("logits").bias.assign([5.0, 0.0, 0.0])
    network.model.get_layer("auxiliary_logits").kernel.assign(np.zeros((4, 3)))
    network.model.get_layer("auxiliary_logits").bias.assign([0.0, 2.0, 0.0])
    made = trainee(network, 2, smoothing)
    images, labels = np.ones((4, 8, 8, 1), "float32"), np.zeros(4)
    trained = made.fit(images, labels, batch_size=2, epochs=1, verbose=0).history
    main, other = np.log(1 + 2 * np.exp(-5.0)), np.log(np.exp(2.0) + 2)
    # Smoothed, a target is 1 − s + s/3 for the label and s/3 for each other class.
    smoothed = main + smoothing * 5 * 2 / 3 + 0.4 * (other + smoothing * (0 - 2 / 3))
    assert trained["loss"][0] == pytest.approx(smoothed, rel=1e-5)
    assert trained["accuracy"][0] == 1.0
    judged = made.evaluate(images, labels, verbose=0, return_dict=True)
    assert judged["loss"] == pytest.approx(main, rel=1e-4)
    assert judged["accuracy"] == 1.0


def test_progress_rises_with_each_step_to_one_in_the_last() -> None:
    network = build_network(Twist(3), Settings((8, 8, 1), 3, seed=0, stack=Plain(2, 4, drop=0.5)))
    made = trainee(network, steps=4)
    images, labels = np.ones((2, 8, 8, 1), "float32"), np.zeros(2)
    seen = []
    for _ in range(4):
        made.train_on_batch(images, labels)
        seen.append(float(network.progress.value))  # type: ignore[union-attr]
    assert seen == [0.25, 0.5, 0.75, 1.0]
    made.evaluate(images, labels, verbose=0)
    assert float(network.progress.value) == 1.0  # type: ignore[union-attr]


def test_an_interrupted_training_with_all_of_this_goes_on_as_if_it_had_never_stopped(
    run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks: list[Network] = []

    def built(architecture: Any, settings: Settings) -> Network:
        networks.append(build_network(architecture, settings))
        return networks[-1]

    monkeypatch.setattr(image.networks, "build_network", built)
    whole = run(CELL, tmp_path / "whole", epochs=3, stack=BOTH)
    image.train(whole)
    assert float(networks[-1].progress.value) == 1.0  # type: ignore[union-attr]

    real = image._Training._epoch

    def killed(self: Any, epoch: int) -> dict[str, float]:
        if epoch == 2:
            raise KeyboardInterrupt
        return real(self, epoch)

    with monkeypatch.context() as patched:
        patched.setattr(image._Training, "_epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            image.train(run(CELL, tmp_path / "again", epochs=3, stack=BOTH))
    again = run(CELL, tmp_path / "again", epochs=3, stack=BOTH)
    image.train(again)
    assert without_seconds(again.history) == without_seconds(whole.history)
    one, other = (
        keras.models.load_model(tmp_path / name / "model.keras").get_weights() for name in ("whole", "again")
    )
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_is_served_has_one_output_and_stock_layers_only(run: MakeRun, tmp_path: Path) -> None:
    training = run(CELL, tmp_path, epochs=1, stack=BOTH, precision="bfloat16", latency_examples=1)
    image.train(training)
    served = keras.models.load_model(tmp_path / "model.keras")
    (network,) = [layer for layer in served.layers if isinstance(layer, keras.Model)]
    assert len(served.outputs) == len(network.outputs) == 1
    for layer in (*served.layers, *network.layers):
        assert type(layer).__module__.startswith("keras."), layer
        assert layer.compute_dtype == "float32"
    assert network.count_params() == training.parameters
