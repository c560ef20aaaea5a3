"""What a language model is worth, measured over every token; and its SavedModel, without our code."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from nas.datasets import PreparedImages, PreparedText
from nas.errors import InputError
from nas.training import language, language_export
from nas.training.language_serving import by_frequency, measure
from nas.training.run import Run
from tests.training.conftest import begin_python, end_python

MakeRun = Callable[..., Run]


@pytest.fixture(scope="module")
def trained(text: PreparedText, tmp_path_factory: pytest.TempPathFactory) -> Run:
    from nas.spaces import parse_architecture
    from nas.training.language_recipe import LanguageRecipe
    from tests.training.conftest import CPU

    recipe = LanguageRecipe(epochs=3, units=6, streams=4, window=5, init_scale=0.2, validation_streams=1)
    run = Run(parse_architecture("cell:zoph-le-2017"), recipe, text.folder, 5, CPU)
    run.folder = tmp_path_factory.mktemp("trained")
    language.train(run)
    return run


def test_a_measurement_of_the_validation_text_is_that_of_the_training(
    trained: Run, text: PreparedText
) -> None:
    found = measure(trained.files["model"], str(text.folder), "validation")
    assert found["metric"] == "perplexity"
    assert found["value"] == pytest.approx(trained.history[-1]["val_perplexity"], rel=1e-4)
    assert found["low"] < found["value"] < found["high"]
    assert (found["examples"], found["unit"], found["lower_is_better"]) == (160, "tokens", True)
    assert math.exp(found["details"]["nats_per_token"]) == pytest.approx(found["value"])


def test_characters_are_measured_in_bits(
    language_run: MakeRun, characters: PreparedText, tmp_path: Path
) -> None:
    run = language_run(data=characters, folder=tmp_path, epochs=1, validation_streams=1)
    language.train(run)
    found = measure(run.files["model"], str(characters.folder), "validation")
    assert (found["metric"], found["unit"]) == ("bits_per_character", "characters")
    assert found["value"] == pytest.approx(run.history[-1]["val_bits_per_character"], rel=1e-4)


def test_tokens_are_grouped_by_their_rank_in_the_training_text() -> None:
    tokens, nats = np.array([0, 9, 10, 99, 100, 100]), np.log([2.0, 8.0, 3.0, 3.0, 5.0, 5.0])
    assert by_frequency(tokens, nats) == [
        {"rank": "1–10", "share": pytest.approx(2 / 6), "perplexity": pytest.approx(4.0)},
        {"rank": "11–100", "share": pytest.approx(2 / 6), "perplexity": pytest.approx(3.0)},
        {"rank": "101–1000", "share": pytest.approx(2 / 6), "perplexity": pytest.approx(5.0)},
    ]


def test_a_model_of_another_vocabulary_or_data_of_another_kind_is_refused(
    trained: Run, characters: PreparedText, digits: PreparedImages
) -> None:
    with pytest.raises(InputError, match="not a language model for the"):
        measure(trained.files["model"], str(characters.folder), "test")
    with pytest.raises(InputError, match="holds images"):
        measure(trained.files["model"], str(digits.folder), "test")


WITHOUT_US = """
import json, sys
sys.modules["nas"] = None
import numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
found = model.serve(np.array(json.loads(sys.argv[2]), "int32"))
print(json.dumps({name: value.numpy().tolist() for name, value in found.items()}))
"""


def test_the_saved_model_gives_nats_and_next_tokens_without_our_code(
    trained: Run, text: PreparedText, tmp_path: Path
) -> None:
    done = language_export.export(trained.files["model"], str(text.folder), str(tmp_path))
    assert done == {"keras": "model.keras", "saved_model": "saved_model"}
    kept = json.loads((tmp_path / "saved_model" / language_export.VOCABULARY).read_text(encoding="utf-8"))
    spaced = {"pattern": r"\S+", "lower": False, "replaced": {}, "form": ""}
    kept["words"] = {key: kept["words"][key] for key in spaced}
    assert kept == {"level": "word", "words": spaced, "vocabulary": list(text.vocabulary)}
    tokens = np.asarray(text.split("test"))
    found = end_python(begin_python(WITHOUT_US, str(tmp_path / "saved_model"), json.dumps([tokens.tolist()])))
    nats, after = np.array(found["nats"]), np.array(found["next"])
    assert nats.shape == (1, len(tokens))
    expected = measure(trained.files["model"], str(text.folder), "test")["value"]
    assert math.exp(nats.mean()) == pytest.approx(expected, rel=1e-3)
    assert after.shape == (1, len(text.vocabulary))
    assert after.sum() == pytest.approx(1.0, abs=1e-4)


ON_JAX = """
import json, os, sys
os.environ |= {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
from nas.networks.language import LanguageModel
from nas.training.language_export import export
from nas.training.saving import save_model
from pathlib import Path

data, folder, vocabulary = sys.argv[1:]
model = LanguageModel("cell:zoph-le-2017", int(vocabulary), 6, init_scale=0.5, seed=1)
model.build()
print(json.dumps(export(str(save_model(model, Path(folder) / "model.keras")), data, folder)))
"""


@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
def test_a_model_that_was_trained_on_jax_is_exported_there(text: PreparedText, tmp_path: Path) -> None:
    arguments = [str(text.folder), str(tmp_path), str(len(text.vocabulary))]
    done = end_python(begin_python(ON_JAX, *arguments))
    assert done == {"keras": "model.keras", "saved_model": "saved_model"}
