"""Heads: convolution towers shared by all levels of a pyramid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from limbeck.core.dense2d import Towers
from limbeck.nn.necks import conv3x3

Norm = Literal["none", "group"]
CLASS_PRIOR = 0.01
"""Score of every class at the start, so that the background does not drown the first steps (arXiv 1708.02002)."""


class HeadMaps(NamedTuple):
    """The output maps of a head, one per level.

    Attributes:
        classes: (B,class_channels,H_l,W_l) each.
        boxes: (B,box_channels,H_l,W_l) each.
        centerness: (B,1,H_l,W_l) each; None for a head without this branch.
    """

    classes: list[Tensor]
    boxes: list[Tensor]
    centerness: list[Tensor] | None


class _GroupNorm(nn.GroupNorm):
    """32 groups, fewer on thin heads. A group of a single number becomes its bias, in a batch of one image too.

    PyTorch's module computes the same for two images and raises for one.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(math.gcd(32, channels), channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the maps (B,channels,H,W) with every group of channels of an image standardised."""
        return torch.group_norm(maps, self.num_groups, self.weight, self.bias, self.eps)


def _tower(channels: int, depth: int, *, norm: Norm, depthwise: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers.append(conv3x3(channels, channels, depthwise=depthwise))
        if norm == "group":
            layers.append(_GroupNorm(channels))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def _hkh_tower(channels: int, depth: int) -> nn.Sequential:
    """Return the tower of HSD's heterogeneous knowledge head: depthwise 5x5 and pointwise, each with norm and ReLU."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        for conv in (
            nn.Conv2d(channels, channels, 5, padding=2, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
        ):
            layers += [conv, _GroupNorm(channels), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class DenseHead(nn.Module):
    """A class tower and a box tower with one 3x3 output convolution each, shared by all levels.

    Args:
        channels: Channels of the pyramid and of the towers.
        class_channels: Output channels of the class tower (classes times priors per cell).
        box_channels: Output channels of the box tower.
        depth: Convolutions per tower.
        norm: ``group`` puts a group norm (32 groups, fewer on thin heads) behind every tower convolution.
        depthwise: Use depthwise-separable tower convolutions.
        towers: ``hkh`` for those of HSD FTI-FDet (arXiv 2307.00701), which have a kind of norm and of convolution of
            their own; ``norm`` and ``depthwise`` then say nothing.
        level_scales: If above 0, one learnable factor per level on the box output (FCOS).
        centerness: Add an output of one channel to the box tower.
    """

    def __init__(
        self,
        channels: int,
        class_channels: int,
        box_channels: int,
        *,
        depth: int,
        norm: Norm,
        depthwise: bool,
        towers: Towers = "plain",
        level_scales: int = 0,
        centerness: bool = False,
    ) -> None:
        super().__init__()
        self.class_tower, self.box_tower = (
            _hkh_tower(channels, depth) if towers == "hkh" else _tower(channels, depth, norm=norm, depthwise=depthwise)
            for _ in range(2)
        )
        self.class_out = nn.Conv2d(channels, class_channels, 3, padding=1)
        self.box_out = nn.Conv2d(channels, box_channels, 3, padding=1)
        self.centerness_out = nn.Conv2d(channels, 1, 3, padding=1) if centerness else None
        self.scales = nn.ParameterList(nn.Parameter(torch.ones(())) for _ in range(level_scales))
        self._initialise(towers)

    def _initialise(self, towers: Towers) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
                if module.groups > 1:  # a depthwise 3x3 sums 9 values only: 0.01 would shrink its output to nothing
                    nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
        if towers == "hkh":
            for module in (*self.class_tower, *self.box_tower):
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.constant_(self.class_out.bias, -math.log((1 - CLASS_PRIOR) / CLASS_PRIOR))  # type: ignore[arg-type]

    def forward(self, levels: Sequence[Tensor]) -> HeadMaps:
        """Return the output maps for a pyramid of (B,channels,H_l,W_l)."""
        classes = [self.class_out(self.class_tower(level)) for level in levels]
        towers = [self.box_tower(level) for level in levels]
        boxes = [self.box_out(tower) for tower in towers]
        if self.scales:
            boxes = [box * scale for box, scale in zip(boxes, self.scales, strict=True)]
        centerness = None if self.centerness_out is None else [self.centerness_out(tower) for tower in towers]
        return HeadMaps(classes, boxes, centerness)
