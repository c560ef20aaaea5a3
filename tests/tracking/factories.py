"""Records of searches that never trained, and what MLflow holds of them."""

from __future__ import annotations

from typing import Any

from mlflow.entities import Run

from nas.evaluation import ChildResult, Proposal, Status
from nas.experiment import Experiment
from nas.search.record import Record
from nas.spaces import Architecture, parse_architecture
from nas.tracking.connection import connect
from nas.workspace import Workspace

DIGEST = "0123456789abcdef" * 4
COMMIT = "c" * 40


def held(workspace: Workspace, experiment: Experiment) -> Record:
    """A new record of `experiment`, held by this process."""
    record = Record.hold(workspace.record("x"), experiment.definition(DIGEST, threads=1))
    record.set_meta("experiment", experiment.model_dump(mode="json"))
    record.set_meta("git_commit", COMMIT)
    return record


def proposals(first: int, count: int, architecture: Architecture | None = None) -> list[Proposal]:
    """`count` proposals with the numbers from `first`."""
    built = architecture or parse_architecture("conv:3x3x4@0,1x1x8@1")
    return [
        Proposal(number, 2, (1, 0, 2), built, {"learning_rate": 0.05}, -2.5, first)
        for number in range(first, first + count)
    ]


def trained(score: float, seed: int = 3) -> ChildResult:
    """A result with two epochs whose last has this validation accuracy; its reward is the cube."""
    history = (
        {"loss": 2.0, "val_accuracy": score / 2, "seconds": 0.5},
        {"loss": 1.0, "val_accuracy": score, "seconds": 0.5},
    )
    return ChildResult(
        Status.OK,
        history,
        reward=score**3,
        parameters=120,
        multiply_adds=4500,
        train_seconds=1.0,
        overhead_seconds=0.25,
        peak_memory_bytes=2**28,
        seed=seed,
        device="cpu (1 thread)",
    )


def crashed(message: str = "out of luck") -> ChildResult:
    return ChildResult(Status.CRASHED, reward=0.0, message=message)


def add_round(record: Record, *results: ChildResult, update: bool = True) -> None:
    """A round whose children end with `results`."""
    first = record.count()
    begun = record.begin_batch(proposals(first, len(results)), [3] * len(results), {})
    for number, result in enumerate(results, start=first):
        record.begin_child(number, "cpu 0")
        record.end_child(number, result)
    if update:
        record.end_batch(begun.number, {"reward/mean": 0.25 * (begun.number + 1), "entropy": 2.0}, {})


def runs(workspace: Workspace, role: str, name: str = "tiny", **tags: Any) -> list[Run]:
    """The runs with this role (and other `nas.` tags) in the local store, oldest first."""
    connection = connect(workspace)
    wanted = {"nas.role": role, **{f"nas.{key}": str(value) for key, value in tags.items()}}
    return list(connection.runs(connection.experiment(name), wanted))
