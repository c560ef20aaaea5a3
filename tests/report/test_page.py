"""The page shows what was found as far as it was made, in one safe file."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from nas.errors import InputError
from nas.experiment import Experiment
from nas.final import evaluate, finalize
from nas.report.page import write
from nas.search.opening import open_search
from nas.search.record import Record
from nas.workers.pool import ChildPool
from nas.workspace import Workspace
from tests.factories import tiny_experiment
from tests.final.fakes import Apart
from tests.report.factories import make_search

BY_TOKENS = "tests.fakes:train_by_tokens"
Made = Callable[..., tuple[Experiment, Workspace]]


@pytest.fixture
def searched(tmp_path: Path) -> Made:
    """Makes the searches of an experiment that trains nothing real."""

    def make(name: str = "tiny", **changes: Any) -> tuple[Experiment, Workspace]:
        settings: dict[str, Any] = {
            "controller": {"name": "tests.final.fakes:Given"},
            "evaluator__trainer": "tests.final.fakes:train",
            "final__top": 2,
            "final__baseline": "resnet:8x1x1",
            **changes,
        }
        experiment = tiny_experiment(tmp_path, name, **settings)
        for seed in experiment.seeds:
            with open_search(experiment.with_seed(seed), Workspace(tmp_path)) as search:
                search.advance(experiment.budget)
        return experiment, Workspace(tmp_path)

    return make


@pytest.fixture
def finished(searched: Made, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Experiment, Workspace]]:
    """An experiment with finals and test; nothing real was measured."""
    apart = Apart()
    monkeypatch.setattr(ChildPool, "isolated", apart)
    experiment, workspace = searched()
    finalize.finalize(experiment, workspace)
    evaluate.evaluate(experiment, workspace)
    return experiment, workspace


class _Reader(HTMLParser):
    """Checks that elements close in order, and keeps the text and what is loaded."""

    EMPTY = ("meta", "img")

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.text = ""
        self.feed(page.read_text(encoding="utf-8"))
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + " "


def test_the_page_shows_result_search_finals_cost_and_how_to_repeat_it(
    finished: tuple[Experiment, Workspace],
) -> None:
    experiment, workspace = finished
    path = write(experiment, workspace)
    assert path == workspace.reports("tiny") / "page" / "index.html"
    text = _Reader(path).text
    assert "96.67 % (93.97–98.18 %)" in text  # 290 of 300
    assert "touched once for this winner and once by all experiments on these data" in text
    assert "Validation: by the weights that are saved" in text
    assert "hand-made baseline" in text
    assert "The winner is not better than the hand-made baseline." in text  # the fake measures them equal
    assert "Leaderboard of the search (proxy)" in text
    assert "Kendall's tau" in text
    assert "8 ok" in text  # the children
    assert "3 ok" in text  # the finals
    assert re.search(r"fingerprint, seed 7\s+[0-9a-f]{16}", text)
    assert "nas evaluate tiny" in text


def test_the_test_of_an_earlier_winner_is_not_shown_as_that_of_the_present_one(
    finished: tuple[Experiment, Workspace],
) -> None:
    experiment, workspace = finished
    path = workspace.reports("tiny") / "evaluation" / "evaluation.json"
    evaluation = json.loads(path.read_text(encoding="utf-8"))
    evaluation["architecture"] = "conv:of-before"
    evaluation["tested"] |= {"final": "before/1", "winner": "0" * 64}
    path.write_text(json.dumps(evaluation), encoding="utf-8")
    text = _Reader(write(experiment, workspace)).text
    assert "Not tested yet: nas evaluate tiny" in text
    assert "An earlier winner, conv:of-before, had the test accuracy 96.67 %" in text
    assert "test accuracy of the winner" not in text


def test_the_page_is_one_file_that_loads_nothing(finished: tuple[Experiment, Workspace]) -> None:
    path = write(*finished)
    reader = _Reader(path)
    assert [file.name for file in path.parent.iterdir()] == ["index.html"]
    assert all(source.startswith("#") for source in reader.loaded)
    page = path.read_text(encoding="utf-8")
    assert "url(" not in page
    assert "@import" not in page
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert "default-src &#x27;none&#x27;" in policy[1]
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src &#x27;sha256-{digest}&#x27;" in policy[1], "no other script can run"


def test_the_same_results_give_the_same_page(finished: tuple[Experiment, Workspace]) -> None:
    first = write(*finished).read_bytes()
    assert write(*finished).read_bytes() == first


def test_before_finals_the_page_tells_what_comes_next(searched: Made) -> None:
    text = _Reader(write(*searched())).text
    assert "nas finalize tiny" in text
    assert "Confusion" not in text


def test_the_other_search_is_shown_at_equal_budget(searched: Made) -> None:
    searched("other", budget__children=16, seed=1)
    experiment, workspace = searched(beside="other", repeats=[1, 2], workers__slots=1)
    text = _Reader(write(experiment, workspace)).text
    assert "the first 8 children of each search" in text
    assert re.search(r"tiny\s+2\s", text)
    assert re.search(r"other\s+1\s", text)


def test_another_search_that_was_not_made_is_named(searched: Made) -> None:
    experiment, workspace = searched(beside="never")
    assert "Nothing stands beside it: no experiment at" in _Reader(write(experiment, workspace)).text


def test_names_are_shown_as_text_and_never_as_markup(searched: Made) -> None:
    experiment, workspace = searched(about="<script>alert('x')</script> & $\\frac$")
    reader = _Reader(write(experiment, workspace))
    assert reader.tags.count("script") == 2  # the data and the page's own
    assert "<script>alert('x')</script> & $\\frac$" in reader.text


def test_a_confusion_of_many_classes_is_a_picture_within_the_page(
    finished: tuple[Experiment, Workspace],
) -> None:
    experiment, workspace = finished
    path = workspace.reports("tiny") / "evaluation" / "evaluation.json"
    evaluation = json.loads(path.read_text(encoding="utf-8"))
    many = 30
    evaluation["details"]["winner"] = {
        "classes": [f"class {number}" for number in range(many)],
        "confusion": [[1] * many] * many,
    }
    path.write_text(json.dumps(evaluation), encoding="utf-8")
    (loaded,) = [one for one in _Reader(write(experiment, workspace)).loaded if not one.startswith("#")]
    assert loaded.startswith("data:image/svg+xml;base64,")


def test_perplexities_are_no_percentages_and_lower_is_better(
    finished: tuple[Experiment, Workspace],
) -> None:
    experiment, workspace = finished
    path = workspace.reports("tiny") / "evaluation" / "evaluation.json"
    evaluation = json.loads(path.read_text(encoding="utf-8"))
    evaluation["test"] |= {
        "metric": "perplexity",
        "unit": "words",
        "lower_is_better": True,
        "winner": {"value": 92.5, "low": 90.0, "high": 95.0},
        "baseline": {"value": 101.25, "low": 99.0, "high": 104.0},
    }
    evaluation["details"]["winner"] = {
        "frequency": [{"rank_from": 1, "rank_to": 10, "tokens": 500, "perplexity": 12.5}]
    }
    path.write_text(json.dumps(evaluation), encoding="utf-8")
    text = _Reader(write(experiment, workspace)).text
    assert "92.50 (90.00–95.00)" in text
    assert "The winner is not better" not in text
    assert "By how frequent a word is" in text
    assert re.search(r"rank from\s+rank to\s+tokens\s+perplexity", text)


def test_a_search_that_runs_is_shown_as_far_as_it_is(tmp_path: Path) -> None:
    experiment = tiny_experiment(tmp_path, repeats=[1, 2], budget__children=20)
    path = make_search(experiment.with_seed(1), Workspace(tmp_path), 6, open_round=True)

    def find(one: Experiment) -> Record:
        if one.seed == 2:
            raise InputError("not begun")
        return Record.read(path)

    text = _Reader(write(experiment, Workspace(tmp_path), find)).text
    assert "5 of 40" in text
    assert "Not begun yet: the searches of the seeds 2." in text
    assert "1 running" in text


def test_a_search_without_a_single_result_has_a_page(tmp_path: Path) -> None:
    experiment = tiny_experiment(tmp_path)
    path = make_search(experiment, Workspace(tmp_path), 1, open_round=True)
    text = _Reader(write(experiment, Workspace(tmp_path), lambda _: Record.read(path))).text
    assert "No child has ended well yet." in text


def test_a_search_of_failures_alone_has_a_page(tmp_path: Path) -> None:
    experiment = tiny_experiment(tmp_path)
    path = make_search(experiment, Workspace(tmp_path), 8, failing=1.0)
    text = _Reader(write(experiment, Workspace(tmp_path), lambda _: Record.read(path))).text
    assert "No child has ended well yet." in text
    assert "0 ok" not in text


def test_several_experiments_have_one_page(searched: Made) -> None:
    first, workspace = searched("first")
    second, _ = searched("second", controller={"name": "random"}, evaluator__trainer=BY_TOKENS)
    path = write([first, second], workspace)
    assert path == workspace.reports("first+second") / "page" / "index.html"
    text = _Reader(path).text
    assert re.search(r"controller\s+tests.final.fakes:Given\s+random", text)
    assert text.count("How to repeat it") == 2


def test_two_thousand_children_fit_into_a_megabyte(tmp_path: Path) -> None:
    """12,800 children of 15 layers fit into 6 MB: `benchmarks/page.py` measures that."""
    space = {"name": "conv", "image_size": 32, "depth": 12}
    experiment = tiny_experiment(tmp_path, space=space, controller={"name": "random"})
    path = make_search(experiment, Workspace(tmp_path), 2001, epochs=50)
    page = write(experiment, Workspace(tmp_path), lambda _: Record.read(path))
    assert page.stat().st_size < 1_000_000


def test_a_search_that_was_never_begun_has_no_page(tmp_path: Path) -> None:
    experiment = tiny_experiment(tmp_path)
    with pytest.raises(InputError):
        write(experiment, Workspace(tmp_path))
