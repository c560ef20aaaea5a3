"""The front: each network scores better than all that cost less."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from nas.evaluation import ChildResult, Proposal, Status
from nas.search.leaderboard import COLUMNS, leaderboard
from nas.search.pareto import pareto_front
from nas.search.record import Record
from nas.search.rewards import AccuracyReward, PerplexityReward
from nas.search.tradeoff import TradeoffReward
from nas.spaces import parse_architecture


def record_of(
    path: Path, children: list[tuple[float, int]], metric: str = "val_accuracy", **more: object
) -> Record:
    """A record of children with a score and a number of parameters; a negative number failed."""
    record = Record.hold(path / "record.sqlite", {"seed": 1})
    proposals = [
        Proposal(number, 1, (), parse_architecture(f"row:a={path.name}{number}"))
        for number in range(len(children))
    ]
    record.begin_batch(proposals, [0] * len(children), {})
    for number, (score, parameters) in enumerate(children):
        status = Status.OK if parameters >= 0 else Status.CRASHED
        result = ChildResult(status, ({metric: score},), reward=score, parameters=abs(parameters), **more)
        record.end_child(number, result)
    return record


def numbers(front: list[tuple[Record, object]]) -> list[int]:
    return [child.number for _, child in front]


def test_the_front_holds_what_no_other_beats_cheapest_first(tmp_path: Path):
    children = [(0.9, 100), (0.8, 50), (0.7, 60), (0.95, 300), (0.95, 200), (0.99, -10), (0.8, 50), (0.1, 10)]
    with record_of(tmp_path / "a", children) as record:
        assert numbers(pareto_front([record], AccuracyReward())) == [7, 1, 0, 4]


def test_repeats_have_one_front_together(tmp_path: Path):
    with record_of(tmp_path / "a", [(0.8, 50)]) as one, record_of(tmp_path / "b", [(0.9, 40)]) as other:
        assert pareto_front([one, other], AccuracyReward())[0][0] is other
        assert len(pareto_front([one, other], AccuracyReward())) == 1


def test_lower_perplexities_are_better(tmp_path: Path):
    with record_of(tmp_path / "a", [(90.0, 10), (80.0, 20), (85.0, 30)], "val_perplexity") as record:
        assert numbers(pareto_front([record], PerplexityReward())) == [0, 1]


def test_the_cost_is_what_the_reward_trades(tmp_path: Path):
    with record_of(tmp_path / "a", [(0.9, 10), (0.8, 20)], latency_seconds=0.5) as record:
        by_latency = TradeoffReward(objective="latency", target=1.0)
        assert numbers(pareto_front([record], by_latency)) == [0], "equal latencies: the better one alone"
    with record_of(tmp_path / "b", [(0.9, 10)]) as record:
        assert pareto_front([record], by_latency) == [], "what was not measured is on no front"


@pytest.mark.parametrize("front", [True, False])
def test_the_leaderboard_marks_the_front(tmp_path: Path, front: bool):
    with record_of(tmp_path / "a", [(0.9, 100), (0.8, 50), (0.7, 60)]) as record:
        table = leaderboard([record], AccuracyReward(), front=front)
    if front:
        assert tuple(table.columns) == COLUMNS
        assert dict(zip(table["child"], table["pareto"], strict=True)) == {0: True, 1: True, 2: False}
    else:
        assert tuple(table.columns) == COLUMNS[:-1]


RULES = [
    AccuracyReward(),
    AccuracyReward(power=0.0),
    AccuracyReward(power=-1.0),
    TradeoffReward(objective="parameters", target=50.0),
    TradeoffReward(objective="parameters", target=50.0, below=0.5),
]


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_the_front_among_the_best_is_that_of_all(tmp_path: Path, rule: AccuracyReward):
    dice = random.Random(3)
    children = [(dice.randrange(1, 20) / 20, dice.randrange(1, 100)) for _ in range(150)]
    with record_of(tmp_path / "a", children) as record:
        for child in record.children():
            reward = rule(child.result)
            record._db.execute("UPDATE children SET reward = ? WHERE number = ?", (reward, child.number))
        rewards = dict(record._db.execute("SELECT number, reward FROM children").fetchall())
        whole = numbers(pareto_front([record], rule))
        for least in sorted(set(rewards.values()))[-30::5]:
            among = numbers(pareto_front([record], rule, least))
            assert [n for n in among if rewards[n] >= least] == [n for n in whole if rewards[n] >= least]
