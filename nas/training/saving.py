"""Trained models as files."""

from __future__ import annotations

from pathlib import Path

import keras


def save_model(model: keras.Model, path: Path) -> Path:
    """Writes `model` to `path` (`….keras`), whole or not at all, and returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.stem}.part.keras")
    model.save(part)
    return part.replace(path)
