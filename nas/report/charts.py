"""Curves of a search as SVG files, for where no page is; the same values give the same text."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from itertools import zip_longest

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from nas.evaluation import Status
from nas.report.curves import band_of, cost, front_of, rewards_of, shares_of, statistics_of
from nas.report.drawings.styles import LIGHT, LINKS
from nas.report.results import ExperimentResults
from nas.search.rows import Child

COLOURS = tuple(LIGHT[f"link{number}"] for number in range(LINKS))
GREY, FAILED = LIGHT["soft"], LIGHT["link5"]
STATUSES: Mapping[str, str] = {
    Status.OK: COLOURS[0],
    Status.DIVERGED: COLOURS[1],
    Status.CRASHED: FAILED,
    Status.OUT_OF_MEMORY: COLOURS[3],
    Status.TIMEOUT: COLOURS[7],
    Status.LOST: GREY,
}
"""The colour of each end; the page's script has the same."""

PALE = 0.45
"""Opacity of colours that come a second time, as that of a ninth option."""

MANY = 2000
"""With more points than that a picture holds them as pixels, not one by one."""

LABELLED_CLASSES = 20
"""A confusion matrix of more classes has neither names nor numbers: they would not be legible."""


def rewards(results: ExperimentResults) -> str:
    """Reward of every child, with running mean, best so far and the band of the search beside it."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    band = band_of(results.beside, _longest(results)) if results.beside else None
    if band is not None and results.beside is not None:
        name = _plain(results.beside.experiment.name)
        axes.fill_between(
            band.low.children, band.low.values, band.high.values, color=GREY, alpha=0.25, linewidth=0
        )
        axes.plot(
            band.best.children, band.best.values, color=GREY, linestyle="--", label=f"{name}: best so far"
        )
        axes.plot([], [], color=GREY, alpha=0.4, linewidth=8, label=f"{name}: middle 80 %")
    done = [child for _, child in results.children() if child.result is not None]
    _points(axes, done, [child.number + 1 for child in done], [child.reward for child in done])
    for place, searched in enumerate(results.searches):
        found = rewards_of(searched)
        label = f"mean of the last {found.window}" if place == 0 else None
        axes.plot(found.mean.children, found.mean.values, color=COLOURS[1], linewidth=2, label=label)
        label = "best so far" if place == 0 else None
        axes.step(
            found.best.children, found.best.values, color=COLOURS[2], where="post", linewidth=2, label=label
        )
    axes.set_xlabel("children")
    axes.set_ylabel("reward (proxy)")
    axes.grid(alpha=0.25)
    if done:
        axes.legend(fontsize=8)
    return _svg(figure)


def statistics(results: ExperimentResults) -> str:
    """What the controller told of its updates, each in a small panel; empty if it told nothing else."""
    told = [statistics_of(searched) for searched in results.searches]
    names = [name for name in sorted({name for each in told for name in each}) if "reward" not in name]
    if not names:
        return ""
    rows = -(-len(names) // 2)
    figure = Figure(figsize=(8, 2.2 * rows), layout="constrained")
    panels = figure.subplots(rows, 2, squeeze=False).flat
    for panel, name in zip_longest(panels, names):
        if name is None:
            panel.axis("off")
            continue
        for place, each in enumerate(told):
            if name in each:
                panel.plot(each[name].children, each[name].values, color=COLOURS[place % len(COLOURS)])
        panel.set_title(_plain(name), fontsize=10)
        panel.grid(alpha=0.25)
    return _svg(figure)


def tradeoff(results: ExperimentResults) -> str:
    """Score against cost of every child, with the Pareto front."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    known = [
        (child, price, score, place)
        for place, child in results.children()
        if child.result is not None
        and (price := cost(results, child.result)) is not None
        and (score := results.score(child)) is not None
    ]
    _points(axes, [one[0] for one in known], [one[1] for one in known], [one[2] for one in known])
    numbers = {(place, child.number) for place, child in front_of(results)}
    front = [one[1:] for one in known if (one[3], one[0].number) in numbers]
    if front:
        axes.set_xscale("log")
        prices, scores, _ = zip(*sorted(front), strict=True)
        axes.step(prices, scores, "o-", where="post", color=COLOURS[1], markersize=5, label="Pareto front")
        axes.legend(fontsize=8)
    axes.set_xlabel(results.rule.objective.replace("_", "-"))
    axes.set_ylabel(f"{results.rule.metric} (proxy)".replace("_", " "))
    axes.grid(alpha=0.25, which="both")
    return _svg(figure)


def choices(results: ExperimentResults) -> str:
    """Which options were chosen over time, a panel for each kind of decision; empty if none was sampled."""
    kinds = [one for one in shares_of(results) if one.decision.startswith("all: ")]
    if not kinds:
        return ""
    rows = -(-len(kinds) // 2)
    figure = Figure(figsize=(8, 2.4 * rows), layout="constrained")
    panels = figure.subplots(rows, 2, squeeze=False).flat
    last = _longest(results)
    for panel, one in zip_longest(panels, kinds):
        if one is None:
            panel.axis("off")
            continue
        widths = np.diff([*one.first, last])
        below = np.zeros(len(one.first))
        for place, option in enumerate(one.options):
            parts = np.array([window[place] for window in one.windows])
            colour = COLOURS[place % len(COLOURS)]
            shade = (colour, 1.0 if place < len(COLOURS) else PALE)
            panel.bar(one.first, parts, widths, below, align="edge", color=shade, label=_plain(option))
            below += parts
        panel.set_title(_plain(one.decision), fontsize=10)
        panel.set_ylim(0, 1)
        panel.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5), reverse=True)
    return _svg(figure)


def timeline(results: ExperimentResults) -> str:
    """When each child ran where, failures in colour; empty if none is known to have run on a slot."""
    spans: dict[str, list[tuple[float, float, str]]] = {}
    for place, child in results.children():
        if child.started_at is None or child.finished_at is None or child.slot is None:
            continue
        searched = results.searches[place]
        name = child.slot + (f", seed {searched.seed}" if len(results.searches) > 1 else "")
        begun = child.started_at - searched.batches[0].sampled_at
        spans.setdefault(name, []).append((begun / 60, child.finished_at - child.started_at, child.status))
    if not spans:
        return ""
    names = sorted(spans, reverse=True)
    figure = Figure(figsize=(8, 0.9 + 0.3 * len(names)), layout="constrained")
    axes = figure.subplots()
    seen = sorted({status for each in spans.values() for *_, status in each}, key=list(STATUSES).index)
    for row, name in enumerate(names):
        for status in seen:
            bars = [(begun, seconds / 60) for begun, seconds, how in spans[name] if how == status]
            axes.broken_barh(bars, (row - 0.38, 0.76), facecolors=STATUSES[status], edgecolor="white", lw=0.3)
    for status in seen:
        axes.plot([], [], color=STATUSES[status], linewidth=6, label=status.replace("_", " "))
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set_xlabel("minutes since the search began")
    axes.legend(fontsize=8, ncols=len(seen), loc="lower left", bbox_to_anchor=(0, 1))
    return _svg(figure)


def _points(axes: Axes, children: Sequence[Child], xs: Sequence[float], ys: Sequence[float]) -> None:
    """One point for each child, failures in red; very many are a picture within the picture."""
    many = len(children) > MANY
    for failed, colour in ((False, COLOURS[0]), (True, FAILED)):
        places = [place for place, child in enumerate(children) if (child.status != "ok") is failed]
        axes.scatter(
            [xs[place] for place in places],
            [ys[place] for place in places],
            s=3 if many else 10,
            color=colour,
            alpha=0.35 if many else 0.6,
            linewidths=0,
            rasterized=many,
        )


def _longest(results: ExperimentResults) -> int:
    return max((len(searched.children) for searched in results.searches), default=0)


def _plain(text: str) -> str:
    """A text in which matplotlib sees no formula."""
    return text.replace("$", r"\$").replace("_", " ")


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
