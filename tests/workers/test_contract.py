"""The pool of children keeps to the contract of evaluators."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from nas.evaluation import Evaluator, Job
from nas.testing.evaluators import EvaluatorContract
from nas.workers import isolated, pool
from nas.workers.pool import ChildPool
from nas.workspace import Workspace
from tests.factories import job, tiny_experiment

WAYS = (
    "exit 3",
    "interrupt",
    "killed",
    "exit 0",
    "answer of code",
    "half an answer",
    "nonsense",
    "eat memory",
)


class TestChildPool(EvaluatorContract):
    @pytest.fixture(autouse=True)
    def setting(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = tmp_path
        monkeypatch.setenv("NAS_LEASES", str(tmp_path / "leases"))
        monkeypatch.setattr(isolated, "CARRY_OUT", "tests.fakes:carry_out")
        monkeypatch.setattr(pool, "PRELOAD", ("tests.fakes",))

    def make_evaluator(self) -> Evaluator:
        return ChildPool(
            experiment=tiny_experiment(self.folder, workers__memory_limit_gb=0.4),
            data_folder=self.folder / "data",
            workspace=Workspace(self.folder),
            logs=self.folder / "logs",
            trainer="tests.fakes:train_in_a_way",
        )

    def failing_jobs(self) -> Sequence[Job]:
        return [job(1000 + place, way=way) for place, way in enumerate(WAYS)]

    def long_job(self, number: int) -> Job:
        return job(number, way="hang")
