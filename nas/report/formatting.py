"""Formatting of numbers for people."""

from __future__ import annotations

from collections.abc import Mapping


def duration(seconds: float) -> str:
    """A duration in the unit that fits it.

    Example:
        >>> duration(8.04), duration(900), duration(129_600)
        ('8.0 s', '15.0 min', '36.0 h')
    """
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:,.1f} h"


def measured(value: float | None, metric: str) -> str:
    """A measured quality: an accuracy as percent, anything else as it is; a dash for None.

    Example:
        >>> measured(0.9667, "val_accuracy"), measured(112.34, "val_perplexity")
        ('96.67 %', '112.34')
    """
    if value is None:
        return "–"
    return f"{100 * value:.2f} %" if metric.endswith("accuracy") else f"{value:.2f}"


def with_interval(found: Mapping[str, float], metric: str) -> str:
    """A test's value and its interval.

    Example:
        >>> with_interval({"value": 0.9667, "low": 0.9397, "high": 0.9818}, "accuracy")
        '96.67 % (93.97–98.18 %)'
    """
    low, high = measured(found["low"], metric), measured(found["high"], metric)
    return f"{measured(found['value'], metric)} ({low.removesuffix(' %')}–{high})"


def counted(statuses: Mapping[str, int]) -> str:
    """How many ended how.

    Example:
        >>> counted({"ok": 12, "out_of_memory": 1})
        '12 ok, 1 out of memory'
    """
    ordered = sorted(statuses.items(), key=lambda item: (item[0] != "ok", item[0]))
    return ", ".join(f"{count:,} {status.replace('_', ' ')}" for status, count in ordered)


def plain(metric: str) -> str:
    """A metric's name for people.

    Example:
        >>> plain("val_accuracy")
        'validation accuracy'
    """
    return metric.replace("val_", "validation ").replace("_", " ")
