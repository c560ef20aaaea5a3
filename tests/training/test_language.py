"""A language model learns, repeats itself, goes on after an interruption, and says when it diverged."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from nas.datasets import PreparedText
from nas.evaluation import ChildResult, Status
from nas.spaces import parse_architecture
from nas.training import language
from nas.training.run import DivergedError, Run
from tests.factories import without_times
from tests.training.conftest import CPU, begin_python, end_python

TRAIN = """
import json, sys
from nas.training.child import train
print(json.dumps(train(json.loads(sys.argv[1]))))
"""
MakeRun = Callable[..., Run]


def test_it_learns_what_can_be_learnt(language_run: MakeRun) -> None:
    undropped = {f"dropout_{name}": 0.0 for name in ("embedding", "input", "recurrent", "output")}
    run = language_run("rnn:lstm", epochs=30, units=12, learning_rate=2.0, **undropped)
    language.train(run)
    # a line is 4 tokens of which only the animal is open: 2 ** (1 / 4) at best
    assert run.history[0]["val_perplexity"] > 3
    assert run.history[-1]["val_perplexity"] < 1.3
    for epoch in run.history:
        assert epoch["val_perplexity"] == pytest.approx(math.exp(epoch["val_loss"]))
        assert epoch["perplexity"] == pytest.approx(math.exp(epoch["loss"]))
        assert "val_bits_per_character" not in epoch


def test_the_size_is_the_models(language_run: MakeRun, text: PreparedText, tmp_path: Path) -> None:
    run = language_run(folder=tmp_path, epochs=1)
    language.train(run)
    assert run.parameters == keras.saving.load_model(run.files["model"]).count_params()
    assert run.parameters == run.recipe.cost(run.architecture, text).parameters


def test_characters_are_measured_in_bits(language_run: MakeRun, characters: PreparedText) -> None:
    run = language_run(data=characters, epochs=1)
    language.train(run)
    (epoch,) = run.history
    assert epoch["val_bits_per_character"] == pytest.approx(epoch["val_loss"] / math.log(2))


def test_equal_jobs_in_fresh_processes_are_equal(text: PreparedText, tmp_path: Path) -> None:
    def job(name: str) -> dict[str, Any]:
        return {
            "architecture": parse_architecture("cell:worked-example").to_json(),
            "recipe": {"name": "language", "epochs": 2, "units": 6, "streams": 4, "window": 5},
            "seed": 5,
            "data": str(text.folder),
            "folder": str(tmp_path / name),
            "device": CPU,
        }

    processes = [begin_python(TRAIN, json.dumps(job(name))) for name in "ab"]
    one, other = (ChildResult.from_json(end_python(process)) for process in processes)
    assert one.status is Status.OK, one.message
    assert [without_times(epoch) for epoch in one.history] == [without_times(e) for e in other.history]
    weights = [keras.saving.load_model(each.files["model"]).get_weights() for each in (one, other)]
    for pair in zip(*weights, strict=True):
        np.testing.assert_array_equal(*pair)


def test_an_interrupted_training_goes_on_as_if_it_had_never_stopped(
    language_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = language_run(folder=tmp_path / "whole", epochs=3)
    language.train(whole)

    class Killed(BaseException):
        pass

    epoch = language._Training._epoch

    def die_in_the_second(self: Any, number: int) -> dict[str, float]:
        if number == 1:
            raise Killed
        return epoch(self, number)

    monkeypatch.setattr(language._Training, "_epoch", die_in_the_second)
    with pytest.raises(Killed):
        language.train(language_run(folder=tmp_path / "parts", epochs=3))
    monkeypatch.setattr(language._Training, "_epoch", epoch)
    parts = language_run(folder=tmp_path / "parts", epochs=3)
    language.train(parts)
    assert [without_times(e) for e in parts.history] == [without_times(e) for e in whole.history]


def test_a_loss_that_is_no_number_ends_the_training(language_run: MakeRun) -> None:
    with pytest.raises(DivergedError, match=r"the loss was \w+ in epoch 1"):
        language.train(language_run("cell:add-relu,add-relu/add-relu/c=1,inject=add-relu@0", init_scale=1e20))


def test_a_loss_whatever_its_size_has_a_perplexity_that_json_can_hold() -> None:
    assert language.perplexity(math.log(50.0)) == pytest.approx(50.0)
    assert math.isfinite(language.perplexity(5000.0))


def test_a_child_above_the_median_is_stopped(language_run: MakeRun) -> None:
    run = language_run(epochs=4, median_stopping=True, grace_epochs=1)
    run.median_curve = (1.5, 1.4, 1.3)
    language.train(run)
    assert run.stopped_early
    assert len(run.history) == 1


def test_fewer_tokens_are_trained_on_if_asked(
    language_run: MakeRun, text: PreparedText, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    begin = language.Reader.__init__

    def note(self: Any, model: Any, tokens: np.ndarray, *rest: Any) -> None:
        read.append(len(tokens))
        begin(self, model, tokens, *rest)

    monkeypatch.setattr(language.Reader, "__init__", note)
    language.train(language_run(train_tokens=30, epochs=1))
    assert read == [30, text.sizes["validation"]]
