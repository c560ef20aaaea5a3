"""The finals: chosen on validation data, resumable, and only the chosen keep their weights."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nas.cli.tables import leaderboard
from nas.errors import InputError, SearchError, TemporaryError
from nas.evaluation import ChildResult
from nas.experiment import Experiment, Part
from nas.final import finalize as module
from nas.final.evaluate import evaluate, rank_correlation
from nas.final.finalists import entries, final_experiment, finalists, with_baseline
from nas.final.finalize import finalize, sha256
from nas.final.rings import advance
from nas.search import opening
from nas.search.opening import open_search, read_record, record_path
from nas.search.record import Record
from nas.search.search import Search
from nas.training.image_recipe import ImageRecipe
from nas.workers.pool import ChildPool
from nas.workers.slots import platform
from tests.final.conftest import Searched
from tests.final.fakes import Apart, Cluster, trainings

A, B, BASELINE = "conv:3x3x4@0", "conv:3x3x8@0", "resnet:8x1x1"


def test_the_winner_has_the_best_validation_score_and_the_baseline_never_wins(
    searched: Searched, apart: Apart
) -> None:
    experiment, workspace = searched(final__grid={"learning_rate": [0.1, 0.2]})
    folder = finalize(experiment, workspace)
    final = json.loads((folder / "final.json").read_text())
    assert final["winner"]["architecture"] == B  # the search had A before it
    assert final["winner"]["grid_point"] == {"learning_rate": 0.2}
    assert final["winner"]["recipe"]["learning_rate"] == 0.2
    assert final["winner"]["score"] == pytest.approx(0.22)
    assert final["winner"]["search"] == {"place": 2, "seed": 7, "child": 1, "reward": 0.8, "proxy_score": 0.8}
    assert final["baseline"]["architecture"] == BASELINE
    assert final["baseline"]["score"] == pytest.approx(0.97)
    assert final["trainings"] == len(final["finalists"]) == 6
    assert trainings(workspace.root) == sorted([A, B, BASELINE] * 2)
    assert (folder / "model.keras").read_text() == f"{B} 0.2"
    assert (folder / "baseline.keras").read_text() == f"{BASELINE} 0.2"
    assert final["winner"]["sha256"] == sha256(folder / "model.keras")
    assert final["data_digest"]
    assert final["search_fingerprint"]


def test_only_winner_and_best_baseline_keep_their_weights(searched: Searched, apart: Apart) -> None:
    experiment, workspace = searched(final__grid={"learning_rate": [0.1, 0.2]})
    finalize(experiment, workspace)
    left = sorted(path.parent.name for path in workspace.state.rglob("model.keras"))
    assert left == ["child-000003", "child-000005"]


def test_what_trainings_left_beside_their_models_is_removed_when_all_are_judged(
    searched: Searched, apart: Apart
) -> None:
    experiment, workspace = searched()
    finalize(experiment, workspace)
    left = sorted(path.name for path in workspace.state.glob("*/children/*/*"))
    assert left == ["model.keras"] * 2


def test_finals_that_all_failed_leave_no_checkpoints(searched: Searched, apart: Apart) -> None:
    experiment, workspace = searched(final__recipe={"learning_rate": 0.9})
    with pytest.raises(SearchError, match="none of the 3 finals"):
        finalize(experiment, workspace)
    assert list(workspace.state.glob("*/children/*/*")) == []


def test_finals_that_were_done_are_not_trained_again_and_the_result_is_the_same(
    searched: Searched, apart: Apart
) -> None:
    experiment, workspace = searched()
    first = (finalize(experiment, workspace) / "final.json").read_text()
    assert (finalize(experiment, workspace) / "final.json").read_text() == first
    assert trainings(workspace.root) == sorted([A, B, BASELINE])


def test_interrupted_finals_go_on_where_they_were(searched: Searched, apart: Apart) -> None:
    experiment, workspace = searched()
    with read_record(experiment, workspace) as record:
        found = with_baseline(experiment, finalists(experiment, [record]))
        derived = final_experiment(experiment, entries(experiment, found))
    with open_search(derived, workspace, keep_files=True) as search:
        search.sample()
        search.train(1)
    assert trainings(workspace.root) == [B]
    finalize(experiment, workspace)
    assert trainings(workspace.root) == sorted([A, B, BASELINE])


def test_a_failed_final_is_a_result_with_its_reason(searched: Searched, apart: Apart) -> None:
    experiment, workspace = searched(final__grid={"learning_rate": [0.9, 0.1]})
    final = json.loads((finalize(experiment, workspace) / "final.json").read_text())
    assert [one["status"] for one in final["finalists"]] == ["diverged", "ok"] * 3
    assert final["finalists"][0]["message"] == "the loss was nan"
    assert final["finalists"][0]["score"] is None


def test_when_all_finals_fail_there_is_no_winner_and_nothing_is_written(
    searched: Searched, apart: Apart
) -> None:
    experiment, workspace = searched(final__recipe={"learning_rate": 0.9})
    with pytest.raises(SearchError, match="none of the 3 finals of 'tiny' ended well: diverged: the loss"):
        finalize(experiment, workspace)
    assert not workspace.models("tiny").exists()


def test_an_error_while_exporting_leaves_the_earlier_winner_whole(
    searched: Searched, apart: Apart, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment, workspace = searched()
    folder = finalize(experiment, workspace)

    def fail(*_: object) -> None:
        raise SearchError("the export went wrong")

    monkeypatch.setattr(ChildPool, "isolated", fail)
    with pytest.raises(SearchError, match="went wrong"):
        finalize(experiment, workspace)
    assert (folder / "final.json").is_file()
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


def test_finals_can_be_followed_like_a_search(searched: Searched, apart: Apart) -> None:
    experiment, workspace = searched()
    seen: list[str] = []

    def follow(search: Search) -> None:
        seen.append(search.experiment.name)
        advance(search)
        seen.append(f"{search.record.count('ok')} ok")

    finalize(experiment, workspace, listeners=[lambda event: seen.append(event.what)], advance=follow)
    assert seen[0] == "tiny.final"
    assert seen[-1] == "3 ok"
    assert seen.count("finished") == 3


def test_a_snapshot_of_the_finals_lies_beside_the_winner(searched: Searched, apart: Apart) -> None:
    experiment, workspace = searched()
    folder = finalize(experiment, workspace)
    with Record.read(folder / "finals.sqlite") as snapshot:
        assert snapshot.count("ok") == 3


def test_weights_that_somebody_removed_are_made_again_and_it_is_said(
    searched: Searched, apart: Apart, caplog: pytest.LogCaptureFixture
) -> None:
    experiment, workspace = searched()
    first = json.loads((finalize(experiment, workspace) / "final.json").read_text())
    for path in workspace.state.rglob("model.keras"):
        path.unlink()
    final = json.loads((finalize(experiment, workspace) / "final.json").read_text())
    assert "final 1 (conv:3x3x8@0) is chosen by what its saved weights measured, but" in caplog.text
    assert final["winner"] == {**first["winner"], "trained_again": True}
    assert trainings(workspace.root) == sorted([A, B, B, BASELINE, BASELINE])


def test_a_final_that_can_not_be_made_again_is_no_reason_to_choose_another(
    searched: Searched, apart: Apart
) -> None:
    experiment, workspace = searched(**PEAKS)
    finalize(experiment, workspace)
    for path in workspace.state.rglob("model.keras"):
        path.unlink()
    (workspace.root / "broken").touch()
    with pytest.raises(SearchError, match=r"weights of final 1 are gone.*ended as crashed") as error:
        finalize(experiment, workspace)
    assert "Keep the folder" in str(error.value)  # it counts the touches of the test data
    (workspace.root / "broken").unlink()
    finalize(experiment, workspace)


PEAKS = {"evaluator__trainer": "tests.final.fakes:train_with_peaks"}


@pytest.mark.parametrize(
    ("reward", "score", "baseline"),
    [
        ({"name": "accuracy", "window": 5, "power": 3}, 0.7, 0.8),
        ({"name": "tradeoff", "objective": "parameters", "target": 500}, 0.7, 0.8),
        ({"name": "tests.final.fakes:MeanOfEpochs"}, 0.7, 0.8),
    ],
)
def test_finals_are_judged_by_the_weights_that_are_saved_whatever_the_reward_reads(
    searched: Searched, apart: Apart, reward: dict[str, Any], score: float, baseline: float
) -> None:
    experiment, workspace = searched(**PEAKS, reward=reward)
    folder = finalize(experiment, workspace)
    final = json.loads((folder / "final.json").read_text())
    assert (final["winner"]["architecture"], final["winner"]["score"]) == (B, pytest.approx(score))
    assert (folder / "model.keras").read_text().startswith(B)
    assert final["baseline"]["score"] == pytest.approx(baseline)
    assert [one["score"] for one in final["finalists"]] == pytest.approx([0.6, score, baseline])
    assert "weights that are saved" in final["judged_by"]
    assert final["earlier_choice"] is None
    assert rank_correlation(final["finalists"])["kendall_tau"] == pytest.approx(-1)  # the search had A first
    rewards = [one["reward"] for one in final["finalists"]]
    with Record.read(folder / "finals.sqlite") as record:
        assert [child.reward for child in record.children()] == pytest.approx(rewards)


def test_a_best_perplexity_on_the_way_does_not_win_either(
    searched: Searched, apart: Apart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageRecipe, "metrics", ("val_perplexity", "val_accuracy"))
    experiment, workspace = searched(**PEAKS, reward={"name": "perplexity", "window": 3})
    final = json.loads((finalize(experiment, workspace) / "final.json").read_text())
    assert (final["winner"]["architecture"], final["winner"]["score"]) == (B, pytest.approx(1 / 0.7))


def as_an_earlier_version(record: Path, rule: Any, kept: tuple[int, ...]) -> None:
    """Gives finals the rewards of the search's rule, and removes the weights of those not in `kept`."""
    with closing(sqlite3.connect(record)) as db:
        for number, text in db.execute("SELECT number, result FROM children").fetchall():
            result = json.loads(text)
            result["reward"] = rule(ChildResult.from_json(result))
            values = (result["reward"], json.dumps(result), number)
            db.execute("UPDATE children SET reward = ?, result = ? WHERE number = ?", values)
        db.commit()
    for folder in (record.parent / "children").iterdir():
        if int(folder.name.removeprefix("child-")) not in kept:
            shutil.rmtree(folder)


def test_old_finals_whose_best_lost_its_weights_are_chosen_anew_and_it_is_trained_again(
    searched: Searched, apart: Apart, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment, workspace = searched(**PEAKS, reward={"name": "accuracy", "window": 2, "power": 1})
    path = workspace.record(
        json.loads((finalize(experiment, workspace) / "final.json").read_text())["fingerprint"]
    )
    (path.parent / "children" / "child-000000").mkdir()
    (path.parent / "children" / "child-000000" / "model.keras").write_text(f"{A} 0.1")
    as_an_earlier_version(path, experiment.reward.make("reward"), kept=(0, 2))
    before = trainings(workspace.root)
    folder = finalize(experiment, workspace)
    final = json.loads((folder / "final.json").read_text())
    assert (final["winner"]["architecture"], final["winner"]["score"]) == (B, 0.7)
    assert final["winner"]["trained_again"]
    assert (folder / "model.keras").read_text().startswith(B)
    assert [one["recorded_reward"] for one in final["finalists"]] == [0.9, 0.7, 0.99]
    assert [one["reward"] for one in final["finalists"]] == [0.6, 0.7, 0.8]
    assert final["earlier_choice"]["number"] == 0
    assert trainings(workspace.root) == sorted([*before, B])
    assert json.loads((finalize(experiment, workspace) / "final.json").read_text()) == final
    assert trainings(workspace.root) == sorted([*before, B])
    with Record.read(path) as record:  # what stands in the record stays; whoever reads it sees the rule
        assert [child.reward for child in record.children()] == [0.9, 0.7, 0.99]
        rows = leaderboard(final_of(experiment), [(0, record)], 3)
    assert [(row.child, row.reward, row.score) for row in rows] == [
        (2, 0.8, 0.8),
        (1, 0.7, 0.7),
        (0, 0.6, 0.6),
    ]


def test_of_old_finals_that_ended_equal_the_one_whose_weights_are_there_stays_the_winner(
    searched: Searched, apart: Apart, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment, workspace = searched(final__baseline="", reward={"name": "accuracy", "power": 0})
    path = workspace.record(
        json.loads((finalize(experiment, workspace) / "final.json").read_text())["fingerprint"]
    )
    folder = path.parent / "children"
    (folder / "child-000000").rename(folder / "child-000001")
    final = json.loads((finalize(experiment, workspace) / "final.json").read_text())
    assert final["winner"]["number"] == 1
    assert trainings(workspace.root) == sorted([A, B])


def final_of(experiment: Experiment) -> Experiment:
    return experiment.model_copy(update={"name": f"{experiment.name}.final"})


def test_finals_do_not_begin_on_a_full_disk(
    searched: Searched, apart: Apart, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment, workspace = searched()
    monkeypatch.setattr(module, "FREE_BYTES", 2**60)
    with pytest.raises(TemporaryError, match="keep the weights of 3 finals"):
        finalize(experiment, workspace)
    assert trainings(workspace.root) == []


def test_finals_of_a_search_that_was_never_begun_are_refused(searched: Searched, apart: Apart) -> None:
    experiment, workspace = searched()
    record_path(experiment, workspace).unlink()
    with pytest.raises(InputError, match="was not begun yet"):
        finalize(experiment, workspace)


def test_finals_are_trained_tested_and_exported_where_the_evaluator_says(
    searched: Searched, apart: Apart, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment, workspace = searched(
        evaluator={"name": "tests.final.fakes:Cluster", "trainer": "tests.final.fakes:train"}
    )
    monkeypatch.setattr(Cluster, "opened", 0)
    folder = finalize(experiment, workspace)
    assert Cluster.opened == 1
    with Record.read(folder / "finals.sqlite") as record:
        assert (record.definition["threads"], record.definition["device"]) == (64, "gpu")
        assert "environment" not in record.definition
    evaluate(experiment, workspace)
    assert Cluster.opened == 2
    assert len(apart.jobs) == 3
    evaluate(experiment, workspace)
    assert Cluster.opened == 2, "nothing is to be measured"


@pytest.mark.parametrize("told", [{"device": "gpu"}, {"threads": 1, "host": "here"}])
def test_a_platform_that_cannot_define_a_search_is_refused(
    searched: Searched, monkeypatch: pytest.MonkeyPatch, told: dict[str, Any]
) -> None:
    monkeypatch.setattr(Cluster, "platform", lambda workers: told)
    with pytest.raises(InputError, match=r"the platform of the evaluator .*Cluster' must tell threads"):
        searched(evaluator={"name": "tests.final.fakes:Cluster"})


def test_the_machine_does_what_an_evaluator_of_ones_own_cannot(
    searched: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart = Apart()
    monkeypatch.setattr(opening, "run_isolated", lambda *given, **limits: apart(*given))
    own = {"name": "tests.final.fakes:Local", "trainer": "tests.final.fakes:train"}
    experiment, workspace = searched(evaluator=own)
    folder = finalize(experiment, workspace)
    evaluate(experiment, workspace)
    assert len(apart.jobs) == 3
    with Record.read(folder / "finals.sqlite") as record:
        assert record.definition.items() >= platform(experiment.workers).items()


def test_a_search_that_trained_nothing_has_its_best_retrained_by_the_finals_evaluator(
    searched: Searched, apart: Apart
) -> None:
    experiment, workspace = searched(
        evaluator={"name": "tests.final.fakes:LookedUp"},
        final__evaluator={"name": "train", "trainer": "tests.final.fakes:train"},
    )
    final = json.loads((finalize(experiment, workspace) / "final.json").read_text())
    assert final["winner"]["architecture"] == B
    assert trainings(workspace.root) == sorted([A, B, BASELINE])
    evaluate(experiment, workspace)
    assert apart.measured() == ["model.keras", "baseline.keras"]
    unsaid = experiment.model_copy(update={"final": experiment.final.model_copy(update={"evaluator": None})})
    assert unsaid.finals_evaluator == Part(name="train")
    assert experiment.definition("digest", 1) == unsaid.definition("digest", 1)


def test_finals_without_an_evaluator_of_their_own_are_defined_as_they_were(searched: Searched) -> None:
    experiment, workspace = searched()
    with read_record(experiment, workspace) as record:
        derived = final_experiment(experiment, entries(experiment, finalists(experiment, [record])))
    assert derived.evaluator == experiment.evaluator
    assert "final" not in derived.definition("digest", 1)
