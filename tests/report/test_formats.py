"""How numbers are written."""

from __future__ import annotations

import pytest

from limbeck.report.formats import count, duration, metric, optional, percent, signed, size


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (metric(0.41267), "0.413"),
        (metric(-1), "n/a"),
        (signed(0.0412), "+0.041"),
        (signed(-0.0412), "-0.041"),
        (signed(-0.0001), "+0.000"),
        (percent(0.416), "42 %"),
        (percent(0.0416), "4.2 %"),
        (percent(-0.3), "-30 %"),
        (count(950), "950"),
        (count(1_234_567), "1.23 M"),
        (count(12_300_000_000), "12.3 G"),
        (count(999_999), "1 M"),
        (size(4_200_000), "4.2 MB"),
        (size(31_000), "31.0 kB"),
        (duration(59.7), "1 min 00 s"),
        (duration(7500), "2 h 05 min"),
        (optional(None, str), "n/a"),
        (optional(3, str), "3"),
    ],
)
def test_formats(written: str, expected: str) -> None:
    assert written == expected
