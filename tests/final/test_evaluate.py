"""A winner is evaluated on the test data once, and every evaluation is counted."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from typing import Any

import pytest

from nas.errors import InputError
from nas.experiment import Experiment
from nas.final.evaluate import evaluate, rank_correlation
from nas.final.evaluations import read_evaluation
from nas.final.finalize import finalize, sha256
from nas.workers.pool import ChildPool
from nas.workspace import Workspace
from tests.final.conftest import Searched
from tests.final.fakes import Apart


def test_winner_and_baseline_are_tested_once_however_often_one_asks(searched: Searched, apart: Apart) -> None:
    experiment, workspace = searched()
    finalize(experiment, workspace)
    first = evaluate(experiment, workspace)
    assert evaluate(experiment, workspace) == first
    assert apart.measured() == ["model.keras", "baseline.keras"]
    assert first["test"]["touches"] == 1
    assert first["test"]["examples"] == 300
    assert first["test"]["winner"]["value"] == first["test"]["baseline"]["value"] == 290 / 300


def test_another_touch_must_be_asked_for_and_counts(searched: Searched, apart: Apart) -> None:
    experiment, workspace = searched()
    finalize(experiment, workspace)
    evaluate(experiment, workspace)
    assert evaluate(experiment, workspace, again=True)["test"]["touches"] == 2
    assert evaluate(experiment, workspace)["test"]["touches"] == 2


def test_a_touch_that_was_cut_short_counts(
    searched: Searched, apart: Apart, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment, workspace = searched()
    finalize(experiment, workspace)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ChildPool, "isolated", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(experiment, workspace)
    monkeypatch.setattr(ChildPool, "isolated", apart)
    assert evaluate(experiment, workspace)["test"]["touches"] == 2


def test_the_count_of_touches_outlives_new_finals_with_the_same_winner(
    searched: Searched, apart: Apart
) -> None:
    experiment, workspace = searched()
    finalize(experiment, workspace)
    evaluate(experiment, workspace)
    shutil.rmtree(workspace.models("tiny"))  # as DVC does before it runs the stage again
    finalize(experiment, workspace)
    assert evaluate(experiment, workspace)["test"]["touches"] == 1
    assert len(apart.measured()) == 2


def test_a_clone_without_live_records_can_test_the_winner(searched: Searched, apart: Apart) -> None:
    experiment, workspace = searched()
    finalize(experiment, workspace)
    shutil.rmtree(workspace.state)
    assert evaluate(experiment, workspace)["test"]["touches"] == 1


def test_a_clone_that_pulled_the_evaluation_does_not_touch_the_test_data_again(
    searched: Searched, apart: Apart
) -> None:
    experiment, workspace = searched()
    finalize(experiment, workspace)
    first = evaluate(experiment, workspace)
    shutil.rmtree(workspace.state)
    assert evaluate(experiment, workspace) == first
    assert apart.measured() == ["model.keras", "baseline.keras"]


def test_a_clone_that_touches_again_goes_on_counting(searched: Searched, apart: Apart) -> None:
    experiment, workspace = searched()
    finalize(experiment, workspace)
    evaluate(experiment, workspace)
    shutil.rmtree(workspace.state)
    assert evaluate(experiment, workspace, again=True)["test"]["touches"] == 2
    shutil.rmtree(workspace.reports("tiny"))  # now only the record knows
    assert evaluate(experiment, workspace)["test"]["touches"] == 2
    assert len(apart.measured()) == 4


def test_what_a_pulled_evaluation_told_is_kept_in_the_record(searched: Searched, apart: Apart) -> None:
    experiment, workspace = searched()
    finalize(experiment, workspace)
    evaluate(experiment, workspace)
    shutil.rmtree(workspace.state)
    evaluate(experiment, workspace)
    shutil.rmtree(workspace.reports("tiny"))
    assert evaluate(experiment, workspace)["test"]["touches"] == 1
    assert len(apart.measured()) == 2


def test_of_two_counts_the_larger_is_taken(searched: Searched, apart: Apart) -> None:
    experiment, workspace = searched()
    finalize(experiment, workspace)
    result = evaluate(experiment, workspace)
    path = workspace.reports("tiny") / "evaluation" / "evaluation.json"
    for told, shown in ((5, 5), (3, 5)):
        path.write_text(json.dumps({**result, "test": {**result["test"], "touches": told}}))
        assert evaluate(experiment, workspace)["test"]["touches"] == shown
    assert len(apart.measured()) == 2


def test_a_winner_that_was_trained_again_is_measured_again_and_its_touches_add_up(
    searched: Searched, apart: Apart
) -> None:
    experiment, workspace = searched()
    folder = finalize(experiment, workspace)
    evaluate(experiment, workspace)
    shutil.rmtree(workspace.state)
    (folder / "model.keras").write_text("other weights of the same network")
    final = json.loads((folder / "final.json").read_text())
    final["winner"]["sha256"] = sha256(folder / "model.keras")
    (folder / "final.json").write_text(json.dumps(final))
    assert evaluate(experiment, workspace)["test"]["touches"] == 2
    assert len(apart.measured()) == 4


def test_the_touches_of_another_winner_do_not_count(searched: Searched, apart: Apart) -> None:
    experiment, workspace = searched()
    finalize(experiment, workspace)
    result = evaluate(experiment, workspace)
    shutil.rmtree(workspace.state)
    other = {**result["tested"], "final": "another/3", "winner": "0" * 64}
    path = workspace.reports("tiny") / "evaluation" / "evaluation.json"
    path.write_text(json.dumps({**result, "tested": other}))
    found = evaluate(experiment, workspace)
    assert found["test"]["touches"] == 1
    assert len(apart.measured()) == 4


def test_the_touches_of_all_experiments_on_the_same_data_add_up(searched: Searched, apart: Apart) -> None:
    experiment, workspace = searched()
    finalize(experiment, workspace)
    evaluate(experiment, workspace)
    evaluate(experiment, workspace, again=True)
    counted = [(2, 2)]
    for changes in (
        {"final__seed": 1},  # the fakes' model is the same file: its touches are carried over
        {"final__seed": 1, "name": "other"},  # the same finals: nothing is tested
        {"final__recipe": {"learning_rate": 0.2}, "name": "third"},
    ):
        one, _ = searched(**changes)
        finalize(one, workspace)
        found = evaluate(one, workspace)
        counted.append((found["test"]["touches"], found["test_set"]["touches"]))
    assert counted == [(2, 2), (3, 3), (3, 3), (1, 4)]
    shown = read_evaluation(workspace.reports("tiny") / "evaluation" / "evaluation.json", workspace)
    assert shown is not None
    assert shown["test"]["touches"] == 3
    assert shown["test_set"]["touches"] == 4  # it knows of what came later
    metrics = json.loads((workspace.reports("third") / "evaluation" / "metrics.json").read_text())
    assert (metrics["test_touches"], metrics["test_set_touches"]) == (1, 4)


def two_experiments(searched: Searched) -> tuple[Experiment, Experiment, Workspace]:
    """Two that were tested on the same data, one after the other."""
    first, workspace = searched()
    second, _ = searched(name="second", final__recipe={"learning_rate": 0.2})
    for one in (first, second):
        finalize(one, workspace)
        evaluate(one, workspace)
    return first, second, workspace


@pytest.mark.parametrize("lost", ["records", "reports", "the other's report and its record", "its finals"])
def test_the_touches_of_all_are_known_although_one_witness_is_lost(
    searched: Searched, apart: Apart, lost: str
) -> None:
    second, workspace = two_experiments(searched)[1:]
    if lost == "records":
        shutil.rmtree(workspace.state)
    elif lost == "reports":
        shutil.rmtree(workspace.reports("tiny").parent)
    elif lost == "its finals":
        first_finals = json.loads((workspace.models("tiny") / "final.json").read_text())["fingerprint"]
        shutil.rmtree(workspace.record(first_finals).parent)
        shutil.rmtree(workspace.models("tiny"))
    else:
        first_finals = json.loads((workspace.models("tiny") / "final.json").read_text())["fingerprint"]
        shutil.rmtree(workspace.record(first_finals).parent)
        shutil.rmtree(workspace.reports("tiny"))
    found = evaluate(second, workspace)
    assert (found["test"]["touches"], found["test_set"]["touches"]) == (1, 2)
    assert len(apart.measured()) == 4


def test_touches_that_an_earlier_version_noted_count(searched: Searched, apart: Apart) -> None:
    first, _, workspace = two_experiments(searched)
    shutil.rmtree(workspace.state)
    for name in ("tiny", "second"):
        path = workspace.reports(name) / "evaluation" / "evaluation.json"
        told = json.loads(path.read_text())
        del told["test_set"]
        told["test"]["touches"] = 3
        path.write_text(json.dumps(told))
    assert evaluate(first, workspace)["test_set"]["touches"] == 6


def test_an_experiment_that_runs_or_was_cut_short_is_counted_by_others(
    searched: Searched, apart: Apart, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, workspace = searched()
    second, _ = searched(name="second", final__recipe={"learning_rate": 0.2})
    for one in (first, second):
        finalize(one, workspace)

    def meanwhile(function: str, arguments: dict[str, Any], *rest: object) -> Any:
        monkeypatch.setattr(ChildPool, "isolated", apart)
        assert evaluate(second, workspace)["test_set"]["touches"] == 2
        raise KeyboardInterrupt

    monkeypatch.setattr(ChildPool, "isolated", meanwhile)
    with pytest.raises(KeyboardInterrupt):
        evaluate(first, workspace)
    assert evaluate(second, workspace)["test_set"]["touches"] == 2
    assert evaluate(first, workspace)["test_set"]["touches"] == 3


@pytest.mark.parametrize("content", ["{", "[]", '{"tested": {}}'])
def test_an_evaluation_that_can_not_be_read_stops_the_test(
    searched: Searched, apart: Apart, content: str
) -> None:
    experiment, workspace = searched()
    finalize(experiment, workspace)
    path = workspace.reports("tiny") / "evaluation" / "evaluation.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(InputError, match="how often the test data was touched"):
        evaluate(experiment, workspace)
    assert apart.measured() == []


def test_an_evaluation_names_the_models_and_the_data_that_it_is_about(
    searched: Searched, apart: Apart
) -> None:
    experiment, workspace = searched()
    folder = finalize(experiment, workspace)
    final = json.loads((folder / "final.json").read_text())
    assert evaluate(experiment, workspace)["tested"] == {
        "final": f"{final['fingerprint']}/{final['winner']['number']}",
        "winner": sha256(folder / "model.keras"),
        "baseline": sha256(folder / "baseline.keras"),
        "data_digest": final["data_digest"],
    }


def test_what_was_measured_is_written_for_people_and_for_dvc(searched: Searched, apart: Apart) -> None:
    experiment, workspace = searched()
    finalize(experiment, workspace)
    result = evaluate(experiment, workspace)
    folder = workspace.reports("tiny") / "evaluation"
    assert json.loads((folder / "evaluation.json").read_text()) == result
    numbers = json.loads((folder / "metrics.json").read_text())
    assert numbers["test_accuracy"] == numbers["baseline_test_accuracy"] == 290 / 300
    assert numbers["test_accuracy_low"] < numbers["test_accuracy"] < numbers["test_accuracy_high"]
    assert numbers["test_touches"] == numbers["test_set_touches"] == 1
    with (folder / "confusion.csv").open() as file:
        pairs = Counter((row["actual"], row["predicted"]) for row in csv.DictReader(file))
    assert pairs.total() == 300
    assert pairs["0", "0"] == 29
    assert pairs["9", "0"] == 1


def test_a_model_that_is_not_the_one_that_won_is_not_tested(searched: Searched, apart: Apart) -> None:
    experiment, workspace = searched()
    folder = finalize(experiment, workspace)
    (folder / "model.keras").write_text("another")
    with pytest.raises(InputError, match="not the model that won"):
        evaluate(experiment, workspace)
    assert apart.measured() == []


def test_data_that_changed_since_the_finals_is_refused(searched: Searched, apart: Apart) -> None:
    experiment, workspace = searched()
    folder = finalize(experiment, workspace)
    final = json.loads((folder / "final.json").read_text())
    (folder / "final.json").write_text(json.dumps({**final, "data_digest": "another"}))
    with pytest.raises(InputError, match="trained on other data"):
        evaluate(experiment, workspace)


def test_without_finals_there_is_nothing_to_test(searched: Searched, apart: Apart) -> None:
    experiment, workspace = searched()
    with pytest.raises(InputError, match="nas finalize tiny"):
        evaluate(experiment, workspace)


def trained(text: str, reward: float, score: float | None, role: str = "candidate") -> dict[str, Any]:
    search = {"reward": reward} if role == "candidate" else None
    return {"architecture": text, "role": role, "score": score, "reward": score, "search": search}


def test_rank_correlation_takes_each_architectures_best_final_and_neither_baseline_nor_failures() -> None:
    found = rank_correlation(
        [
            trained("a", 0.1, 0.5),
            trained("a", 0.1, 0.9),  # its best: the order by it is c, b, a
            trained("b", 0.2, 0.8),
            trained("c", 0.3, 0.7),
            trained("d", 0.4, None),
            trained("resnet", 0.0, 0.99, "baseline"),
        ]
    )
    assert found == {"kendall_tau": pytest.approx(-1.0), "n": 3, "reason": ""}


@pytest.mark.parametrize(
    ("finals", "reason"),
    [
        ([trained("a", 0.1, 0.5)], "1 ended well"),
        ([trained("a", 0.1, 0.5), trained("b", 0.1, 0.6)], "all rewards of the search are equal"),
        ([trained("a", 0.1, 0.5), trained("b", 0.2, 0.5)], "all rewards of the finals are equal"),
    ],
)
def test_a_rank_correlation_that_is_undefined_says_why(finals: list[dict[str, Any]], reason: str) -> None:
    found = rank_correlation(finals)
    assert found["kendall_tau"] is None
    assert reason in found["reason"]
