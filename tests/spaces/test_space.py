"""The depth of a space, fixed or growing during a search."""

import re
from typing import Any

import pytest

from nas.errors import InputError
from nas.spaces import DepthSchedule


def test_a_number_is_a_depth_that_stays() -> None:
    depth = DepthSchedule.of(15)
    assert [depth.at(proposals) for proposals in (0, 1, 100_000)] == [15, 15, 15]


def test_the_paper_s_schedule_has_eight_stages_over_12800_children() -> None:
    depth = DepthSchedule.of({"start": 6, "grow": 2, "every": 1600})
    assert [depth.at(stage * 1600) for stage in range(8)] == [6, 8, 10, 12, 14, 16, 18, 20]


def test_the_depth_grows_with_the_first_proposal_of_a_stage() -> None:
    depth = DepthSchedule(start=6, grow=2, every=1600)
    assert [depth.at(proposals) for proposals in (1599, 1600, 1601)] == [6, 8, 8]


def test_the_depth_never_passes_its_stop() -> None:
    depth = DepthSchedule(start=3, grow=2, every=10, stop=6)
    assert [depth.at(proposals) for proposals in (0, 10, 20, 30)] == [3, 5, 6, 6]


def test_a_schedule_is_taken_as_it_is() -> None:
    schedule = DepthSchedule(start=2)
    assert DepthSchedule.of(schedule) is schedule


@pytest.mark.parametrize(
    "fields",
    [
        {"start": 0},
        {"start": 2, "grow": -1},
        {"start": 2, "every": 0},
        {"start": 2, "stop": 1},
        {"start": 2, "stop": 0},
    ],
)
def test_a_schedule_that_leads_nowhere_is_refused(fields: dict[str, int]) -> None:
    with pytest.raises(InputError, match=f"start={fields['start']}"):
        DepthSchedule.of(fields)


@pytest.mark.parametrize("value", ["6", 6.5, True, None, [6], {"start": "6"}, {"start": 6, "grow": 0.5}])
def test_a_depth_that_is_no_whole_number_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match="whole numbers"):
        DepthSchedule.of(value)


@pytest.mark.parametrize("value", [{}, {"grow": 2}, {"start": 6, "grows": 2}])
def test_missing_and_unknown_keys_are_refused_with_those_that_are_allowed(value: dict[str, int]) -> None:
    with pytest.raises(
        InputError, match=re.escape(f"the key start and perhaps grow, every, stop. Received: {value}")
    ):
        DepthSchedule.of(value)
