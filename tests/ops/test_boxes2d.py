"""Box arithmetic against numbers worked out by hand and against plain loops."""

import math

import pytest
import torch
from torch import Tensor

from limbeck.ops.boxes2d import (
    MAX_LOG_SIZE,
    IoUKind,
    area,
    centres,
    decode_deltas,
    decode_distances,
    encode_deltas,
    encode_distances,
    integral,
    paired_iou,
    pairwise_iou,
)


def _boxes(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator, dtype=torch.float64) * 10
    return torch.cat([corner, corner + 0.5 + 5 * torch.rand(count, 2, generator=generator, dtype=torch.float64)], dim=1)


def _slow_overlap(a: list[float], b: list[float], kind: IoUKind) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    intersection = max(width, 0) * max(height, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - intersection
    hull_w, hull_h = max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])
    if kind == "giou":
        return intersection / union - (hull_w * hull_h - union) / (hull_w * hull_h)
    if kind == "diou":
        offset = ((a[0] + a[2] - b[0] - b[2]) / 2) ** 2 + ((a[1] + a[3] - b[1] - b[3]) / 2) ** 2
        return intersection / union - offset / (hull_w**2 + hull_h**2)
    return intersection / union


@pytest.mark.parametrize("kind", ["iou", "giou", "diou"])
def test_paired_iou_equals_slow_loop(kind: IoUKind) -> None:
    a, b = _boxes(50), _boxes(50, seed=1)
    slow = [_slow_overlap(x, y, kind) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    torch.testing.assert_close(paired_iou(a, b, kind), torch.tensor(slow, dtype=torch.float64))


@pytest.mark.parametrize(("kind", "value"), [("iou", 0.0), ("giou", -1 / 3), ("diou", -0.4)])
def test_disjoint_boxes_by_hand(kind: IoUKind, value: float) -> None:
    a, b = torch.tensor([0.0, 0, 1, 1]), torch.tensor([2.0, 0, 3, 1])
    assert paired_iou(a, b, kind).item() == pytest.approx(value)


@pytest.mark.parametrize("kind", ["iou", "giou", "diou"])
def test_gradient_of_overlap(kind: IoUKind) -> None:
    a = _boxes(8).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: paired_iou(x, _boxes(8, seed=2), kind), (a,))


@pytest.mark.parametrize("kind", ["iou", "giou", "diou"])
def test_two_points_give_finite_value_and_gradient(kind: IoUKind) -> None:
    a = torch.zeros(1, 4, requires_grad=True)
    value = paired_iou(a, torch.zeros(1, 4), kind)
    value.sum().backward()
    assert torch.isfinite(value).all()
    assert a.grad is not None
    assert torch.isfinite(a.grad).all()


def test_pairwise_iou_is_paired_iou_of_all_pairs() -> None:
    a, b = _boxes(4), _boxes(6, seed=3)
    table = pairwise_iou(a, b)
    assert table.shape == (4, 6)
    for row in range(4):
        torch.testing.assert_close(table[row], paired_iou(a[row].expand(6, 4), b))


@pytest.mark.parametrize(("m", "n"), [(0, 5), (5, 0), (0, 0)])
def test_pairwise_iou_of_nothing(m: int, n: int) -> None:
    assert pairwise_iou(_boxes(m), _boxes(n)).shape == (m, n)


def test_area_and_centres() -> None:
    box = torch.tensor([[1.0, 2, 4, 8]])
    assert area(box).tolist() == [18.0]
    assert centres(box).tolist() == [[2.5, 5.0]]


def test_integral_of_a_sure_bin_and_of_no_opinion() -> None:
    logits = torch.zeros(2, 5)
    logits[0, 3] = 100
    torch.testing.assert_close(integral(logits), torch.tensor([3.0, 2.0]))


def test_integral_under_autocast_stays_exact() -> None:
    logits = torch.randn(20, 17, generator=torch.Generator().manual_seed(0)) * 3
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = integral(logits)
    assert inside.dtype == torch.float32
    torch.testing.assert_close(inside, integral(logits), rtol=0, atol=0)


def test_distances_return_to_the_box() -> None:
    boxes = _boxes(10)
    points = centres(boxes) + 0.1
    distances = encode_distances(points, boxes, max_distance=100)
    torch.testing.assert_close(decode_distances(points, distances), boxes)


def test_distances_are_clamped() -> None:
    box, point = torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[12.0, 5]])
    assert encode_distances(point, box, max_distance=7.5).tolist() == [[7.5, 5.0, 0.0, 5.0]]


def test_deltas_return_to_the_box() -> None:
    boxes, priors = _boxes(10), _boxes(10, seed=4)
    torch.testing.assert_close(decode_deltas(encode_deltas(boxes, priors), priors), boxes)


def test_deltas_by_hand() -> None:
    prior, box = torch.tensor([[0.0, 0, 10, 20]]), torch.tensor([[5.0, 10, 25, 20]])
    expected = torch.tensor([[1.0, 0.25, math.log(2), math.log(0.5)]])
    torch.testing.assert_close(encode_deltas(box, prior), expected)


def test_deltas_of_an_untrained_head_cannot_overflow() -> None:
    decoded = decode_deltas(torch.full((1, 4), 1e3), torch.tensor([[0.0, 0, 1, 1]]))
    assert (decoded[0, 2] - decoded[0, 0]).item() == pytest.approx(math.exp(MAX_LOG_SIZE), rel=1e-3)


def test_priors_broadcast_over_the_batch() -> None:
    assert decode_deltas(torch.zeros(3, 7, 4), _boxes(7).float()).shape == (3, 7, 4)


def test_deltas_of_different_counts_are_refused() -> None:
    with pytest.raises(ValueError, match=r"boxes_xyxy \(2, 4\), priors_xyxy \(3, 4\)"):
        encode_deltas(_boxes(2), _boxes(3))


def test_16_bit_boxes_are_widened() -> None:
    boxes = _boxes(3).bfloat16()
    for value in (area(boxes), centres(boxes), paired_iou(boxes, boxes), decode_deltas(boxes, boxes)):
        assert value.dtype == torch.float32
