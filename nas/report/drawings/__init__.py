"""Drawings of architectures and of search spaces, as SVG and PNG."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from functools import singledispatch
from pathlib import Path

from nas.errors import InputError
from nas.report.drawings.decisions import draw_decisions
from nas.report.drawings.listing import draw_listing
from nas.report.drawings.parts import Drawing
from nas.report.drawings.styles import Theme
from nas.report.drawings.svg import svg
from nas.spaces import Architecture, StackPart, UnknownArchitecture
from nas.training.recipe import Recipe

__all__ = ["Drawing", "draw", "draw_decisions", "draw_trained", "save", "svg"]


@singledispatch
def draw(
    architecture: Architecture,
    shape: tuple[int, ...] | None = None,
    outputs: int | None = None,
    outline: Sequence[StackPart] = (),
) -> Drawing:
    """The drawing of an architecture.

    A kind registers its own with `@draw.register`, in the module that the class attribute `drawing` of the
    architecture names; it is imported here, when the first of the kind is drawn.

    Args:
        architecture: what to draw.
        shape: of one example without the batch axis; None: as `Architecture.shown_for` supposes.
        outputs: what the network tells apart; None: it isn't shown.
        outline: of the network that a stack makes of a cell. It is given if it isn't empty, so that only
            kinds of cells need to take it.
    """
    cls = type(architecture)
    if cls.drawing:
        importlib.import_module(cls.drawing)
        found = draw.dispatch(cls)
        if found is not draw.dispatch(object):
            return found(architecture, shape, outputs, *([outline] if outline else []))
    return draw_listing(architecture, "no drawing is known for this kind")


@draw.register
def _(
    unknown: UnknownArchitecture, shape: tuple[int, ...] | None = None, outputs: int | None = None
) -> Drawing:
    return draw_listing(unknown, "this workspace can't read it")


def draw_trained(
    architecture: Architecture, recipe: Recipe | None, sizes: tuple[tuple[int, ...], int] | None = None
) -> Drawing:
    """The drawing of an architecture as an experiment trains it, a cell beside the network made of it.

    Args:
        architecture: what to draw.
        recipe: that of the experiment; None: it has none.
        sizes: what `Recipe.shapes` says of the architecture and the data; None: they aren't known.
    """
    shape, outputs = sizes or (None, None)
    stack = recipe.stack_of(architecture) if recipe is not None and architecture.stacked else None
    outline = stack.outline() if stack is not None else ()
    return draw(architecture, shape, outputs, *([outline] if outline else []))


def save(drawing: Drawing, path: Path, theme: Theme | None = None) -> None:
    """Writes a drawing as the file's ending says.

    Args:
        drawing: what to write.
        path: ends in `.svg` or `.png`.
        theme: colours; None: an SVG has those that its viewer prefers, a PNG the light ones.

    Raises:
        InputError: the ending is another one, or the file can't be written.
    """
    try:
        if path.suffix == ".svg":
            path.write_text(svg(drawing, theme), encoding="utf-8")
        elif path.suffix == ".png":
            from nas.report.drawings.png import (
                write_png,
            )  # an SVG needs no matplotlib, which is slow to import

            write_png(drawing, path, theme or "light")
        else:
            raise InputError(f"a drawing is written to a file .svg or .png. Received: {path}")
    except OSError as error:
        raise InputError(f"the drawing can't be written to {path}: {error}") from error
