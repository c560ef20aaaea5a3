"""A text is read whole, once, with the state carried over; what is read is what the model says."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from nas.networks.language import LanguageModel
from nas.training.reader import Reader

EOS = 0
TOKENS = np.random.default_rng(1).integers(0, 6, 53)


@pytest.fixture
def model() -> LanguageModel:
    made = LanguageModel("cell:zoph-le-2017", 6, 4, init_scale=0.8, seed=1)
    made.build()
    return made


def reader(model: LanguageModel, streams: int, window: int, **settings: object) -> Reader:
    made = Reader(model, TOKENS, EOS, streams, window)
    made.compile(optimizer=keras.optimizers.SGD(0.5), jit_compile=False, **settings)
    return made


def nats_in_one_go(model: LanguageModel, tokens: np.ndarray, before: int) -> np.ndarray:
    """−ln p of each token, from the whole text at once."""
    inputs = np.concatenate([[before], tokens[:-1]]).astype("int32")
    logits = np.asarray(model(inputs[None])[0], "float64")[0]
    logits -= logits.max(axis=1, keepdims=True)
    logarithms = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return -logarithms[np.arange(len(tokens)), tokens]


@pytest.mark.parametrize("window", [1, 7, 53, 60])
def test_every_token_is_predicted_from_all_before_it_whatever_the_window(
    model: LanguageModel, window: int
) -> None:
    expected = nats_in_one_go(model, TOKENS, EOS)
    np.testing.assert_allclose(reader(model, 1, window).each(), expected, rtol=1e-4)
    assert reader(model, 1, window).read() == pytest.approx(expected.mean(), rel=1e-5)


def test_streams_are_read_apart_and_every_token_counts_once(model: LanguageModel) -> None:
    pieces = np.array_split(TOKENS, 4)
    before = [EOS, *(piece[-1] for piece in pieces[:-1])]
    nats = [nats_in_one_go(model, piece, first) for piece, first in zip(pieces, before, strict=True)]
    expected = np.concatenate(nats).mean()
    for steps in (1, 3):
        assert reader(model, 4, 5, steps_per_execution=steps).read() == pytest.approx(expected, rel=1e-5)


def test_reading_again_begins_with_an_empty_memory(model: LanguageModel) -> None:
    one = reader(model, 3, 4)
    assert one.read() == one.read()


def test_learning_reads_every_token_and_lowers_the_loss(model: LanguageModel) -> None:
    one = reader(model, 3, 4)
    before = one.read()
    for _ in range(20):
        one.learn([])
    assert one.read() < before


def test_the_loss_is_summed_over_steps_and_averaged_over_streams(model: LanguageModel) -> None:
    nats = keras.ops.ones((1, 3, 4))
    assert float(reader(model, 3, 4).compute_loss(y_pred=nats)) == 4.0
