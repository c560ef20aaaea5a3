"""How a winner becomes an MLflow model that serves without our code: one way for each kind of data."""

from __future__ import annotations

import importlib.metadata
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas import plugins
from nas.datasets import Prepared, PreparedImages, PreparedText
from nas.errors import InputError
from nas.experiment import Experiment
from nas.training import device
from nas.training.recipe import Recipe


@dataclass(frozen=True)
class Flavour:
    """One way to save a winner.

    Attributes:
        about: what goes in and what comes out, for people.
        save: writes the model; takes the folder of the winner, the data, and the arguments of MLflow's
            `save_model` that all flavours share (`path`, `mlflow_model`).
    """

    about: str
    save: Callable[[Path, Any, Mapping[str, Any]], None]


def flavour(experiment: Experiment, data: Prepared) -> Flavour:
    """The flavour of an experiment's winners: the one that its recipe names, else that of its kind of data.

    Raises:
        InputError: there is none.
    """
    recipe = None if experiment.recipe is None else plugins.find("recipe", experiment.recipe.name)
    if isinstance(recipe, type) and issubclass(recipe, Recipe) and recipe.flavour:
        found = plugins.imported(recipe.flavour)
        if not isinstance(found, Flavour):
            raise InputError(f"'{recipe.flavour}' is not a nas.tracking.flavours.Flavour")
        return found
    if data.kind not in _FLAVOURS:
        raise InputError(
            f"models of {' and '.join(_FLAVOURS)} can be registered; {data.name} holds {data.kind}"
        )
    return _FLAVOURS[data.kind]


def _save_image_model(winner: Path, data: PreparedImages, shared: Mapping[str, Any]) -> None:
    with imported_quietly():
        import mlflow.keras
        import mlflow.pyfunc  # here, because save_model would import it with all its messages
        from mlflow.models import infer_signature
    images = np.array(data.split("validation")[0][:2])
    weights = winner / "model.keras"
    with native_messages_hidden(), device.settings():
        import keras

        model = keras.saving.load_model(weights, compile=False)
        probabilities = model.predict(images, verbose=0)
    if probabilities.shape != (len(images), len(data.classes)):
        raise InputError(
            f"{weights} must give one probability for each of the {len(data.classes)} classes of "
            f"{data.name}. Received: an output of shape {probabilities.shape}"
        )
    mlflow.keras.save_model(
        model,
        signature=infer_signature(images, probabilities),
        input_example=images,
        pip_requirements=_requirements("mlflow", "keras", "tensorflow", "numpy"),
        metadata={"classes": list(data.classes)},
        **shared,
    )


def _save_language_model(winner: Path, data: PreparedText, shared: Mapping[str, Any]) -> None:
    with imported_quietly():
        import mlflow.pyfunc
        import pandas as pd
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, Schema

        from nas.tracking import served_text
    saved = winner / "saved_model"
    if not saved.is_dir():
        raise InputError(f"{winner} holds no saved_model: `nas finalize` exports it")
    words = [data.vocabulary[number] for number in data.split("validation")[:20]]
    line = ("" if data.level == "character" else " ").join(word for word in words if word != "<eos>")
    measure = "bits_per_character" if data.level == "character" else "perplexity"
    columns = {"tokens": "long", "unknown": "long", measure: "double", "next": "string"}
    with warnings.catch_warnings():
        # MLflow compares the example's columns with a range, which pandas 3 announces to change
        warnings.filterwarnings("ignore", "Operation with range is deprecated")
        mlflow.pyfunc.save_model(
            loader_module="served_text",
            data_path=str(saved),
            code_paths=[served_text.__file__],
            signature=ModelSignature(
                Schema([ColSpec("string", "text")]),
                Schema([ColSpec(kind, name) for name, kind in columns.items()]),
            ),
            input_example=pd.DataFrame({"text": [line]}),
            pip_requirements=_requirements("mlflow", "tensorflow", "numpy", "pandas"),
            metadata={"level": data.level, "vocabulary": len(data.vocabulary)},
            **shared,
        )


def _requirements(*packages: str) -> list[str]:
    """Named one by one: MLflow would run the model in another process for 10 s to find them out."""
    return [f"{package}=={importlib.metadata.version(package)}" for package in packages]


@contextmanager
def imported_quietly() -> Iterator[None]:
    """For imports of MLflow's models."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*Any type hint is inferred", UserWarning)  # its own, at import
        with native_messages_hidden():
            yield


@contextmanager
def native_messages_hidden() -> Iterator[None]:
    """Hides what TensorFlow's libraries write past Python when they start, which no setting silences."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


_FLAVOURS = {
    PreparedImages.KIND: Flavour(
        "Raw images (uint8) in, a probability for each class out; the class names are in its metadata.",
        _save_image_model,
    ),
    PreparedText.KIND: Flavour(
        "Texts in (column `text`), their perplexity and the likely next tokens out.", _save_language_model
    ),
}
