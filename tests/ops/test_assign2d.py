"""The assigners against plain loops."""

import pytest
import torch
from torch import Tensor

from limbeck.ops.assign2d import BACKGROUND, IGNORED, atss, max_iou, valuable_region
from limbeck.ops.boxes2d import centres, paired_iou, pairwise_iou
from limbeck.ops.pyramid import PriorGrid

SIZES_HW = [(8, 10), (4, 5), (2, 3)]
LEVEL_SIZES = [80, 20, 6]


def _priors(scale: float = 4.0) -> Tensor:
    return PriorGrid((8, 16, 32), scales=(scale,)).boxes_xyxy(SIZES_HW, dtype=torch.float64)


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
    for index in (atss(priors, LEVEL_SIZES, torch.zeros(0, 4)), max_iou(priors, torch.zeros(0, 4))):
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
