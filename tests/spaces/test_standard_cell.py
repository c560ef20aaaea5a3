"""The hand-made cells."""

import re

import pytest

from nas.errors import InputError
from nas.spaces import Cost, architecture_from_json, parse_architecture
from nas.spaces.recurrent_cell import StandardCell


@pytest.mark.parametrize("text", ["rnn:lstm", "rnn:gru"])
def test_text_and_json_give_the_cell_back(text: str) -> None:
    cell = parse_architecture(text)
    assert str(cell) == text
    assert cell == StandardCell(text.partition(":")[2])  # type: ignore[arg-type]
    assert architecture_from_json(cell.to_json()) == cell
    assert cell.to_json() == {"kind": "rnn", "name": text.partition(":")[2]}


def test_an_lstm_costs_four_gates_with_one_bias_each() -> None:
    assert StandardCell("lstm").cost((10,), 3) == Cost(4 * (10 + 3 + 1) * 3, 4 * (10 + 3) * 3)


def test_a_gru_costs_three_gates_with_two_biases_each() -> None:
    assert StandardCell("gru").cost((10,), 3) == Cost(3 * (10 + 3 + 2) * 3, 3 * (10 + 3) * 3)


def test_a_task_that_is_none_of_sequences_is_refused() -> None:
    with pytest.raises(InputError, match=re.escape("(features,)")):
        StandardCell("lstm").cost((32, 32, 3), 10)


@pytest.mark.parametrize("body", ["", "lst", "LSTM", "lstm ", "lstm,gru"])
def test_text_that_is_no_cell_is_shown_in_the_error(body: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"rnn:lstm or rnn:gru. Received: '{body}'")):
        StandardCell.from_body(body)


def test_a_name_that_is_unknown_is_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'lstm'"):
        StandardCell("lstms")  # type: ignore[arg-type]


def test_json_with_other_keys_is_refused() -> None:
    with pytest.raises(InputError, match="has the key name"):
        architecture_from_json({"kind": "rnn", "cell": "lstm"})
