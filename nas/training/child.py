"""One child: what runs in the fresh process of a slot, whatever is trained. JSON in, JSON out."""

from __future__ import annotations

import importlib
import resource
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas import plugins
from nas.evaluation import ChildResult, Status
from nas.spaces import architecture_from_json
from nas.training import device, image, image_serving, language  # noqa: F401 - so that a forkserver has them
from nas.training.run import DivergedError, Run


def train(job: Mapping[str, Any]) -> dict[str, Any]:
    """Trains one child and says what became of it; no failure of the training leaves as an exception.

    On a CPU, equal jobs give equal histories and weights (with equal numbers of threads and versions).

    Args:
        job: `architecture` (JSON); `recipe` (name and fields, what the controller decided included);
            `seed`; `data` (folder of the prepared data); `median_curve` (see `nas.evaluation.Job`); `folder`
            (where files may be kept, or empty); `device` (see `nas.training.device.prepare`).

    Returns:
        `ChildResult.to_json()`. `seconds` of the first epoch and `train_seconds` contain what is
        compiled when the first step runs; `files` are absolute paths, or relative as `folder` is.
    """
    begun = time.perf_counter()
    run: Run | None = None
    status, message = Status.OK, ""
    try:
        device.prepare(job["device"])
        recipe = plugins.make("recipe", job["recipe"])
        run = Run(
            architecture=architecture_from_json(job["architecture"], trusted=True),
            recipe=recipe,
            data=Path(job["data"]),
            seed=int(job["seed"]),
            device=job["device"],
            median_curve=tuple(job.get("median_curve") or ()),
            folder=Path(job["folder"]) if job.get("folder") else None,
        )
        _function(recipe.trainer)(run)
    except DivergedError as error:
        status, message = Status.DIVERGED, str(error)
    except BaseException as error:  # sys.exit too is this child's result, never the search's end
        traceback.print_exception(error)
        out_of_memory = isinstance(error, Exception) and device.is_out_of_memory(error)
        status = Status.OUT_OF_MEMORY if out_of_memory else Status.CRASHED
        message = _sentence(error)
    here = time.perf_counter() - begun
    result = ChildResult(
        status=status,
        overhead_seconds=here,
        peak_memory_bytes=_peak_memory(),
        seed=int(job["seed"]),
        device=device.name(job["device"]),
        message=message,
    )
    if run is not None:
        result = replace(
            result,
            history=tuple(run.history),
            parameters=run.parameters,
            multiply_adds=run.multiply_adds,
            latency_seconds=run.latency_seconds,
            train_seconds=run.train_seconds,
            overhead_seconds=max(0.0, here - run.train_seconds),
            stopped_early=run.stopped_early,
            files=run.files,
        )
    return result.to_json()


def carry_out(job: Mapping[str, Any]) -> Any:
    """Calls a recipe's tester or exporter in this fresh process.

    Args:
        job: `function` (`package.module:name`), `arguments` (JSON; its keyword arguments), `device`.
    """
    device.prepare(job["device"])
    return _function(job["function"])(**job["arguments"])


def _function(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def _sentence(error: BaseException) -> str:
    """Type and first line of an error, not too long."""
    lines = str(error).strip().splitlines() or ["no message"]
    return f"{type(error).__name__}: {lines[0][:300]}"


def _peak_memory() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
