"""Which column of a table means what."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nas.datasets import PreparedTable
from nas.errors import InputError, nearest
from nas.evaluation import ChildResult, Status


@dataclass(frozen=True)
class Column:
    """A column of numbers, with the factor that brings it to the unit in which it is used.

    Attributes:
        name: as in the file.
        scale: e.g. 0.01 for per cent, where a fraction is wanted.
    """

    name: str
    scale: float = 1.0

    @classmethod
    def of(cls, role: str, value: Any) -> Column:
        """A column from its name, or from `{column: name, scale: factor}`, as they stand in YAML."""
        fields = {"column": value} if isinstance(value, str) else value
        if not isinstance(fields, Mapping) or not {"column"} <= set(fields) <= {"column", "scale"}:
            raise InputError(
                f"{role} must be a column's name, or {{column: NAME, scale: NUMBER}}. Received: {value!r}"
            )
        scale = fields.get("scale", 1.0)
        if isinstance(scale, bool) or not isinstance(scale, int | float) or not math.isfinite(scale):
            raise InputError(f"the scale of {role} must be a number. Received: {scale!r}")
        return cls(str(fields["column"]), float(scale))

    def read(self, table: PreparedTable) -> np.ndarray:
        """Its numbers in the wanted unit, with shape `(rows,)`."""
        return table.column(self.name) * self.scale


@dataclass(frozen=True)
class Columns:
    """The roles that columns play.

    Attributes:
        reward: what a child is measured by; higher is better, unless the experiment's reward rule
            says otherwise.
        metric: the name of that in a child's history, which reward rules ask for.
        cost: columns, and numbers of seconds, whose sum is the time of one query in seconds. A query for
            what the table lacks costs as much as the others on average.
        parameters, multiply_adds: sizes.
        latency: seconds of a forward pass for one example.
        report: what is reported of a search's answer in the end, by name. It stands in no record.
    """

    reward: Column
    metric: str = "val_accuracy"
    cost: tuple[Column | float, ...] = ()
    parameters: Column | None = None
    multiply_adds: Column | None = None
    latency: Column | None = None
    report: Mapping[str, Column] = field(default_factory=dict)

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Columns:
        """The roles as they stand in YAML.

        Raises:
            InputError: a role is unknown or no column.
        """
        roles = set(cls.__dataclass_fields__)
        for role in options:
            if role not in roles:
                raise InputError(f"unknown role '{role}' of a column: {nearest(str(role), roles)}")
        if "reward" not in options:
            raise InputError("columns must name the reward's column, as in {reward: accuracy}")
        cost, report = options.get("cost", ()), options.get("report", {})
        if isinstance(cost, str | Mapping) or not isinstance(cost, Sequence):
            cost = (cost,)
        if not isinstance(report, Mapping):
            raise InputError(f"report must give columns by name. Received: {report!r}")
        single = {
            role: Column.of(role, options[role])
            for role in ("parameters", "multiply_adds", "latency")
            if options.get(role) is not None
        }
        return cls(
            reward=Column.of("reward", options["reward"]),
            metric=str(options.get("metric", "val_accuracy")),
            cost=tuple(
                float(one) if isinstance(one, int | float) else Column.of("cost", one) for one in cost
            ),
            report={str(name): Column.of(f"report.{name}", one) for name, one in report.items()},
            **single,
        )


class Results:
    """What became of each row's network, as a child's result.

    Args:
        table: the prepared table.
        columns: what its columns mean.

    Attributes:
        costs: seconds of a query, with shape `(rows,)`.

    Raises:
        InputError: a column is missing, or a cost is negative or NaN.
    """

    def __init__(self, table: PreparedTable, columns: Columns) -> None:
        self.table, self.columns = table, columns
        zeros = np.zeros(table.rows)
        self.measured = columns.reward.read(table)
        self.costs: np.ndarray = zeros.copy()
        for one in columns.cost:
            self.costs += one.read(table) if isinstance(one, Column) else one
        if not (self.costs >= 0).all():
            raise InputError(f"the costs of the table '{table.name}' must be numbers of at least 0")
        self._parameters, self._multiply_adds = (
            zeros if one is None else one.read(table) for one in (columns.parameters, columns.multiply_adds)
        )
        self._latency = None if columns.latency is None else columns.latency.read(table)

    def of(self, row: int | None, seed: int = 0) -> ChildResult:
        """The result of a query for `row`; a network that the table lacks has crashed."""
        if row is None:
            return ChildResult(
                Status.CRASHED,
                train_seconds=float(self.costs.mean()),
                seed=seed,
                device="table",
                message=f"the table '{self.table.name}' has no such row",
            )
        measured = float(self.measured[row])
        finite = math.isfinite(measured)
        return ChildResult(
            Status.OK if finite else Status.DIVERGED,
            history=({self.columns.metric: measured},) if finite else (),
            parameters=round(_known(self._parameters[row]) or 0.0),
            multiply_adds=round(_known(self._multiply_adds[row]) or 0.0),
            latency_seconds=None if self._latency is None else _known(self._latency[row]),
            train_seconds=float(self.costs[row]),
            seed=seed,
            device="table",
            message=""
            if finite
            else f"row {row} of the table has no number for '{self.columns.reward.name}'",
        )


def _known(value: Any) -> float | None:
    """A table's number; None where the table has none for a row."""
    return float(value) if math.isfinite(value) else None
