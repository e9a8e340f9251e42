"""Boxes in space: overlap by shapely, points by a loop, suppression by the plain greedy loop."""

import math

import numpy as np
import pytest
import shapely
import torch
from hypothesis import given
from hypothesis import strategies as st

from limbeck.ops.boxes3d import (
    bev,
    bev_iou,
    bev_overlap,
    circle_nms,
    corners_bev,
    iou_3d,
    paired_bev_iou,
    paired_iou_3d,
    points_in_boxes,
    rotated_nms,
    wrap_angle,
)


def drawn(count, seed=0, spread=6.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    low = torch.tensor([-spread, -spread, -1, 0.3, 0.3, 0.3, -4])
    high = torch.tensor([spread, spread, 1, 6, 3, 3, 4])
    return (low + (high - low) * torch.rand(count, 7, generator=generator)).to(dtype)


def footprint(box):
    x, y, _, length, width, _, yaw = box
    cos, sin = math.cos(yaw), math.sin(yaw)
    offsets = [(1, 1), (-1, 1), (-1, -1), (1, -1)]
    return shapely.Polygon(
        [(x + cos * u * length / 2 - sin * v * width / 2, y + sin * u * length / 2 + cos * v * width / 2)
         for u, v in offsets]
    )  # fmt: skip


def slow_overlaps(a, b):
    """Areas and volumes that two boxes have in common."""
    area = footprint(a).intersection(footprint(b)).area
    height = min(a[2] + a[5] / 2, b[2] + b[5] / 2) - max(a[2] - a[5] / 2, b[2] - b[5] / 2)
    return area, area * max(height, 0)


def slow_ious(a, b):
    area, volume = slow_overlaps(a, b)
    flat, solid = (math.prod(box[3:5]) for box in (a, b)), (math.prod(box[3:6]) for box in (a, b))
    return area / (sum(flat) - area), volume / (sum(solid) - volume)


def test_overlaps_of_all_pairs_against_clipping():
    a, b = drawn(20), drawn(25, seed=1)
    pairs = [[(slow_overlaps(x, y)[0], *slow_ious(x, y)) for y in b.tolist()] for x in a.tolist()]
    expected = torch.tensor(pairs, dtype=torch.float64)
    assert ((expected > 0).double().mean(dim=(0, 1)) > 0.05).all(), "some pairs meet"
    for number, function in enumerate((bev_overlap, bev_iou, iou_3d)):
        torch.testing.assert_close(function(a, b), expected[..., number], rtol=1e-7, atol=1e-9)


def test_pair_by_pair_is_the_diagonal_of_all_pairs():
    a, b = drawn(60, spread=3), drawn(60, seed=1, spread=3)
    for paired, full in ((paired_bev_iou, bev_iou), (paired_iou_3d, iou_3d)):
        torch.testing.assert_close(paired(a, b), full(a, b).diagonal())
        torch.testing.assert_close(paired(a.view(6, 10, 7), b.view(6, 10, 7)).flatten(), paired(a, b))


def test_a_box_is_itself_and_is_itself_when_turned_by_a_half():
    a = drawn(50)
    turned = a + torch.tensor([0, 0, 0, 0, 0, 0, math.pi], dtype=a.dtype)
    for function in (paired_bev_iou, paired_iou_3d):
        torch.testing.assert_close(function(a, a), torch.ones(50, dtype=torch.float64))
        torch.testing.assert_close(function(a, turned), torch.ones(50, dtype=torch.float64))


def test_boxes_above_one_another_overlap_only_seen_from_above():
    a = torch.tensor([[0.0, 0, 0, 4, 2, 1, 0.4]])
    above = a + torch.tensor([0.0, 0, 1, 0, 0, 0, 0])
    half = a + torch.tensor([0.0, 0, 0.5, 0, 0, 0, 0])
    assert bev_iou(a, above).item() == pytest.approx(1)
    assert iou_3d(a, above).item() == 0
    assert iou_3d(a, half).item() == pytest.approx(1 / 3)


def test_a_box_within_another():
    inner, outer = torch.tensor([[0.0, 0, 0, 1, 1, 1, 0.7]]), torch.tensor([[0.0, 0, 0, 10, 10, 10, 0]])
    assert bev_iou(inner, outer).item() == pytest.approx(0.01)
    assert iou_3d(inner, outer).item() == pytest.approx(0.001)


def test_boxes_without_a_volume_have_no_iou():
    flat = torch.tensor([[0.0, 0, 0, 0, 2, 1, 0], [0, 0, 0, 2, 0, 1, 0.4], [0, 0, 0, 2, 2, 0, 0]])
    assert not iou_3d(flat, flat).any()
    assert not paired_iou_3d(flat, flat).any()
    assert bev_iou(flat, flat)[2].tolist() == [0, 0, 1]


def test_overlap_is_computed_in_float64_whatever_is_given():
    a = drawn(30, spread=3, dtype=torch.float32)
    for function in (bev_iou, iou_3d, bev_overlap):
        assert function(a, a).dtype == torch.float64
        torch.testing.assert_close(function(a, a), function(a.double(), a.double()), rtol=0, atol=1e-12)
    assert bev(a).dtype == torch.float64
    assert bev(a).tolist() == a[:, [0, 1, 3, 4, 6]].double().tolist()


@given(st.floats(-1000, 1000))
def test_wrapped_angles_point_the_same_way(angle):
    found = wrap_angle(torch.tensor(angle, dtype=torch.float64)).item()
    assert -math.pi <= found <= math.pi
    assert math.cos(found) == pytest.approx(math.cos(angle), abs=1e-9)
    assert math.sin(found) == pytest.approx(math.sin(angle), abs=1e-9)


def test_the_border_of_wrapped_angles():
    around = torch.tensor([-math.pi, math.pi, 3 * math.pi, 0.5], dtype=torch.float64)
    assert wrap_angle(around).tolist() == pytest.approx([-math.pi, -math.pi, -math.pi, 0.5])


def test_corners_go_round_from_the_one_ahead_on_the_left():
    turned = torch.tensor([[1.0, 2, 9, 4, 2, 1, math.pi / 2]])
    torch.testing.assert_close(corners_bev(turned), torch.tensor([[[0.0, 4], [0, 0], [2, 0], [2, 4]]]))
    boxes = drawn(20)
    expected = np.array([footprint(box).exterior.coords[:-1] for box in boxes.tolist()])
    np.testing.assert_allclose(corners_bev(boxes).numpy(), expected, atol=1e-12)


def slow_inside(point, box, margin=0.0):
    x, y, z = (point[k] - box[k] for k in range(3))
    cos, sin = math.cos(box[6]), math.sin(box[6])
    return (
        abs(cos * x + sin * y) <= box[3] / 2 + margin
        and abs(cos * y - sin * x) <= box[4] / 2 + margin
        and abs(z) <= box[5] / 2 + margin
    )


@pytest.mark.parametrize("margin", [0.0, 0.4])
def test_points_in_boxes_against_a_loop(margin):
    boxes, points = drawn(12, spread=3), drawn(200, seed=1, spread=4)[:, :5]
    expected = [[slow_inside(point, box, margin) for box in boxes.tolist()] for point in points.tolist()]
    found = points_in_boxes(points, boxes, margin)
    assert found.tolist() == expected
    assert 0 < found.double().mean() < 0.5


def test_the_faces_belong_to_the_box():
    box = torch.tensor([[1.0, 2, 3, 4, 2, 6, 0]])
    faces = torch.tensor([[3.0, 2, 3], [-1, 2, 3], [1, 3, 3], [1, 1, 3], [1, 2, 6], [1, 2, 0], [3, 3, 6]])
    assert points_in_boxes(faces, box).all()
    assert not points_in_boxes(faces + 1e-3 * (faces - box[:, :3]).sign(), box).any()


def greedy(order, falls):
    """Places in order of falling score without those that fall to one that is left."""
    left = []
    for place in order:
        if not any(falls(better, place) for better in left):
            left.append(place)
    return left


def crowded():
    """Boxes that stand for 16 objects five times each, not quite in the same place, and their scores."""
    generator = torch.Generator().manual_seed(3)
    boxes = drawn(16).repeat(5, 1)
    return boxes + 0.1 * torch.randn(80, 7, generator=generator), torch.rand(80, generator=generator)


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.5, 0.9])
def test_rotated_nms_is_the_greedy_loop(threshold):
    boxes, scores = crowded()
    rows = boxes.tolist()
    expected = greedy(scores.argsort(descending=True).tolist(), lambda a, b: slow_ious(rows[a], rows[b])[0] > threshold)
    assert rotated_nms(boxes, scores, threshold).tolist() == expected
    assert len(expected) < (80 if threshold == 0.9 else 60)


@pytest.mark.parametrize("threshold", [0.0, 1.0, 9.0])
def test_circle_nms_is_the_greedy_loop(threshold):
    boxes, scores = crowded()
    rows = boxes.tolist()

    def falls(a, b):
        return (rows[a][0] - rows[b][0]) ** 2 + (rows[a][1] - rows[b][1]) ** 2 <= threshold

    expected = greedy(scores.argsort(descending=True).tolist(), falls)
    assert circle_nms(boxes, scores, threshold).tolist() == expected
    assert len(expected) < 80 or threshold == 0


def test_a_box_falls_at_the_squared_distance_itself():
    boxes = torch.tensor([[0.0, 0], [2, 0], [2.5, 0]])
    assert circle_nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 4.0).tolist() == [0, 2]


def test_a_box_that_fell_lets_the_next_one_live():
    steps = torch.arange(4.0)
    boxes = torch.stack([steps, *[torch.zeros(4)] * 2, *[torch.full((4,), 2.0)] * 2, torch.ones(4), torch.zeros(4)], 1)
    assert rotated_nms(boxes, torch.tensor([0.9, 0.8, 0.7, 0.6]), 0.2).tolist() == [0, 2]


def test_of_equal_boxes_and_scores_the_first_is_left():
    boxes = torch.tensor([[0.0, 0, 0, 4, 2, 1, 0.3]]).expand(3, 7)
    assert rotated_nms(boxes, torch.full((3,), 0.5), 0.5).tolist() == [0]
    assert circle_nms(boxes, torch.full((3,), 0.5), 1.0).tolist() == [0]


def test_an_iou_of_exactly_the_threshold_does_not_suppress():
    boxes = torch.tensor([[0.0, 0, 0, 2, 1, 1, 0], [1.0, 0, 0, 2, 1, 1, 0]])
    third = bev_iou(boxes[:1], boxes[1:]).item()
    assert rotated_nms(boxes, torch.tensor([0.9, 0.8]), third).tolist() == [0, 1]
    assert rotated_nms(boxes, torch.tensor([0.9, 0.8]), third - 1e-6).tolist() == [0]


def test_none_at_all():
    none, some = torch.zeros(0, 7), drawn(3, dtype=torch.float32)
    for function in (bev_overlap, bev_iou, iou_3d):
        assert function(none, some).shape == (0, 3)
        assert function(some, none).shape == (3, 0)
        assert function(none, none).shape == (0, 0)
    assert points_in_boxes(torch.zeros(0, 3), some).shape == (0, 3)
    assert points_in_boxes(torch.zeros(5, 3), none).shape == (5, 0)
    assert corners_bev(none).shape == (0, 4, 2)
    for nms in (rotated_nms, circle_nms):
        assert nms(none, torch.zeros(0), 0.5).tolist() == []
        assert nms(none, torch.zeros(0), 0.5).dtype == torch.int64
