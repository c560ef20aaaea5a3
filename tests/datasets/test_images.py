from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nas.datasets import Labelled, RawImages, images, prepare
from nas.errors import DataError, InputError
from nas.experiment import Data
from nas.workspace import Workspace
from tests.datasets.factories import write_folder


def test_a_split_that_the_source_has_itself_is_not_taken_from_its_training_images(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write_folder(tmp_path / "mine" / part, {"a": 5, "b": 5})
    with pytest.raises(InputError, match=r"test images of its own: leave out the option test=0\.2"):
        prepare(Data(source="folder", path="mine", test=0.2), Workspace(tmp_path))


def test_statistics_are_exact_over_many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_BLOCK_BYTES", 1000)
    pixels = np.random.RandomState(0).randint(0, 256, (500, 6, 5, 3)).astype(np.uint8)
    pixels[..., 2] = 9
    mean, std = images.channel_statistics(pixels)
    assert mean == pytest.approx(pixels.mean((0, 1, 2)), rel=1e-12)
    assert std == pytest.approx(pixels.std((0, 1, 2)), rel=1e-12)
    assert std[2] == 0.0


def blank(count: int, shape: tuple[int, ...] = (4, 4, 1)) -> np.ndarray:
    return np.zeros((count, *shape), dtype=np.uint8)


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        (
            {"train": Labelled(blank(3), np.array([0, 1, 2]))},
            r"label 2 of train image 2 .* 2 classes, 0 to 1",
        ),
        ({"train": Labelled(blank(2), np.array([0, -1]))}, r"label -1 of train image 1"),
        ({"train": Labelled(blank(2), np.array([0.0, 1.0]))}, r"train labels must be 2 integers"),
        ({"train": Labelled(blank(2), np.array([0]))}, r"train labels must be 2 integers"),
        ({"train": Labelled(blank(2) / 255, np.array([0, 1]))}, r"train images must be a uint8 array"),
        ({"train": Labelled(blank(0), np.array([], int))}, r"train images must be .* at least one image"),
        (
            {
                "train": Labelled(blank(2), np.array([0, 1])),
                "test": Labelled(blank(2, (4, 4, 3)), np.array([0, 1])),
            },
            r"test images have the shape \(4, 4, 3\) .* train images \(4, 4, 1\)",
        ),
    ],
)
def test_what_a_source_gives_is_checked(parts: dict[str, Labelled], told: str) -> None:
    with pytest.raises(DataError, match=told):
        RawImages(("a", "b"), **parts)
