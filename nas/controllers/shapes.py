"""Which parameters a policy needs for a list of steps."""

from __future__ import annotations

from nas.controllers.attention import attention_names
from nas.controllers.lstm import bias_name, kernel_name
from nas.controllers.walk import START, anchors_name, embedding_name, head_names
from nas.errors import InputError
from nas.spaces import Choice, Point, StepList

Shapes = dict[str, tuple[int, ...]]
"""Shapes of parameters by name."""


def lstm_shapes(layers: int, units: int) -> Shapes:
    """Those of the LSTM and its first input, which is as wide as all its inputs."""
    shapes: Shapes = {START: (units,)}
    for layer in range(layers):
        shapes |= {kernel_name(layer): (2 * units, 4 * units), bias_name(layer): (4 * units,)}
    return shapes


def with_steps(shapes: Shapes, steps: StepList) -> Shapes:
    """`shapes` and what else `steps` need.

    Raises:
        InputError: a choice has another number of options than others of its kind, or a scope begins
            with another number of points than at other depths.
    """
    shapes = dict(shapes)
    (units,) = shapes[START]
    for scope, count in steps.initial_points.items():
        known = shapes.setdefault(anchors_name(scope), (count, units))[0]
        if known != count:
            raise InputError(
                f"the initial points of a scope have learned anchors, so that their number can't depend on "
                f"the depth; '{scope}' has {count} and {known}"
            )
    for step in steps:
        if isinstance(step, Choice):
            count = len(step.options)
            kernel, bias = head_names(step.kind)
            known = shapes.setdefault(bias, (count,))[0]
            if known != count:
                raise InputError(
                    f"choices of one kind share a softmax, so that all need as many options; '{step.name}' "
                    f"of kind '{step.kind}' has {count}, others have {known}"
                )
            shapes |= {kernel: (units, count), embedding_name(step.kind): (count, units)}
        elif not isinstance(step, Point):
            previous, current, vector = attention_names(step.kind)
            shapes |= {previous: (units, units), current: (units, units), vector: (units,)}
    return shapes
