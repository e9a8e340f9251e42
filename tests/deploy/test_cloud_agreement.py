"""Boxes of two engines are paired by closeness, and only clear disagreements count."""

import math

import pytest
import torch

from limbeck.config import CloudExportConfig
from limbeck.core.outputs import Detections3D
from limbeck.deploy.cloud_agreement import CloudAgreement, compare

LIMITS = CloudExportConfig()
A, B, FAR = [0.0, 0, 0, 4, 2, 1.5, 0.5], [0.3, 0, 0, 4, 2, 1.5, 0.5], [30.0, 0, 0, 4, 2, 1.5, 0.5]


def answer(*rows, velocities=None):
    """Rows of (box, score, label)."""
    return Detections3D(
        torch.tensor([row[0] for row in rows]).reshape(-1, 7),
        torch.tensor([row[1] for row in rows]),
        torch.tensor([row[2] for row in rows]).long(),
        None if velocities is None else torch.tensor(velocities),
    )


def moved(box, place, by):
    return [value + by * (number == place) for number, value in enumerate(box)]


def test_equal_answers_agree_in_any_order():
    rows = [(A, 0.9, 0), (B, 0.8, 0), (FAR, 0.7, 1)]
    assert compare(answer(*rows), answer(*rows[::-1])) == CloudAgreement(boxes=3)
    assert compare(answer(), answer()) == CloudAgreement()


@pytest.mark.parametrize("place", range(7))
def test_a_difference_of_any_number_counts(place):
    found = compare(answer((A, 0.9, 0)), answer((moved(A, place, 0.25), 0.9, 0)))
    assert found.box_difference == pytest.approx(0.25)
    assert found.problems(LIMITS) == ["a box differs by 0.25 m (limit 0.02)"]


def test_a_whole_turn_is_no_difference_and_velocities_count():
    turned = answer((moved(A, 6, 2 * math.pi - 0.001), 0.9, 0))
    assert compare(answer((A, 0.9, 0)), turned).box_difference == pytest.approx(0.001, abs=1e-5)
    ours, theirs = (answer((A, 0.9, 0), velocities=[[1.0, speed]]) for speed in (2.0, 2.25))
    assert compare(ours, theirs).box_difference == pytest.approx(0.25)


def test_each_box_is_paired_with_the_closest():
    found = compare(answer((A, 0.9, 0), (B, 0.9, 0)), answer((moved(B, 0, 0.05), 0.9, 0), (A, 0.875, 0)))
    assert found.unmatched == 0
    assert found.box_difference == pytest.approx(0.05)
    assert found.score_difference == pytest.approx(0.025)


def test_a_box_elsewhere_and_one_too_many_have_no_counterpart():
    assert compare(answer((A, 0.9, 0)), answer((FAR, 0.9, 0))).unmatched == 2
    assert compare(answer((A, 0.9, 0)), answer((A, 0.9, 0), (FAR, 0.1, 0))).unmatched == 1
    assert compare(answer((A, 0.9, 0)), answer()).problems(LIMITS) == ["1 of 1 boxes have no counterpart"]


def test_what_scores_below_the_floor_of_its_side_may_be_missing():
    one = answer((A, 0.5, 0))
    assert compare(one, answer(), floors=(0.5, 0.0)).unmatched == 0
    assert compare(one, answer(), floors=(0.4, 0.6)).unmatched == 1
    assert compare(answer(), one, floors=(0.4, 0.6)).unmatched == 0


def test_another_class_counts_where_pytorch_is_sure():
    ours, theirs = answer((A, 0.9, 0), (FAR, 0.8, 0)), answer((A, 0.9, 1), (FAR, 0.8, 1))
    assert compare(ours, theirs).unmatched == 2
    assert compare(ours, theirs, sure=torch.tensor([False, True])).unmatched == 1


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_box_that_is_not_finite_has_no_counterpart(wrong):
    broken = answer((moved(A, 3, wrong), 0.9, 0))
    assert compare(answer((A, 0.9, 0)), broken).unmatched == 2
    assert compare(broken, broken).unmatched == 2
    assert compare(answer((A, 0.9, 0)), answer((A, math.nan, 0))).problems(LIMITS)


def test_clouds_add_up_and_each_limit_has_its_sentence():
    total = CloudAgreement(3, 1, 0.5, 0.1) + CloudAgreement(2, 0, 0.2, 0.3)
    assert total == CloudAgreement(5, 1, 0.5, 0.3)
    assert len(total.problems(LIMITS)) == 3
    loose = CloudExportConfig(max_box_difference=0.5, max_score_difference=0.3)
    assert total.problems(loose) == ["1 of 5 boxes have no counterpart"]
    broken = CloudAgreement(score_difference=math.nan)
    assert all(total.problems(LIMITS) for total in (broken, CloudAgreement() + broken, broken + CloudAgreement()))
