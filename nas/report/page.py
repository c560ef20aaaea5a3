"""The page of one experiment, or of several side by side: one file that opens anywhere, without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nas.experiment import Experiment
from nas.report import curves, outcome, sections
from nas.report.columns import columns_of, packed
from nas.report.drawings.styles import rules, variables
from nas.report.html import around, element, page
from nas.report.results import ExperimentResults, FindExperiment, FindRecord, gather
from nas.search import rewards
from nas.search.folders import replaced
from nas.search.rows import Child
from nas.workspace import Workspace

TOGETHER = "+"
"""Between the names of experiments that have one page; no name has it."""


def write(
    experiments: Experiment | Sequence[Experiment],
    workspace: Workspace,
    find: FindRecord | None = None,
    named: FindExperiment | None = None,
    refresh: int = 0,
) -> Path:
    """Writes the page of one or several experiments and returns its path, `…/page/index.html`.

    Finals and evaluation are shown as far as they were made, and the search that an experiment names as
    `beside` at equal budget. The same results give the same page, byte by byte.

    Args:
        experiments: their searches were begun.
        workspace: where everything lies.
        find, named: how records and experiments are found (see `nas.report.results.gather`).
        refresh: seconds after which an open page looks for a newer one; 0: never.

    Raises:
        InputError: a search was never begun.
    """
    every = [experiments] if isinstance(experiments, Experiment) else list(experiments)
    all_results = [gather(experiment, workspace, find, named) for experiment in every]
    folder = workspace.reports(TOGETHER.join(experiment.name for experiment in every)) / "page"
    with replaced(folder) as fresh:
        write_page(all_results, fresh / "index.html", refresh)
    return folder / "index.html"


def write_page(all_results: Sequence[ExperimentResults], path: Path, refresh: int = 0) -> None:
    """Writes the page of what was gathered to a file."""
    names = " and ".join(results.experiment.name for results in all_results)
    style = (
        f":root{{{variables('light')}}}"
        f"@media(prefers-color-scheme:dark){{:root:not([data-theme=light]){{{variables('dark')}}}}}"
        f":root[data-theme=dark]{{{variables('dark')}}}{rules('.drawing ')}"
    )
    every = [_Shown.of(results) for results in all_results]
    data = packed({"experiments": [_data(shown) for shown in every]})
    text = page(f"{names} · nasflow", _body(every, names), style=style, packed=data, refresh=refresh)
    path.write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class _Shown:
    """An experiment and what is computed of it once, since it takes a second for ten thousand children."""

    results: ExperimentResults
    front: Sequence[tuple[int, Child]]
    shares: Sequence[curves.Shares]
    statistics: Sequence[Mapping[str, curves.Curve]]

    @classmethod
    def of(cls, results: ExperimentResults) -> _Shown:
        statistics = [curves.statistics_of(searched) for searched in results.searches]
        return cls(results, curves.front_of(results), curves.shares_of(results), statistics)


def _body(every: Sequence[_Shown], names: str) -> list[str]:
    all_results = [shown.results for shown in every]
    several = len(all_results) > 1
    title = element("h1", names if several else all_results[0].experiment.name)
    switch = '<button type="button" id="theme" hidden>Dark / light</button>'
    about = [] if several else [element("p", all_results[0].experiment.about, "about")]
    parts = [
        '<a class="skip" href="#main">To the results</a>',
        around("header", [around("div", [title, switch], "bar"), *about]),
        '<main id="main">',
        "<noscript><p>Curves and the table of children need JavaScript; all else is here.</p></noscript>",
    ]
    if several:
        overlay = _chart("compared", 0, "Rewards of all experiments", "Running mean and best so far.")
        pair = around("div", [*sections.compared(all_results), overlay], "pair")
        parts.append(_section("Side by side", [pair]))
    for place, shown in enumerate(every):
        parts.append(_experiment(shown, place, several))
    dialog = '<dialog id="child" aria-labelledby="child-title"></dialog>'
    return [*parts, "</main>", dialog, '<div id="told" class="unseen" aria-live="polite"></div>']


def _experiment(shown: _Shown, place: int, several: bool) -> str:
    level = 3 if several else 2
    results = shown.results
    on_front = frozenset((search, child.number) for search, child in shown.front)
    found: dict[str, list[str]] = {
        "Result": outcome.result(results),
        "Best architectures of the search": outcome.gallery(results, place),
        "Curves": [*sections.beside(results), around("div", _charts(shown, place), "charts")],
        "Leaderboard of the search (proxy)": sections.leaderboard(results, on_front),
        "One cell at several sizes": sections.by_size(results),
        "All children": [_children(place)],
        "Finals": outcome.finals(results),
        **outcome.details(results),
        "What was asked": sections.asked(results),
        "Cost": sections.cost(results),
        "How to repeat it": sections.repeat(results),
    }
    head = []
    if several:
        head = [element("h2", results.experiment.name), element("p", results.experiment.about, "about")]
    if results.missing:
        seeds = ", ".join(map(str, results.missing))
        head.append(element("p", f"Not begun yet: the searches of the seeds {seeds}.", "note"))
    written = [_section(name, parts, level) for name, parts in found.items() if parts]
    return around("article", [*head, outcome.facts(results), *written], id=f"experiment-{place}")


def _section(name: str, parts: Sequence[str], level: int = 2) -> str:
    return around("section", [element(f"h{level}", name), *parts])


def _charts(shown: _Shown, place: int) -> list[str]:
    results = shown.results
    finished = [child for _, child in results.children() if child.result is not None]
    best = max((child.reward for child in finished), default=0.0)
    low = "lower" if results.rule.lower_is_better else "higher"
    found = [
        _chart(
            "rewards",
            place,
            "Reward of every child",
            f"{len(finished):,} children, best reward {rewards.shown(best)}. With running mean and best "
            + (
                f"so far; in grey {results.beside.experiment.name} at equal budget."
                if results.beside
                else "so far."
            ),
        ),
        _chart(
            "tradeoff",
            place,
            f"Score against {_objective(results)}",
            f"On the Pareto front: {len(shown.front)} of the children; {low} scores are better.",
        ),
    ]
    if any(not name.startswith("reward/") for told in shown.statistics for name in told):
        found.append(_chart("statistics", place, "The policy", "What the controller told of its updates."))
    if shown.shares:
        found.append(_chart("shares", place, "Which options were chosen", "Parts of all choices, over time."))
    if any(child.started_at for child in finished):
        found.append(
            _chart(
                "timeline",
                place,
                "Slots",
                "When each child ran where; failures in colour. Each tells what it waited for.",
                wide=True,
            )
        )
    return found


def _chart(name: str, place: int, title: str, about: str, *, wide: bool = False) -> str:
    caption = around("figcaption", [element("strong", title), " ", element("span", about)])
    return around(
        "figure", [caption], "chart wide" if wide else "chart", data_chart=name, data_place=str(place)
    )


def _children(place: int) -> str:
    about = element("p", "Every child opens with its drawing and its curve.", "note")
    return around("div", [about], "children", data_place=str(place))


def _objective(results: ExperimentResults) -> str:
    return results.rule.objective.replace("_", "-")


def _data(shown: _Shown) -> Mapping[str, Any]:
    """What the page's script gets of an experiment."""
    results = shown.results
    longest = max((len(searched.children) for searched in results.searches), default=0)
    band = curves.band_of(results.beside, longest) if results.beside else None
    return {
        "name": results.experiment.name,
        "seeds": [searched.seed for searched in results.searches],
        "metric": results.rule.metric,
        "lower": results.rule.lower_is_better,
        "objective": results.rule.objective,
        "children": columns_of(results),
        "rewards": [asdict(curves.rewards_of(searched)) for searched in results.searches],
        "band": asdict(band) if band else None,
        "beside": results.beside.experiment.name if results.beside else "",
        "statistics": [{name: asdict(curve) for name, curve in told.items()} for told in shown.statistics],
        "front": [[place, child.number] for place, child in shown.front],
        "shares": [asdict(one) for one in shown.shares],
        "rounds": [
            [round(10 * (done.sampled_at - searched.batches[0].sampled_at)) for done in searched.batches]
            for searched in results.searches
        ],
    }
