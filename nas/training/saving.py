"""Trained models as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np


def save_model(model: keras.Model, path: Path) -> Path:
    """Writes `model` to `path` (`….keras`), whole or not at all, and returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.stem}.part.keras")
    model.save(part)
    return part.replace(path)


def served(folder: Path, inputs: np.ndarray) -> Any:
    """What the endpoint `serve` of a SavedModel gives, as NumPy arrays.

    It works on every backend of Keras, whose own layer for SavedModels needs TensorFlow's.
    """
    import tensorflow as tf  # here, because children on another backend need no TensorFlow

    model = tf.saved_model.load(str(folder))
    return tf.nest.map_structure(lambda tensor: tensor.numpy(), model.serve(inputs))
