"""The finals: chosen on validation data, resumable, and only the chosen keep their weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from nas.errors import InputError, SearchError, TemporaryError
from nas.final import finalize as module
from nas.final.finalists import entries, final_experiment, finalists
from nas.final.finalize import finalize, sha256
from nas.search.opening import open_search, read_record, record_path
from nas.search.record import Record
from nas.search.search import Search
from tests.final.conftest import Searched
from tests.final.fakes import Apart, trainings

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
        derived = final_experiment(experiment, entries(experiment, finalists(experiment, [record])))
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

    monkeypatch.setattr(module, "run_apart", fail)
    with pytest.raises(SearchError, match="went wrong"):
        finalize(experiment, workspace)
    assert (folder / "final.json").is_file()
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


def test_finals_can_be_followed_like_a_search(searched: Searched, apart: Apart) -> None:
    experiment, workspace = searched()
    seen: list[str] = []

    @contextmanager
    def follow(search: Search) -> Iterator[None]:
        seen.append(search.experiment.name)
        yield
        seen.append(f"{search.record.count('ok')} ok")

    finalize(experiment, workspace, listeners=[lambda event: seen.append(event.what)], follow=follow)
    assert seen[0] == "tiny.final"
    assert seen[-1] == "3 ok"
    assert seen.count("finished") == 3


def test_a_snapshot_of_the_finals_lies_beside_the_winner(searched: Searched, apart: Apart) -> None:
    experiment, workspace = searched()
    folder = finalize(experiment, workspace)
    with Record.read(folder / "finals.sqlite") as snapshot:
        assert snapshot.count("ok") == 3


def test_weights_that_somebody_removed_are_missed_in_words(searched: Searched, apart: Apart) -> None:
    experiment, workspace = searched()
    finalize(experiment, workspace)
    for path in workspace.state.rglob("model.keras"):
        path.unlink()
    with pytest.raises(SearchError, match="weights of final 1 are gone") as error:
        finalize(experiment, workspace)
    assert "Keep the folder" in str(error.value)  # it counts the touches of the test data
    assert "remove" not in str(error.value)


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
