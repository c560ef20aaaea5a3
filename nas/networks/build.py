"""Building of image networks; each kind of architecture, or stack of cells, registers its own builder."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import singledispatch
from typing import Any

import keras

from nas.errors import InputError
from nas.spaces import Stack


@dataclass(frozen=True)
class Settings:
    """What a builder is told beside the architecture.

    Attributes:
        input_shape: (height, width, channels) of the images that the network gets.
        classes: number of classes.
        seed: of the initial weights.
        batch_norm_momentum: of the moving averages. Differs from Keras, whose 0.99 is too slow for the
            few hundred steps of a short training: evaluation would still see the initial averages.
        batch_norm_epsilon: added to the variance.
        weight_decay: the gradient of each kernel gets `weight_decay · kernel`, by an L2 penalty of half
            this strength in `losses`.
        stack: what is built from a cell; None: the architecture is a whole network.
    """

    input_shape: tuple[int, ...]
    classes: int
    seed: int
    batch_norm_momentum: float = 0.9
    batch_norm_epsilon: float = 1e-5
    weight_decay: float = 1e-4
    stack: Stack | None = None


class TrainingOnly(keras.layers.Layer):  # type: ignore[misc]
    """A layer that does something in training only, such as dropping paths.

    Otherwise it gives back its input; when the network is served or saved, it is left out.
    """


@dataclass(frozen=True)
class Network:
    """A network as it is trained.

    Attributes:
        model: a functional model from images to class probabilities `(batch, classes)`, its first output;
            the logits of auxiliary heads, also `(batch, classes)` and in float32, may follow. Its layers are
            stock Keras layers, or `TrainingOnly`, which stand in no model within the model.
        auxiliary: for each further output the weight of its loss in the loss that training minimises.
        progress: made by `training_progress`, for layers that depend on it; the trainer sets it.

    Raises:
        InputError: outputs and weights are not equally many.
    """

    model: keras.Model
    auxiliary: tuple[float, ...] = ()
    progress: keras.Variable | None = None

    def __post_init__(self) -> None:
        if len(self.model.outputs) != 1 + len(self.auxiliary):
            raise InputError(
                "a network needs the weight of the loss of each output after the first. Received: "
                f"{len(self.model.outputs)} outputs, auxiliary={self.auxiliary!r}"
            )

    def served(self) -> keras.Model:
        """The model without all that only training uses; it shares the weights.

        Its layers are stock Keras layers, so that it loads without our code.
        """
        model = self.model
        if not self.auxiliary and not any(isinstance(layer, TrainingOnly) for layer in model.layers):
            return model

        def call(layer: keras.Layer, *inputs: Any, **options: Any) -> Any:
            return inputs[0] if isinstance(layer, TrainingOnly) else layer(*inputs, **options)

        main = keras.Model(model.input, model.outputs[0], name=model.name)
        return keras.models.clone_model(main, clone_function=lambda layer: layer, call_function=call)


def training_progress() -> keras.Variable:
    """A variable that tells the layers of a network how much of its training is over, from 0 to 1.

    The trainer raises it linearly with each step; in the last step of the last epoch it is 1. It is float32
    whatever the layers compute in.
    """
    return keras.Variable(0.0, dtype="float32", trainable=False, autocast=False, name="progress")


@singledispatch
def _builders(architecture: Any, settings: Settings) -> Any:
    raise NotImplementedError  # stands for all classes without a builder; see build_network


register = _builders.register
"""Registers the decorated function as the builder of the architecture in its first annotation, or of the
class that it is given, as in `@register(MyStack)`; see `build_network`."""


def build_network(architecture: Any, settings: Settings) -> Network:
    """Builds the network that is trained for an architecture, with fresh weights.

    A builder is a function `build(architecture, settings)`, registered for the class of the architecture or,
    if that is a cell, for the class of `settings.stack`. It returns a functional `keras.Model`, or a
    `Network` where there is more to say. What every builder guarantees: the model leads from float images
    `(batch, *input_shape)`, already whitened, to class probabilities `(batch, classes)`. Its last layers are
    named `logits` (what training uses) and `probabilities`, and compute in float32. As it is served, it has
    exactly the parameters and multiply-adds of `architecture.cost`, or of the stack's. Equal arguments give
    equal weights. Layers follow Keras' dtype policy.

    The module that registers a builder is named by the class attribute `builder` of the architecture or of
    the stack.

    Args:
        architecture: what to build.
        settings: for which images and classes, and how.

    Raises:
        InputError: no builder knows this kind of architecture or stack.
    """
    import_builder(architecture)
    described: Any = architecture
    if settings.stack is not None:
        import_builder(settings.stack)
        described = settings.stack
    cls = type(described)
    builder = _builders.dispatch(cls)
    if builder is _builders.dispatch(object):
        raise InputError(
            f"no builder is registered for {cls.__module__}.{cls.__qualname__}: register one with "
            "@nas.networks.register in a module and name this module in the class attribute 'builder'"
        )
    built = _called(builder, architecture, settings)
    return built if isinstance(built, Network) else Network(built)


def build(architecture: Any, input_shape: tuple[int, ...], classes: int, **settings: Any) -> keras.Model:
    """Builds the network that is served for an architecture, a stock Keras model with fresh weights.

    Args:
        architecture: what to build.
        input_shape, classes, **settings: see `Settings`; `seed` is needed.

    Raises:
        InputError: no builder knows this kind of architecture or stack.

    Example:
        >>> from nas.spaces import parse_architecture
        >>> build(parse_architecture("conv:3x3x24@0"), (8, 8, 1), 10, seed=0).count_params()
        562
    """
    return build_network(architecture, Settings(input_shape, classes, **settings)).served()


def import_builder(described: Any) -> None:
    """Imports the module that registers the builder of an architecture or stack, if its class names one."""
    module = getattr(type(described), "builder", None)
    if module:
        importlib.import_module(module)


def _called(builder: Callable[..., Any], architecture: Any, settings: Settings) -> Any:
    """What `builder` makes; one of an earlier version takes loose numbers."""
    kinds = [parameter.kind for parameter in inspect.signature(builder).parameters.values()]
    if kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD) <= 2:
        return builder(architecture, settings)
    numbers = {field.name: getattr(settings, field.name) for field in fields(settings)}
    del numbers["stack"]
    return builder(architecture, numbers.pop("input_shape"), numbers.pop("classes"), **numbers)
