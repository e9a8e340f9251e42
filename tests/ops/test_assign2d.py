"""The assigners against plain loops."""

import math

import pytest
import torch
from torch import Tensor

from limbeck.ops.assign2d import BACKGROUND, IGNORED, atss, fcos, max_iou, regression_ranges, valuable_region
from limbeck.ops.boxes2d import area, centres, paired_iou, pairwise_iou
from limbeck.ops.pyramid import PriorGrid

STRIDES = (8, 16, 32)
SIZES_HW = [(8, 10), (4, 5), (2, 3)]
LEVEL_SIZES = [80, 20, 6]


def _priors(scale: float = 4.0) -> Tensor:
    return PriorGrid(STRIDES, scales=(scale,)).boxes_xyxy(SIZES_HW, dtype=torch.float64)


def _objects(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator, dtype=torch.float64) * 40
    return torch.cat([corner, corner + 8 + 40 * torch.rand(count, 2, generator=generator, dtype=torch.float64)], dim=1)


def _slow_atss(priors: Tensor, objects: Tensor, topk: int) -> list[int]:
    """The definition, one object, one level and one prior at a time."""
    iou, points, owner, owned = pairwise_iou(priors, objects), centres(priors), [-1] * len(priors), [0.0] * len(priors)
    for m, box in enumerate(objects):
        candidates, start = [], 0
        for size in LEVEL_SIZES:
            distance = (points[start : start + size] - centres(box)).norm(dim=1)
            candidates += [start + int(i) for i in distance.argsort()[:topk]]
            start += size
        values = iou[candidates, m]
        threshold = values.mean() + values.std()
        for n in candidates:
            x, y = points[n].tolist()
            inside = min(x - box[0], y - box[1], box[2] - x, box[3] - y) > 0.01
            if iou[n, m] >= threshold and inside and iou[n, m] > owned[n]:
                owner[n], owned[n] = m, float(iou[n, m])
    return owner


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("topk", [1, 3, 9])
def test_atss_equals_slow_loop(seed: int, topk: int) -> None:
    priors, objects = _priors(), _objects(1 + seed, seed)
    assert atss(priors, LEVEL_SIZES, objects, topk).tolist() == _slow_atss(priors, objects, topk)


def test_atss_gives_a_shared_prior_to_the_larger_overlap() -> None:
    prior = torch.tensor([[0.0, 0, 16, 16], [100, 100, 116, 116], [200, 200, 216, 216]])
    loose, tight = [-8.0, -8, 24, 24], [0.0, 0, 16, 17]
    assert atss(prior, [3], torch.tensor([loose, tight]), topk=3).tolist() == [1, -1, -1]
    assert atss(prior, [3], torch.tensor([tight, loose]), topk=3).tolist() == [0, -1, -1]


def test_atss_needs_the_centre_inside() -> None:
    priors = torch.tensor([[0.0, 0, 16, 16], [100, 100, 116, 116], [200, 200, 216, 216]])
    beside = torch.tensor([[8.005, 0, 24, 16]])
    assert atss(priors, [3], beside, topk=3).tolist() == [-1, -1, -1]


def test_atss_with_one_prior_in_all() -> None:
    prior = torch.tensor([[0.0, 0, 16, 16]])
    assert atss(prior, [1], prior).tolist() == [0]


def test_atss_in_single_precision_and_bf16_input() -> None:
    priors, objects = _priors().float(), _objects(3, 1).float()
    assert atss(priors, LEVEL_SIZES, objects).tolist() == _slow_atss(priors.double(), objects.double(), 9)
    assert atss(priors.bfloat16(), LEVEL_SIZES, objects.bfloat16()).dtype == torch.int64


def test_nothing_to_find_is_all_background() -> None:
    priors = _priors()
    nothing = torch.zeros(0, 4)
    for index in (
        atss(priors, LEVEL_SIZES, nothing),
        fcos(centres(priors), LEVEL_SIZES, STRIDES, nothing),
        max_iou(priors, nothing),
    ):
        assert index.dtype == torch.int64
        assert index.tolist() == [BACKGROUND] * len(priors)


def _slow_max_iou(priors: Tensor, objects: Tensor, positive: float, negative: float) -> list[int]:
    iou, owner = pairwise_iou(priors, objects), []
    for row in iou:
        best = int(row.argmax())
        owner.append(best if row[best] >= positive else BACKGROUND if row[best] < negative else IGNORED)
    for n, row in enumerate(iou):
        kept = [m for m in range(len(objects)) if row[m] > 0 and row[m] == iou[:, m].max()]
        if kept:
            owner[n] = max(kept, key=lambda m: float(row[m]))
    return owner


@pytest.mark.parametrize("seed", range(8))
def test_max_iou_equals_slow_loop(seed: int) -> None:
    priors, objects = _priors(3.0), _objects(1 + seed, seed)
    assert max_iou(priors, objects).tolist() == _slow_max_iou(priors, objects, 0.5, 0.4)


def test_max_iou_thresholds_by_hand() -> None:
    priors = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 6], [0, 0, 10, 4.5], [0, 0, 10, 2], [50, 50, 60, 60]])
    assert max_iou(priors, priors[:1]).tolist() == [0, 0, IGNORED, BACKGROUND, BACKGROUND]


def test_max_iou_keeps_the_best_prior_of_a_tiny_object() -> None:
    priors = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30]])
    tiny, elsewhere = torch.tensor([[1.0, 1, 2, 2]]), torch.tensor([[90.0, 90, 95, 95]])
    assert max_iou(priors, tiny).tolist() == [0, BACKGROUND]
    assert max_iou(priors, elsewhere).tolist() == [BACKGROUND, BACKGROUND]


def test_regression_ranges_are_those_of_the_paper() -> None:
    paper = [(0, 64), (64, 128), (128, 256), (256, 512), (512, math.inf)]
    assert regression_ranges((8, 16, 32, 64, 128)) == paper
    assert regression_ranges((16, 32)) == [(0, 128), (128, math.inf)]
    assert regression_ranges((8,)) == [(0, math.inf)]


def _slow_fcos(points: Tensor, objects: Tensor, radius: float) -> list[int]:
    """The definition, one point and one object at a time."""
    levels = [level for level, size in enumerate(LEVEL_SIZES) for _ in range(size)]
    owner = []
    for (x, y), level in zip(points.tolist(), levels, strict=True):
        low, high = regression_ranges(STRIDES)[level]
        best, smallest = BACKGROUND, math.inf
        for m, (x1, y1, x2, y2) in enumerate(objects.tolist()):
            sides = x - x1, y - y1, x2 - x, y2 - y
            central = max(abs(x - (x1 + x2) / 2), abs(y - (y1 + y2) / 2)) < radius * STRIDES[level]
            size = (x2 - x1) * (y2 - y1)
            if min(sides) > 0 and central and low <= max(sides) <= high and size < smallest:
                best, smallest = m, size
        owner.append(best)
    return owner


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("radius", [0.7, 1.5, 100.0])
def test_fcos_equals_slow_loop(seed: int, radius: float) -> None:
    points, objects = centres(_priors()), 2 * _objects(1 + seed, seed)
    assert fcos(points, LEVEL_SIZES, STRIDES, objects, radius).tolist() == _slow_fcos(points, objects, radius)


def test_fcos_by_hand() -> None:
    """Two levels of 2 x 2 points in the middle of their cells, and the rules one after the other."""
    points = centres(PriorGrid((8, 16), offset=0.5).boxes_xyxy([(2, 2), (2, 2)]))
    assert points.tolist() == [[4, 4], [12, 4], [4, 12], [12, 12], [8, 8], [24, 8], [8, 24], [24, 24]]

    def assigned(*boxes: list[float], radius: float = 1.5) -> list[int]:
        return fcos(points, (4, 4), (8, 16), torch.tensor(boxes), radius).tolist()

    small, large = [0.0, 0, 16, 16], [-80.0, -80, 120, 120]
    assert assigned(small) == [0, 0, 0, 0, -1, -1, -1, -1]  # no side is longer than 64: the first level
    assert assigned(large) == [-1, -1, -1, -1, 0, 0, 0, 0]  # centre (20, 20), 24 pixels around it
    assert assigned(large, radius=0.5) == [-1, -1, -1, -1, -1, -1, -1, 0]
    assert assigned([4.0, 0, 16, 16]) == [-1, 0, -1, 0, -1, -1, -1, -1]  # on the side is not inside
    assert assigned([-52.0, 5, 68, 20]) == [-1, -1, 0, 0, -1, 0, -1, -1]  # 64 pixels still belong to the first level
    assert assigned([-56.0, 5, 56, 20]) == [-1, -1, 0, -1, 0, -1, -1, -1]  # and already to the second; 12 is too far
    assert assigned(small, [0.0, 0, 16, 8]) == [1, 1, 0, 0, -1, -1, -1, -1]  # the smaller one
    assert assigned([0.0, 0, 16, 8], small) == [0, 0, 1, 1, -1, -1, -1, -1]


def test_fcos_in_16_bit_and_of_an_object_between_the_points() -> None:
    points = torch.tensor([[4.0, 4], [12, 4]])
    boxes = torch.tensor([[5.0, 0, 11, 8]])
    assert area(boxes).item() == 48
    assert fcos(points.bfloat16(), (2,), (8,), boxes.bfloat16()).tolist() == [BACKGROUND, BACKGROUND]


def test_valuable_region_against_a_loop():
    generator = torch.Generator().manual_seed(5)
    grid = PriorGrid((8, 16, 32))
    sizes = [(12, 12), (6, 6), (3, 3)]
    priors = grid.boxes_xyxy(sizes)
    corner = torch.rand(4, 2, generator=generator) * 50
    objects = torch.cat([corner, corner + 20 + 25 * torch.rand(4, 2, generator=generator)], 1)
    expected = torch.zeros(len(priors))
    for one in objects:
        distance = (centres(priors) - centres(one)).square().sum(1)
        candidates = [
            start + int(i)
            for start, end in ((0, 144), (144, 180), (180, 189))
            for i in distance[start:end].argsort()[: min(9, end - start)]
        ]
        iou = paired_iou(priors, one.expand_as(priors))
        threshold = iou[candidates].mean() + iou[candidates].std()
        diou = paired_iou(priors, one.expand_as(priors), "diou")
        inside = (diou >= 0.25 * threshold) & (diou < threshold)
        expected = torch.maximum(expected, torch.where(inside, iou, torch.zeros_like(iou)))
    found = valuable_region(priors, [144, 36, 9], objects)
    assert (expected > 0).sum() > 10
    torch.testing.assert_close(found, expected)
    assert valuable_region(priors, [144, 36, 9], objects[:0]).sum() == 0
