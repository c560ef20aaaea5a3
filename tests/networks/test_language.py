"""The language model around a cell: its size, its masks, its state, its file."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from nas.networks.language import LanguageModel
from nas.spaces import parse_architecture
from nas.training.language_recipe import LanguageRecipe

TOKENS = np.array([[1, 2, 3, 1, 2, 3], [4, 4, 0, 4, 4, 0]], "int32")


def model(cell: str = "cell:worked-example", **settings: object) -> LanguageModel:
    made = LanguageModel(cell, 5, 5, **{"init_scale": 0.5, "seed": 3, **settings})  # type: ignore[arg-type]
    made.build()
    return made


def logits(of: LanguageModel, tokens: np.ndarray = TOKENS, training: bool = False) -> np.ndarray:
    found, _ = of(tokens, training=training)
    return np.asarray(keras.ops.convert_to_numpy(found))


@pytest.mark.parametrize("cell", ["cell:zoph-le-2017", "rnn:lstm", "rnn:gru"])
@pytest.mark.parametrize("tied", [False, True])
def test_the_model_has_the_parameters_that_the_recipe_counts(cell: str, tied: bool) -> None:
    cost = LanguageRecipe(layers=3, tied=tied).model_cost(parse_architecture(cell), 5, 5)
    assert model(cell, layers=3, tied=tied).count_params() == cost.parameters


@pytest.mark.parametrize("cell", ["cell:worked-example", "rnn:gru"])
def test_a_text_in_two_pieces_gives_what_it_gives_in_one(cell: str) -> None:
    one = model(cell)
    first, state = one(TOKENS[:, :2])
    second, _ = one(TOKENS[:, 2:], state)
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), logits(one), atol=1e-6)


def test_later_tokens_change_nothing_before_them() -> None:
    one, other = model(), TOKENS.copy()
    other[:, 4:] = 0
    np.testing.assert_array_equal(logits(one)[:, :4], logits(one, other)[:, :4])
    assert not np.allclose(logits(one)[:, 5], logits(one, other)[:, 5])


def test_equal_seeds_give_equal_models_and_other_seeds_others() -> None:
    np.testing.assert_array_equal(logits(model()), logits(model()))
    assert not np.allclose(logits(model()), logits(model(seed=4)))


def test_no_two_weights_begin_alike() -> None:
    weights = [np.asarray(weight) for weight in model(layers=2).get_weights() if weight.ndim == 2]
    for index, weight in enumerate(weights):
        for other in weights[index + 1 :]:
            assert not np.allclose(weight.ravel()[:10], other.ravel()[:10])


def test_the_mask_before_the_softmax_stays_the_same_at_all_steps_and_differs_between_streams() -> None:
    one = model(dropout_output=0.5)
    assert one.softmax is not None
    one.softmax.assign(np.eye(5))  # so that logits are the softmax's input
    kept = logits(one, training=True) != 0
    whole = logits(one) != 0
    assert whole.all()
    assert (kept == kept[:, :1]).all()
    streams = np.stack([logits(one, training=True)[:, 0] != 0 for _ in range(20)])
    assert 0.3 < streams.mean() < 0.7
    assert (streams[:, 0] != streams[:, 1]).any()


def test_a_dropped_token_is_dropped_wherever_it_occurs() -> None:
    one = model("cell:zoph-le-2017", layers=1, seed=0, dropout_embedding=0.5)
    plain = np.array([[1, 1, 1, 1], [2, 1, 2, 1]], "int32")
    dropped = 0
    for _ in range(20):
        found = logits(one, plain, training=True)
        dropped += bool(np.isclose(found[0], 0).all())  # as that cell gives without input
    assert 0 < dropped < 20


def test_masks_belong_to_training() -> None:
    rates = {f"dropout_{name}": 0.5 for name in ("embedding", "input", "recurrent", "output")}
    one = model(**rates)
    np.testing.assert_array_equal(logits(one), logits(model()))
    assert not np.allclose(logits(one, training=True), logits(one, training=True))


def test_the_recurrent_mask_reaches_the_state() -> None:
    one = model(dropout_recurrent=0.5)
    first, later = (logits(one, training=True) for _ in range(2))
    np.testing.assert_allclose(first[:, 0], later[:, 0], atol=1e-6)  # h is zero before the first token
    assert not np.allclose(first[:, 1:], later[:, 1:])


def test_a_saved_model_comes_back(tmp_path: Path) -> None:
    one = model("cell:zoph-le-2017", tied=True, dropout_input=0.25)
    one.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(logits(again), logits(one), atol=1e-6)
    assert again.get_config() == one.get_config()
