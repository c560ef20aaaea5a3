"""The contract of search spaces as tests: a space's author inherits them and runs pytest."""

from __future__ import annotations

import dataclasses
import itertools
import json
import random
import shlex
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar, Self

from nas.errors import InputError
from nas.spaces import (
    Architecture,
    Choice,
    Cost,
    Space,
    StepList,
    Tokens,
    architecture_from_json,
    parse_architecture,
)


def sample_tokens(steps: StepList, generator: random.Random) -> Tokens:
    """A token string in which every decision is uniformly random."""
    values: list[Tokens] = []
    for index in range(len(steps)):
        width = steps.widths[index] if steps.is_on(index, values) else 0
        values.append(tuple(generator.randrange(steps.limit(index)) for _ in range(width)))
    return tuple(itertools.chain(*values))


def all_tokens(steps: StepList) -> Iterator[Tokens]:
    """Every token string of `steps`; only for small lists."""

    def extended(values: tuple[Tokens, ...]) -> Iterator[Tokens]:
        index = len(values)
        if index == len(steps):
            yield tuple(itertools.chain(*values))
            return
        width = steps.widths[index] if steps.is_on(index, values) else 0
        for value in itertools.product(range(steps.limit(index)), repeat=width):
            yield from extended((*values, value))

    return extended(())


@dataclasses.dataclass(frozen=True)
class _Foreign(Architecture):
    """An architecture that no space has."""

    kind: ClassVar[str] = "nas.testing.spaces:_Foreign"

    def body(self) -> str:
        return ""

    @classmethod
    def from_body(cls, body: str) -> Self:
        return cls()

    def fields(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        return cls()

    def cost(self, input_shape: tuple[int, ...], outputs: int) -> Cost:
        return Cost(0, 0)


class SpaceContract:
    """What every space must keep to. Inherit it in a class whose name pytest collects.

    Samples are drawn by fixed seeds: a test that fails once fails always.

    Attributes:
        samples: random token strings for each test and depth.
        depths: depths to test; empty: the first of the space's schedule and the one after it grew once.
        input_shape: shape of an example, for the cost.
        outputs: number of classes, for the cost.

    Example:
        >>> from nas.spaces.conv import ConvSpace
        >>> class TestMySpace(SpaceContract):
        ...     def make_space(self):
        ...         return ConvSpace(depth=3)
        >>> TestMySpace().test_decoding_an_encoded_architecture_gives_it_back()
    """

    samples: int = 300
    depths: tuple[int, ...] = ()
    input_shape: tuple[int, ...] = (32, 32, 3)
    outputs: int = 10

    def make_space(self) -> Space:
        """A new instance of the space under test, always with the same options."""
        raise NotImplementedError("a class that inherits SpaceContract defines make_space()")

    @cached_property
    def space(self) -> Space:
        """The space under test."""
        return self.make_space()

    def depths_to_test(self) -> list[int]:
        """The depths that the tests go through."""
        schedule = self.space.depth
        return sorted(set(self.depths or (schedule.at(0), schedule.at(schedule.every))))

    def sampled(self) -> Iterator[tuple[int, Tokens, Architecture]]:
        """Depth, random tokens and the architecture that they decode to, `samples` for each depth."""
        for depth in self.depths_to_test():
            generator = random.Random(depth)
            for _ in range(self.samples):
                tokens = sample_tokens(self.space.steps(depth), generator)
                yield depth, tokens, self.space.decode(tokens, depth)

    def test_steps_of_a_depth_are_made_once(self) -> None:
        for depth in self.depths_to_test():
            steps = self.space.steps(depth)
            assert isinstance(steps, StepList), f"steps({depth}) must be a StepList"
            assert self.space.steps(depth) is steps, (
                f"steps({depth}) must be cached: it is asked for each proposal"
            )

    def test_choices_of_one_kind_have_the_same_options(self) -> None:
        """Controllers share a head between all choices of a kind, over depths too."""
        options: dict[str, tuple[object, ...]] = {}
        for depth in self.depths_to_test():
            for step in self.space.steps(depth):
                if isinstance(step, Choice):
                    assert options.setdefault(step.kind, step.options) == step.options, (
                        f"choice '{step.name}' has other options than the rest of kind '{step.kind}'"
                    )

    def test_the_same_tokens_always_give_the_same_architecture(self) -> None:
        other = self.make_space()
        for depth, tokens, architecture in self.sampled():
            again = other.decode(tokens, depth)
            assert again == architecture, f"{tokens} gave {architecture} and {again}"
            assert hash(again) == hash(architecture), f"equal architectures have two hashes: {architecture}"

    def test_decoding_an_encoded_architecture_gives_it_back(self) -> None:
        for depth, tokens, architecture in self.sampled():
            canonical = self.space.encode(architecture)
            assert isinstance(canonical, tuple), "encode must return a tuple"
            back = self.space.decode(canonical, depth)
            assert back == architecture, f"{tokens} → {architecture} → {canonical} → {back}"

    def test_the_canonical_tokens_stay_as_they_are(self) -> None:
        for depth, _, architecture in self.sampled():
            canonical = self.space.encode(architecture)
            again = self.space.encode(self.space.decode(canonical, depth))
            assert again == canonical, f"{architecture} has two canonical token strings: {canonical}, {again}"

    def test_the_text_form_gives_the_architecture_back(self) -> None:
        for _, _, architecture in self.sampled():
            text = architecture.text()
            assert parse_architecture(text) == architecture, f"{text} reads as another architecture"

    def test_the_text_form_needs_no_quotes_in_a_shell(self) -> None:
        for _, _, architecture in self.sampled():
            assert shlex.quote(architecture.text()) == architecture.text(), f"unsafe: {architecture}"

    def test_the_json_form_gives_the_architecture_back(self) -> None:
        for _, _, architecture in self.sampled():
            value = json.loads(json.dumps(architecture.to_json()))
            assert architecture_from_json(value) == architecture, f"{value} reads as another architecture"

    def test_architectures_are_equal_exactly_when_their_texts_are(self) -> None:
        by_text: dict[str, Architecture] = {}
        for _, _, architecture in self.sampled():
            first = by_text.setdefault(architecture.text(), architecture)
            assert first == architecture, f"one text, two architectures: {architecture}"
        assert len(set(by_text.values())) == len(by_text), "two texts write the same architecture"

    def test_architectures_cannot_be_changed(self) -> None:
        _, _, architecture = next(self.sampled())
        assert dataclasses.is_dataclass(architecture), "an architecture is a frozen dataclass"
        for field in dataclasses.fields(architecture):
            try:
                setattr(architecture, field.name, None)
            except dataclasses.FrozenInstanceError:
                continue
            raise AssertionError(f"{type(architecture).__name__}.{field.name} can be changed")

    def test_an_architecture_of_another_kind_is_refused(self) -> None:
        try:
            self.space.encode(_Foreign())
        except InputError:
            return
        raise AssertionError("encode must raise InputError for an architecture of another kind")

    def test_wrong_token_strings_are_refused(self) -> None:
        for depth, tokens, _ in itertools.islice(self.sampled(), 10):
            for wrong in (tokens[:-1], (*tokens, 0), (-1, *tokens[1:]), (10**6, *tokens[1:])):
                try:
                    self.space.decode(wrong, depth)
                except InputError:
                    continue
                raise AssertionError(f"decode({wrong}, {depth}) must raise InputError")

    def test_the_size_counts_the_token_strings(self) -> None:
        for depth in self.depths_to_test():
            size = self.space.size(depth)
            assert isinstance(size, int), f"size({depth}) must be an exact whole number. Received: {size!r}"
            assert size >= 1, f"size({depth}) is {size}"
            if size <= 10_000:
                strings = set(all_tokens(self.space.steps(depth)))
                assert len(strings) == size, f"size({depth}) is {size}, but there are {len(strings)}"

    def test_the_cost_is_that_of_a_network(self) -> None:
        for _, _, architecture in self.sampled():
            cost = architecture.cost(self.input_shape, self.outputs)
            assert cost.parameters > 0, f"{architecture} has no parameters"
            assert cost.multiply_adds > 0, f"{architecture} computes nothing"
            assert cost == parse_architecture(architecture.text()).cost(self.input_shape, self.outputs)

    def test_overrides_are_json_and_no_part_of_the_architecture(self) -> None:
        for depth, tokens, architecture in self.sampled():
            overrides = self.space.overrides(tokens, depth)
            assert json.loads(json.dumps(overrides)) == overrides, f"not JSON: {overrides}"
            canonical = self.space.encode(architecture)
            assert set(self.space.overrides(canonical, depth)) == set(overrides), (
                f"the overrides' names depend on the tokens: {tokens}, {canonical}"
            )

    def test_samples_are_not_all_the_same(self) -> None:
        texts = {architecture.text() for _, _, architecture in self.sampled()}
        possible = max(self.space.size(depth) for depth in self.depths_to_test())
        assert len(texts) >= min(2, possible), f"{self.samples} samples are all {texts}"
