"""Objects as vectors: box and class as numbers, the cells that a box covers, pooling there and pasting back."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from limbeck.ops.precision import at_least_float32


def clamp_boxes(boxes_xyxy: Tensor, canvas_hw: tuple[int, int]) -> Tensor:
    """Return boxes (M,4) clamped to x from 0 to W - 1 and y from 0 to H - 1, as the release of SDD does."""
    boxes = at_least_float32(boxes_xyxy)
    return torch.minimum(boxes.clamp(min=0), boxes.new_tensor([canvas_hw[1] - 1, canvas_hw[0] - 1] * 2))


def instances(
    boxes_xyxy: Tensor, labels: Tensor, num_classes: int, canvas_hw: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Return descriptors (M,4+K) and clamped boxes (M,4) in pixels of the objects of one image (LGD, arXiv 2109.11496).

    A descriptor is the box in parts of width and height and the class as one-hot vector, all mapped from [0, 1] to
    [-1, 1]. An image without objects gives one object: a box of one pixel in the corner, of no class.

    Args:
        boxes_xyxy: (M,4) in pixels; M may be 0.
        labels: (M,) int64.
        num_classes: K.
        canvas_hw: Height and width of the network's input in pixels.
    """
    if len(boxes_xyxy) == 0:
        boxes = at_least_float32(boxes_xyxy).new_tensor([[0.0, 0.0, 1.0, 1.0]])
        one_hot = boxes.new_zeros(1, num_classes)
    else:
        boxes = clamp_boxes(boxes_xyxy, canvas_hw)
        one_hot = functional.one_hot(labels, num_classes).to(boxes.dtype)
    size = boxes.new_tensor([canvas_hw[1], canvas_hw[0]] * 2)
    return 2 * torch.cat([boxes / size, one_hot], dim=1) - 1, boxes


def inside_masks(boxes_xyxy: Tensor, canvas_hw: tuple[int, int], size_hw: tuple[int, int]) -> Tensor:
    """Return (M,h,w) bool: the cells of a map of size (h,w) that lie in each box (M,4) of a canvas of size (H,W).

    A cell stands for its integer index, not for its middle, and a box without area covers nothing, as in LGD.
    """
    (rows, columns), boxes = size_hw, at_least_float32(boxes_xyxy)
    scaled = boxes * boxes.new_tensor([columns / canvas_hw[1], rows / canvas_hw[0]] * 2)
    centre, extent = (scaled[:, :2] + scaled[:, 2:]) / 2, scaled[:, 2:] - scaled[:, :2]
    x = torch.arange(columns, device=boxes.device, dtype=boxes.dtype)
    y = torch.arange(rows, device=boxes.device, dtype=boxes.dtype)
    in_x = (x - centre[:, :1]).abs() / extent[:, :1] <= 0.5
    in_y = (y - centre[:, 1:]).abs() / extent[:, 1:] <= 0.5
    return in_y[:, :, None] & in_x[:, None, :]


def masked_means(maps: Tensor, masks: Tensor) -> Tensor:
    """Return the mean (M,C) of a map (C,h,w) over the cells of each mask (M,h,w); an empty mask gives 0."""
    chosen = masks.flatten(1).to(maps.dtype)
    return chosen @ maps.flatten(1).T / chosen.sum(dim=1, keepdim=True).clamp(min=1)


def paste(vectors: Tensor, masks: Tensor) -> Tensor:
    """Return a map (C,h,w) with each vector (M,C) on the cells of its mask (M,h,w); where masks overlap they add up."""
    flat: Tensor = vectors.T @ masks.flatten(1).to(vectors.dtype)
    return flat.view(-1, *masks.shape[1:])
