"""The contract of spaces catches the mistakes that it is there for."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from nas.spaces import Architecture, Choice, Space, StepList, Tokens
from nas.spaces.conv import ConvNet, ConvSpace
from nas.testing.spaces import SpaceContract


class Sloppy(ConvSpace):
    """A space that is right but for what a test breaks in it."""

    def __init__(self) -> None:
        super().__init__(depth=2, image_size=8, filter_heights=[1, 3], filter_widths=[1], filters=[4, 8])


class EncodesWrong(Sloppy):
    def encode(self, architecture: Architecture) -> Tokens:
        return (0, 0, 0, *super().encode(architecture)[3:])


class TakesTooManyTokens(Sloppy):
    def decode(self, tokens: Sequence[int], depth: int) -> ConvNet:
        return super().decode(tokens[:7], depth)


class ForgetsItsSteps(Sloppy):
    def steps(self, depth: int) -> StepList:
        self._steps.clear()
        return super().steps(depth)


class CountsWrong(Sloppy):
    def size(self, depth: int) -> int:
        return super().size(depth) + 1


class HasTwoKindsOfOptions(Sloppy):
    def steps(self, depth: int) -> StepList:
        first, *rest = super().steps(depth)
        return StepList((Choice(first.name, "filters", (1, 3)), *rest))


class TakesAnything(Sloppy):
    def encode(self, architecture: Architecture) -> Tokens:
        return super().encode(architecture) if isinstance(architecture, ConvNet) else ()


class OverridesNoJson(Sloppy):
    def overrides(self, tokens: Sequence[int], depth: int) -> dict[str, Any]:
        return {"rates": (0.1,)}


class AlwaysTheSame(Sloppy):
    def decode(self, tokens: Sequence[int], depth: int) -> ConvNet:
        super().decode(tokens, depth)
        return super().decode((0,) * 7, depth)


@pytest.mark.parametrize(
    ("space", "broken"),
    [
        (EncodesWrong, SpaceContract.test_decoding_an_encoded_architecture_gives_it_back),
        (TakesTooManyTokens, SpaceContract.test_wrong_token_strings_are_refused),
        (ForgetsItsSteps, SpaceContract.test_steps_of_a_depth_are_made_once),
        (CountsWrong, SpaceContract.test_the_size_counts_the_token_strings),
        (HasTwoKindsOfOptions, SpaceContract.test_choices_of_one_kind_have_the_same_options),
        (TakesAnything, SpaceContract.test_an_architecture_of_another_kind_is_refused),
        (OverridesNoJson, SpaceContract.test_overrides_are_json_and_no_part_of_the_architecture),
        (AlwaysTheSame, SpaceContract.test_samples_are_not_all_the_same),
    ],
)
def test_a_broken_space_fails_the_contract(
    space: type[Space], broken: Callable[[SpaceContract], None]
) -> None:
    class Contract(SpaceContract):
        depths = (2,)

        def make_space(self) -> Space:
            return space()

    with pytest.raises(AssertionError):
        broken(Contract())


def test_a_contract_without_a_space_says_what_to_define() -> None:
    with pytest.raises(NotImplementedError, match="make_space"):
        SpaceContract().test_steps_of_a_depth_are_made_once()
