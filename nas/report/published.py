"""Results of networks as their authors published them, to stand beside one's own: never taken for them.

Source of all numbers: Zoph, Vasudevan, Shlens & Le (2018), "Learning Transferable Architectures for Scalable
Image Recognition": table 1 (CIFAR-10: error on the test images, mean of 5 runs), tables 2 and 3 (ImageNet:
accuracy of one crop of the validation images). What they quote of others' networks is as they quote it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SOURCE = "Zoph et al. (2018), tables 1 to 3"

CIFAR10, IMAGENET = "CIFAR-10", "ImageNet"

_CLASSES = {CIFAR10: 10, IMAGENET: 1000}
_NAMES = {CIFAR10: ("cifar10", "cifar-10"), IMAGENET: ("imagenet", "imagenet-1k", "ilsvrc2012")}


@dataclass(frozen=True)
class Published:
    """One published result.

    Attributes:
        model: as the paper calls it: of NASNet N @ the filters of the last cell, which are not F: NASNet-A
            (6 @ 768) is the stack 6@32 here.
        data: `CIFAR10` or `IMAGENET`.
        accuracy: top-1, a fraction: on CIFAR-10 of the test images, on ImageNet of the validation images.
        parameters, multiply_adds: of the network; None: not published.
        image_size: height and width of the images that it gets.
    """

    model: str
    data: str
    accuracy: float
    parameters: float
    multiply_adds: float | None = None
    image_size: int = 32


def _cifar(model: str, millions: float, error: float) -> Published:
    return Published(model, CIFAR10, round(1 - error / 100, 6), millions * 1e6)


def _imagenet(model: str, size: int, millions: float, multiply_adds: float, top1: float) -> Published:
    return Published(model, IMAGENET, round(top1 / 100, 6), millions * 1e6, multiply_adds, size)


PUBLISHED: Sequence[Published] = (
    _cifar("DenseNet (L = 40, k = 12)", 1.0, 5.24),
    _cifar("DenseNet (L = 100, k = 12)", 7.0, 4.10),
    _cifar("DenseNet (L = 100, k = 24)", 27.2, 3.74),
    _cifar("DenseNet-BC (L = 100, k = 40)", 25.6, 3.46),
    _cifar("Shake-Shake 26 2x32d", 2.9, 3.55),
    _cifar("Shake-Shake 26 2x96d", 26.2, 2.86),
    _cifar("Shake-Shake 26 2x96d + cutout", 26.2, 2.56),
    _cifar("NAS v3", 7.1, 4.47),
    _cifar("NAS v3, more filters", 37.4, 3.65),
    _cifar("NASNet-A (6 @ 768)", 3.3, 3.41),
    _cifar("NASNet-A (6 @ 768) + cutout", 3.3, 2.65),
    _cifar("NASNet-A (7 @ 2304)", 27.6, 2.97),
    _cifar("NASNet-A (7 @ 2304) + cutout", 27.6, 2.40),
    _cifar("NASNet-B (4 @ 1152)", 2.6, 3.73),
    _cifar("NASNet-C (4 @ 640)", 3.1, 3.59),
    _imagenet("Inception V1", 224, 6.6, 1448e6, 69.8),
    _imagenet("MobileNet-224", 224, 4.2, 569e6, 70.6),
    _imagenet("ShuffleNet (2x)", 224, 5.0, 524e6, 70.9),
    _imagenet("NASNet-A (4 @ 1056)", 224, 5.3, 564e6, 74.0),
    _imagenet("NASNet-B (4 @ 1536)", 224, 5.3, 488e6, 72.8),
    _imagenet("NASNet-C (3 @ 960)", 224, 4.9, 558e6, 72.5),
    _imagenet("Inception V2", 224, 11.2, 1.94e9, 74.8),
    _imagenet("NASNet-A (5 @ 1538)", 299, 10.9, 2.35e9, 78.6),
    _imagenet("Inception V3", 299, 23.8, 5.72e9, 78.8),
    _imagenet("Xception", 299, 22.8, 8.38e9, 79.0),
    _imagenet("Inception ResNet V2", 299, 55.8, 13.2e9, 80.1),
    _imagenet("NASNet-A (7 @ 1920)", 299, 22.6, 4.93e9, 80.8),
    _imagenet("ResNeXt-101 (64 x 4d)", 320, 83.6, 31.5e9, 80.9),
    _imagenet("PolyNet", 331, 92.0, 34.7e9, 81.3),
    _imagenet("DPN-131", 320, 79.5, 32.0e9, 81.5),
    _imagenet("SENet", 320, 145.8, 42.3e9, 82.7),
    _imagenet("NASNet-A (6 @ 4032)", 331, 88.9, 23.8e9, 82.7),
)


def published_on(source: str, name: str, classes: int) -> list[Published]:
    """What was published on a data set; nothing on one that isn't known to be one of theirs.

    Args:
        source: where the data come from, as an experiment names it.
        name: what the data set is called there.
        classes: how many it has.

    Example:
        >>> published_on("cifar10", "cifar10", 10)[-1].model, published_on("digits", "digits", 10)
        ('NASNet-C (4 @ 640)', [])
    """
    found = [
        data
        for data, names in _NAMES.items()
        if classes == _CLASSES[data] and (source in names or name.lower() in names)
    ]
    return [one for one in PUBLISHED if one.data in found]
