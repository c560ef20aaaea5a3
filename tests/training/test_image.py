"""The training loop: what it draws from the data, where it stops, how it goes on after a kill."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from nas import datasets
from nas.training import device, image, image_serving
from nas.training.checkpoint import FILE
from nas.training.image_recipe import ImageRecipe
from nas.training.run import DivergedError, Run

MakeRun = Callable[..., Run]


def without_seconds(history: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{key: value for key, value in epoch.items() if key != "seconds"} for epoch in history]


def weights(model: Path) -> list[np.ndarray]:
    return keras.models.load_model(model).get_weights()


@pytest.mark.parametrize("count", [1, 3, 10, 57])
def test_a_part_of_the_data_has_the_classes_in_proportion(count: int) -> None:
    labels = np.array([0] * 60 + [1] * 30 + [2] * 10)
    rows = image.stratified(labels, count)
    assert len(set(rows.tolist())) == count
    for label, share in ((0, 0.6), (1, 0.3), (2, 0.1)):
        assert abs((labels[rows] == label).sum() - share * count) <= 1.0
    np.testing.assert_array_equal(rows, image.stratified(labels, count))


def test_a_part_that_is_larger_than_the_data_is_all_of_it() -> None:
    np.testing.assert_array_equal(image.stratified(np.array([1, 0, 1]), 9), [0, 1, 2])
    np.testing.assert_array_equal(image.stratified(np.array([1, 0, 1]), None), [0, 1, 2])


def test_every_epoch_has_its_own_order_of_whole_batches(digits: datasets.Prepared) -> None:
    data = image._Data(digits, ImageRecipe(train_examples=250, batch_size=60), 2**30)
    orders = [data.training(seed, epoch)["x"] for seed, epoch in ((1, 0), (1, 1), (2, 0), (1, 0))]
    assert [len(set(order.tolist())) for order in orders] == [240] * 4
    np.testing.assert_array_equal(orders[0], orders[3])
    assert not np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[0], orders[2])


def test_indices_and_labels_belong_together(digits: datasets.Prepared) -> None:
    data = image._Data(digits, ImageRecipe(train_examples=250, batch_size=60), 2**30)
    assert data.resident is not None
    for split, found in (("train", data.training(1, 0)), ("validation", data.validation())):
        images, labels = digits.split(split)
        known = {one.tobytes(): label for one, label in zip(images, labels.tolist(), strict=True)}
        there = [known[data.resident[row].tobytes()] for row in found["x"]]
        assert there == found["y"].tolist(), split
    assert len(data.validation()["x"]) == digits.sizes["validation"]


def test_a_batch_is_never_larger_than_the_data(digits: datasets.Prepared) -> None:
    data = image._Data(digits, ImageRecipe(train_examples=10, batch_size=64), 2**30)
    assert (data.batch_size, data.steps) == (10, 1)


def test_every_epoch_is_recorded(run: MakeRun) -> None:
    training = run(epochs=3, decay_at=[0.5])
    image.train(training)
    assert [set(epoch) for epoch in training.history] == [
        {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds"}
    ] * 3
    rates = [epoch["learning_rate"] for epoch in training.history]
    assert rates == pytest.approx([0.1, 0.1, 0.01])
    assert sum(epoch["seconds"] for epoch in training.history) == pytest.approx(
        training.train_seconds, abs=0.1
    )


@pytest.mark.parametrize("steps_per_execution", [1, 3])
def test_how_many_steps_are_executed_at_a_time_changes_nothing(
    run: MakeRun, steps_per_execution: int
) -> None:
    whole, parts = run(epochs=1), run(epochs=1, steps_per_execution=steps_per_execution)
    image.train(whole)
    image.train(parts)
    for key, value in without_seconds(whole.history)[0].items():
        assert parts.history[0][key] == pytest.approx(value, rel=1e-4), key


def test_streamed_images_train_like_images_on_the_device(
    run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"upsample": 10, "crop": 8, "flip": True, "train_examples": 250, "batch_size": 50}
    resident, streamed = run(**options), run(**options)
    image.train(resident)
    monkeypatch.setattr(device, "resident_bytes", lambda _: 0)
    image.train(streamed)
    for one, other in zip(without_seconds(resident.history), without_seconds(streamed.history), strict=True):
        assert one == pytest.approx(other, rel=1e-4)


def test_a_loss_that_is_no_number_ends_the_training_at_once(run: MakeRun) -> None:
    training = run(epochs=50, learning_rate=1e30, steps_per_execution=1)
    with pytest.raises(DivergedError, match=r"the loss was (nan|inf) .*epoch 1"):
        image.train(training)
    assert training.history == []
    assert training.parameters > 0
    assert training.train_seconds > 0


def test_a_child_under_the_median_stops_early(run: MakeRun) -> None:
    training = run(epochs=5, median_stopping=True, grace_epochs=2)
    training.median_curve = (1.1, 1.1, 1.1, 1.1, 1.1)
    image.train(training)
    assert training.stopped_early
    assert len(training.history) == 2


def test_weight_decay_shrinks_the_kernels(run: MakeRun, tmp_path: Path) -> None:
    norms = []
    for decay in (0.0, 1.0):
        training = run(folder=tmp_path / str(decay), weight_decay=decay, learning_rate=0.05)
        image.train(training)
        kernel = keras.models.load_model(training.files["model"]).layers[-1].get_layer("layer1").kernel
        norms.append(float(np.linalg.norm(keras.ops.convert_to_numpy(kernel))))
    assert norms[1] < 0.8 * norms[0]


class KilledError(Exception):
    """Stands for a kill."""


def test_a_killed_training_goes_on_at_the_next_epoch_and_ends_as_if_never_killed(
    run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"epochs": 4, "upsample": 10, "crop": 8, "flip": True}
    never = run(folder=tmp_path / "never", **options)
    image.train(never)

    trained: list[int] = []
    whole_epoch = image._Training._epoch

    def epoch_or_kill(self: Any, epoch: int) -> dict[str, float]:
        if epoch == 2 and len(trained) == 2:
            raise KilledError
        trained.append(epoch)
        return whole_epoch(self, epoch)

    monkeypatch.setattr(image._Training, "_epoch", epoch_or_kill)
    killed = run(folder=tmp_path / "killed", **options)
    with pytest.raises(KilledError):
        image.train(killed)
    assert (tmp_path / "killed" / FILE).is_file()
    again = run(folder=tmp_path / "killed", **options)
    trained.append(-1)
    image.train(again)

    assert trained == [0, 1, -1, 2, 3]
    assert without_seconds(again.history) == without_seconds(never.history)
    assert again.train_seconds == pytest.approx(sum(epoch["seconds"] for epoch in again.history), abs=0.2)
    for one, other in zip(
        weights(never.folder / "model.keras"), weights(again.folder / "model.keras"), strict=True
    ):
        np.testing.assert_array_equal(one, other)


LEARNING = {
    "rmsprop": {
        "optimizer": "rmsprop",
        "learning_rate": 0.02,
        "gradient_clipping": 10,
        "label_smoothing": 0.1,
        "weight_average": 0.9,
        "schedule": "exponential",
        "schedule_every": "step",
        "decay_epochs": 0.7,
    },
    "sgd": {"gradient_clipping": 5, "weight_average": 0.9, "schedule": "cosine", "cutout": 3, "flip": True},
    "region": {"random_area": [0.2, 1], "crop": 6, "brightness": 0.1, "contrast": 0.5, "cutout": 2},
}


@pytest.mark.parametrize("options", LEARNING.values(), ids=LEARNING)
def test_an_interrupted_training_with_other_ways_of_learning_ends_as_if_never_killed(
    run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    never = run(folder=tmp_path / "never", epochs=3, **options)
    image.train(never)
    whole_epoch = image._Training._epoch

    def killed(self: Any, epoch: int) -> dict[str, float]:
        if epoch == 1:
            raise KilledError
        return whole_epoch(self, epoch)

    with monkeypatch.context() as patched:
        patched.setattr(image._Training, "_epoch", killed)
        with pytest.raises(KilledError):
            image.train(run(folder=tmp_path / "killed", epochs=3, **options))
    again = run(folder=tmp_path / "killed", epochs=3, **options)
    image.train(again)
    assert without_seconds(again.history) == without_seconds(never.history)
    for one, other in zip(
        weights(never.folder / "model.keras"), weights(again.folder / "model.keras"), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_the_average_is_judged_and_saved_while_training_goes_on_with_the_weights(
    run: MakeRun, tmp_path: Path, digits: datasets.Prepared
) -> None:
    plain, averaged = run(folder=tmp_path / "plain"), run(folder=tmp_path / "averaged", weight_average=0.9)
    image.train(plain)
    image.train(averaged)
    for one, other in zip(plain.history, averaged.history, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-6)
        assert one["val_loss"] != other["val_loss"]
    path = averaged.files["model"]
    measured = image_serving.measure(path, str(digits.folder), "validation")
    assert measured["value"] == pytest.approx(averaged.history[-1]["val_accuracy"])
    saved, last = weights(Path(path)), weights(Path(plain.files["model"]))
    changed = [not np.array_equal(one, other) for one, other in zip(saved, last, strict=True)]
    assert sum(changed) == len(averaged_names(path))


def averaged_names(path: str) -> list[str]:
    """All variables of the network within a served model."""
    served = keras.models.load_model(path)
    return [one.path for layer in served.layers if isinstance(layer, keras.Model) for one in layer.variables]


def test_an_average_that_hardly_moves_is_still_near_the_weights_after_a_short_training(run: MakeRun) -> None:
    training = run("conv:3x3x16@0,3x3x16s2@1", epochs=5, weight_average=0.9999, train_examples=None)
    image.train(training)
    assert training.history[-1]["val_accuracy"] > 0.5


@pytest.mark.parametrize("options", [{"gradient_clipping": 1e20}, {"weight_average": 0.9999}])
def test_a_loss_that_is_no_number_is_noticed_with_clipping_and_averages_too(
    run: MakeRun, options: dict[str, Any]
) -> None:
    training = run(epochs=50, learning_rate=1e30, steps_per_execution=1, **options)
    with pytest.raises(DivergedError, match="the loss was"):
        image.train(training)


def test_regions_of_streamed_images_are_those_of_images_on_the_device(
    run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"random_area": [0.2, 1], "crop": 6, "flip": True, "train_examples": 250, "batch_size": 50}
    resident, streamed = run(**options), run(**options)
    image.train(resident)
    monkeypatch.setattr(device, "resident_bytes", lambda _: 0)
    image.train(streamed)
    for one, other in zip(without_seconds(resident.history), without_seconds(streamed.history), strict=True):
        assert one == pytest.approx(other, rel=1e-4)


def test_a_finished_training_that_is_begun_again_gives_its_result_without_an_epoch(
    run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(folder=tmp_path)
    image.train(first)
    trained = weights(tmp_path / "model.keras")
    (tmp_path / "model.keras").unlink()

    def no_epoch(*_: object) -> None:
        raise AssertionError("an epoch was trained again")

    monkeypatch.setattr(image._Training, "_epoch", no_epoch)
    again = run(folder=tmp_path)
    image.train(again)
    assert again.history == first.history
    assert again.train_seconds == first.train_seconds
    assert again.files == first.files
    for one, other in zip(trained, weights(tmp_path / "model.keras"), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_stopped_training_that_is_begun_again_stays_stopped(run: MakeRun, tmp_path: Path) -> None:
    for _ in range(2):
        training = run(folder=tmp_path, epochs=5, median_stopping=True, grace_epochs=2)
        training.median_curve = (1.1, 1.1, 1.1, 1.1, 1.1)
        image.train(training)
        assert training.stopped_early
        assert len(training.history) == 2


def test_a_training_without_a_folder_leaves_nothing_behind(run: MakeRun, digits: datasets.Prepared) -> None:
    before = sorted(digits.folder.rglob("*"))
    training = run(epochs=1)
    image.train(training)
    assert training.files == {}
    assert sorted(digits.folder.rglob("*")) == before


def test_computing_in_bfloat16_learns_too_and_serves_float32(run: MakeRun, tmp_path: Path) -> None:
    training = run("conv:3x3x16@0,3x3x16s2@1", tmp_path, precision="bfloat16", epochs=5, train_examples=None)
    image.train(training)
    assert training.history[-1]["val_accuracy"] > 0.5
    served = keras.models.load_model(training.files["model"])
    assert {layer.compute_dtype for layer in served.layers[-1].layers} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"
