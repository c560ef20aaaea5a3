"""Stand-ins for searches and trainings of finals, without Keras."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from nas import datasets, plugins
from nas.controllers.controller import Controller, Told
from nas.evaluation import UNNUMBERED, ChildResult, Evaluator, Job, Proposal, Status
from nas.experiment import Workers
from nas.spaces import Space, architecture_from_json, parse_architecture
from nas.training.measured import Measured, wilson
from nas.workers.pool import ChildPool
from tests.fakes import train_by_tokens

SCORES = {
    "conv:3x3x4@0": 0.9,
    "conv:3x3x8@0": 0.8,
    "conv:1x3x8@0": 0.7,
    "conv:3x1x4@0": 0.6,
    "resnet:8x1x1": 0.99,
}
"""Accuracy of each architecture in the search; in the finals their order is another (see `train`)."""


class Given(Controller):
    """Proposes the architectures of SCORES that lie in the space, over and over."""

    def __init__(self, space: Space, *, seed: int = 0) -> None:
        super().__init__(space, seed=seed)
        self._texts = [text for text in SCORES if text.startswith("conv")]

    def propose(self, count: int, begun: int) -> list[Proposal]:
        return [
            Proposal(UNNUMBERED, 1, (), parse_architecture(self._texts[number % len(self._texts)]))
            for number in range(begun, begun + count)
        ]

    def learn(self, told: Told) -> dict[str, float]:
        self.updates += 1
        return {"reward/mean": 0.0}


def train(job: Mapping[str, Any]) -> dict[str, Any]:
    """In a search the accuracy of SCORES; in finals one minus it (0.95 for the baseline), and a file.

    The recipe's learning rate shifts the accuracy of finals: 0.2 is worth 0.01 more than 0.1. Each
    final notes its architecture in `trainings.log` at the workspace's root, and leaves more than its model
    beside it. A learning rate of 0.9 diverges in finals.
    """
    text = architecture_from_json(job["architecture"]).text()
    accuracy, files = SCORES[text], {}
    if job["folder"]:
        folder = Path(job["folder"])
        note(folder.parents[3], text)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "checkpoint.npz").write_text("all epochs")
        (folder / "logs").mkdir(exist_ok=True)
        rate = float(job["recipe"].get("learning_rate", 0.1))
        if rate == 0.9:
            return ChildResult(Status.DIVERGED, seed=job["seed"], message="the loss was nan").to_json()
        accuracy = (0.95 if text.startswith("resnet") else 1 - accuracy) + rate / 10
        model = folder / "model.keras"
        model.write_text(f"{text} {rate}")
        files = {"model": str(model)}
    history = ({"val_accuracy": accuracy},)
    return ChildResult(Status.OK, history, parameters=1000, seed=job["seed"], files=files).to_json()


def train_in_rings(job: Mapping[str, Any]) -> dict[str, Any]:
    """As `train`, but a child of 2 epochs is in a ring: it gets the accuracy of RING, and is noted.

    `conv:1x3x8@0` fails there, and all do in a workspace that has the file `broken`.
    """
    text, root = architecture_from_json(job["architecture"]).text(), Path(job["data"]).parents[2]
    if job["folder"] or job["recipe"].get("epochs") != 2:
        return train(job)
    note(root, f"ring {text}")
    if text not in RING or (root / "broken").exists():
        return ChildResult(Status.DIVERGED, seed=job["seed"], message="the loss was nan").to_json()
    history = ({"val_accuracy": RING[text]},)
    return ChildResult(Status.OK, history, parameters=1000, seed=job["seed"]).to_json()


RING = {"conv:3x3x4@0": 0.5, "conv:3x3x8@0": 0.4, "conv:3x1x4@0": 0.7}
"""Accuracy of each architecture in a ring: the last of the search is first."""


PEAKS = {
    "conv:3x3x4@0": (0.5, 0.9, 0.6),
    "conv:3x3x8@0": (0.5, 0.6, 0.7),
    "resnet:8x1x1": (0.9, 0.99, 0.8),
}
"""Accuracy of finals by epoch: the one that ends best isn't the one that was best on the way."""


class MeanOfEpochs:
    """A user's own reward, of which nothing is known but what every rule must have."""

    def __call__(self, result: ChildResult) -> float:
        return self.score(result) or 0.0

    def score(self, result: ChildResult) -> float | None:
        accuracies = result.curve("val_accuracy")
        return sum(accuracies) / len(accuracies) if result.ok else None


def train_with_peaks(job: Mapping[str, Any]) -> dict[str, Any]:
    """As `train`, but finals end by PEAKS, in accuracy and as perplexity (1 divided by it).

    A workspace that has the file `broken` crashes finals.
    """
    result = ChildResult.from_json(train(job))
    text = architecture_from_json(job["architecture"]).text()
    if job["folder"] and (Path(job["folder"]).parents[3] / "broken").exists():
        raise ValueError("broken")
    curve = PEAKS[text] if job["folder"] else [epoch["val_accuracy"] for epoch in result.history]
    history = tuple({"val_accuracy": value, "val_perplexity": 1 / value} for value in curve)
    return replace(result, history=history).to_json()


def train_stack(job: Mapping[str, Any]) -> dict[str, Any]:
    """The size that the recipe computes for the network, and millions of its parameters as accuracy."""
    recipe, architecture = plugins.make("recipe", job["recipe"]), architecture_from_json(job["architecture"])
    cost = recipe.cost(architecture, datasets.load(Path(job["data"])))
    history = ({"val_accuracy": cost.parameters / 1e6},)
    return ChildResult(Status.OK, history, parameters=cost.parameters, seed=job["seed"]).to_json()


def note(root: Path, text: str) -> None:
    with (root / "trainings.log").open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(text + "\n")


def trainings(root: Path) -> list[str]:
    """The architectures of all trainings of finals so far, sorted."""
    log = root / "trainings.log"
    return sorted(log.read_text(encoding="utf-8").splitlines()) if log.is_file() else []


class LookedUp(Evaluator):
    """Trains nothing: answers with the accuracy of SCORES at once, as a table does."""

    needs_recipe: ClassVar[bool] = False

    @property
    def slots(self) -> int:
        return 1

    def submit(self, job: Job, started: Callable[[str], None] | None = None) -> Future[ChildResult]:
        done: Future[ChildResult] = Future()
        if started is not None:
            started("table")
        accuracy = SCORES[job.proposal.architecture.text()]
        done.set_result(ChildResult(Status.OK, ({"val_accuracy": accuracy},), parameters=1000, seed=job.seed))
        return done

    def close(self) -> None:
        """Nothing runs."""


class Local(ChildPool):
    """Stands in for a user's evaluator that runs nothing but children."""

    @classmethod
    def platform(cls, workers: Workers) -> None:  # type: ignore[override]
        return None

    @classmethod
    def isolates(cls) -> bool:
        return False


class Cluster(ChildPool):
    """Stands in for an evaluator that trains on other machines, and counts how often it is opened."""

    opened: ClassVar[int] = 0

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        type(self).opened += 1

    @classmethod
    def platform(cls, workers: Workers) -> Mapping[str, Any]:
        return {"threads": 64, "device": "gpu", "backend": "tensorflow"}


class Apart:
    """Answers in place of `ChildPool.isolated`: no model is really measured or exported."""

    def __init__(self) -> None:
        self.jobs: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, function: str, arguments: Mapping[str, Any], *_: object) -> Any:
        self.jobs.append((function, dict(arguments)))
        if function.endswith("export"):
            return {
                "keras": "model.keras",
                "saved_model": "saved_model",
                "onnx": None,
                "onnx_missing": "fake",
            }
        confusion = [[0] * 10 for _ in range(10)]
        for label in range(10):
            confusion[label][label] = 29
            confusion[label][(label + 1) % 10] = 1
        details = {"classes": [str(label) for label in range(10)], "correct": 290, "confusion": confusion}
        return Measured("accuracy", 290 / 300, *wilson(290, 300), 300, "images", details=details).to_json()

    def measured(self) -> Sequence[str]:
        """The models that were measured on the test data, by file name."""
        return [Path(job["model"]).name for function, job in self.jobs if function.endswith("measure")]


def train_finals_only(job: Mapping[str, Any]) -> dict[str, Any]:
    """Search's children get an accuracy at once; finals are really trained."""
    if not job["folder"]:
        return train_by_tokens(dict(job))
    from nas.training import child

    return child.train(job)
