import pytest
import torch
from torchvision.models.detection.rpn import RegionProposalNetwork
from torchvision.ops import roi_align

from limbeck.ops.proposals import pool_rois, select_proposals

SIZES, CANVAS_HW = (60, 30, 4), (100, 120)


def scene(images=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(images, sum(SIZES), 2, generator=generator) * 120 - 20
    size = 5 + torch.rand(images, sum(SIZES), 2, generator=generator) * 50
    return torch.randn(images, sum(SIZES), generator=generator), torch.cat([corner, corner + size], 2)


@pytest.mark.parametrize(("pre_nms", "keep"), [(1000, 1000), (20, 15)])
def test_the_proposals_are_torchvision_s(pre_nms, keep):
    logits, boxes = scene()
    theirs = RegionProposalNetwork(
        None, None, 0.7, 0.3, 256, 0.5, {"testing": pre_nms}, {"testing": keep}, nms_thresh=0.3
    ).eval()
    expected, _ = theirs.filter_proposals(boxes, logits, [CANVAS_HW] * 3, list(SIZES))
    found, used = select_proposals(logits, boxes, SIZES, CANVAS_HW, pre_nms=pre_nms, nms_iou=0.3, keep=keep)
    assert found.shape[1] == min(keep, sum(min(size, pre_nms) for size in SIZES))
    for image in range(3):
        assert used[image].sum() == len(expected[image]) > 10
        torch.testing.assert_close(found[image, used[image]], expected[image])


def test_a_box_outside_of_the_canvas_is_no_proposal():
    logits, boxes = scene()
    boxes[0] = torch.tensor([130.0, 10.0, 150.0, 20.0])
    boxes[1, 5] = torch.nan
    found, used = select_proposals(logits, boxes, SIZES, CANVAS_HW, pre_nms=50, nms_iou=0.7, keep=30)
    assert not used[0].any()
    assert not found[0].any()
    assert found.isfinite().all()
    assert used[1:].any(dim=1).all()


def test_every_roi_is_cut_from_the_level_of_its_size():
    torch.manual_seed(0)
    strides = (4, 8, 16, 32)
    maps = [torch.randn(2, 3, 512 // stride, 512 // stride) for stride in strides]
    sides = torch.tensor([[5.0, 111, 113, 223, 225, 440], [447, 449, 500, 60, 200, 0]])
    corner = torch.tensor([3.0, 7.0]).expand(2, 6, 2)
    rois = torch.cat([corner, corner + sides[..., None]], dim=2)
    rois[1, 5] = 0
    pooled, row = pool_rois(maps, rois, strides, size=7, canonical_size=224.0)
    found = pooled[row].unflatten(0, (2, 6))
    levels = [[0, 0, 1, 1, 2, 2], [2, 3, 3, 0, 1, None]]
    for image in range(2):
        for place, level in enumerate(levels[image]):
            if level is None:
                assert not found[image, place].any()
                continue
            row = torch.cat([torch.tensor([float(image)]), rois[image, place]])[None]
            expected = roi_align(maps[level], row, 7, 1 / strides[level], sampling_ratio=0, aligned=True)[0]
            torch.testing.assert_close(found[image, place], expected)


def test_the_gradient_of_a_roi_arrives_at_its_level_alone():
    maps = [torch.randn(1, 2, 64 // stride, 64 // stride, requires_grad=True) for stride in (8, 16)]
    pooled, _ = pool_rois(maps, torch.tensor([[[4.0, 4.0, 30.0, 30.0]]]), (8, 16), size=2, canonical_size=224.0)
    pooled.sum().backward()
    assert maps[0].grad.any()
    assert not maps[1].grad.any()
