"""Box losses; the overlaps themselves are tested with the box arithmetic."""

import pytest
import torch

from limbeck.losses.box import iou_rows
from limbeck.ops.boxes2d import IoUKind, paired_iou

BOXES = torch.tensor([[0.0, 0, 4, 4], [1, 2, 7, 5], [3, 3, 5, 9]], dtype=torch.float64)
SHIFTED = BOXES + torch.tensor([0.3, -0.2, 0.7, 0.4], dtype=torch.float64)


@pytest.mark.parametrize("kind", ["iou", "giou", "diou"])
def test_one_minus_overlap(kind: IoUKind) -> None:
    torch.testing.assert_close(iou_rows(SHIFTED, BOXES, kind), 1 - paired_iou(SHIFTED, BOXES, kind))
    assert iou_rows(BOXES, BOXES, kind).abs().max() < 1e-12


@pytest.mark.parametrize("kind", ["iou", "giou", "diou"])
def test_gradient(kind: IoUKind) -> None:
    prediction = SHIFTED.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: iou_rows(x, BOXES, kind), (prediction,))


def test_only_some_flavours_pull_disjoint_boxes_together() -> None:
    far = (BOXES[:1] + 50).requires_grad_()
    for kind, pulls in (("iou", False), ("giou", True), ("diou", True)):
        (gradient,) = torch.autograd.grad(iou_rows(far, BOXES[:1], kind).sum(), far)
        assert bool((gradient != 0).any()) == pulls


def test_16_bit_input_and_no_rows() -> None:
    assert iou_rows(SHIFTED.bfloat16(), BOXES.bfloat16()).dtype == torch.float32
    assert iou_rows(torch.zeros(0, 4), torch.zeros(0, 4)).shape == (0,)


def test_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"pred_xyxy \(3, 4\), target_xyxy \(1, 4\)"):
        iou_rows(BOXES, BOXES[:1])
