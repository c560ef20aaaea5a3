"""The parts of a page that need no script: what was asked, what came out, what it cost, how to repeat it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from nas.report import charts
from nas.report.curves import running_window
from nas.report.drawings import draw, draw_decisions
from nas.report.drawings.svg import inline
from nas.report.html import around, element, folded, picture, table
from nas.report.subject import Searched, Subject
from nas.report.words import counted, duration, measured, with_interval
from nas.spaces.conv import ConvNet
from nas.spaces.resnet import ResNet

STAGES = ("search", "finalize", "evaluate")
DRAWN = 3
"""Architectures that are drawn at the top; the table opens all others."""

PLACES = 20


def facts(subject: Subject) -> str:
    """The few numbers that people ask for first."""
    experiment = subject.experiment
    metric = subject.rule.metric
    children = [child for _, child in subject.children()]
    finished = sum(child.result is not None for child in children)
    budget = experiment.budget.children
    of = f" of {budget * len(experiment.seeds):,}" if budget else ""
    found = []
    if subject.evaluation is not None:
        test = subject.evaluation["test"]
        name = test["metric"].replace("_", " ")
        found.append((f"test {name} of the winner", with_interval(test["winner"], test["metric"])))
        if test["baseline"] is not None:
            found.append(("hand-made baseline", with_interval(test["baseline"], test["metric"])))
    if subject.best:
        best = subject.score(subject.best[0][1])
        found.append((f"best {_plain(metric)} in the search (proxy)", measured(best, metric)))
    found.append(("children finished", f"{finished:,}{of}"))
    found.append(("device time", duration(sum(_seconds(subject).values()))))
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


def result(subject: Subject) -> list[str]:
    """The winner beside the baseline on the test data, as far as there is one."""
    name, final, evaluation = subject.experiment.name, subject.final, subject.evaluation
    if final is None:
        if subject.experiment.recipe is None:
            return []
        return [element("p", f"No winner yet: nas finalize {name} retrains the best.")]
    if evaluation is None:
        return [element("p", f"Not tested yet: nas evaluate {name} tests the winner.")]
    test = evaluation["test"]
    metric = test["metric"].replace("_", " ")
    rows = [("winner", final["winner"], test["winner"])]
    if test["baseline"] is not None:
        rows.append(("hand-made baseline", final["baseline"], test["baseline"]))
    parts = [
        table(
            ("", "architecture", f"test {metric} (95 % interval)", "validation", "parameters"),
            [
                (
                    role,
                    one["architecture"],
                    with_interval(found, test["metric"]),
                    measured(one["score"], subject.rule.metric),
                    one["parameters"],
                )
                for role, one, found in rows
            ],
            "The winner and the baseline on the test data",
        )
    ]
    touches = test["touches"]
    parts.append(
        element(
            "p",
            f"Measured on {test['examples']:,} test {test['unit']}, which were touched "
            f"{'once' if touches == 1 else f'{touches} times'} for this winner; it was chosen on "
            "validation data. The baseline was trained by the same recipe and grid.",
            "note",
        )
    )
    if test["baseline"] is not None and not _better(test):
        parts.append(element("p", "The winner is not better than the hand-made baseline."))
    return parts


def _better(test: Mapping[str, Any]) -> bool:
    gain = test["winner"]["value"] - test["baseline"]["value"]
    return bool(gain < 0 if test["lower_is_better"] else gain > 0)


def gallery(subject: Subject, place: int) -> list[str]:
    """The drawings of the best architectures of the search."""
    shape, outputs = subject.sizes or (None, None)
    metric = subject.rule.metric
    figures = []
    flat = False
    for rank, (search, child) in enumerate(subject.best[:DRAWN], 1):
        drawing = draw(child.proposal.architecture, shape, outputs)
        flat = flat or drawing.width > drawing.height
        score = measured(subject.score(child), metric)
        link = f"#child-{place}-{search}-{child.number}"
        caption = [
            element("strong", f"{rank}. child {child.number}"),
            f" · {escape(score)} {escape(_plain(metric))} (proxy)",
            f" · {child.result.parameters:,} parameters" if child.result else "",
            " · ",
            around("a", ["all of it"], href=link),
        ]
        shown = around("div", [inline(drawing)], "scroll drawn", tabindex="0", role="group")
        figures.append(around("figure", [around("figcaption", caption), shown]))
    if not figures:
        return [element("p", "No child has ended well yet.")]
    note = []
    if subject.sizes is None:
        note = [element("p", "Sizes are for images of 32×32×3: the data set is not here to tell.", "note")]
    return [
        around("div", figures, "gallery flat" if flat else "gallery"),
        *(note if _has_sizes(subject) else []),
    ]


def _has_sizes(subject: Subject) -> bool:
    """Whether sizes of layers stand in the drawings."""
    return isinstance(subject.best[0][1].proposal.architecture, ConvNet | ResNet)


def beside(subject: Subject) -> list[str]:
    """This search and the one beside it at equal budget."""
    if subject.alone:
        return [element("p", f"Nothing stands beside it: {subject.alone}", "note")]
    if subject.beside is None:
        return []
    both = (subject, subject.beside)
    children = min((_finished(searched) for one in both for searched in one.searches), default=0)
    last = running_window(children)
    shown = (np.mean, lambda rewards: np.mean(rewards[-last:]), np.max)
    rows = [
        (
            one.experiment.name,
            len(one.searches),
            *(_mean([each(_rewards(searched, children)) for searched in one.searches]) for each in shown),
        )
        for one in both
        if children
    ]
    columns = ("search", "repeats", "mean reward", f"mean of the last {last}", "best reward")
    return [
        table(columns, rows, "At equal budget"),
        element("p", f"At equal budget: the first {children} children of each search.", "note"),
    ]


def _finished(searched: Searched) -> int:
    return sum(child.result is not None for child in searched.children)


def _rewards(searched: Searched, count: int) -> np.ndarray:
    """Rewards of the first finished children."""
    rewards = [child.reward for child in searched.children if child.result is not None]
    return np.array(rewards[:count], float)


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def leaderboard(subject: Subject, front: frozenset[tuple[int, int]]) -> list[str]:
    """The best of the search; `front` are (search, number) of the children on the Pareto front."""
    rows = []
    for rank, (place, child) in enumerate(subject.best[:PLACES], 1):
        done = child.result
        if done is None:
            continue  # best children have results; this tells the type checker
        rows.append(
            (
                rank,
                child.number,
                subject.searches[place].seed,
                done.reward,
                measured(subject.score(child), subject.rule.metric),
                done.parameters,
                duration(done.train_seconds),
                (place, child.number) in front,
                child.proposal.architecture.text(),
            )
        )
    metric = _plain(subject.rule.metric)
    columns = (
        "place",
        "child",
        "seed",
        "reward",
        metric,
        "parameters",
        "training",
        "Pareto front",
        "architecture",
    )
    return [
        element(
            "p",
            "Proxy: scores of short trainings, which say what to retrain, not how good a network is.",
            "note",
        ),
        table(columns, rows, "Leaderboard of the search (proxy)"),
    ]


def asked(subject: Subject) -> list[str]:
    """What the experiment says, and its space as a picture."""
    experiment = subject.experiment
    parts = {
        "data": experiment.data,
        "space": experiment.space,
        "controller": experiment.controller,
        "recipe": experiment.recipe,
        "reward": experiment.reward,
        "evaluator": experiment.evaluator,
        "search": experiment.search,
        "budget": experiment.budget,
        "workers": experiment.workers,
    }
    rows = [
        (name, ", ".join(_settings(part.model_dump(exclude_none=True, exclude_defaults=False))))
        for name, part in parts.items()
        if part is not None
    ]
    rows.append(("seeds", ", ".join(map(str, experiment.seeds))))
    shown = around("div", [inline(draw_decisions(experiment.built_space))], "scroll drawn", tabindex="0")
    return [
        table(("", ""), rows, "The experiment", "plain"),
        folded("The search space, decision by decision", [shown]),
    ]


def _settings(values: Mapping[str, Any]) -> Iterator[str]:
    for key, value in values.items():
        if key == "name":
            yield str(value)
        elif value not in ("", (), {}, []):
            yield f"{key.replace('_', ' ')} {value}"


def finals(subject: Subject) -> list[str]:
    """All trainings of the finals, and how well the search ranked them."""
    final, evaluation = subject.final, subject.evaluation
    if final is None:
        return []
    metric = subject.rule.metric
    rows = [
        (
            one["number"],
            "winner" if one["number"] == final["winner"]["number"] else one["role"],
            one["architecture"],
            ", ".join(f"{name}={value}" for name, value in one["grid_point"].items()),
            one["status"],
            measured(one["score"], metric),
            measured(one["search"]["proxy_score"], metric) if one["search"] else None,
            one["epochs"],
        )
        for one in final["finalists"]
    ]
    columns = (
        "final",
        "role",
        "architecture",
        "grid",
        "status",
        "validation",
        "proxy in the search",
        "epochs",
    )
    parts = [table(columns, rows, "Trainings of the finals")]
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
    return parts


def details(subject: Subject) -> dict[str, list[str]]:
    """What the test told beside one number, by heading: confusion of classes, or perplexity by frequency."""
    found = subject.evaluation["details"]["winner"] if subject.evaluation else {}
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


def cost(subject: Subject) -> list[str]:
    """Device time by how trainings ended."""
    statuses = Counter(child.status for _, child in subject.children())
    seconds = _seconds(subject)
    whole = sum(seconds.values()) or 1.0
    rows = [
        (
            status.replace("_", " "),
            statuses[status],
            duration(seconds[status]),
            f"{100 * seconds[status] / whole:.1f} %",
        )
        for status in sorted(statuses, key=lambda status: -seconds[status])
    ]
    parts = [
        table(("children ended as", "number", "device time", "part"), rows, "Device time of the search"),
        element("p", f"The search: {counted(statuses)}; {duration(sum(seconds.values()))}.", "note"),
    ]
    if subject.final is not None:
        trained = subject.final["finalists"]
        spent = duration(sum(one["train_seconds"] for one in trained))
        ended = counted(Counter(one["status"] for one in trained))
        parts.append(element("p", f"The finals: {ended}; {spent} of training.", "note"))
    return parts


def _seconds(subject: Subject) -> dict[str, float]:
    """Seconds of devices by status: training and what is around it; a shared result costs nothing."""
    found: dict[str, float] = defaultdict(float)
    for _, child in subject.children():
        if child.result is not None and child.same_as is None:
            found[child.status] += child.result.train_seconds + child.result.overhead_seconds
    return found


def repeat(subject: Subject) -> list[str]:
    """What must be the same for the same result, and the commands."""
    first, name = subject.searches[0], subject.experiment.name
    commit, data = first.commit, first.definition.get("data", {})
    rows: list[tuple[str, object]] = [
        ("git commit of the search", commit or "unknown"),
        ("data", f"{data.get('name', '?')}, digest {data.get('digest', '?')}"),
        *((f"fingerprint, seed {searched.seed}", searched.fingerprint) for searched in subject.searches),
        ("threads for each child", first.definition.get("threads")),
        ("device and backend", f"{first.definition.get('device')}, {first.definition.get('backend')}"),
    ]
    if subject.final is not None:
        rows.append(("fingerprint of the finals", subject.final["fingerprint"]))
    checkout = [f"git checkout {commit.rstrip('+')}"] if commit else []
    stages = STAGES if subject.experiment.recipe is not None else STAGES[:1]
    commands = [*checkout, "make setup", *(f"nas {stage} {name}" for stage in stages), f"nas report {name}"]
    parts = [table(("", ""), rows, "What defines the search", "plain")]
    if commit.endswith("+"):
        parts.append(element("p", "Files differed from this commit when the search ran.", "note"))
    return [*parts, around("pre", [element("code", "\n".join(commands))], tabindex="0")]


def compared(subjects: Sequence[Subject]) -> list[str]:
    """Several experiments side by side, one column for each."""
    lines: dict[str, list[object]] = defaultdict(list)
    for subject in subjects:
        experiment, metric = subject.experiment, subject.rule.metric
        children = [child for _, child in subject.children()]
        test = subject.evaluation["test"] if subject.evaluation else None
        best = subject.best[0][1] if subject.best else None
        lines["space"].append(experiment.space.name)
        lines["controller"].append(experiment.controller.name)
        lines["data"].append(experiment.data.name)
        lines["repeats"].append(len(subject.searches))
        lines["children finished"].append(sum(child.result is not None for child in children))
        lines["failed"].append(sum(child.result is not None and not child.result.ok for child in children))
        lines["mean reward (proxy)"].append(
            _mean([child.reward for child in children if child.result is not None])
        )
        lines["best reward (proxy)"].append(best.reward if best else None)
        lines["best score (proxy)"].append(
            f"{measured(subject.score(best), metric)} {_plain(metric)}" if best else None
        )
        lines["test of the winner"].append(with_interval(test["winner"], test["metric"]) if test else None)
        lines["test of the baseline"].append(
            with_interval(test["baseline"], test["metric"]) if test and test["baseline"] else None
        )
        lines["parameters of the best"].append(best.result.parameters if best and best.result else None)
        lines["device time"].append(duration(sum(_seconds(subject).values())))
    columns = ("", *(subject.experiment.name for subject in subjects))
    rows = [(name, *values) for name, values in lines.items()]
    return [table(columns, rows, "The experiments side by side", "plain")]


def _plain(metric: str) -> str:
    """A metric's name for people.

    Example:
        >>> _plain("val_accuracy")
        'validation accuracy'
    """
    return metric.replace("val_", "validation ").replace("_", " ")
