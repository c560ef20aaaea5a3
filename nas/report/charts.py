"""Pictures of a search as SVG texts; the same values give the same text."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

COLOURS = ("#1f5fbf", "#d9730d", "#3a8f4d", "#8a4fbf")
"""Of the searches in a picture, in their order."""

LABELLED_CLASSES = 20
"""A confusion matrix of more classes has neither names nor numbers: they would not be legible."""


def reward_curves(searches: Mapping[str, Sequence[pd.DataFrame]]) -> str:
    """Mean reward of each round and best reward so far, over the number of children.

    A line is the mean over a search's repeats, a band reaches from their lowest to their highest.

    Args:
        searches: for each search, by the name to show, the curves of its repeats (see
            `nas.search.leaderboard.curve`); those without rows are left out.
    """
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    axes = figure.subplots(1, 2)
    for panel, column, title in zip(
        axes,
        ("reward/mean", "reward/best_so_far"),
        ("mean reward of a round", "best reward so far"),
        strict=True,
    ):
        for place, (name, curves) in enumerate(searches.items()):
            _band(panel, name, [curve for curve in curves if len(curve)], column, COLOURS[place % 4])
        panel.set_title(title, fontsize=10)
        panel.set_xlabel("children")
        panel.grid(alpha=0.25)
    if axes[0].lines:
        axes[0].legend(fontsize=8)
    return _svg(figure)


def _band(panel: Axes, name: str, curves: Sequence[pd.DataFrame], column: str, colour: str) -> None:
    if not curves:
        return
    together = pd.concat(curves).groupby("children")[column].agg(["mean", "min", "max"])
    children = together.index.to_numpy()
    marker = "o" if len(together) == 1 else ""
    panel.plot(
        children, together["mean"].to_numpy(), color=colour, marker=marker, label=name.replace("$", r"\$")
    )
    if len(curves) > 1:
        panel.fill_between(
            children,
            together["min"].to_numpy(),
            together["max"].to_numpy(),
            color=colour,
            alpha=0.18,
            linewidth=0,
        )


def best_so_far(seconds: np.ndarray, means: Mapping[str, np.ndarray], column: str) -> str:
    """The mean answer of many searches over the seconds that they were given.

    Args:
        seconds: with shape `(points,)`.
        means: of each configuration by the name to show, shaped like them; what isn't a number is left out.
        column: what is measured.
    """
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    panel = figure.subplots()
    for place, (name, values) in enumerate(means.items()):
        style = ("-", "--", ":")[place // len(COLOURS) % 3]
        panel.plot(
            seconds, values, style, color=COLOURS[place % len(COLOURS)], label=name.replace("$", r"\$")
        )
    shown = [values[len(values) // 8 :] for values in means.values()]
    low = min((float(np.nanmin(values)) for values in shown if np.isfinite(values).any()), default=0.0)
    high = max((float(np.nanmax(values)) for values in shown if np.isfinite(values).any()), default=1.0)
    margin = 0.05 * (high - low) or 0.5  # the first answers of all would hide what follows
    panel.set_ylim(low - margin, high + margin)
    panel.set_xlabel("seconds of queries")
    panel.set_ylabel(f"{column} of the best so far, mean")
    panel.grid(alpha=0.25)
    panel.legend(fontsize=8)
    return _svg(figure)


def confusion_matrix(classes: Sequence[str], confusion: Sequence[Sequence[int]]) -> str:
    """Test images by true class (rows) and predicted class (columns), darker = larger part of the row."""
    counts = np.asarray(confusion, float)
    parts = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = 2.2 + 0.34 * min(len(classes), LABELLED_CLASSES)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    axes.imshow(parts, cmap="Blues", vmin=0, vmax=1)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if len(classes) > LABELLED_CLASSES:
        axes.set_xticks([])
        axes.set_yticks([])
        return _svg(figure)
    places = range(len(classes))
    axes.set_xticks(places, classes, rotation=90, fontsize=8, parse_math=False)
    axes.set_yticks(places, classes, fontsize=8, parse_math=False)
    for row in places:
        for column in places:
            if counts[row, column]:
                colour = "white" if parts[row, column] > 0.5 else "black"
                axes.text(
                    column,
                    row,
                    f"{counts[row, column]:.0f}",
                    ha="center",
                    va="center",
                    fontsize=7,
                    color=colour,
                )
    return _svg(figure)


def _svg(figure: Figure) -> str:
    """The figure as text, without a date, and with the same names of its parts each time."""
    target = io.StringIO()
    with (
        matplotlib.rc_context({"svg.hashsalt": "nasflow", "svg.fonttype": "none"}),
        warnings.catch_warnings(),
    ):
        # letters stay letters: the fonts that count are those of whoever looks at the page
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        FigureCanvasSVG(figure).print_svg(target, metadata={"Date": None})  # type: ignore[no-untyped-call]
    return target.getvalue()
