"""What came out of an experiment, for its page: result, drawings, finals, test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from nas.final.finalists import network_in_words
from nas.final.rings import correlation_lines
from nas.report import charts
from nas.report.drawings.svg import inline
from nas.report.formatting import duration, measured, plain, with_interval
from nas.report.html import around, element, picture, table
from nas.report.results import ExperimentResults
from nas.report.sections import device_seconds
from nas.spaces import overrides_in_words
from nas.spaces.conv import ConvNet
from nas.spaces.resnet import ResNet

DRAWN = 3
"""Architectures that are drawn at the top; the table opens all others."""


def facts(results: ExperimentResults) -> str:
    """The few numbers that people ask for first."""
    experiment = results.experiment
    metric = results.rule.metric
    children = [child for _, child in results.children()]
    finished = sum(child.result is not None for child in children)
    budget = experiment.budget.children
    of = f" of {budget * len(experiment.seeds):,}" if budget else ""
    found = []
    if results.evaluation is not None:
        test = results.evaluation["test"]
        name = test["metric"].replace("_", " ")
        found.append((f"test {name} of the winner", with_interval(test["winner"], test["metric"])))
        if test["baseline"] is not None:
            found.append(("hand-made baseline", with_interval(test["baseline"], test["metric"])))
    if results.best:
        best = results.score(results.best[0][1])
        found.append((f"best {plain(metric)} in the search (proxy)", measured(best, metric)))
    found.append(("children finished", f"{finished:,}{of}"))
    found.append(("device time", duration(sum(device_seconds(results).values()))))
    return around(
        "dl",
        (around("div", [element("dt", name), around("dd", _big(value))], "fact") for name, value in found),
        "facts",
    )


def _big(value: str) -> Iterator[str]:
    """A number with what stands in brackets smaller below it."""
    first, bracket, rest = value.partition(" (")
    yield escape(first)
    if bracket:
        yield element("small", rest.removesuffix(")"))


def result(results: ExperimentResults) -> list[str]:
    """The winner beside the baseline on the test data, as far as there is one."""
    name, final, evaluation = results.experiment.name, results.final, results.evaluation
    if final is None:
        if results.experiment.recipe is None:
            return []
        return [element("p", f"No winner yet: nas finalize {name} retrains the best.")]
    if evaluation is None:
        found = [element("p", f"Not tested yet: nas evaluate {name} tests the winner.")]
        if results.earlier is not None:
            test = results.earlier["test"]
            named = (results.earlier["architecture"], results.earlier.get("stack"))
            text = (
                f"An earlier winner, {' · '.join(filter(None, named))}, had the test "
                f"{test['metric'].replace('_', ' ')} {with_interval(test['winner'], test['metric'])}."
            )
            found.append(element("p", text, "note"))
        return found
    test = evaluation["test"]
    metric = test["metric"].replace("_", " ")
    rows = [("winner", final["winner"], test["winner"])]
    if test["baseline"] is not None:
        rows.append(("hand-made baseline", final["baseline"], test["baseline"]))
    parts = [
        table(
            ("", f"test {metric} (95 % interval)", "validation", "parameters", "architecture"),
            [
                (
                    role,
                    with_interval(found, test["metric"]),
                    measured(one["score"], results.rule.metric),
                    one["parameters"],
                    network_in_words(one),
                )
                for role, one, found in rows
            ],
            "The winner and the baseline on the test data",
        )
    ]
    touches = f"{_times(test['touches'])} for this winner"
    if "test_set" in evaluation:
        touches += f" and {_times(evaluation['test_set']['touches'])} by all experiments on these data"
    parts.append(
        element(
            "p",
            f"Measured on {test['examples']:,} test {test['unit']}, which were touched {touches}; the winner "
            "was chosen on validation data. The baseline was trained by the same recipe and grid.",
            "note",
        )
    )
    if test["baseline"] is not None and not _better(test):
        parts.append(element("p", "The winner is not better than the hand-made baseline."))
    return parts


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _better(test: Mapping[str, Any]) -> bool:
    gain = test["winner"]["value"] - test["baseline"]["value"]
    return bool(gain < 0 if test["lower_is_better"] else gain > 0)


def gallery(results: ExperimentResults, place: int) -> list[str]:
    """The drawings of the best architectures of the search."""
    metric = results.rule.metric
    figures = []
    flat = False
    for rank, (search, child) in enumerate(results.best[:DRAWN], 1):
        drawing = results.drawn(child.proposal)
        flat = flat or drawing.width > drawing.height
        score = measured(results.score(child), metric)
        link = f"#child-{place}-{search}-{child.number}"
        caption = [
            element("strong", f"{rank}. child {child.number}"),
            f" · {escape(score)} {escape(plain(metric))} (proxy)",
            f" · {child.result.parameters:,} parameters" if child.result else "",
            " · ",
            around("a", ["all of it"], href=link),
        ]
        shown = around("div", [inline(drawing)], "scroll drawn", tabindex="0", role="group")
        figures.append(around("figure", [around("figcaption", caption), shown]))
    if not figures:
        return [element("p", "No child has ended well yet.")]
    note = []
    if results.sizes is None:
        note = [element("p", "Sizes are for images of 32×32×3: the data set is not here to tell.", "note")]
    return [
        around("div", figures, "gallery flat" if flat else "gallery"),
        *(note if _has_sizes(results) else []),
    ]


def _has_sizes(results: ExperimentResults) -> bool:
    """Whether sizes of layers stand in the drawings."""
    return isinstance(results.best[0][1].proposal.architecture, ConvNet | ResNet)


def finals(results: ExperimentResults) -> list[str]:
    """All trainings of the finals, and how well the search ranked them."""
    final, evaluation = results.final, results.evaluation
    if final is None:
        return []
    metric = results.rule.metric
    rings = range(1, max((len(one.get("rings", ())) for one in final["finalists"]), default=0) + 1)
    rows = [
        (
            one["number"],
            "winner" if one["number"] == final["winner"]["number"] else one["role"],
            overrides_in_words(one["grid_point"]),
            one["status"],
            measured(one["score"], metric),
            measured(one["search"]["proxy_score"], metric) if one["search"] else None,
            *(_in_ring(one, number, metric) for number in rings),
            one["epochs"],
            network_in_words(one),
        )
        for one in final["finalists"]
    ]
    columns = (
        "final",
        "role",
        "grid",
        "status",
        "validation",
        "proxy in the search",
        *(f"ring {number} (place)" for number in rings),
        "epochs",
        "architecture",
    )
    judged = final.get("judged_by") or (
        "the best of the last epochs, as an earlier version did: the saved weights may measure less. "
        f"nas finalize {results.experiment.name} judges by those"
    )
    parts = [
        table(columns, rows, "Trainings of the finals"),
        element("p", f"Validation: by {judged}.", "note"),
    ]
    if before := final.get("earlier_choice"):
        text = f"Before, final {before['number']} was chosen: {before['reason']}."
        parts.append(element("p", text, "note"))
    if evaluation is not None:
        correlation = evaluation["rank_correlation"]
        tau = correlation["kendall_tau"]
        value = f"undefined: {correlation['reason']}" if tau is None else f"{tau:.2f}"
        parts.append(
            element(
                "p",
                "Rank correlation (Kendall's tau) between search reward and final reward over "
                f"n = {correlation['n']} architectures: {value}.",
            )
        )
    if stages := final.get("rank_correlations"):
        text = "; ".join(correlation_lines(stages))
        parts.append(element("p", f"Rank correlation (Kendall's tau) from stage to stage: {text}."))
    return parts


def _in_ring(one: Mapping[str, Any], number: int, metric: str) -> str | None:
    """What a finalist reached in ring `number`, and its place there; the baseline was in none."""
    return next(
        (
            f"{measured(ring['score'], metric)} ({ring['place']})"
            for ring in one.get("rings", ())
            if ring["ring"] == number
        ),
        None,
    )


def details(results: ExperimentResults) -> dict[str, list[str]]:
    """What the test told beside one number, by heading: confusion of classes, or perplexity by frequency."""
    found = results.evaluation["details"]["winner"] if results.evaluation else {}
    sections = {}
    if "confusion" in found:
        sections["Confusion on the test images"] = _confusion(found["classes"], found["confusion"])
    if found.get("frequency"):
        names = list(found["frequency"][0])
        rows = [tuple(row[name] for name in names) for row in found["frequency"]]
        columns = [name.replace("_", " ") for name in names]
        sections["By how frequent a word is"] = [table(columns, rows, "Test result by frequency")]
    return sections


def _confusion(classes: Sequence[str], confusion: Sequence[Sequence[int]]) -> list[str]:
    if len(classes) > charts.LABELLED_CLASSES:
        drawn = charts.confusion_matrix(classes, confusion)
        return [picture(drawn, "Test images by true class (rows) and predicted class (columns)")]
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in classes)
    body = []
    for name, row in zip(classes, confusion, strict=True):
        whole = sum(row) or 1
        cells = "".join(f'<td style="--part:{count / whole:.3f}">{count or ""}</td>' for count in row)
        body.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    caption = element("caption", "Rows: true class; columns: predicted; darker: a larger part of the row")
    matrix = f"{caption}<thead><tr><td></td>{head}</tr></thead><tbody>{''.join(body)}</tbody>"
    return [around("div", [around("table", [matrix], "matrix")], "scroll", tabindex="0")]
