"""A real winner: what was exported predicts, without our code, what was measured."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nas.experiment import load
from nas.final.evaluate import read_final
from nas.report.page import write
from nas.search.record import Record
from nas.workspace import Workspace

ELSEWHERE = """
import json, sys
import keras, numpy as np
models, data = sys.argv[1:]
images = {split: np.load(f"{data}/{split}_images.npy").astype("float32") for split in ("validation", "test")}
labels = {split: np.load(f"{data}/{split}_labels.npy") for split in ("validation", "test")}
model = keras.models.load_model(f"{models}/model.keras", compile=False)
expected = model.predict(images["test"], verbose=0)
served = keras.layers.TFSMLayer(f"{models}/saved_model", call_endpoint="serve")(images["test"])
judged = model.predict(images["validation"], verbose=0)
found = {
    "validation": float((judged.argmax(1) == labels["validation"]).mean()),
    "test": float((expected.argmax(1) == labels["test"]).mean()),
    "saved_model": float(np.abs(keras.ops.convert_to_numpy(served) - expected).max()),
    "layers": sorted({type(layer).__module__.split(".")[0] for layer in model.layers}),
}
try:
    import onnxruntime
    session = onnxruntime.InferenceSession(f"{models}/model.onnx")
    converted = session.run(None, {session.get_inputs()[0].name: images["test"]})[0]
    found["onnx"] = float(np.abs(converted - expected).max())
except ImportError:
    pass
found["ours"] = [name for name in sys.modules if name.split(".")[0] == "nas"]
print(json.dumps(found))
"""


def run(arguments: list[str], folder: Path, leases: Path) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "NAS_LEASES": str(leases)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace of an experiment that was made whole."""
    root = tmp_path_factory.mktemp("whole")
    run(["-m", "tests.final.whole", str(root)], Path(__file__).parents[2], root / "leases")
    return root


@pytest.fixture(scope="module")
def elsewhere(root: Path) -> dict[str, Any]:
    """What a process that knows nothing of us finds in the exports."""
    workspace = Workspace(root)
    script = root / "elsewhere.py"
    script.write_text(ELSEWHERE)
    models, data = str(workspace.models("tiny")), str(workspace.prepared("digits"))
    found: dict[str, Any] = json.loads(
        run([str(script), models, data], root, root / "leases").splitlines()[-1]
    )
    return found


def evaluation(root: Path) -> dict[str, Any]:
    path = Workspace(root).reports("tiny") / "evaluation" / "evaluation.json"
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_the_winner_loads_in_a_process_without_our_code_and_scores_what_was_reported(
    root: Path, elsewhere: dict[str, Any]
) -> None:
    assert elsewhere["ours"] == []
    assert elsewhere["layers"] == ["keras"]
    assert elsewhere["test"] == pytest.approx(evaluation(root)["test"]["winner"]["value"], abs=1e-9)


def test_the_winners_file_is_the_network_that_was_chosen(root: Path, elsewhere: dict[str, Any]) -> None:
    final = read_final(load(root / "experiments" / "tiny.yaml"), Workspace(root))
    with Record.read(Workspace(root).models("tiny") / "finals.sqlite") as record:
        result = record.child(final["winner"]["number"]).result
    assert result is not None
    assert elsewhere["validation"] == pytest.approx(result.history[-1]["val_accuracy"], abs=1e-6)


def test_the_saved_model_predicts_the_same(elsewhere: dict[str, Any]) -> None:
    assert elsewhere["saved_model"] < 1e-3


def test_the_exports_say_which_class_is_which(root: Path) -> None:
    models = Workspace(root).models("tiny")
    for file in (models / "classes.json", models / "saved_model" / "assets.extra" / "classes.json"):
        assert json.loads(file.read_text(encoding="utf-8")) == list("0123456789")


def test_the_onnx_file_predicts_the_same(root: Path, elsewhere: dict[str, Any]) -> None:
    if any(importlib.util.find_spec(name) is None for name in ("tf2onnx", "onnxruntime")):
        pytest.skip("tf2onnx and onnxruntime are not installed (the extra 'onnx')")
    assert elsewhere["onnx"] < 1e-3


def test_the_report_shows_it_all(root: Path) -> None:
    experiment = load(root / "experiments" / "tiny.yaml")
    page = write(experiment, Workspace(root)).read_text(encoding="utf-8")
    assert f"{100 * evaluation(root)['test']['winner']['value']:.2f} %" in page
