"""The words that all rooms share: proposals, results and what turns one into the other."""

from __future__ import annotations

import json
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path, PurePath
from typing import Any, ClassVar

from nas import plugins
from nas.errors import InputError
from nas.spaces.architecture import Architecture, recorded_architecture
from nas.spaces.stack import stack_in_words
from nas.spaces.steps import Tokens

LONGEST_MESSAGE = 2000
"""Characters of a message that a record keeps; a child's log has it whole."""

LONGEST_NAME = 250
"""Characters of the name of a metric or of a device."""

MOST_VALUES = 200_000
"""Values of one child's history that a record keeps."""


def harmless(text: str, longest: int | None = None) -> str:
    """`text` without what does something to a terminal, a page or a file that it is written into.

    Line ends and tabs become spaces; control characters, halves of surrogate pairs and marks that turn
    the direction of writing become visible as Python writes them. Joiners stay, which scripts need.

    Args:
        text: from a child, a plug-in, or a record that somebody else wrote.
        longest: characters that are kept at most.

    Example:
        >>> print(harmless("loss\\n\\x1b[31mred \\u202egnp.exe \\ud800"))
        loss \\x1b[31mred \\u202egnp.exe \\ud800
    """
    if longest is not None and len(text) > longest:
        text = text[: longest - 1] + "…"
    if text.isprintable():
        return text
    return "".join(map(_harmless_character, text))


def _harmless_character(character: str) -> str:
    if character.isprintable() or character in "\u200c\u200d":
        return character
    category = unicodedata.category(character)
    if category.startswith("Z") or character in "\t\n\r\v\f":
        return " "
    return character.encode("unicode_escape").decode()


class Status(StrEnum):
    """How a child ended. Everything but `OK` is a failure that the search survives."""

    OK = "ok"
    DIVERGED = "diverged"
    """The loss became NaN or infinite."""
    OUT_OF_MEMORY = "out_of_memory"
    """The child needed more memory than its slot has, on the host or on the device."""
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    """The child raised an error or its process died."""
    LOST = "lost"
    """The search was interrupted while this child ran, more often than it is tried again."""


UNNUMBERED = -1
"""Number of a proposal that no record has numbered yet."""


@dataclass(frozen=True)
class Proposal:
    """One architecture that a controller proposes, with all that it needs to learn from it later.

    Attributes:
        number: counts a search's proposals from 0, without gaps, over restarts and replicas; the record gives
            it when a round begins, until then it is `UNNUMBERED`.
        depth: depth of the step list that `tokens` belong to.
        tokens: the decisions as sampled, before any repair.
        architecture: what they decode to.
        overrides: recipe fields that the controller decided (a predicted learning rate).
        log_probability: natural logarithm of the probability of `tokens` when sampled.
        policy_version: number of updates that the controller had made when it sampled.
    """

    number: int
    depth: int
    tokens: Tokens
    architecture: Architecture
    overrides: Mapping[str, Any] = field(default_factory=dict)
    log_probability: float = 0.0
    policy_version: int = 0

    @property
    def stack(self) -> str:
        """The stack of its own in which a cell is trained (`cifar 2@8`); empty: the recipe's, or none."""
        own = self.overrides.get("stack")
        return stack_in_words(own) if isinstance(own, Mapping) else ""

    @property
    def network(self) -> tuple[Architecture, str]:
        """What is trained, the stack of its own as JSON: a cell in another stack is another network."""
        own = self.overrides.get("stack")
        return self.architecture, json.dumps(own, sort_keys=True) if isinstance(own, Mapping) else ""

    @property
    def text(self) -> str:
        """The architecture's text form and the stack of its own, if it has one, for people."""
        text = self.architecture.text()
        return f"{text} · {self.stack}" if self.stack else text

    def to_json(self) -> dict[str, Any]:
        out = {f.name: getattr(self, f.name) for f in fields(self)}
        return out | {
            "tokens": list(self.tokens),
            "architecture": self.architecture.to_json(),
            "overrides": dict(self.overrides),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any], text: str = "") -> Proposal:
        """The inverse of `to_json`.

        Args:
            value: the JSON form.
            text: of the architecture, for one that can't be read here (see `recorded_architecture`).
        """
        return cls(
            **{
                **value,
                "tokens": tuple(value["tokens"]),
                "architecture": recorded_architecture(value["architecture"], text),
            }
        )


@dataclass(frozen=True)
class ChildResult:
    """What became of one child.

    Attributes:
        status: how it ended.
        history: one mapping for each finished epoch, e.g. `loss`, `val_loss`, `val_accuracy` (a
            fraction) or `val_perplexity`, `learning_rate`, `seconds`.
        reward: what the controller learns from; the search fills it in by the experiment's rule.
        parameters, multiply_adds: size of the network (see `Cost`).
        latency_seconds: median time of a forward pass for one example, on the child's device; None: it was
            not measured.
        train_seconds: wall time inside the training loop.
        overhead_seconds: the rest of the child's wall time (start, build, compile, load).
        peak_memory_bytes: largest resident size of the child's process.
        seed: of the child's weights, shuffling and augmentation.
        device: where it ran, e.g. `cpu (1 thread)` or `gpu 0`.
        stopped_early: the recipe's median stopping ended it; its status is still `OK`.
        message: why it failed, in a sentence.
        files: paths of what it left behind (e.g. `weights`), relative to the workspace.
    """

    status: Status
    history: tuple[Mapping[str, float], ...] = ()
    reward: float | None = None
    parameters: int = 0
    multiply_adds: int = 0
    latency_seconds: float | None = None
    train_seconds: float = 0.0
    overhead_seconds: float = 0.0
    peak_memory_bytes: int = 0
    seed: int = 0
    device: str = ""
    stopped_early: bool = False
    message: str = ""
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.status is Status.OK

    def curve(self, metric: str) -> list[float]:
        """The values of `metric` by epoch.

        Raises:
            InputError: the child recorded no such metric.
        """
        try:
            return [epoch[metric] for epoch in self.history]
        except KeyError:
            known = ", ".join(sorted(next(epoch for epoch in self.history if metric not in epoch)))
            raise InputError(f"children of this search record {known or 'nothing'}, not '{metric}'") from None

    def to_json(self) -> dict[str, Any]:
        out = asdict(self)
        return out | {"status": str(self.status), "history": [dict(epoch) for epoch in self.history]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ChildResult:
        """The result as `to_json` writes it; its texts are made harmless, whoever wrote it.

        Raises:
            TypeError, KeyError, ValueError, AttributeError: it isn't one.
        """
        history = tuple(value["history"])
        if not "".join(name for epoch in history for name in epoch).isprintable():
            history = tuple({harmless(name): one for name, one in epoch.items()} for epoch in history)
        made = cls(**{**value, "status": Status(value["status"]), "history": history})
        if made.message.isprintable() and made.device.isprintable():
            return made
        return replace(made, message=harmless(made.message), device=harmless(made.device))

    def failed(self, status: Status, message: str) -> ChildResult:
        """The same child, of which it turned out that it failed; an earlier failure stays the cause."""
        if not self.ok:
            status, message = self.status, f"{self.message}; {message}" if self.message else message
        return replace(self, status=status, message=harmless(message, LONGEST_MESSAGE))

    def checked(self) -> ChildResult:
        """Itself, as a record can keep it: plain, finite and harmless, whatever a plug-in put into it.

        What can't be kept is left out, and the child has crashed (or diverged, where a value is NaN or
        infinite) with a sentence that says what it was.
        """
        faults: list[tuple[Status, str]] = []

        def kept(read: Callable[[], Any], otherwise: Any) -> Any:
            try:
                return read()
            except _FaultError as error:
                faults.append((error.status, str(error)))
                return otherwise

        whole = {
            name: kept(lambda name=name: _count(name, getattr(self, name)), 0)  # type: ignore[misc]
            for name in ("parameters", "multiply_adds", "peak_memory_bytes", "seed")
        }
        seconds = {
            name: kept(lambda name=name: _seconds(name, getattr(self, name)), 0.0)  # type: ignore[misc]
            for name in ("train_seconds", "overhead_seconds")
        }
        history: list[dict[str, float]] = []
        kept(lambda: _read_history(self.history, history), None)
        latency = None
        if self.latency_seconds is not None:
            latency = kept(lambda: _seconds("latency_seconds", self.latency_seconds), None)
        status = kept(lambda: _status(self.status), Status.CRASHED)
        made = ChildResult(
            status=status,
            history=tuple(history),
            latency_seconds=latency,
            device=kept(lambda: _text("device", self.device, LONGEST_NAME), ""),
            stopped_early=bool(kept(lambda: _flag("stopped_early", self.stopped_early), False)),
            message=kept(lambda: _text("message", self.message, LONGEST_MESSAGE), ""),
            files=kept(lambda: _files(self.files), {}),
            **whole,
            **seconds,
        )
        return made.failed(*faults[0]) if faults else made


class _FaultError(Exception):
    """Why a value of a result can't be kept, and what the child's status is then."""

    def __init__(self, sentence: str, status: Status = Status.CRASHED) -> None:
        super().__init__(sentence)
        self.status = status


def _shown(value: Any) -> str:
    try:
        return harmless(f"{value!r:.60}")
    except Exception:  # a value of a plug-in, whose text may fail
        return f"a {type(value).__name__}"


def _number(what: str, value: Any) -> int | float:
    """A plain finite number; NumPy's scalars are numbers, truth values are none."""
    if not isinstance(value, int | float) and callable(getattr(value, "item", None)):
        try:
            value = value.item()
        except Exception as error:  # an array, say
            raise _FaultError(f"its {what} is not a number. Received: {_shown(value)}") from error
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _FaultError(f"its {what} is not a number. Received: {_shown(value)}")
    if isinstance(value, int) and abs(value) < 2**63:
        return int(value)
    if not abs(value) <= 1.7e308:  # NaN, infinity, or an integer beyond them
        name = "NaN" if value != value else "infinite"
        raise _FaultError(f"its {what} is {name}", Status.DIVERGED)
    return float(value)


def _count(name: str, value: Any) -> int:
    number = _number(name, value)
    if number != int(number) or not 0 <= number < 2**63:
        raise _FaultError(f"its {name} must be a whole number of at least 0. Received: {_shown(value)}")
    return int(number)


def _seconds(name: str, value: Any) -> float:
    number = float(_number(name, value))
    if number < 0:
        raise _FaultError(f"its {name} must be at least 0. Received: {_shown(value)}")
    return number


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool) and type(value).__name__ not in ("bool", "bool_"):  # NumPy's
        raise _FaultError(f"its {name} must be true or false. Received: {_shown(value)}")
    return bool(value)


def _status(value: Any) -> Status:
    try:
        return Status(value)
    except ValueError as error:
        allowed = ", ".join(Status)
        raise _FaultError(f"its status must be one of {allowed}. Received: {_shown(value)}") from error


def _text(name: str, value: Any, longest: int) -> str:
    if not isinstance(value, str):
        raise _FaultError(f"its {name} must be text. Received: {_shown(value)}")
    return harmless(value, longest)


def _read_history(history: Any, into: list[dict[str, float]]) -> None:
    """Adds the epochs of `history` to `into`, up to the first that can't be kept."""
    if isinstance(history, str | Mapping) or not isinstance(history, Sequence):
        raise _FaultError(f"its history must be a list of epochs. Received: {_shown(history)}")
    values = 0
    for number, epoch in enumerate(history, start=1):
        if not isinstance(epoch, Mapping):
            raise _FaultError(f"epoch {number} of its history must be a mapping. Received: {_shown(epoch)}")
        values += len(epoch)
        if values > MOST_VALUES:
            raise _FaultError(f"its history has more than {MOST_VALUES} values: record less of each epoch")
        read: dict[str, float] = {}
        for name, value in epoch.items():
            key = _text(f"metric's name in epoch {number}", name, LONGEST_NAME)
            read[key] = _number(f"{key} of epoch {number}", value)
        into.append(read)


def _files(files: Any) -> dict[str, str]:
    if not isinstance(files, Mapping):
        raise _FaultError(f"its files must be a mapping of paths. Received: {_shown(files)}")
    for name, path in files.items():
        fine = isinstance(name, str) and isinstance(path, str) and harmless(name + path) == name + path
        if not fine or PurePath(path).is_absolute() or ".." in PurePath(path).parts:
            raise _FaultError(f"its files must be paths inside the workspace. Received: {_shown(path)}")
    return dict(files)


@dataclass(frozen=True)
class Job:
    """One evaluation to be done: a proposal with everything that must not depend on when it runs.

    Attributes:
        proposal: what to evaluate.
        seed: for all randomness of the child.
        median_curve: median of what the recipe watches (`val_accuracy`, say) at each epoch over the children
            of earlier rounds that ended well and came so far; empty while there is none.
        folder: where the child may keep files (weights, checkpoints), relative to the workspace;
            empty: it keeps nothing.
    """

    proposal: Proposal
    seed: int
    median_curve: tuple[float, ...] = ()
    folder: str = ""


class RewardRule(ABC):
    """Makes a finite reward of any result, and the score that people compare.

    A higher reward is always better, so whoever chooses goes by the reward. The score is what is
    shown: the `metric` of the child's history that the rule reads, of which less may be better.

    A user's own rule need not inherit this: `reward_rule` gives one that can only be called and has a
    `score` the values below for all that it doesn't say.
    """

    UNNAMED: ClassVar[str] = "score"
    """The metric of a rule that names none; it is not the name of anything that children record."""

    objective: str = "parameters"
    """The cost that quality is weighed against: `parameters`, `multiply_adds` or `latency`."""

    @property
    def metric(self) -> str:
        """Name of what the score is, in a child's history."""
        return self.UNNAMED

    @property
    def lower_is_better(self) -> bool:
        """Whether a lower score is better."""
        return False

    @property
    def dominance_pays(self) -> bool:
        """Whether no network is ever rewarded less than one that it beats in cost and score."""
        return False

    @abstractmethod
    def __call__(self, result: ChildResult) -> float:
        """The reward; finite whatever the result."""

    @abstractmethod
    def score(self, result: ChildResult) -> float | None:
        """What people compare; None for a failed child."""


class _OwnRule(RewardRule):
    """A user's own rule that doesn't inherit `RewardRule`: what it lacks has the usual value."""

    def __init__(self, rule: Any) -> None:
        self._rule = rule
        self.objective = str(getattr(rule, "objective", RewardRule.objective))

    @property
    def metric(self) -> str:
        return str(getattr(self._rule, "metric", self.UNNAMED))

    @property
    def lower_is_better(self) -> bool:
        return bool(getattr(self._rule, "lower_is_better", False))

    @property
    def dominance_pays(self) -> bool:
        return bool(getattr(self._rule, "dominance_pays", False))

    def __call__(self, result: ChildResult) -> float:
        reward: float = self._rule(result)
        return reward

    def score(self, result: ChildResult) -> float | None:
        score: float | None = self._rule.score(result)
        return score


def reward_rule(rule: Any) -> RewardRule:
    """`rule` as a `RewardRule`, whatever a user's own one leaves out."""
    return rule if isinstance(rule, RewardRule) else _OwnRule(rule)


Isolated = Callable[[str, Mapping[str, Any], Path], Any]
"""Runs a function in a process of its own; see `Evaluator.isolated`."""


class Evaluator(ABC):
    """Turns jobs into results, as many at a time as it has slots.

    An implementation must return a result for every job, whatever happens to it: a child that
    crashes, hangs or eats the memory is a `ChildResult` with that status, never an exception.
    Only `close` and the end of the process may leave a future unresolved; it is then cancelled.
    `nas.testing.evaluators` has these rules as tests that a user's own evaluator inherits.

    It is built from its options in the YAML and, as far as its `__init__` names them, `experiment`,
    `data_folder` (of the prepared data), `workspace` and `logs` (a folder).
    """

    needs_recipe: ClassVar[bool] = True
    """Whether an experiment must say how a child is trained; one that looks results up need not."""

    # --- asked of the class, before an evaluator is built --------------------------------------------

    @classmethod  # noqa: B027 - most can work anywhere
    def check(cls, **options: Any) -> None:
        """Asked before a search begins its record; nothing is begun by it.

        Args:
            options: the evaluator's own, as the YAML has them.

        Raises:
            InputError: it can't work here at all; the message says what to do.
        """

    @classmethod
    def platform(cls, workers: Any) -> Mapping[str, Any] | None:
        """What results depend on beside the experiment, which makes it part of every search's definition.

        Args:
            workers: the experiment's limits (`nas.experiment.Workers`).

        Returns:
            JSON: `threads` of each child, `device` (`cpu` or `gpu`), `backend` of Keras and, where any is
            set, `environment` (variables that change the arithmetic, with their values). Always the same
            for the same platform. None: that of this machine's slots. A table's results depend on none,
            but its searches have held this machine's from the start, and keep their fingerprints so.
        """
        return None

    @classmethod
    def isolates(cls) -> bool:
        """Whether `isolated` works; False: such work is done on a slot of this machine instead.

        Raises:
            InputError: it would work, but can't here; the message says what to do.
        """
        return False

    # --- jobs --------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def slots(self) -> int:
        """How many jobs run at a time."""

    @abstractmethod
    def submit(self, job: Job, started: Callable[[str], None] | None = None) -> Future[ChildResult]:
        """Begins or queues `job`; never blocks on its training. Thread-safe.

        Args:
            job: what to evaluate.
            started: called with the name of the slot when the job really begins.
        """

    def warm_up(self) -> None:  # noqa: B027 - most have nothing to wait for
        """Waits until jobs can begin at once; what that takes does not count as theirs.

        Raises:
            InputError: jobs can't be evaluated here; the message says what to do.
        """

    def isolated(self, function: str, arguments: Mapping[str, Any], log: Path) -> Any:
        """What `function` makes of `arguments` in a fresh process on a free slot, for which it waits.

        So a trained network is tested and exported where children are trained. Thread-safe. Only asked of
        an evaluator that `isolates`.

        Args:
            function: `package.module:name`; takes and returns JSON-like values.
            arguments: its keyword arguments; paths in them are read and written as on this machine.
            log: file for the output of the process, removed if it ends well.

        Raises:
            NasError: one that `function` raised.
            SearchError: it failed otherwise or its process died.
            CancelledError: the evaluator was closed.
        """
        raise InputError(f"the evaluator {type(self).__name__} runs nothing but children")

    def waiting(self) -> str:
        """Why queued jobs wait, in a sentence; empty when none does."""
        return ""

    def running(self) -> dict[int, str]:
        """The slot (e.g. `cpu 1`, `gpu 0`) of each proposal number that is running now."""
        return {}

    def state(self) -> dict[str, Any]:
        """What a later `restore` needs (shared weights, a table's clock); empty for most."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:  # noqa: B027 - most have no state
        """Takes up the state that another process's evaluator gave."""

    @abstractmethod
    def close(self) -> None:
        """Ends all that runs within 5 seconds and leaves no process behind. Safe to repeat."""

    def __enter__(self) -> Evaluator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def evaluator_class(name: str) -> type[Evaluator]:
    """The class of the evaluator that is named so; `Evaluator` itself where a function builds it.

    Raises:
        InputError: nothing has this name.
    """
    found = plugins.find("evaluator", name)
    return found if isinstance(found, type) and issubclass(found, Evaluator) else Evaluator
