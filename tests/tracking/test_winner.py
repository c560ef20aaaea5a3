"""The winner is a registered model: raw images in, class probabilities out, without our code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nas import datasets
from nas.datasets import Prepared
from nas.errors import InputError
from nas.experiment import Experiment
from nas.tracking import Tracker
from nas.tracking.connection import connect
from nas.workspace import Workspace
from tests.tracking.factories import runs

STORY = {
    "winner": {"architecture": "conv:3x3x4@0", "recipe": {"epochs": 20}, "seed": 3, "score": 0.75},
    "fingerprint": "fedcba9876543210",
    "git_commit": "c" * 40,
    "finalists": [{"score": 0.75}, {"score": 0.5}],
}
MEASURED = {"test": {"accuracy": 0.625, "images": 360}, "kendall_tau": 0.5, "confusion": [[1, 2], [3, 4]]}


@pytest.fixture
def data(workspace: Workspace, experiment: Experiment) -> Prepared:
    return datasets.prepare(experiment.data, workspace)


@pytest.fixture
def folder(tmp_path: Path, data: Prepared) -> Path:
    """A winner as the finals leave it: a stock model with its preprocessing inside."""
    return winner(tmp_path / "winner", data, classes=len(data.classes))


def winner(folder: Path, data: Prepared, classes: int) -> Path:
    import keras

    keras.utils.set_random_seed(1)
    images = keras.Input(data.image_shape)
    x = keras.layers.Rescaling(1 / 16)(images)
    x = keras.layers.Conv2D(4, 3, activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    folder.mkdir()
    keras.Model(images, keras.layers.Dense(classes, activation="softmax")(x)).save(folder / "model.keras")
    (folder / "final.json").write_text(json.dumps(STORY))
    return folder


def test_a_winner_that_was_registered_with_another_score_stays_with_the_present_one_beside_it(
    workspace: Workspace, experiment: Experiment, data: Prepared, folder: Path
) -> None:
    tracker = Tracker(workspace)
    first = tracker.register_winner(folder, experiment, data, MEASURED)
    story = {**STORY, "winner": {**STORY["winner"], "score": 0.7, "recorded_reward": 0.75}}  # type: ignore[dict-item]
    (folder / "final.json").write_text(json.dumps(story))
    assert tracker.register_winner(folder, experiment, data, {"validation_score": 0.7}) == first
    (run,) = runs(workspace, "winner")
    assert run.data.params["score"] == "0.75"  # MLflow changes no parameter
    assert run.data.tags["nas.winner.score"] == "0.7"
    assert run.data.params["recorded_reward"] == "0.75"
    assert run.data.metrics["validation_score"] == 0.7


def test_the_winner_is_registered_once_with_its_story_and_serves_in_a_new_process(
    workspace: Workspace,
    experiment: Experiment,
    data: Prepared,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import keras

    monkeypatch.setenv("MLFLOW_RUN_ID", "f" * 32)
    tracker = Tracker(workspace)
    assert tracker.register_winner(folder, experiment, data, MEASURED) == "models:/nasflow-tiny/1"
    assert tracker.register_winner(folder, experiment, data, MEASURED) == "models:/nasflow-tiny/1"

    version = connect(workspace).client.get_model_version("nasflow-tiny", "1")
    assert "not evaluated yet" in version.description
    tested = {"value": 0.625, "low": 0.57, "high": 0.67}
    test = {"metric": "accuracy", "winner": tested, "examples": 360, "unit": "images", "touches": 1}
    tracker.register_winner(folder, experiment, data, MEASURED | {"test": MEASURED["test"] | test})
    card = connect(workspace).client.get_model_version("nasflow-tiny", "1").description
    for told in (
        "`conv:3x3x4@0`",
        f"{data.name}, digest `{data.digest}`",
        "accuracy 0.6250 (0.5700 – 0.6700 at 95 %) on 360 images, evaluated 1 time",
        "**Classes:** 0 0, 1 1,",
        "mlflow.pyfunc.load_model('models:/nasflow-tiny@champion')",
        "mlflow models serve -m models:/nasflow-tiny@champion",
    ):
        assert told in card

    (run,) = runs(workspace, "winner")
    assert run.info.status == "FINISHED"
    assert run.data.params == {
        "architecture": "conv:3x3x4@0",
        "recipe.epochs": "20",
        "seed": "3",
        "score": "0.75",
    }
    measured = {"test.accuracy": 0.625, "test.images": 360.0, "kendall_tau": 0.5}
    assert measured.items() <= run.data.metrics.items()
    assert run.data.tags["nas.fingerprint"] == "fedcba9876543210"
    assert run.data.tags["nas.data"] == f"digits@{data.digest}"
    client = connect(workspace).client
    assert client.get_model_version_by_alias("nasflow-tiny", "champion").run_id == run.info.run_id
    assert [output.model_id for output in client.get_run(run.info.run_id).outputs.model_outputs]

    images = np.array(data.split("test")[0][:5])
    expected = keras.saving.load_model(folder / "model.keras").predict(images, verbose=0)
    np.save(tmp_path / "images.npy", images)
    code = """
import json, sys
import mlflow, numpy as np
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/nasflow-tiny@champion")
np.save("probabilities.npy", model.predict(np.load("images.npy")))
(images,) = model.metadata.signature.inputs.to_dict()
classes = model.metadata.metadata["classes"]
print(json.dumps([images["tensor-spec"], classes, model.input_example.shape, "nas" in sys.modules]))
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, connect(workspace).uri],
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "MLFLOW_RUN_ID"},
        capture_output=True,
        text=True,
        check=True,
    )
    height, width, channels = data.image_shape
    assert json.loads(done.stdout.splitlines()[-1]) == [
        {"dtype": "uint8", "shape": [-1, height, width, channels]},
        list(data.classes),
        [2, height, width, channels],
        False,
    ]
    np.testing.assert_allclose(np.load(tmp_path / "probabilities.npy"), expected, rtol=1e-5)


def test_a_new_winner_takes_over_the_alias(
    workspace: Workspace, experiment: Experiment, data: Prepared, folder: Path
) -> None:
    tracker = Tracker(workspace)
    tracker.register_winner(folder, experiment, data, {})
    (folder / "model.keras").unlink()
    (folder / "final.json").unlink()
    folder.rmdir()
    import keras

    other = winner(folder, data, len(data.classes))
    model = keras.saving.load_model(other / "model.keras")
    model.set_weights([2 * weight for weight in model.get_weights()])
    model.save(other / "model.keras")
    assert tracker.register_winner(other, experiment, data, {}) == "models:/nasflow-tiny/2"
    assert connect(workspace).client.get_model_version_by_alias("nasflow-tiny", "champion").version == 2


def test_a_folder_without_a_winner_is_refused(
    workspace: Workspace, experiment: Experiment, data: Prepared, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"final\.json is missing; `nas finalize` makes it"):
        Tracker(workspace).register_winner(tmp_path, experiment, data, {})


def test_a_model_of_another_number_of_classes_is_refused(
    workspace: Workspace, experiment: Experiment, data: Prepared, tmp_path: Path
) -> None:
    wrong = winner(tmp_path / "wrong", data, classes=3)
    with pytest.raises(InputError, match=r"10 classes of digits\. Received: an output of shape \(2, 3\)"):
        Tracker(workspace).register_winner(wrong, experiment, data, {})
    assert not connect(workspace).client.search_registered_models()
