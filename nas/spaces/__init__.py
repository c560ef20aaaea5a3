"""What may be built: steps, architectures and their text form. Pure Python."""

from nas.spaces.architecture import Architecture, Cost, architecture_from_json, parse_architecture
from nas.spaces.space import DepthSchedule, Space
from nas.spaces.stack import Stack
from nas.spaces.steps import Choice, Links, Pick, Point, Step, StepList, Tokens, When

__all__ = [
    "Architecture",
    "Choice",
    "Cost",
    "DepthSchedule",
    "Links",
    "Pick",
    "Point",
    "Space",
    "Stack",
    "Step",
    "StepList",
    "Tokens",
    "When",
    "architecture_from_json",
    "parse_architecture",
]
