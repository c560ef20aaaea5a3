"""The page of an experiment: what it found, what it is worth, what it cost and how to repeat it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from nas.errors import InputError
from nas.experiment import Experiment, fingerprint, load
from nas.report import charts
from nas.report.html import element, page, picture, table
from nas.search.folders import replaced
from nas.search.leaderboard import curve, leaderboard
from nas.search.opening import read_record
from nas.search.record import Record
from nas.workspace import Workspace

STAGES = ("search", "finalize", "evaluate")


def write(experiment: Experiment, workspace: Workspace) -> Path:
    """Writes the experiment's page and returns its path, `…/page/index.html`.

    It is one file without links to elsewhere. Finals and evaluation are shown as far as they were
    made, and the search that the experiment names as `beside` at equal budget.

    Args:
        experiment: its search was begun.
        workspace: where everything lies.

    Raises:
        InputError: the search was never begun.
    """
    models, reports = workspace.models(experiment.name), workspace.reports(experiment.name)
    final = _json(models / "final.json")
    evaluation = _json(reports / "evaluation" / "evaluation.json") if final else None
    with ExitStack() as opened:
        records = _records(experiment, workspace, opened)
        beside = _beside(experiment, workspace, opened)
        parts = [
            element("h1", experiment.name),
            element("p", experiment.about),
            *_result(experiment, final, evaluation),
            *_search(experiment, records, beside),
            *_finals(final, evaluation),
            *_confusion(evaluation),
            *_cost(records, final),
            *_repeat(experiment, records, final),
        ]
    with replaced(reports / "page") as folder:
        (folder / "index.html").write_text(page(f"{experiment.name} · nasflow", parts), encoding="utf-8")
    return reports / "page" / "index.html"


def _json(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _records(experiment: Experiment, workspace: Workspace, opened: ExitStack) -> list[Record]:
    return [
        opened.enter_context(read_record(experiment.with_seed(seed), workspace)) for seed in experiment.seeds
    ]


def _beside(
    experiment: Experiment, workspace: Workspace, opened: ExitStack
) -> tuple[Experiment, list[Record]] | str | None:
    """The search to show beside, or why it can't be shown; None if the experiment names none."""
    if not experiment.beside:
        return None
    try:
        other = load(workspace.experiments / f"{experiment.beside}.yaml")
        return other, _records(other, workspace, opened)
    except InputError as error:
        return str(error)


def _with_interval(measured: Mapping[str, float], metric: str) -> str:
    value, low, high = measured["value"], measured["low"], measured["high"]
    if metric == "accuracy":
        return f"{100 * value:.2f} % ({100 * low:.2f}–{100 * high:.2f} %)"
    return f"{value:.2f} ({low:.2f}–{high:.2f})"


def _result(
    experiment: Experiment, final: Mapping[str, Any] | None, evaluation: Mapping[str, Any] | None
) -> list[str]:
    parts = [element("h2", "Result")]
    if final is None:
        return [*parts, element("p", f"No winner yet: nas finalize {experiment.name} retrains the best.")]
    if evaluation is None:
        return [*parts, element("p", f"Not tested yet: nas evaluate {experiment.name} tests the winner.")]
    test = evaluation["test"]
    metric = test["metric"].replace("_", " ")
    rows = [("winner", final["winner"], test["winner"])]
    if test["baseline"] is not None:
        rows.append(("hand-made baseline", final["baseline"], test["baseline"]))
    parts.append(
        table(
            ("", "architecture", f"test {metric} (95 % interval)", "validation", "parameters"),
            [
                (role, one["architecture"], _with_interval(measured, metric), one["score"], one["parameters"])
                for role, one, measured in rows
            ],
        )
    )
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
    if test["baseline"] is not None and not _better(test["winner"], test["baseline"], test):
        parts.append(element("p", "The winner is not better than the hand-made baseline."))
    return parts


def _better(winner: Mapping[str, float], baseline: Mapping[str, float], test: Mapping[str, Any]) -> bool:
    gain = winner["value"] - baseline["value"]
    return gain < 0 if test["lower_is_better"] else gain > 0


def _search(
    experiment: Experiment,
    records: Sequence[Record],
    beside: tuple[Experiment, list[Record]] | str | None,
) -> list[str]:
    found = leaderboard(records, experiment.reward.make("reward"))
    curves = {experiment.name: [curve(record) for record in records]}
    parts = [element("h2", "Search")]
    if isinstance(beside, str):
        parts.append(element("p", f"Nothing stands beside it: {beside}", "note"))
    elif beside is not None:
        other, other_records = beside
        curves[other.name] = [curve(record) for record in other_records]
    children = min(
        (int(one["children"].max()) for each in curves.values() for one in each if len(one)), default=0
    )
    equal = {name: [one[one["children"] <= children] for one in each] for name, each in curves.items()}
    parts += [
        picture(charts.reward_curves(equal), "Reward by number of children"),
        element("p", f"At equal budget: the first {children} children of each search.", "note"),
        table(
            ("search", "repeats", "mean reward", "mean reward of the last round", "best reward"),
            [
                (
                    name,
                    len(each),
                    _mean([one["reward/mean"].mean() for one in each if len(one)]),
                    _mean([one["reward/mean"].iloc[-1] for one in each if len(one)]),
                    _mean([one["reward/best_so_far"].iloc[-1] for one in each if len(one)]),
                )
                for name, each in equal.items()
            ],
        ),
        element("h2", "Leaderboard of the search (proxy)"),
        element(
            "p",
            "Proxy: scores of short trainings, which say what to retrain, not how good a network is.",
            "note",
        ),
        table(
            [column.replace("_", " ") for column in found.columns],
            found.astype(object).where(found.notna(), None).itertuples(index=False, name=None),
        ),
    ]
    return parts


def _mean(values: Sequence[float]) -> float | None:
    return float(sum(values) / len(values)) if values else None


def _finals(final: Mapping[str, Any] | None, evaluation: Mapping[str, Any] | None) -> list[str]:
    if final is None:
        return []
    rows = [
        (
            one["number"],
            "winner" if one["number"] == final["winner"]["number"] else one["role"],
            one["architecture"],
            ", ".join(f"{name}={value}" for name, value in one["grid_point"].items()),
            one["status"],
            one["score"],
            one["search"]["proxy_score"] if one["search"] else None,
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
    parts = [element("h2", "Finals"), table(columns, rows)]
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


def _confusion(evaluation: Mapping[str, Any] | None) -> list[str]:
    details = evaluation["details"]["winner"] if evaluation else {}
    if "confusion" not in details:
        return []
    drawn = charts.confusion_matrix(details["classes"], details["confusion"])
    return [
        element("h2", "Confusion on the test images"),
        picture(drawn, "Test images by true class (rows) and predicted class (columns)"),
    ]


def _cost(records: Sequence[Record], final: Mapping[str, Any] | None) -> list[str]:
    children = [child for record in records for child in record.children()]
    results = [child.result for child in children if child.result is not None]
    statuses = Counter(child.status for child in children)
    rows: list[tuple[object, ...]] = [
        (
            "search",
            len(children),
            _counted(statuses),
            round(sum(result.train_seconds for result in results), 1),
            round(sum(result.overhead_seconds for result in results), 1),
        )
    ]
    if final is not None:
        trained = final["finalists"]
        seconds = round(sum(one["train_seconds"] for one in trained), 1)
        rows.append(
            ("finals", len(trained), _counted(Counter(one["status"] for one in trained)), seconds, None)
        )
    columns = ("", "trainings", "by status", "seconds of training", "seconds of overhead")
    return [element("h2", "Cost"), table(columns, rows)]


def _counted(statuses: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))


def _repeat(experiment: Experiment, records: Sequence[Record], final: Mapping[str, Any] | None) -> list[str]:
    first = records[0].definition
    commit = str(records[0].meta("git_commit", ""))
    rows = [
        ("git commit of the search", commit or "unknown"),
        ("data", f"{first['data']['name']}, digest {first['data']['digest']}"),
        *(
            (f"fingerprint, seed {record.definition['seed']}", fingerprint(record.definition))
            for record in records
        ),
        ("threads for each child", first["threads"]),
    ]
    if final is not None:
        rows.append(("fingerprint of the finals", final["fingerprint"]))
    checkout = [f"git checkout {commit.rstrip('+')}"] if commit else []
    commands = [*checkout, "make setup", *(f"nas {stage} {experiment.name}" for stage in STAGES)]
    changed = "Files differed from this commit when the search ran." if commit.endswith("+") else ""
    return [
        element("h2", "How to repeat it"),
        table(("", ""), rows),
        element("p", changed, "note"),
        element("pre", "\n".join(commands)),
    ]
