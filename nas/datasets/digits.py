"""Handwritten digits that come with scikit-learn: real images that need no download."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nas.datasets.images import ImageSource, Labelled, RawImages
from nas.datasets.source import Places, Progress


@dataclass(frozen=True, kw_only=True)
class Digits(ImageSource):
    """The 1,797 grey 8×8 images of `sklearn.datasets.load_digits`, classes "0" to "9".

    Source: E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits (the test part),
    UCI Machine Learning Repository. The ink of 0–16 is multiplied by 15, so that pixels are whole
    numbers of 0–240.

    Attributes:
        validation: 300 images by default.
        test: 300 images by default; the data set has no test part of its own.
    """

    validation: int | float = 300
    test: int | float = 300

    def read(self, places: Places, progress: Progress) -> RawImages:
        """The images, with shape `(1797, 8, 8, 1)`."""
        from sklearn.datasets import load_digits  # takes a second to import

        bunch = load_digits()
        images = (bunch.images * 15).astype(np.uint8)[..., np.newaxis]
        progress(len(images), len(images), "read digits")
        return RawImages(
            classes=tuple(str(name) for name in bunch.target_names), train=Labelled(images, bunch.target)
        )
