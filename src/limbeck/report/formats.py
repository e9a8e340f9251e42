"""How numbers are written in the report."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

UNKNOWN = "n/a"


def metric(value: float) -> str:
    """Write a metric between 0 and 1; -1 is undefined.

    >>> metric(0.41234), metric(-1)
    ('0.412', 'n/a')
    """
    return UNKNOWN if value < 0 else f"{value:.3f}"


def signed(value: float) -> str:
    """Write a difference of metrics with its sign: 0.0412 as +0.041; there is no -0.000."""
    return f"{value:+z.3f}"


def percent(share: float) -> str:
    """Write a share as per cent: 0.416 as 42 %, 0.0416 as 4.2 %."""
    return f"{100 * share:.1f} %" if abs(share) < 0.0995 else f"{100 * share:.0f} %"


def count(value: float) -> str:
    """Write a large number with three digits.

    >>> count(1_234_567), count(950)
    ('1.23 M', '950')
    """
    rounded = float(f"{value:.3g}")
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if rounded >= limit:
            return f"{rounded / limit:g}{unit}"
    return f"{rounded:g}"


def counted(number: int, noun: str) -> str:
    """Write how many there are.

    >>> counted(1, "thread"), counted(2, "thread")
    ('1 thread', '2 threads')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def size(num_bytes: float) -> str:
    """Write a file size in decimal units: 4_200_000 as 4.2 MB."""
    return f"{num_bytes / 1e6:.1f} MB" if num_bytes >= 1e5 else f"{num_bytes / 1e3:.1f} kB"


def duration(seconds: float) -> str:
    """Write a time span.

    >>> duration(75), duration(7500)
    ('1 min 15 s', '2 h 05 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def optional(value: T | None, write: Callable[[T], str]) -> str:
    """Write a value that may not have been measured."""
    return UNKNOWN if value is None else write(value)


def title_of(name: str) -> str:
    """Write the name of a metric: ``pixel_accuracy`` as pixel accuracy."""
    return name.replace("_", " ")
