"""What may be built: steps, architectures and their text form. Pure Python."""

from nas.spaces.architecture import (
    Architecture,
    Cost,
    Line,
    UnknownArchitecture,
    architecture_from_json,
    parse_architecture,
    recorded_architecture,
)
from nas.spaces.space import DepthSchedule, Space, first_architecture
from nas.spaces.stack import Stack, StackPart, overrides_in_words, stack_in_words
from nas.spaces.steps import Choice, Links, Pick, Point, Step, StepList, Tokens, When

__all__ = [
    "Architecture",
    "Choice",
    "Cost",
    "DepthSchedule",
    "Line",
    "Links",
    "Pick",
    "Point",
    "Space",
    "Stack",
    "StackPart",
    "Step",
    "StepList",
    "Tokens",
    "UnknownArchitecture",
    "When",
    "architecture_from_json",
    "first_architecture",
    "overrides_in_words",
    "parse_architecture",
    "recorded_architecture",
    "stack_in_words",
]
