"""Answers are paired by class and closeness, and only clear disagreements count."""

import pytest
import torch

from limbeck.config import ExportConfig
from limbeck.core.dense2d import Postprocess
from limbeck.deploy.agreement import Agreement, Answer, compare

POSTPROCESS = Postprocess(score_threshold=0.05, max_detections=4)
LIMITS = ExportConfig(max_box_difference=0.5, max_score_difference=0.01)
A, B, FAR = [0.0, 0.0, 10.0, 10.0], [2.0, 0.0, 12.0, 10.0], [50.0, 50.0, 60.0, 60.0]


def answer(*rows):
    """Rows of (box, score, label)."""
    boxes = torch.tensor([row[0] for row in rows]).reshape(-1, 4)
    return Answer(boxes, torch.tensor([row[1] for row in rows]), torch.tensor([row[2] for row in rows]).long())


def test_equal_answers_agree_in_any_order():
    rows = [(A, 0.9, 0), (B, 0.8, 0), (FAR, 0.7, 1)]
    assert compare(answer(*rows), answer(*rows[::-1]), POSTPROCESS, LIMITS) == Agreement(detections=3)


def test_two_empty_answers_agree():
    assert compare(answer(), answer(), POSTPROCESS, LIMITS) == Agreement()


def test_each_detection_is_paired_with_the_closest():
    found = compare(
        answer((A, 0.9, 0), (B, 0.9, 0)), answer(([2.25, 0, 12, 10], 0.9, 0), (A, 0.875, 0)), POSTPROCESS, LIMITS
    )
    assert found.unmatched == 0
    assert found.box_difference == pytest.approx(0.25)
    assert found.score_difference == pytest.approx(0.025)


def test_a_large_shift_of_one_object_is_a_difference_and_a_box_elsewhere_has_no_counterpart():
    assert compare(answer((A, 0.9, 0)), answer((B, 0.9, 0)), POSTPROCESS, LIMITS).box_difference == pytest.approx(2)
    assert compare(answer((A, 0.9, 0)), answer((FAR, 0.9, 0)), POSTPROCESS, LIMITS).unmatched == 2


def test_another_class_is_no_counterpart():
    assert compare(answer((A, 0.9, 0)), answer((A, 0.9, 1)), POSTPROCESS, LIMITS).unmatched == 2


@pytest.mark.parametrize(("score", "unmatched"), [(0.059, 0), (0.061, 1)])
def test_a_detection_at_the_score_threshold_may_be_missing(score, unmatched):
    assert compare(answer((A, score, 0)), answer(), POSTPROCESS, LIMITS).unmatched == unmatched
    assert compare(answer(), answer((A, score, 0)), POSTPROCESS, LIMITS).unmatched == unmatched


@pytest.mark.parametrize(("score", "unmatched"), [(0.609, 0), (0.62, 1)])
def test_a_detection_may_have_been_crowded_out_of_a_full_answer(score, unmatched):
    places = [[20.0 * i, 0.0, 20.0 * i + 10, 10.0] for i in range(4)]
    full = answer(*((place, 0.9 - 0.1 * i, 0) for i, place in enumerate(places)))
    other = answer(*((place, 0.9 - 0.1 * i, 0) for i, place in enumerate(places[:3])), (FAR, score, 0))
    assert compare(other, full, POSTPROCESS, LIMITS).unmatched == unmatched


def test_boxes_without_area_are_paired():
    line = [0.0, 5.0, 10.0, 5.0]
    assert compare(answer((line, 0.9, 0)), answer((line, 0.9, 0)), POSTPROCESS, LIMITS).unmatched == 0


def test_a_number_that_is_not_finite_is_a_problem():
    broken = Agreement(box_difference=float("nan"))
    assert all(total.problems(LIMITS) for total in (broken, Agreement() + broken, broken + Agreement()))
    nowhere = answer(([float("nan")] * 4, 0.9, 0))
    assert compare(answer((A, 0.9, 0)), nowhere, POSTPROCESS, LIMITS).unmatched == 2


def test_images_add_up():
    total = Agreement(3, 1, 0.5, 0.1, 0) + Agreement(2, 0, 0.2, 0.3, 1)
    assert total == Agreement(5, 1, 0.5, 0.3, 1)
