"""The state of an interrupted training in one file, from which it goes on."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import keras
import numpy as np

FILE = "checkpoint.npz"


class Checkpoint:
    """Saves and loads all variables of a training together with what is known so far.

    The file is replaced whole, so that a kill at any moment leaves the earlier one.

    Args:
        folder: where the file lies; made when it is first needed.
        definition: what is trained on what, as JSON. A checkpoint of another definition is ignored.
    """

    def __init__(self, folder: Path, definition: Mapping[str, Any]) -> None:
        self._path = folder / FILE
        text = json.dumps(definition, sort_keys=True)
        self._fingerprint = hashlib.sha256(text.encode()).hexdigest()

    def save(self, variables: Sequence[keras.Variable], state: Mapping[str, Any]) -> None:
        """Writes the values of `variables`, in this order, and `state` (JSON)."""
        arrays = {str(i): keras.ops.convert_to_numpy(v.value) for i, v in enumerate(variables)}
        about = json.dumps({"fingerprint": self._fingerprint, "state": dict(state)})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part = self._path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, about=np.frombuffer(about.encode(), np.uint8), **arrays)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)

    def load(self, variables: Sequence[keras.Variable]) -> dict[str, Any] | None:
        """Puts the saved values into `variables` and returns the state; None: nothing usable is there."""
        if not self._path.is_file():
            return None
        try:
            with self._path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                about = json.loads(file["about"].tobytes())
                if about["fingerprint"] != self._fingerprint:
                    logging.warning("%s belongs to another training: beginning anew", self._path)
                    return None
                values = [file[str(index)] for index in range(len(variables))]
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            logging.warning("%s can't be read (%s): beginning anew", self._path, error)
            return None
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        state: dict[str, Any] = about["state"]
        return state
