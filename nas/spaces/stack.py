"""Stacks: how many cells, how many filters and which stem make a network out of a convolutional cell."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from nas import plugins
from nas.errors import cut, printable
from nas.spaces.architecture import Architecture, Cost

LONGEST_WORDS = 200
"""Characters of a stack in words: a record that somebody else wrote may have any options."""


@dataclass(frozen=True)
class StackPart:
    """One part of a network, as its picture shows it; numbers that aren't known are letters.

    Attributes:
        what: `stem`, `normal`, `reduction`, `auxiliary` (a head at the part before it, which only training
            has), `classifier`, or any other name.
        count: how many of it stand in a row.
        filters: of each; empty: it isn't told.
    """

    what: str
    count: int | str = 1
    filters: int | str = ""


def stack_in_words(options: Mapping[str, Any]) -> str:
    """A stack's options, as YAML and records have them, in a few words: `NAME N@F`, then what isn't default.

    N are the cells and F the filters, as far as it has such. Only of our own stacks the defaults are known:
    no other is looked up or imported.

    Example:
        >>> stack_in_words({"name": "cifar", "cells": 2, "filters": 8, "auxiliary": 0.4})
        'cifar 2@8, auxiliary 0.4'
        >>> stack_in_words({"name": "cifar", "cells": 2, "filters": 8, "auxiliary": 0.0})
        'cifar 2@8'
        >>> stack_in_words({"name": "my.stacks:Plain", "rows": 3})
        'Plain, rows 3'
    """
    defaults = _defaults(options.get("name"))
    sizes: dict[str, Any] = {size: defaults[size] for size in ("cells", "filters") if size in defaults}
    rest = {**sizes, **options}
    words = str(rest.pop("name", "?")).rpartition(":")[2]
    if "cells" in rest and "filters" in rest:
        words += f" {rest.pop('cells')}@{rest.pop('filters')}"
    others = (
        f"{str(key).replace('_', ' ')} {value}"
        for key, value in rest.items()
        if key not in defaults or value != defaults[key]
    )
    return cut(printable(", ".join([words, *others])), LONGEST_WORDS)


def _defaults(name: Any) -> dict[str, Any]:
    """The defaults of one of our stacks; of any other name none."""
    if not isinstance(name, str) or name not in plugins.BUILT_IN["stack"]:
        return {}
    return {field.name: field.default for field in fields(plugins.find("stack", name))}


def overrides_in_words(overrides: Mapping[str, Any]) -> str:
    """Fields of a recipe for people: `key=value`, a stack in words.

    Example:
        >>> overrides_in_words({"learning_rate": 0.1, "stack": {"name": "cifar", "cells": 2, "filters": 8}})
        'learning_rate=0.1, stack=cifar 2@8'
    """
    return printable(
        ", ".join(
            f"{key}={stack_in_words(value) if key == 'stack' and isinstance(value, Mapping) else value}"
            for key, value in overrides.items()
        )
    )


class Stack(ABC):
    """What an image recipe builds from a cell (Zoph et al. 2018, figure 2), as a plain value.

    An architecture whose class says `stacked` is only a cell: a stack repeats it, equally wired and with
    weights of its own each time, behind a stem and before a classifier. Another stack makes a larger network
    of the same cell, so that a cell that was found small is retrained large by `final.recipe`.

    Implementations are frozen dataclasses, pure Python, whose fields are the options of the YAML, checked
    when built. The module `builder` registers the function that builds the network; see
    `nas.networks.register`.
    """

    name: ClassVar[str]
    """What `name` is in the YAML; a user's own stack uses `package.module:Name`."""

    builder: ClassVar[str] = ""
    """Import path of the module that registers the builder of its networks."""

    @abstractmethod
    def shapes(self, architecture: Architecture, input_shape: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
        """What the first cell gets, without the batch axis, and its number of filters.

        Args:
            architecture: the cell.
            input_shape: (height, width, channels) of the images.

        Raises:
            InputError: the stack can't be made of this kind of cell, or for such images.
        """

    @abstractmethod
    def cost(self, architecture: Architecture, input_shape: tuple[int, ...], outputs: int) -> Cost:
        """Size of the whole network that is served, without heads that only training has.

        Args:
            architecture: the cell.
            input_shape: (height, width, channels) of the images.
            outputs: number of classes.

        Raises:
            InputError: the stack can't be made of this kind of cell, or for such images.
        """

    def outline(self) -> Sequence[StackPart]:
        """The parts of the network from the image to the classes, for pictures; empty: they aren't told."""
        return ()

    def to_json(self) -> dict[str, Any]:
        """Its name and all fields, as JSON; what `nas.plugins.make("stack", …)` builds it from."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return {"name": self.name, **values}
