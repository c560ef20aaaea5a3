"""Recipes as plain values that name the functions that carry them out, whatever is trained."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

from nas import plugins
from nas.errors import InputError, nearest
from nas.spaces import Architecture, Cost, Stack

if TYPE_CHECKING:
    from nas.datasets import Prepared


@dataclass(frozen=True)
class Recipe(ABC):
    """How children of one task are trained, measured and exported.

    A subclass is a frozen dataclass whose fields are the options of the YAML, checked when built. It
    imports no Keras: the search's process builds recipes to check them. The functions that it names run
    in a fresh process; each is an import path `package.module:name`.

    Attributes:
        trainer: `train(run) -> None`; see `nas.training.run.Run`.
        tester: `measure(model, data, split) -> Measured as JSON`; see `nas.training.measured.Measured`.
        exporter: `export(model, data, folder) -> JSON`: writes a trained model for others into `folder`
            and says what was written, by format, e.g. `{"keras": "model.keras", "saved_model": …}`.
        metrics: names of what a child may record for each epoch, and a reward may read.
        watched: the one of `metrics` that the median rule compares.
        lower_is_better: whether less of `watched` is better.
        flavour: import path of the `nas.tracking.flavours.Flavour` that makes an MLflow model of a winner;
            empty: that of the kind of data.
    """

    trainer: ClassVar[str]
    tester: ClassVar[str]
    exporter: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]
    watched: ClassVar[str]
    lower_is_better: ClassVar[bool] = False
    flavour: ClassVar[str] = ""

    epochs: int = 1
    median_stopping: bool = field(default=False, metadata={plugins.WAS: "stop_hopeless"})
    grace_epochs: int = 5

    @abstractmethod
    def shapes(self, architecture: Architecture, data: Prepared) -> tuple[tuple[int, ...], int]:
        """What `architecture` itself gets and gives when it is trained on `data`.

        Returns:
            The shape of one input (no batch axis) and the number of outputs, as `Architecture.cost` and
            the pictures of an architecture take them.
        """

    @abstractmethod
    def cost(self, architecture: Architecture, data: Prepared) -> Cost:
        """The size of the whole network that is trained for `architecture` on `data`."""

    def stack_of(self, architecture: Architecture) -> Stack | None:
        """The stack that makes a network out of `architecture`; None: it is a whole network."""
        return None

    def warning(self, data: Prepared) -> str:
        """What the user may not expect when this trains on `data`, in a sentence; empty: nothing."""
        return ""

    def required_by(self, architecture: Architecture) -> dict[str, Any]:
        """Fields that must have another value for `architecture` to be trained by this recipe.

        The finals' hand-made baseline is trained by the recipe of the networks found, so far as this is
        possible: where these are cells in a stack, it may be a whole network, which takes no stack.
        """
        return {}

    def stops_at_median(self, values: Sequence[float], median_curve: Sequence[float]) -> bool:
        """Median stopping rule: whether a child's best value so far is strictly worse than the median.

        The median is that of the values which the children of earlier rounds measured at the child's last
        finished epoch. No child is stopped before it has finished `grace_epochs`, nor at an epoch that none
        of those finished.

        Source: Vizier's rule of this name (Golovin et al. 2017, §3.2.2).

        Differs from the paper: that compares with the median of *running averages*, the mean of all that
        each trial measured up to this epoch. While trainings improve, such a mean lags behind the value of
        the epoch, so the rule here stops more children. Compared are the children of earlier rounds that
        ended well, stopped ones for the epochs that they have (there: all completed trials), so that the
        answer doesn't depend on which child of a round happens to end first.

        Args:
            values: what is `watched`, for each finished epoch of the child.
            median_curve: median of the earlier children's at each epoch; may be shorter.
        """
        epochs = len(values)
        if not self.median_stopping or epochs < max(1, self.grace_epochs) or epochs > len(median_curve):
            return False
        if self.lower_is_better:
            return min(values) > median_curve[epochs - 1]
        return max(values) < median_curve[epochs - 1]

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON, as they are stored (see `nas.plugins.WAS` and `nas.plugins.LATER`)."""
        values = {
            one.metadata.get(plugins.WAS, one.name): getattr(self, one.name)
            for one in fields(self)
            if plugins.LATER not in one.metadata or getattr(self, one.name) != one.default
        }
        return {name: _json(value) for name, value in values.items()}

    # --- checks for subclasses ---------------------------------------------------------------------

    def _whole(self, *names: str, least: int = 1, otherwise: str = "") -> None:
        for name in names:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise InputError(f"{name} must be a whole number ≥ {least}{otherwise}. Received: {value!r}")

    def _number(
        self,
        name: str,
        above: float | None = None,
        least: float | None = None,
        below: float = math.inf,
        most: float = math.inf,
    ) -> None:
        value = getattr(self, name)
        allowed = f"> {above}" if above is not None else f"≥ {least}"
        allowed += f" and < {below}" if below < math.inf else ""
        allowed += f" and ≤ {most}" if most < math.inf else ""
        if isinstance(value, str):
            hint = " (YAML reads 1e-4 as text: write 1.0e-4)" if "e" in value.lower() else ""
            raise InputError(f"{name} must be a number {allowed}. Received: {value!r}{hint}")
        if (
            not isinstance(value, int | float)
            or isinstance(value, bool)
            or not math.isfinite(value)
            or (above is not None and value <= above)
            or (least is not None and value < least)
            or value >= below
            or value > most
        ):
            raise InputError(f"{name} must be a number {allowed}. Received: {value!r}")
        object.__setattr__(self, name, float(value))  # Keras takes no whole number for a learning rate

    def _truth(self, *names: str) -> None:
        for name in names:
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name} must be true or false. Received: {getattr(self, name)!r}")

    def _one_of(self, name: str, allowed: tuple[str, ...]) -> None:
        value = getattr(self, name)
        if value not in allowed:
            raise InputError(f"{name} can't be {value!r} ({nearest(str(value), allowed)})")


def _json(value: Any) -> Any:
    if isinstance(value, Stack):
        return value.to_json()
    return list(value) if isinstance(value, tuple) else value
