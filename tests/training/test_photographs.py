"""Larger images of mixed sizes: prepared in their proportions, streamed, trained, and served alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from nas import datasets
from nas.experiment import Data
from nas.spaces import parse_architecture
from nas.training import device, image
from nas.training.image_recipe import ImageRecipe
from nas.training.image_serving import measure
from nas.training.run import Run
from nas.workspace import Workspace
from tests.training.conftest import CPU

TRANSFER: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 16,
    "learning_rate": 0.02,
    "upsample": None,
    "random_area": [0.2, 1.0],
    "central_fraction": 0.875,
    "brightness": 0.125,
    "contrast": 0.5,
    "saturation": 0.5,
    "hue": 0.2,
    "label_smoothing": 0.1,
    "weight_average": 0.99,
}

Train = Callable[..., Run]


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Trains a tiny network on images that are streamed."""

    def streamed(data: datasets.Prepared, **options: Any) -> Run:
        monkeypatch.setattr(device, "resident_bytes", lambda _: 0)
        run = Run(
            architecture=parse_architecture("conv:3x3x8s2@0,3x3x8s2@1"),
            recipe=ImageRecipe(**{**TRANSFER, **options}),
            data=data.folder,
            seed=3,
            device=CPU,
            folder=tmp_path / "run",
        )
        image.train(run)
        return run

    return streamed


def assert_served_as_judged(run: Run, data: datasets.Prepared) -> None:
    measured = measure(run.files["model"], str(data.folder), "validation")
    assert measured["value"] == pytest.approx(run.history[-1]["val_accuracy"])


def test_a_folder_of_mixed_sizes_is_learnt_in_its_proportions(tmp_path: Path, train: Train) -> None:
    random = np.random.default_rng(0)
    for number in range(120):
        width, height = (int(side) for side in random.integers(20, 90, 2))
        side, kind = min(width, height), number % 2
        picture = np.full((height, width, 3), 128, np.uint8)
        top, left = (height - side) // 2, (width - side) // 2
        picture[top : top + side, left : left + side, 2 * kind] = random.integers(180, 255)
        file = tmp_path / "mine" / ("red", "blue")[kind] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(file)
    data = datasets.prepare(Data(source="folder", path="mine", size=32, fit="crop"), Workspace(tmp_path))  # type: ignore[call-arg]
    short = {"learning_rate": 0.1, "schedule": "constant", "batch_norm_momentum": 0.5, "weight_average": 0.5}
    run = train(data, crop=24, epochs=8, hue=0.0, **short)
    assert run.history[-1]["val_accuracy"] > 0.8
    assert_served_as_judged(run, data)


def test_photographs_are_streamed_from_the_disk_at_64_pixels(
    tmp_path: Path, shared: Path, train: Train
) -> None:
    rows = pq.read_table(shared / "datasets" / "cifar10-jpeg-train.parquet").slice(0, 300)
    pq.write_table(rows, tmp_path / "some.parquet")
    source = Data(source="parquet", train="some.parquet", size=64, fit="crop")  # type: ignore[call-arg]
    data = datasets.prepare(source, Workspace(tmp_path))
    assert isinstance(data, datasets.PreparedImages)
    assert data.image_shape == (64, 64, 3)
    held = image._Data(data, ImageRecipe(upsample=None, crop=None), 0)
    assert held.resident is None
    assert isinstance(data.split("train")[0], np.memmap)
    run = train(data, crop=56, epochs=1)
    assert np.isfinite(run.history[0]["val_loss"])
    assert_served_as_judged(run, data)


def test_a_stream_has_the_images_in_the_order_of_seed_and_epoch(digits: datasets.Prepared) -> None:
    recipe = ImageRecipe(train_examples=200, batch_size=30)
    data, held = image._Data(digits, recipe, 0), image._Data(digits, recipe, 2**30)
    for seed, epoch in ((1, 0), (1, 1), (2, 0)):
        stream, order = data.training(seed, epoch)["x"], held.training(seed, epoch)
        assert len(stream) == 6
        for number in range(6):
            images, labels = stream[number]
            rows = order["x"][30 * number : 30 * number + 30]
            np.testing.assert_array_equal(images, held.resident[rows])  # type: ignore[index]
            np.testing.assert_array_equal(labels, order["y"][30 * number : 30 * number + 30])
