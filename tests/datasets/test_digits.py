from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nas.datasets import Prepared, prepare
from nas.experiment import Data
from nas.testing.datasets import ImageSourceContract
from nas.workspace import Workspace


class TestDigits(ImageSourceContract):
    def data(self, root: Path) -> Data:
        return Data(source="digits")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(Data(source="digits"), Workspace(tmp_path_factory.mktemp("digits")))


def test_all_digits_are_there(digits: Prepared) -> None:
    assert digits.classes == tuple("0123456789")
    assert digits.image_shape == (8, 8, 1)
    assert digits.sizes == {"train": 1197, "validation": 300, "test": 300}
    assert sum(digits.sizes.values()) == 1797
    for name in digits.sizes:
        counts = np.bincount(digits.split(name)[1])
        assert counts.max() - counts.min() <= 6


def test_ink_fills_the_range_in_steps_of_fifteen(digits: Prepared) -> None:
    images, _ = digits.split("train")
    assert np.unique(images).tolist() == [15 * ink for ink in range(17)]


def test_the_digits_are_the_same_everywhere(digits: Prepared) -> None:
    assert digits.digest == "7950b06e569d52144803fb8268511e55bc5e3a4c625384761f4edfd9582baaa4"
