from __future__ import annotations

import hashlib

import numpy as np
import pytest

from nas.datasets.splitting import stratified
from nas.errors import DataError

CLASSES = ["a", "b", "c"]


def test_a_split_keeps_the_proportions_and_loses_no_image() -> None:
    labels = np.repeat([0, 1, 2], [50, 30, 20])
    kept, off = stratified(labels, 10, CLASSES, seed=0, name="test")
    assert np.bincount(labels[off]).tolist() == [5, 3, 2]
    assert sorted([*kept, *off]) == list(range(100))
    assert (np.diff(kept) > 0).all()
    assert (np.diff(off) > 0).all()


@pytest.mark.parametrize(
    ("amount", "shares"),
    [(7, [4, 2, 1]), (0.25, [13, 7, 5]), (3, [1, 1, 1]), (0.001, [1, 1, 1]), (97, [49, 29, 19])],
)
def test_a_split_has_the_size_asked_for_and_each_class(amount: float, shares: list[int]) -> None:
    labels = np.repeat([0, 1, 2], [50, 30, 20])
    _, off = stratified(labels, amount, CLASSES, seed=0, name="test")
    assert np.bincount(labels[off], minlength=3).tolist() == shares


def test_rare_classes_are_in_the_split_though_their_share_is_below_one() -> None:
    labels = np.repeat([0, 1, 2], [196, 2, 2])
    _, off = stratified(labels, 0.1, CLASSES, seed=0, name="validation")
    assert np.bincount(labels[off]).tolist() == [18, 1, 1]


def test_the_split_depends_on_the_seed_and_on_what_is_split_off() -> None:
    labels = np.arange(300) % 3
    splits = {
        tuple(stratified(labels, 30, CLASSES, seed=seed, name=name)[1])
        for seed in (0, 1)
        for name in ("test", "validation")
    }
    assert len(splits) == 4


def test_the_split_of_a_seed_never_changes() -> None:
    labels = np.arange(1000) % 3
    _, off = stratified(labels, 0.1, CLASSES, seed=7, name="validation")
    assert hashlib.sha256(off.astype("<i8").tobytes()).hexdigest()[:16] == "b0f4134d59931259"


def test_a_class_with_too_few_images_is_named() -> None:
    labels = np.repeat([0, 1, 2], [50, 49, 1])
    with pytest.raises(
        DataError, match=r"class 'c' has too few images for the test split: 1 .* 2 are needed"
    ):
        stratified(labels, 0.1, CLASSES, seed=0, name="test")


def test_less_than_one_image_for_each_class_is_refused() -> None:
    with pytest.raises(DataError, match=r"validation=2 .* 3 classes"):
        stratified(np.arange(30) % 3, 2, CLASSES, seed=0, name="validation")
