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
from nas.report.subject import FindExperiment, FindRecord, Subject, gather
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
        find, named: how records and experiments are found (see `nas.report.subject.gather`).
        refresh: seconds after which an open page looks for a newer one; 0: never.

    Raises:
        InputError: a search was never begun.
    """
    every = [experiments] if isinstance(experiments, Experiment) else list(experiments)
    subjects = [gather(experiment, workspace, find, named) for experiment in every]
    folder = workspace.reports(TOGETHER.join(experiment.name for experiment in every)) / "page"
    with replaced(folder) as fresh:
        write_page(subjects, fresh / "index.html", refresh)
    return folder / "index.html"


def write_page(subjects: Sequence[Subject], path: Path, refresh: int = 0) -> None:
    """Writes the page of what was gathered to a file."""
    names = " and ".join(subject.experiment.name for subject in subjects)
    style = (
        f":root{{{variables('light')}}}"
        f"@media(prefers-color-scheme:dark){{:root:not([data-theme=light]){{{variables('dark')}}}}}"
        f":root[data-theme=dark]{{{variables('dark')}}}{rules('.drawing ')}"
    )
    every = [_Shown.of(subject) for subject in subjects]
    data = packed({"experiments": [_data(shown) for shown in every]})
    text = page(f"{names} · nasflow", _body(every, names), style=style, packed=data, refresh=refresh)
    path.write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class _Shown:
    """An experiment and what is computed of it once, since it takes a second for ten thousand children."""

    subject: Subject
    front: Sequence[tuple[int, Child]]
    shares: Sequence[curves.Shares]
    statistics: Sequence[Mapping[str, curves.Curve]]

    @classmethod
    def of(cls, subject: Subject) -> _Shown:
        statistics = [curves.statistics_of(searched) for searched in subject.searches]
        return cls(subject, curves.front_of(subject), curves.shares_of(subject), statistics)


def _body(every: Sequence[_Shown], names: str) -> list[str]:
    subjects = [shown.subject for shown in every]
    several = len(subjects) > 1
    title = element("h1", names if several else subjects[0].experiment.name)
    switch = '<button type="button" id="theme" hidden>Dark / light</button>'
    about = [] if several else [element("p", subjects[0].experiment.about, "about")]
    parts = [
        '<a class="skip" href="#main">To the results</a>',
        around("header", [around("div", [title, switch], "bar"), *about]),
        '<main id="main">',
        "<noscript><p>Curves and the table of children need JavaScript; all else is here.</p></noscript>",
    ]
    if several:
        overlay = _chart("compared", 0, "Rewards of all experiments", "Running mean and best so far.")
        pair = around("div", [*sections.compared(subjects), overlay], "pair")
        parts.append(_section("Side by side", [pair]))
    for place, shown in enumerate(every):
        parts.append(_experiment(shown, place, several))
    dialog = '<dialog id="child" aria-labelledby="child-title"></dialog>'
    return [*parts, "</main>", dialog, '<div id="told" class="unseen" aria-live="polite"></div>']


def _experiment(shown: _Shown, place: int, several: bool) -> str:
    level = 3 if several else 2
    subject = shown.subject
    on_front = frozenset((search, child.number) for search, child in shown.front)
    found: dict[str, list[str]] = {
        "Result": outcome.result(subject),
        "Best architectures of the search": outcome.gallery(subject, place),
        "Curves": [*sections.beside(subject), around("div", _charts(shown, place), "charts")],
        "Leaderboard of the search (proxy)": sections.leaderboard(subject, on_front),
        "All children": [_children(place)],
        "Finals": outcome.finals(subject),
        **outcome.details(subject),
        "What was asked": sections.asked(subject),
        "Cost": sections.cost(subject),
        "How to repeat it": sections.repeat(subject),
    }
    head = []
    if several:
        head = [element("h2", subject.experiment.name), element("p", subject.experiment.about, "about")]
    if subject.missing:
        seeds = ", ".join(map(str, subject.missing))
        head.append(element("p", f"Not begun yet: the searches of the seeds {seeds}.", "note"))
    written = [_section(name, parts, level) for name, parts in found.items() if parts]
    return around("article", [*head, outcome.facts(subject), *written], id=f"experiment-{place}")


def _section(name: str, parts: Sequence[str], level: int = 2) -> str:
    return around("section", [element(f"h{level}", name), *parts])


def _charts(shown: _Shown, place: int) -> list[str]:
    subject = shown.subject
    finished = [child for _, child in subject.children() if child.result is not None]
    best = max((child.reward for child in finished), default=0.0)
    low = "lower" if subject.rule.lower_is_better else "higher"
    found = [
        _chart(
            "rewards",
            place,
            "Reward of every child",
            f"{len(finished):,} children, best reward {rewards.shown(best)}. With running mean and best "
            + (
                f"so far; in grey {subject.beside.experiment.name} at equal budget."
                if subject.beside
                else "so far."
            ),
        ),
        _chart(
            "tradeoff",
            place,
            f"Score against {_objective(subject)}",
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


def _objective(subject: Subject) -> str:
    return subject.rule.objective.replace("_", "-")


def _data(shown: _Shown) -> Mapping[str, Any]:
    """What the page's script gets of an experiment."""
    subject = shown.subject
    longest = max((len(searched.children) for searched in subject.searches), default=0)
    band = curves.band_of(subject.beside, longest) if subject.beside else None
    return {
        "name": subject.experiment.name,
        "seeds": [searched.seed for searched in subject.searches],
        "metric": subject.rule.metric,
        "lower": subject.rule.lower_is_better,
        "objective": subject.rule.objective,
        "children": columns_of(subject),
        "rewards": [asdict(curves.rewards_of(searched)) for searched in subject.searches],
        "band": asdict(band) if band else None,
        "beside": subject.beside.experiment.name if subject.beside else "",
        "statistics": [{name: asdict(curve) for name, curve in told.items()} for told in shown.statistics],
        "front": [[place, child.number] for place, child in shown.front],
        "shares": [asdict(one) for one in shown.shares],
        "rounds": [
            [round(10 * (done.sampled_at - searched.batches[0].sampled_at)) for done in searched.batches]
            for searched in subject.searches
        ],
    }
