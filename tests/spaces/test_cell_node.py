"""One node of a recurrent cell as a value and as text."""

import re

import pytest

from nas.errors import InputError
from nas.spaces.cell import ACTIVATIONS, COMBINATIONS, CellNode


@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_text_and_json_give_the_node_back(combination: str, activation: str) -> None:
    node = CellNode(combination, activation)  # type: ignore[arg-type]
    assert node.text() == f"{combination}-{activation}"
    assert CellNode.parse(node.text()) == node
    assert CellNode.from_fields(node.fields()) == node


def test_the_names_are_those_that_texts_and_records_have() -> None:
    assert COMBINATIONS == ("add", "elem_mult", "max")
    assert ACTIVATIONS == ("identity", "tanh", "sigmoid", "relu", "sin")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is no node; one is written COMBINATION-ACTIVATION, as in add-tanh"),
        ("add", "'add' is no node"),
        ("add-tahn", "'add-tahn' is no node: a node's activation must be known: did you mean 'tanh'?"),
        ("elem_mul-tanh", "combination must be known: did you mean 'elem_mult'?"),
        ("add-tanh-relu", "Received: 'tanh-relu'"),
        ("Add-tanh", "did you mean 'add'?"),
    ],
)
def test_text_that_is_no_node_is_explained(text: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        CellNode.parse(text)


@pytest.mark.parametrize("fields", [{}, {"combination": "add"}, "add-tanh", None])
def test_json_that_is_no_node_is_refused(fields: object) -> None:
    with pytest.raises(InputError, match="in JSON"):
        CellNode.from_fields(fields)  # type: ignore[arg-type]
