"""Hits, false alarms and misses of single images."""

from __future__ import annotations

import numpy as np

from limbeck.report.tally import Tally


def test_f1_and_what_is_said_of_an_image() -> None:
    found = Tally(np.array([2, 0, 0, 0]), np.array([1, 0, 2, 0]), np.array([1, 0, 0, 3]))

    assert found.f1.round(4).tolist() == [0.6667, 1, 0, 0]
    assert found.sentence(0) == "2 of 3 found, 1 false alarm"
    assert found.sentence(2) == "0 of 0 found, 2 false alarms"
