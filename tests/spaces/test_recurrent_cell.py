"""Recurrent cells as values: the tree, text, names, JSON, cost, errors."""

import re
import shlex

import pytest

from nas.errors import InputError
from nas.spaces import Cost, architecture_from_json, parse_architecture
from nas.spaces.recurrent_cell import NAMED_RECURRENT_CELLS, RecurrentCell, RecurrentNode

EXAMPLE = "cell:add-tanh,elem_mult-relu/elem_mult-sigmoid/c=1,inject=add-relu@0"


def cell(text: str) -> RecurrentCell:
    found = parse_architecture(text)
    assert isinstance(found, RecurrentCell)
    return found


# Named cells


def test_the_worked_example_of_the_paper() -> None:
    example = cell("cell:worked-example")
    assert example == RecurrentCell(
        nodes=(
            RecurrentNode("add", "tanh"),
            RecurrentNode("elem_mult", "relu"),
            RecurrentNode("elem_mult", "sigmoid"),
        ),
        inject=RecurrentNode("add", "relu"),
        c_out=1,
        c_in=0,
    )
    assert str(example) == EXAMPLE


def test_the_released_cell() -> None:
    """Node by node as NASCell of TensorFlow's contrib.rnn computes it."""
    released = cell("cell:zoph-le-2017")
    assert [node.combination for node in released.nodes] == [
        *["add"] * 3, "elem_mult", *["add"] * 4,
        "elem_mult", "add", "elem_mult", "add",
        "elem_mult", "add",
        "elem_mult",
    ]  # fmt: skip
    assert [node.activation for node in released.nodes] == [
        "sigmoid", "relu", "sigmoid", "relu", "tanh", "sigmoid", "tanh", "sigmoid",
        "tanh", "tanh", "tanh", "sigmoid",
        "identity", "tanh",
        "tanh",
    ]  # fmt: skip
    assert released.inject == RecurrentNode("add", "tanh")
    assert (released.c_in, released.c_out) == (8, 12)


def test_the_lstm_takes_its_memory_in_as_the_forget_gate_times_it() -> None:
    lstm = cell("cell:lstm")
    assert lstm.inject == RecurrentNode("elem_mult", "identity")
    assert lstm.children(lstm.c_out) == (8, lstm.c_in)
    assert lstm.nodes[lstm.c_out] == RecurrentNode("add", "tanh")


@pytest.mark.parametrize("name", NAMED_RECURRENT_CELLS)
def test_a_name_reads_as_its_full_text_which_is_written(name: str) -> None:
    named = cell(f"cell:{name}")
    assert str(named) == f"cell:{NAMED_RECURRENT_CELLS[name]}"
    assert cell(str(named)) == named
    assert shlex.quote(f"cell:{name}") == f"cell:{name}"


def test_an_unknown_name_is_explained_by_the_nearest() -> None:
    with pytest.raises(
        InputError, match=re.escape("no cell is named 'zoph-le-2016': did you mean 'zoph-le-2017'?")
    ):
        parse_architecture("cell:zoph-le-2016")


# The tree


def test_levels_and_children_of_base_8() -> None:
    released = cell("cell:zoph-le-2017")
    assert released.base == 8
    assert released.levels == ((0, 1, 2, 3, 4, 5, 6, 7), (8, 9, 10, 11), (12, 13), (14,))
    assert [released.children(node) for node in (0, 7)] == [None, None]
    assert [released.children(node) for node in range(8, 15)] == [
        (0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (10, 11), (12, 13),
    ]  # fmt: skip


def test_text_and_json_give_the_cell_back() -> None:
    assert cell(EXAMPLE).text() == EXAMPLE
    assert architecture_from_json(cell(EXAMPLE).to_json()) == cell(EXAMPLE)


def test_the_json_form_stays_as_it_is() -> None:
    """Records of earlier searches are read by it: a change needs a way to read the old form."""
    assert cell(EXAMPLE).to_json() == {
        "kind": "cell",
        "nodes": [
            {"combination": "add", "activation": "tanh"},
            {"combination": "elem_mult", "activation": "relu"},
            {"combination": "elem_mult", "activation": "sigmoid"},
        ],
        "inject": {"combination": "add", "activation": "relu"},
        "c_out": 1,
        "c_in": 0,
    }


def test_cells_of_the_same_nodes_differ_by_their_indices_and_injection() -> None:
    texts = {
        EXAMPLE,
        EXAMPLE.replace("c=1", "c=0"),
        EXAMPLE.replace("@0", "@1"),
        EXAMPLE.replace("add-relu", "max-relu"),
        EXAMPLE.replace("add-relu", "add-sin"),
    }
    assert len({cell(text) for text in texts}) == len(texts)


# Cost


def test_a_cell_has_two_matrices_for_each_leaf_and_nothing_else() -> None:
    assert cell(EXAMPLE).cost((10,), 3) == Cost(2 * (10 * 3 + 3 * 3), 2 * (10 * 3 + 3 * 3))
    assert cell("cell:zoph-le-2017").cost((200,), 200).parameters == 8 * 2 * 200 * 200


@pytest.mark.parametrize(
    ("shape", "units"), [((10, 3), 3), ((), 3), ((0,), 3), ((10.0,), 3), ((10,), 0), ((10,), True)]
)
def test_a_task_that_is_none_of_sequences_is_refused(shape: tuple[int, ...], units: int) -> None:
    with pytest.raises(InputError, match=re.escape("(features,)")):
        cell(EXAMPLE).cost(shape, units)


# Errors


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "a cell ends in /c=NODE,inject=COMBINATION-ACTIVATION@NODE"),
        ("add-tanh,add-tanh/add-tanh", "Received: 'add-tanh'"),
        ("add-tanh,add-tanh/add-tanh/c=1", "Received: 'c=1'"),
        ("add-tanh,add-tanh/add-tanh/c=01,inject=add-relu@0", "Received: 'c=01,inject=add-relu@0'"),
        ("add-tanh,add-tanh/add-tanh/c=٣,inject=add-relu@0", "a cell ends in"),
        ("add-tanh,add-tanh/add-tanh/c=1,inject=add-relu@0/", "Received: ''"),
        ("add-tanh,add-tanh/add-tanh/c=1,inject=add@0", "'add' is not a valid node"),
        ("add-tanh,add-than/add-tanh/c=1,inject=add-relu@0", "'add-than' is not a valid node"),
        ("add-tanh,add-tanh,add-tanh/add-tanh/c=1,inject=add-relu@0", "levels of [3, 1] nodes"),
        ("add-tanh,add-tanh/c=1,inject=add-relu@0", "levels of [2] nodes"),
        ("c=1,inject=add-relu@0", "levels of [] nodes"),
        ("add-tanh/c=0,inject=add-relu@0", "2B−1 nodes for B leaves"),
        (
            "add-tanh,add-tanh/add-tanh/c=3,inject=add-relu@0",
            "a cell's c_out must be the index of a node, 0…2. Received: 3",
        ),
        ("add-tanh,add-tanh/add-tanh/c=2,inject=add-relu@9", "a cell's c_in must be the index of a node"),
    ],
)
def test_the_part_of_a_text_that_is_wrong_is_shown(body: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        RecurrentCell.from_body(body)


NODE = RecurrentNode("add", "tanh")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nodes": ()}, "Received: 0 nodes"),
        ({"nodes": (NODE,)}, "Received: 1 nodes"),
        ({"nodes": (NODE,) * 2}, "Received: 2 nodes"),
        ({"nodes": (NODE,) * 5}, "Received: 5 nodes"),
        ({"nodes": (NODE,) * 8}, "Received: 8 nodes"),
        ({"nodes": [NODE] * 3}, "tuple of RecurrentNode"),
        ({"nodes": ("add-tanh",) * 3}, "tuple of RecurrentNode"),
        ({"inject": "add-tanh"}, "inject must be a RecurrentNode"),
        ({"c_out": -1}, "c_out"),
        ({"c_out": True}, "c_out"),
        ({"c_in": 3}, "c_in"),
        ({"c_in": 1.0}, "c_in"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused(changes: dict[str, object], message: str) -> None:
    values = {"nodes": (NODE,) * 3, "inject": NODE, "c_out": 0, "c_in": 0, **changes}
    with pytest.raises(InputError, match=re.escape(message)):
        RecurrentCell(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes", [{"nodes": "add-tanh"}, {"base": 2}, {"inject": None}, {"nodes": [{"combination": "add"}]}]
)
def test_json_that_is_no_cell_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InputError, match="in JSON"):
        architecture_from_json({**cell(EXAMPLE).to_json(), **changes})
