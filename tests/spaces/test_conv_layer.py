"""One layer as a value and as text."""

import re

import pytest

from nas.errors import InputError
from nas.spaces.conv import Layer

FORMS = [
    ("3x3x24@0", Layer("conv", 3, 3, 24)),
    ("5x7x36s2@1", Layer("conv", 5, 7, 36, (1,), 2, 2)),
    ("1x7x48s1x2@0+1", Layer("conv", 1, 7, 48, (0, 1), 1, 2)),
    ("max3x3@2", Layer("max_pool", 3, 3, 0, (2,))),
    ("avg5x3s3x1@10+12", Layer("avg_pool", 5, 3, 0, (10, 12), 3, 1)),
]


@pytest.mark.parametrize(("text", "layer"), FORMS)
def test_text_and_value_of_a_layer_are_each_others_inverse(text: str, layer: Layer) -> None:
    assert layer.text() == text
    assert Layer.parse(text) == layer


@pytest.mark.parametrize(("_", "layer"), FORMS)
def test_the_json_form_gives_the_layer_back(_: str, layer: Layer) -> None:
    assert Layer.from_fields(layer.fields()) == layer


@pytest.mark.parametrize(
    ("lax", "strict"),
    [("3x3x24s2x2@1", "3x3x24s2@1"), ("3x3x24s1@1", "3x3x24@1"), ("3x3x24@2+0", "3x3x24@0+2")],
)
def test_other_ways_to_write_a_layer_are_read_and_written_in_one_way(lax: str, strict: str) -> None:
    assert Layer.parse(lax).text() == strict


@pytest.mark.parametrize(
    "wrong",
    ["", "3x3x24", "3x3x24@", "3x3@0", "max3x3x24@0", "min3x3@0", "0x3x24@0", "03x3x24@0", "3x3x24s0@0",
     "3x3x24@0+", "3x3x24@00", "3x3x24@٣", "3x3x24@-1", "3x3x24@0 ", "3×3×24@0", "3x3x9999999@0", "٣x3x24@0"],
)  # fmt: skip
def test_text_that_is_no_layer_is_shown_in_the_error(wrong: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"'{wrong}'")):
        Layer.parse(wrong)


def test_an_input_named_twice_is_refused() -> None:
    with pytest.raises(InputError, match=r"ascending.*Received: \(1, 1\)"):
        Layer.parse("3x3x24@1+1")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"op": "convolution"}, "did you mean 'conv'"),
        ({"height": 0}, "height must be a whole number of at least 1. Received: 0"),
        ({"width": 3.0}, "width must be a whole number of at least 1. Received: 3.0"),
        ({"stride_height": True}, "stride_height"),
        ({"stride_width": -1}, "stride_width"),
        ({"filters": 0}, "at least 1 for a convolution"),
        ({"op": "max_pool"}, "0 for a pooling"),
        ({"inputs": ()}, "inputs"),
        ({"inputs": (2, 1)}, "ascending"),
        ({"inputs": (-1,)}, "inputs"),
        ({"inputs": [0]}, "tuple"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused(changes: dict[str, object], message: str) -> None:
    values = {"op": "conv", "height": 3, "width": 3, "filters": 24, **changes}
    with pytest.raises(InputError, match=re.escape(message)):
        Layer(**values)  # type: ignore[arg-type]


def test_a_pooling_of_one_place_is_the_same_by_maximum_and_by_average() -> None:
    assert Layer.parse("avg1x1s2@0") == Layer.parse("max1x1s2@0")
    assert Layer.parse("avg1x3@0") != Layer.parse("max1x3@0")


@pytest.mark.parametrize(
    "fields",
    [{}, {**FORMS[0][1].fields(), "dilation": 2}, {**FORMS[0][1].fields(), "inputs": "0"}, "3x3x24@0"],
)
def test_json_that_is_no_layer_is_refused(fields: object) -> None:
    with pytest.raises(InputError, match="in JSON"):
        Layer.from_fields(fields)  # type: ignore[arg-type]
