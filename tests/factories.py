"""Small experiments, proposals and pools that many tests need."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from nas.evaluation import Job, Proposal
from nas.experiment import Experiment, load
from nas.spaces import parse_architecture

TINY: dict[str, Any] = {
    "data": {"source": "digits"},
    "space": {
        "name": "conv",
        "image_size": 8,
        "depth": 3,
        "filter_heights": [1, 3],
        "filter_widths": [1, 3],
        "filters": [4, 8],
    },
    "controller": {"name": "reinforce", "learning_rate": 0.01},
    "recipe": {"name": "image", "epochs": 1, "upsample": None, "crop": None, "flip": False},
    "evaluator": {"name": "train", "trainer": "tests.fakes:train_by_tokens"},
    "search": {"children_per_round": 4},
    "budget": {"children": 8},
    "workers": {"slots": 2, "threads": 1},
    "seed": 7,
}

TINY_LANGUAGE: dict[str, Any] = {
    **TINY,
    "data": {"source": "pydoc", "vocabulary": 100},
    "space": {"name": "cell", "base": 2},
    "recipe": {"name": "language", "epochs": 1, "units": 4, "train_tokens": 400, "window": 10},
    "reward": {"name": "perplexity"},
}


def write_experiment(folder: Path, name: str = "tiny", **changes: Any) -> Path:
    """Writes TINY with `changes` (dotted keys as `recipe__epochs`) as `folder/experiments/name.yaml`."""
    path = folder / "experiments" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(TINY))
    settings = {key.replace("__", "."): value for key, value in changes.items()}
    if settings:
        tree = load(path, settings).model_dump(mode="json", exclude_unset=True)
        path.write_text(yaml.safe_dump(tree))
    return path


def tiny_experiment(folder: Path, name: str = "tiny", **changes: Any) -> Experiment:
    """TINY with `changes`, written and loaded."""
    return load(write_experiment(folder, name, **changes))


def job(number: int = 0, seed: int = 0, text: str = "conv:3x3x4@0", **overrides: Any) -> Job:
    """A job for a pool of children."""
    return Job(Proposal(number, 1, (), parse_architecture(text), overrides), seed)


def without_times(history: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping without its entries that measure time."""
    return {key: value for key, value in history.items() if "seconds" not in key and not key.endswith("_at")}
