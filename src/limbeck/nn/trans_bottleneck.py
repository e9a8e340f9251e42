"""The decoder of RTFNet: residual blocks with transposed convolutions, from the coarsest map up to the canvas."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


class TransDecoder(nn.Module):
    """Stages that double the size and halve the width; the last one gives the classes (yuxiangsun/RTFNet, RTFNet.py).

    Args:
        channels: Channels of the coarsest map.
        stride: Pixels per cell of that map, a power of 2; there are as many stages as it takes to get to 1.
        num_classes: K.
        release_head: End in the ReLU of the last block as the release does; its logits are never negative.
    """

    def __init__(self, channels: int, stride: int, num_classes: int, release_head: bool = False) -> None:
        super().__init__()
        count = stride.bit_length() - 1
        widths = [channels >> stage for stage in range(count)]
        self.stages = nn.Sequential()
        for before, after in pairwise(widths):
            self.stages.extend([TransBottleneck(before, before), TransBottleneck(before, after, doubles=True)])
        last = TransBottleneck(widths[-1], num_classes, doubles=True, activated=release_head)
        self.stages.extend([TransBottleneck(widths[-1], widths[-1]), last])
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.xavier_uniform_(module.weight)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return logits (B,K,stride h,stride w) of maps of which the coarsest is (B,C,h,w); the others are not read."""
        logits: Tensor = self.stages(maps[-1])
        return logits


class TransBottleneck(nn.Module):
    """A residual block: 1x1, 3x3, and a 3x3 or a transposed 2x2 of stride 2, each with batch norm.

    Args:
        in_channels: Channels of what comes in.
        channels: Channels of what goes out.
        doubles: Double the size; the way past the block is then a transposed 2x2 as well.
        activated: End in ReLU.
    """

    def __init__(self, in_channels: int, channels: int, doubles: bool = False, activated: bool = True) -> None:
        super().__init__()
        last = _doubling(channels, channels) if doubles else nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.inner = nn.Sequential(
            nn.Conv2d(in_channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            last,
            nn.BatchNorm2d(channels),
        )
        past = nn.Sequential(_doubling(in_channels, channels), nn.BatchNorm2d(channels))
        self.past = past if doubles else nn.Identity()
        self.activation = nn.ReLU(inplace=True) if activated else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return (B,channels,H,W), or (B,channels,2H,2W), of (B,in_channels,H,W)."""
        total: Tensor = self.activation(self.inner(x) + self.past(x))
        return total


def _doubling(before: int, after: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(before, after, 2, stride=2, bias=False)
