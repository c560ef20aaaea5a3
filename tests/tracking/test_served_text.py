"""A registered language model takes text and answers in a process that has none of our code."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nas import datasets
from nas.datasets import PreparedText
from nas.datasets.prepared import tokens
from nas.experiment import Data, Experiment
from nas.tracking import Tracker, served_text
from nas.tracking.connection import connect
from nas.workspace import Workspace
from tests.tracking.test_winner import MEASURED, STORY

WITHOUT_US = """
import json, sys
sys.modules["nas"] = None
import mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/nasflow-tiny@champion")
found = model.predict(pd.DataFrame({"text": json.loads(sys.argv[2])}))
print(json.dumps([found.to_dict("records"), model.metadata.metadata]))
"""


@pytest.fixture(params=[{"words": "spaced"}, {"words": "plain"}, {"level": "character"}])
def data(request: pytest.FixtureRequest, workspace: Workspace) -> PreparedText:
    (workspace.root / "train.txt").write_text("the cat sits\nthe dog runs\nthe cat's dog sits.\n" * 30)
    made = datasets.prepare(Data(source="text", train="train.txt", **request.param), workspace)
    assert isinstance(made, PreparedText)
    return made


def exported(folder: Path, data: PreparedText) -> Path:
    """A winner as the finals leave it."""
    from nas.networks.language import LanguageModel
    from nas.training.language_export import export
    from nas.training.saving import save_model

    model = LanguageModel("cell:zoph-le-2017", len(data.vocabulary), 6, init_scale=0.5, seed=1)
    model.build()
    path = save_model(model, folder / "model.keras")
    export(str(path), str(data.folder), str(folder))
    (folder / "final.json").write_text(json.dumps(STORY))
    return folder


def test_words_are_found_as_in_the_text_that_was_learnt_from() -> None:
    server = object.__new__(served_text.LanguageServer)
    for version, line in itertools.product((1, 2), ("Don’t पढ़ता", "cafe\u0301, CO\u00adOP", "plain ASCII's")):
        rule = tokens.rule("plain", version)
        server._words = json.loads(json.dumps(dataclasses.asdict(rule)))
        assert " ".join(server._in(line)) == rule.spaced(line)
    server._words = {"pattern": r"\w+", "lower": True}  # of a model that was exported earlier
    assert server._in("A ’ b") == ["a", "b"]


def test_text_goes_in_and_perplexity_and_next_tokens_come_out(
    workspace: Workspace, experiment: Experiment, data: PreparedText, tmp_path: Path
) -> None:
    from nas.training.language_serving import load
    from nas.training.reader import Reader

    folder = exported(tmp_path / "winner", data)
    assert Tracker(workspace).register_winner(folder, experiment, data, MEASURED) == "models:/nasflow-tiny/1"
    text = "The  cat's DOG, sits.\nthe cat" if data.words == "plain" else "the dog runs\nthe cat"
    texts = [text, "a" if data.level == "word" else "Q"]
    done = subprocess.run(
        [sys.executable, "-I", "-c", WITHOUT_US, connect(workspace).uri, json.dumps(texts)],
        cwd=tmp_path,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=True,
    )
    (known, strange), about = json.loads(done.stdout.splitlines()[-1])
    assert about == {"level": data.level, "vocabulary": len(data.vocabulary)}

    tokens = data.encode(text)[:-1]  # the text has no line end after it
    reader = Reader(load(str(folder / "model.keras"), data), tokens, data.eos, 1, len(tokens))
    reader.compile(jit_compile=False)
    nats = float(np.mean(reader.each()))
    if data.level == "word":
        assert known["perplexity"] == pytest.approx(math.exp(nats), rel=1e-4)
    else:
        assert known["bits_per_character"] == pytest.approx(nats / math.log(2), rel=1e-4)
    assert (known["tokens"], known["unknown"]) == (len(tokens), data.words == "plain")  # no comma was learnt
    assert (strange["tokens"], strange["unknown"]) == (1, 1)
    likely = json.loads(known["next"])
    assert set(likely) <= set(data.vocabulary)
    assert list(likely.values()) == sorted(likely.values(), reverse=True)
    assert sum(likely.values()) <= 1 + 1e-4
