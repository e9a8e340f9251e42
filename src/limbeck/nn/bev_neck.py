"""The 2D network of CenterPoint over the map seen from above: blocks that go down, and ways back up to one size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from limbeck.nn.pillar_net import EPS, MOMENTUM


class BevNeck(nn.Module):
    """Blocks of 3x3 convolutions, each with a way to the common resolution; the ways are concatenated ("RPN").

    Args:
        channels: Input channels.
        depths: Convolutions of each block after its first, strided one.
        strides: Stride of each block.
        widths: Channels of each block.
        up_strides: How much each way enlarges: 2 doubles, 1 keeps the size and 0.5 halves it.
        up_widths: Channels of each way.
        momentum: Of the batch norms' statistics.
    """

    def __init__(
        self,
        channels: int,
        depths: Sequence[int],
        strides: Sequence[int],
        widths: Sequence[int],
        up_strides: Sequence[float],
        up_widths: Sequence[int],
        momentum: float = MOMENTUM,
    ) -> None:
        super().__init__()
        self.blocks, self.ways = nn.ModuleList(), nn.ModuleList()
        for depth, stride, width, up, up_width in zip(depths, strides, widths, up_strides, up_widths, strict=True):
            layers = [_normed(nn.Conv2d(channels, width, 3, stride, padding=1, bias=False), momentum)]
            layers += [_normed(nn.Conv2d(width, width, 3, padding=1, bias=False), momentum) for _ in range(depth)]
            self.blocks.append(nn.Sequential(*layers))
            self.ways.append(_normed(_resampling(width, up_width, up), momentum))
            channels = width

    def forward(self, x: Tensor) -> Tensor:
        """Return (B,sum of ``up_widths``,H',W') of maps (B,C,H,W)."""
        found = []
        for block, way in zip(self.blocks, self.ways, strict=True):
            x = block(x)
            found.append(way(x))
        return torch.cat(found, dim=1)


def _resampling(inputs: int, outputs: int, up: float) -> nn.Module:
    if up > 1:
        return nn.ConvTranspose2d(inputs, outputs, int(up), int(up), bias=False)
    down = round(1 / up)
    return nn.Conv2d(inputs, outputs, down, down, bias=False)


def _normed(convolution: nn.Module, momentum: float) -> nn.Sequential:
    channels = convolution.out_channels
    assert isinstance(channels, int)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels, eps=EPS, momentum=momentum), nn.ReLU(inplace=True))
