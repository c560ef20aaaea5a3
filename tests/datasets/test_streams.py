from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.datasets.streams import windows
from nas.errors import InputError

EOS = 3

texts = st.lists(st.integers(0, 9), max_size=200).map(lambda tokens: np.array(tokens, dtype=np.int32))
sizes = st.integers(1, 12)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(texts, sizes, sizes)
def test_every_token_is_a_target_exactly_once_and_follows_its_input(
    tokens: np.ndarray, streams: int, steps: int
) -> None:
    numbered = np.arange(len(tokens), dtype=np.int32)  # each token is told from all others by its place
    inputs, targets, weights = windows(numbered, -1, streams, steps)
    there = weights == 1
    assert sorted(targets[there].tolist()) == numbered.tolist()
    assert (inputs[there] == targets[there] - 1).all()
    named = windows(tokens, EOS, streams, steps)
    assert np.array_equal(named.targets[there], tokens[targets[there]])
    before = np.concatenate([[EOS], tokens]).astype(np.int32)
    assert np.array_equal(named.inputs[there], before[targets[there]])


@settings(max_examples=200, deadline=None, derandomize=True)
@given(texts, sizes, sizes)
def test_streams_are_contiguous_run_on_from_window_to_window_and_differ_by_one_token_at_most(
    tokens: np.ndarray, streams: int, steps: int
) -> None:
    cut = windows(np.arange(len(tokens), dtype=np.int32), -1, streams, steps)
    rows, weights = (array.transpose(1, 0, 2).reshape(streams, -1) for array in (cut.targets, cut.weights))
    parts = [row[weight == 1].tolist() for row, weight in zip(rows, weights, strict=True)]
    assert list(chain(*parts)) == list(range(len(tokens)))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    for weight in weights:
        assert weight.tolist() == sorted(weight.tolist(), reverse=True), "a stream has no holes"


@settings(max_examples=200, deadline=None, derandomize=True)
@given(texts, sizes, sizes)
def test_all_windows_have_one_shape_and_what_is_no_text_is_eos_without_weight(
    tokens: np.ndarray, streams: int, steps: int
) -> None:
    cut = windows(tokens, EOS, streams, steps)
    longest = -(-len(tokens) // streams)
    for array, dtype in zip(cut, (np.int32, np.int32, np.float32), strict=True):
        assert array.shape == (-(-longest // steps), streams, steps)
        assert array.dtype == dtype
    rest = cut.weights == 0
    assert (cut.inputs[rest] == EOS).all()
    assert (cut.targets[rest] == EOS).all()
    assert cut.weights.sum() == len(tokens)


def test_a_single_stream_is_the_text_and_a_single_step_reads_it_token_by_token() -> None:
    tokens = np.array([5, 6, 7, 8, 9], dtype=np.int32)
    cut = windows(tokens, 0, 1, 2)
    assert cut.inputs.tolist() == [[[0, 5]], [[6, 7]], [[8, 0]]]
    assert cut.targets.tolist() == [[[5, 6]], [[7, 8]], [[9, 0]]]
    assert cut.weights.tolist() == [[[1, 1]], [[1, 1]], [[1, 0]]]
    assert windows(tokens, 0, 1, 1).targets.ravel().tolist() == tokens.tolist()


@pytest.mark.parametrize(
    ("tokens", "streams", "steps", "told"),
    [
        (np.zeros(3, int), 0, 2, r"streams must be at least 1\. Received: 0"),
        (np.zeros(3, int), 2, -1, r"steps must be at least 1\. Received: -1"),
        (np.zeros((3, 2), int), 2, 2, r"tokens must be integers with shape \(n,\)"),
        (np.zeros(3), 2, 2, r"Received: float64 \(3,\)"),
    ],
)
def test_what_is_no_text_or_shape_is_refused(tokens: np.ndarray, streams: int, steps: int, told: str) -> None:
    with pytest.raises(InputError, match=told):
        windows(tokens, 0, streams, steps)
