"""The dense decoder of SNE-RoadSeg: a grid of nodes between the encoder's maps and the answer (UNet++)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from limbeck.ops.resize import resize

WIDTH_STEP = 8


class NestedDecoder(nn.Module):
    """A grid in which x_i0 are the encoder's maps (hlwang1124/SNE-RoadSeg, models/networks.py; arXiv 1807.10165).

    x_ij = node(cat(x_i0, ..., x_i,j-1, up(x_i+1,j-1))). With five maps there are 15 entries, of which ten are nodes.
    The answer is a last ``up`` of the rightmost entry of the finest row.

    Args:
        channels: Channels of the encoder's maps, from fine to coarse.
        num_classes: K.
        width: Channels of the nodes of a row as a share of the channels of its map; below 1, in steps of `WIDTH_STEP`.
        release_head: End in batch norm and ReLU as the release does; its logits are never negative.
    """

    def __init__(
        self, channels: Sequence[int], num_classes: int, width: float = 1.0, release_head: bool = False
    ) -> None:
        super().__init__()
        widths = [_scaled(count, width) for count in channels]
        self.columns = nn.ModuleList()
        for column in range(1, len(channels)):
            below = channels if column == 1 else widths
            self.columns.append(
                nn.ModuleList(
                    Node(channels[row] + (column - 1) * widths[row], below[row + 1], widths[row])
                    for row in range(len(channels) - column)
                )
            )
        last = widths[0] if len(channels) > 1 else channels[0]
        self.head = Up(last, num_classes, activated=release_head)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return logits (B,K,2h,2w) of maps of which the finest is (B,C,h,w)."""
        grid = [[x_i0] for x_i0 in maps]
        for column in self.columns:
            below = [row[-1] for row in grid[1:]]  # of the column before, while the rows grow
            for row, node, under in zip(grid, column.children(), below, strict=False):
                row.append(node(row, under))
        height, width = maps[0].shape[-2:]
        logits: Tensor = self.head(grid[0][-1], (2 * height, 2 * width))
        return logits


class Node(nn.Module):
    """Two 3x3 convolutions, each with batch norm and ReLU, over a row so far and what lies below.

    Args:
        row_channels: Channels of all entries of the row so far.
        below: Channels of the entry below.
        channels: Channels that it is brought to, and channels of the node.
    """

    def __init__(self, row_channels: int, below: int, channels: int) -> None:
        super().__init__()
        self.up = Up(below, channels)
        self.convs = nn.Sequential(*_conv(row_channels + channels, channels), *_conv(channels, channels))

    def forward(self, row: Sequence[Tensor], under: Tensor) -> Tensor:
        """Return the next entry of the row, (B,channels,H,W).

        Args:
            row: The entries so far, (B,C,H,W) each.
            under: The entry below, of about half the size.
        """
        height, width = row[0].shape[-2:]
        entry: Tensor = self.convs(torch.cat([*row, self.up(under, (height, width))], dim=1))
        return entry


class Up(nn.Module):
    """Bilinear resizing with aligned corners, then a 3x3 convolution, batch norm and ReLU.

    Args:
        in_channels: Channels of what comes in.
        channels: Channels of what goes out.
        activated: Without it there is neither batch norm nor ReLU.
    """

    def __init__(self, in_channels: int, channels: int, activated: bool = True) -> None:
        super().__init__()
        layers = _conv(in_channels, channels)
        self.layers = layers if activated else layers[:1]

    def forward(self, x: Tensor, size_hw: tuple[int, int]) -> Tensor:
        """Return (B,channels,H,W)."""
        raised: Tensor = self.layers(resize(x, size_hw, align_corners=True))
        return raised


def _conv(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(inplace=True))


def _scaled(channels: int, width: float) -> int:
    return channels if width == 1 else max(WIDTH_STEP, round(channels * width / WIDTH_STEP) * WIDTH_STEP)
