"""One node of a recurrent cell as a value and as text."""

import re

import pytest

from nas.errors import InputError
from nas.spaces.recurrent_cell import ACTIVATIONS, COMBINATIONS, RecurrentNode


@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_text_and_json_give_the_node_back(combination: str, activation: str) -> None:
    node = RecurrentNode(combination, activation)  # type: ignore[arg-type]
    assert node.text() == f"{combination}-{activation}"
    assert RecurrentNode.parse(node.text()) == node
    assert RecurrentNode.from_fields(node.fields()) == node


def test_the_names_are_those_that_texts_and_records_have() -> None:
    assert COMBINATIONS == ("add", "elem_mult", "max")
    assert ACTIVATIONS == ("identity", "tanh", "sigmoid", "relu", "sin")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not a valid node; one is written COMBINATION-ACTIVATION, as in add-tanh"),
        ("add", "'add' is not a valid node"),
        (
            "add-tahn",
            "'add-tahn' is not a valid node: a node's activation must be known: did you mean 'tanh'?",
        ),
        ("elem_mul-tanh", "combination must be known: did you mean 'elem_mult'?"),
        ("add-tanh-relu", "Received: 'tanh-relu'"),
        ("Add-tanh", "did you mean 'add'?"),
    ],
)
def test_text_that_is_no_node_is_explained(text: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        RecurrentNode.parse(text)


@pytest.mark.parametrize("fields", [{}, {"combination": "add"}, "add-tanh", None])
def test_json_that_is_no_node_is_refused(fields: object) -> None:
    with pytest.raises(InputError, match="in JSON"):
        RecurrentNode.from_fields(fields)  # type: ignore[arg-type]
