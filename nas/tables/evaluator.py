"""The evaluator that trains nothing: it looks results up in a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from nas.datasets import PreparedTable, load
from nas.errors import InputError
from nas.evaluation import ChildResult, Evaluator, Job, Proposal
from nas.experiment import Experiment
from nas.spaces import Space
from nas.tables.columns import Columns, Results

SLOT = "table"


class TableEvaluator(Evaluator):
    """Answers at once with what a table says, at the cost in seconds that the table says.

    Its clock is the sum of those costs (`budget.cost_seconds`): an architecture that is proposed again
    costs its time again, as in the papers' protocol.

    A row is found by the tokens as they were sampled, not by the architecture: where several token strings
    write one network, a table has a training of each.

    Args:
        experiment: whose space decides what the table's columns decide, by the same names.
        data_folder: the prepared table.
        reward, metric, cost, parameters, multiply_adds, latency, report: see `Columns`.
    """

    needs_recipe: ClassVar[bool] = False

    def __init__(
        self,
        *,
        experiment: Experiment,
        data_folder: Path,
        reward: Any,
        metric: str = "val_accuracy",
        cost: Any = (),
        parameters: Any = None,
        multiply_adds: Any = None,
        latency: Any = None,
        report: Any = None,
    ) -> None:
        columns = Columns.of(
            {
                "reward": reward,
                "metric": metric,
                "cost": cost,
                "parameters": parameters,
                "multiply_adds": multiply_adds,
                "latency": latency,
                "report": report or {},
            }
        )
        self._look_up(Results(load(data_folder, PreparedTable), columns), experiment.built_space)
        for column in columns.report.values():
            column.read(self._results.table)

    @classmethod
    def canonical_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """The columns' roles however they were written; what is only reported makes no other search."""
        roles = asdict(Columns.of({**options, "report": {}}))
        return {**roles, "report": None}

    @classmethod
    def of(cls, results: Results, space: Space) -> TableEvaluator:
        """The evaluator of a table that is open already."""
        made = cls.__new__(cls)
        made._look_up(results, space)
        return made

    def _look_up(self, results: Results, space: Space) -> None:
        self._results, self._space, self._closed = results, space, False
        self.rows: dict[int, int | None] = {}
        """The row of each proposal that was asked for, by its number; None where the table has none."""

    @property
    def slots(self) -> int:
        return 1

    def submit(self, job: Job, started: Callable[[str], None] | None = None) -> Future[ChildResult]:
        if self._closed:
            raise InputError("this table's evaluator is closed")
        if started is not None:
            started(SLOT)
        done: Future[ChildResult] = Future()
        row = self.rows[job.proposal.number] = row_of(self._results.table, self._space, job.proposal)
        done.set_result(self._results.of(row, job.seed))
        return done

    def close(self) -> None:
        """Takes no more jobs; nothing runs."""
        self._closed = True


def reported(experiment: Experiment, data_folder: Path, proposal: Proposal) -> dict[str, float]:
    """What the table reports in the end of one proposal, by the names that the evaluator's `report` gives.

    Raises:
        InputError: the experiment's evaluator is not a table's, or a column is missing.
    """
    if experiment.evaluator.name != "table":
        raise InputError(f"the evaluator of '{experiment.name}' is '{experiment.evaluator.name}', no table")
    table = load(data_folder, PreparedTable)
    row = row_of(table, experiment.built_space, proposal)
    columns = Columns.of(experiment.evaluator.options).report
    return {} if row is None else {name: float(column.read(table)[row]) for name, column in columns.items()}


def row_of(table: PreparedTable, space: Space, proposal: Proposal) -> int | None:
    """The row that a proposal asks for; None if the table lacks it.

    Raises:
        InputError: the space doesn't decide what the table's rows are found by.
    """
    tokens = proposal.tokens or space.encode(proposal.architecture)  # a list's proposals have no tokens
    chosen: Mapping[str, object] = space.steps(proposal.depth).chosen(tokens)
    return table.row(chosen)
