"""Published results stand only beside data sets to which they belong."""

from __future__ import annotations

import pytest

from nas.report.published import CIFAR10, IMAGENET, PUBLISHED, published_on


@pytest.mark.parametrize(
    ("source", "name", "classes", "data"),
    [
        ("cifar10", "mine", 10, CIFAR10),
        ("parquet", "CIFAR-10", 10, CIFAR10),
        ("folder", "imagenet", 1000, IMAGENET),
        ("folder", "imagenet", 100, None),
        ("digits", "digits", 10, None),
        ("folder", "cifar10", 2, None),
    ],
)
def test_results_belong_to_a_data_set_by_source_or_name_and_classes(
    source: str, name: str, classes: int, data: str | None
) -> None:
    assert {one.data for one in published_on(source, name, classes)} == ({data} if data else set())


def test_the_numbers_are_those_of_the_paper() -> None:
    found = {one.model: one for one in PUBLISHED}
    assert found["NASNet-A (7 @ 2304) + cutout"].accuracy == 0.976
    large = found["NASNet-A (6 @ 4032)"]
    assert (large.accuracy, large.parameters, large.multiply_adds, large.image_size) == (
        0.827,
        88.9e6,
        23.8e9,
        331,
    )
    assert len(found) == len(PUBLISHED) == 15 + 17
