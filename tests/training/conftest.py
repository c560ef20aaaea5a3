"""Small prepared data, and trainings in this process or in a fresh one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas import datasets
from nas.evaluation import ChildResult
from nas.experiment import Data
from nas.spaces import parse_architecture
from nas.training import child, device
from nas.training.image_recipe import ImageRecipe
from nas.training.language_recipe import LanguageRecipe
from nas.training.run import Run
from nas.workspace import Workspace

CPU = {"kind": "cpu", "threads": 1}
PLAIN: dict[str, Any] = {"name": "image", "upsample": None, "crop": None, "flip": False}

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> datasets.Prepared:
    """The embedded handwritten digits, prepared."""
    return datasets.prepare(Data(source="digits"), Workspace(tmp_path_factory.mktemp("digits")))


@pytest.fixture
def job(digits: datasets.Prepared) -> Callable[..., dict[str, Any]]:
    """Makes a job of a tiny network on a part of the digits; keyword arguments are recipe fields."""

    def make(text: str = "conv:3x3x8s2@0", folder: str = "", **recipe: Any) -> dict[str, Any]:
        return {
            "architecture": parse_architecture(text).to_json(),
            "recipe": {**PLAIN, "epochs": 2, "train_examples": 256, **recipe},
            "seed": 5,
            "data": str(digits.folder),
            "median_curve": [],
            "folder": folder,
            "device": CPU,
        }

    return make


@pytest.fixture
def train_here(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, Any]], ChildResult]:
    """Trains a job in this process, whose backend has begun already and can't be confined any more."""
    monkeypatch.setattr(device, "prepare", lambda _: None)
    return lambda job: ChildResult.from_json(child.train(job))


@pytest.fixture
def run(digits: datasets.Prepared) -> Callable[..., Run]:
    """Makes a `Run` of a tiny network; keyword arguments are recipe fields."""

    def make(text: str = "conv:3x3x8s2@0", folder: Path | None = None, **recipe: Any) -> Run:
        options = {key: value for key, value in PLAIN.items() if key != "name"}
        return Run(
            architecture=parse_architecture(text),
            recipe=ImageRecipe(**{**options, "epochs": 2, "train_examples": 256, **recipe}),
            data=digits.folder,
            seed=5,
            device=CPU,
            folder=folder,
        )

    return make


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> datasets.PreparedText:
    """A small text with a simple grammar, by words: 7 types, `<unk>` among them."""
    return prepared_text(tmp_path_factory.mktemp("text"), "word")


@pytest.fixture(scope="session")
def characters(tmp_path_factory: pytest.TempPathFactory) -> datasets.PreparedText:
    """The same text by characters."""
    return prepared_text(tmp_path_factory.mktemp("characters"), "character")


def prepared_text(root: Path, level: str) -> datasets.PreparedText:
    """After `the` comes an animal, after it what it does: a model can learn it, but not the animal."""
    random = np.random.default_rng(0)
    parts = {"train": 150, "validation": 40, "test": 50}
    for part, count in parts.items():
        does = {"cat": "sits", "dog": "runs"}
        lines = [f"the {animal} {does[animal]}" for animal in random.choice(list(does), count)]
        (root / f"{part}.txt").write_text("\n".join(lines) + "\n")
    options = {part: f"{part}.txt" for part in parts}
    made = datasets.prepare(Data(source="text", level=level, **options), Workspace(root))  # type: ignore[call-arg]
    assert isinstance(made, datasets.PreparedText)
    return made


@pytest.fixture
def language_run(text: datasets.PreparedText) -> Callable[..., Run]:
    """Makes a `Run` of a tiny language model; keyword arguments are recipe fields."""

    def make(
        cell: str = "cell:worked-example",
        folder: Path | None = None,
        data: datasets.PreparedText | None = None,
        **recipe: Any,
    ) -> Run:
        return Run(
            architecture=parse_architecture(cell),
            recipe=LanguageRecipe(
                **{"epochs": 2, "units": 6, "streams": 4, "window": 5, "init_scale": 0.2, **recipe}
            ),
            data=(data or text).folder,
            seed=5,
            device=CPU,
            folder=folder,
        )

    return make


def begin_python(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Runs `code` in a fresh process; see `end_python`."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )


def end_python(process: subprocess.Popen[str]) -> Any:
    """The JSON in the last line that the process printed."""
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors[-3000:]
    return json.loads(output.splitlines()[-1])
