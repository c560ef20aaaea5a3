"""The function that builds networks; each kind of architecture registers its own builder."""

from __future__ import annotations

import importlib
from functools import singledispatch
from typing import Any

import keras

from nas.errors import InputError


@singledispatch
def _build(architecture: Any, input_shape: Any, classes: int, **settings: Any) -> keras.Model:
    cls = type(architecture)
    raise InputError(
        f"no builder is registered for {cls.__module__}.{cls.__qualname__}: register one with "
        "@nas.networks.register in a module and name this module in the class attribute 'builder'"
    )


register = _build.register
"""Registers the decorated function as the builder of the architecture in its first annotation."""


def build(
    architecture: Any,
    input_shape: tuple[int, ...],
    classes: int,
    *,
    seed: int,
    batch_norm_momentum: float = 0.9,
    batch_norm_epsilon: float = 1e-5,
    weight_decay: float = 1e-4,
) -> keras.Model:
    """Builds the network that an architecture describes, with fresh weights.

    What every builder guarantees: a functional model of stock Keras layers (so that it loads without
    our code), from float images `(batch, *input_shape)`, already whitened, to class probabilities
    `(batch, classes)`. Its last layers are named `logits` (what training uses) and `probabilities`, and
    compute in float32. It has exactly the parameters and multiply-adds of `architecture.cost`. Equal
    arguments give equal weights. Layers follow Keras' dtype policy.

    A new kind registers its builder with `@register` (see `functools.singledispatch`); it is called with
    all keyword arguments. An architecture outside this package names the module that does so in its
    class attribute `builder`; it is imported when needed, so that the search's process imports no Keras.

    Args:
        architecture: what to build.
        input_shape: (height, width, channels) of the images that the network gets.
        classes: number of classes.
        seed: of the initial weights.
        batch_norm_momentum: of the moving averages. Differs from Keras, whose 0.99 is too slow for the
            few hundred steps of a short training: evaluation would still see the initial averages.
        batch_norm_epsilon: added to the variance.
        weight_decay: the gradient of each kernel gets `weight_decay · kernel`, by an L2 penalty of half
            this strength in `losses`.

    Raises:
        InputError: no builder knows this kind of architecture.

    Example:
        >>> from nas.spaces import parse_architecture
        >>> build(parse_architecture("conv:3x3x24@0"), (8, 8, 1), 10, seed=0).count_params()
        562
    """
    import_builder(architecture)
    return _build(
        architecture,
        input_shape,
        classes,
        seed=seed,
        batch_norm_momentum=batch_norm_momentum,
        batch_norm_epsilon=batch_norm_epsilon,
        weight_decay=weight_decay,
    )


def import_builder(architecture: Any) -> None:
    """Imports the module that registers the builder of a user's own architecture, if it names one."""
    module = getattr(type(architecture), "builder", None)
    if isinstance(module, str):
        importlib.import_module(module)
