"""The winner in the formats that others load: Keras, SavedModel and, with the extra `onnx`, ONNX.

Converters and versions that were tried (Keras 3.15.1, TensorFlow 2.21, protobuf 7.36, NumPy 2.4):
tf2onnx 1.17 with onnx 1.23 and onnxruntime 1.31 converts a SavedModel of ours correctly. Both
`keras.Model.export` to a SavedModel and to ONNX are not used: a functional model that begins with
`Resizing` or `CenterCrop` is exported in training mode (batch normalisation then takes the statistics
of the batch, and probabilities were off by 0.005 to 0.1 without any error), because those layers
take `training=True` by default and hand it on. Here the endpoint says `training=False`, and every
export is compared with the Keras model on real images before it counts.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np

from nas import datasets
from nas.errors import SearchError
from nas.training.saving import served

TOLERANCE = 1e-3
"""Largest difference of a probability: rounding stayed below 1e-4, training mode was off by 5e-3 to 1e-1."""

IMAGES = 64
"""Validation images that exports are compared on."""

CLASSES = "classes.json"
"""The class names as a JSON list, in the order of the probabilities; also in the SavedModel's folder
`assets.extra`, where TensorFlow keeps what belongs to a model and loads nothing from."""


def export(model: str, data: str, folder: str) -> dict[str, Any]:
    """Writes a served model in all formats, in a fresh process.

    Args:
        model: path of `model.keras`.
        data: folder of the prepared data.
        folder: where `saved_model`, `model.onnx` and `classes.json` are put.

    Returns:
        JSON: the name of what was written for `keras`, `saved_model`, `onnx` and `classes`, None for an
        ONNX file that could not be made, and then the reason as `onnx_missing`.

    Raises:
        SearchError: the SavedModel does not predict what the Keras model predicts.
    """
    target = Path(folder)
    prepared = datasets.load(Path(data), datasets.PreparedImages)
    images = np.array(prepared.split("validation")[0][:IMAGES], "float32")
    network = keras.models.load_model(model, compile=False)
    expected = network.predict(images, verbose=0)
    saved_model(network, target / "saved_model")
    difference = float(np.abs(served(target / "saved_model", images) - expected).max())
    if not difference <= TOLERANCE:
        raise SearchError(
            f"the exported SavedModel predicts otherwise than the Keras model: probabilities differ by up "
            f"to {difference:.3g} (at most {TOLERANCE:g} is rounding)"
        )
    for place in (target, target / "saved_model" / "assets.extra"):
        place.mkdir(exist_ok=True)
        (place / CLASSES).write_text(
            json.dumps(list(prepared.classes), ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
        )
    missing = onnx(target / "saved_model", target / "model.onnx", images, expected)
    return {
        "keras": Path(model).name,
        "saved_model": "saved_model",
        "onnx": None if missing else "model.onnx",
        "onnx_missing": missing,
        "classes": CLASSES,
    }


def saved_model(model: keras.Model, folder: Path) -> None:
    """Writes `model` as a SavedModel with the endpoint `serve`: raw images in, probabilities out.

    Args:
        model: one input of shape `(batch, height, width, channels)`.
        folder: where to write.
    """
    archive = keras.export.ExportArchive()
    archive.track(model)
    image = keras.InputSpec(shape=model.inputs[0].shape, dtype="float32", name="image")
    archive.add_endpoint("serve", lambda image: model(image, training=False), input_signature=[image])
    archive.write_out(str(folder), verbose=False)


def onnx(saved: Path, target: Path, images: np.ndarray, expected: np.ndarray) -> str:
    """Converts a SavedModel to ONNX and compares its predictions; leaves no wrong file behind.

    Args:
        saved: folder of the SavedModel.
        target: the file to write.
        images: raw images, `(n, height, width, channels)`.
        expected: the Keras model's probabilities for them, `(n, classes)`.

    Returns:
        Why there is no ONNX file, in a sentence; empty when there is one.
    """
    absent = [name for name in ("tf2onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
    if absent:
        return f"{' and '.join(absent)} not installed: pip install 'nasflow[onnx]'"
    convert = [sys.executable, "-W", "ignore", "-m", "tf2onnx.convert"]
    done = subprocess.run(
        [*convert, "--saved-model", str(saved), "--output", str(target)],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        check=False,
    )
    if done.returncode or not target.is_file():
        target.unlink(missing_ok=True)
        return f"tf2onnx failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}"
    import onnxruntime

    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    predicted = session.run(None, {session.get_inputs()[0].name: images})[0]
    difference = float(np.abs(predicted - expected).max())
    if not difference <= TOLERANCE:
        target.unlink()
        return f"the ONNX file predicted otherwise than the Keras model (by up to {difference:.3g})"
    return ""
