"""The settings of Prefect that flows start from; whatever the user's environment says wins.

Prefect reads its environment once, when it is imported, so the package `flows` applies these first.
"""

from __future__ import annotations

import logging
import os

from nas.loopback import bypass_proxies
from nas.utf8 import speak_utf8

DEFAULTS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
    "PREFECT_CLIENT_MAX_RETRIES": "3",  # a server that starts again is waited for 15 s, not a minute
    "PREFECT_API_REQUEST_TIMEOUT": "20",  # with the retries, a server that hangs for a minute is outlived
    "PREFECT_LOGGING_LEVEL": "WARNING",  # else a line for each state of each task run
    "PREFECT_LOGGING_EXTRA_LOGGERS": "nas",  # our own lines show in the pages of a run
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",  # threads of a search belong to no run
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # 20 s are too few on a busy machine
}

RUN_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")
"""Loggers by which Prefect tells that a flow or a task raised something."""

logger = logging.getLogger("nas.flows")
"""Of all flows: few lines, for people."""


def apply() -> None:
    """Sets the defaults that the environment doesn't, and output to UTF-8."""
    bypass_proxies()
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    logger.setLevel(logging.INFO)
    speak_utf8()
    for name in RUN_LOGGERS:
        logging.getLogger(name).addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a record says more than that Prefect's API is away, which we say in a sentence."""
    from flows._runs import is_away  # imports Prefect

    error = record.exc_info[1] if record.exc_info else None
    return error is None or not is_away(error)
