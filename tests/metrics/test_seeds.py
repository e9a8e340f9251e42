"""Rows over seeds: means, deviations and differences, recomputed from the evaluator's own numbers."""

from __future__ import annotations

import copy
from statistics import mean, stdev
from typing import Any

import numpy as np
import pytest

from limbeck.metrics.coco import CocoTruth, evaluate
from limbeck.metrics.matching import match
from limbeck.metrics.seeds import OverSeeds, compare_rows

SAMPLES = {"samples": 60, "seed": 0}


def thinned(predictions: list[dict[str, Any]], share: float, seed: int) -> list[dict[str, Any]]:
    """Keep a share of the detections, with scores that differ."""
    generator = np.random.default_rng(seed)
    kept = [p for p in copy.deepcopy(predictions) if generator.random() < share]
    return [{**p, "score": p["score"] + n / 1e6} for n, p in enumerate(kept)]


@pytest.fixture
def models(random_set: Any) -> Any:
    """The truth and the detections of the rows, two seeds each, and of the teacher, which finds the most."""
    content, predictions = random_set(2, images=20)
    shares = {"control": 0.3, "better": 0.9, "worse": 0.1}
    rows = {name: [thinned(predictions, share, seed) for seed in (0, 1)] for name, share in shares.items()}
    return CocoTruth.from_json(content), rows, thinned(predictions, 1, 2)


def test_the_rows_are_those_of_the_evaluator(models: Any) -> None:
    truth, found, teacher = models
    score = {name: [evaluate(truth, p).metrics["AP"] for p in row] for name, row in found.items()}
    goal = evaluate(truth, teacher).metrics["AP"]

    matched = {name: [match(truth, p) for p in row] for name, row in found.items()}
    rows = {row.name: row for row in compare_rows(matched, match(truth, teacher), "AP", **SAMPLES)}

    assert list(rows) == ["control", "better", "worse"]
    for name, row in rows.items():
        assert row.scores["AP"].values == pytest.approx(score[name])
        assert row.scores["AP"].mean == pytest.approx(mean(score[name]))
        assert row.scores["AP"].deviation == pytest.approx(stdev(score[name]))
    for name in ("better", "worse"):
        gain = rows[name].gains["AP"]
        differences = [a - b for a, b in zip(score[name], score["control"], strict=True)]
        assert gain.over_seeds.values == pytest.approx(differences)
        assert gain.over_images.difference == pytest.approx(mean(differences))
        assert gain.over_images.low < mean(differences) < gain.over_images.high
        gap = goal - mean(score["control"])
        assert rows[name].gap_closed == pytest.approx(mean(differences) / gap)
    assert rows["better"].gains["AP"].over_images.low > 0
    assert rows["worse"].gains["AP"].over_images.high < 0
    assert rows["worse"].gap_closed < 0
    assert (rows["control"].gains, rows["control"].gap_closed) == ({}, None)


def test_the_gap_needs_a_teacher_that_is_better(models: Any) -> None:
    truth, found, _ = models
    matched = {name: [match(truth, p) for p in row] for name, row in found.items()}

    assert [row.gap_closed for row in compare_rows(matched, None, "AP", **SAMPLES)] == [None] * 3
    weak = matched["worse"][0]
    assert [row.gap_closed for row in compare_rows(matched, weak, "AP", **SAMPLES)] == [None] * 3


def test_the_control_under_another_name_gains_nothing(models: Any) -> None:
    truth, found, _ = models
    control = [match(truth, p) for p in found["control"]]

    _, same = compare_rows({"control": control, "same": list(control)}, None, "AP", **SAMPLES)

    gain = same.gains["AP50"]
    assert gain.over_seeds == OverSeeds((0, 0), 0, 0)
    assert (gain.over_images.low, gain.over_images.high, gain.over_images.share_above_zero) == (0, 0, 0)


def test_a_row_that_lacks_a_seed_is_refused(models: Any) -> None:
    truth, found, _ = models
    matched = {name: [match(truth, p) for p in row] for name, row in found.items()}
    with pytest.raises(ValueError, match=r"shorter|longer"):
        compare_rows(matched | {"better": matched["better"][:1]}, None, "AP", **SAMPLES)


def test_one_seed_has_no_deviation() -> None:
    assert OverSeeds.of([0.3]) == OverSeeds((0.3,), 0.3, None)
