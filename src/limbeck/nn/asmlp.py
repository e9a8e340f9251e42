"""AS-MLP: a backbone of pointwise convolutions in which shifted channels look at their neighbours (arXiv 2107.08391).

The maps stay in the channels-first memory format: there an axial shift moves whole rows, and a pointwise convolution is
one matrix product per image.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from timm.layers.drop import DropPath
from torch import Tensor, nn
from torch.nn import functional

from limbeck.ops.axial_shift import COLUMNS, ROWS, axial_shift


class Size(NamedTuple):
    """Width of the first stage and blocks per stage."""

    width: int
    depths: tuple[int, ...]


SIZES = {
    "asmlp_nano": Size(64, (2, 2, 2, 2)),
    "asmlp_tiny": Size(96, (2, 2, 6, 2)),
    "asmlp_small": Size(96, (2, 2, 18, 2)),
    "asmlp_base": Size(128, (2, 2, 18, 2)),
}
"""Nano is SDD's (MVME-HBUT/SDD-FTI-FDet); the others are the paper's."""
STRIDES = (4, 8, 16, 32)
"""Pixels per cell of the stages' maps."""
PATCH = 4
SHIFT = 5
MLP_RATIO = 4
DROP_PATH = 0.1
"""Probability that the last block is skipped in training; it grows linearly from 0 at the first one."""
WEIGHT_STD = 0.02


class AsMlp(nn.Module):
    """Patches of 4 x 4 pixels, then stages of axial-shift blocks, each of half the size and twice the width.

    Args:
        size: Width and depths; the stages behind the coarsest map asked for are left out.
        strides: Strides of the maps to return, in pixels per cell, out of `STRIDES`.
        drop_path: See `DROP_PATH`.

    Attributes:
        channels: Channels of each map returned.
    """

    def __init__(self, size: Size, strides: tuple[int, ...] = STRIDES, drop_path: float = DROP_PATH) -> None:
        super().__init__()
        depths = size.depths[: STRIDES.index(max(strides)) + 1]
        widths = [size.width * 2**stage for stage in range(len(depths))]
        rates = iter([drop_path * block / max(sum(depths) - 1, 1) for block in range(sum(depths))])
        self.strides = strides
        self.patch = PatchEmbedding(size.width)
        self.stages = nn.ModuleList(
            nn.Sequential(*(AxialBlock(width, SHIFT, next(rates)) for _ in range(depth)))
            for width, depth in zip(widths, depths, strict=True)
        )
        self.merges = nn.ModuleList(PatchMerging(width) for width in widths[:-1])
        out = {str(stride): width for stride, width in zip(STRIDES, widths, strict=False) if stride in strides}
        self.out_norms = nn.ModuleDict({stride: whole_norm(width) for stride, width in out.items()})
        self.channels = tuple(widths[STRIDES.index(stride)] for stride in strides)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.trunc_normal_(module.weight, std=WEIGHT_STD)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the maps, (B,C,H/stride,W/stride) each, normalised; H and W are multiples of the coarsest stride."""
        x = self.patch(images).contiguous()
        found: dict[int, Tensor] = {}
        for number, (stride, stage) in enumerate(zip(STRIDES, self.stages, strict=False)):
            x = stage(x)
            if str(stride) in self.out_norms:
                found[stride] = self.out_norms[str(stride)](x)
            if number < len(self.merges):
                x = self.merges[number](x)
        return [found[stride] for stride in self.strides]


class PatchEmbedding(nn.Module):
    """A 4 x 4 convolution of stride 4 and a norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, channels, PATCH, stride=PATCH)
        self.norm = whole_norm(channels)

    def forward(self, images: Tensor) -> Tensor:
        """Return (B,channels,H/4,W/4) of images (B,3,H,W)."""
        embedded: Tensor = self.norm(self.conv(images))
        return embedded


class AxialBlock(nn.Module):
    """x + AxialShift(norm(x)), then x + MLP(norm(x)).

    Args:
        channels: C.
        shift: Chunks of channels that move by different distances, odd.
        drop_path: Probability that a branch is skipped in training, per image.
    """

    def __init__(self, channels: int, shift: int = SHIFT, drop_path: float = 0.0) -> None:
        super().__init__()
        self.norm1 = whole_norm(channels)
        self.axial = AxialShift(channels, shift)
        self.norm2 = whole_norm(channels)
        self.mlp = Mlp(channels)
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return (B,C,H,W) of (B,C,H,W)."""
        x = x + self.drop_path(self.axial(self.norm1(x)))
        total: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return total


class AxialShift(nn.Module):
    """Pointwise convolutions around a shift along the columns and one along the rows.

    u = GELU(norm(pre x)); y = post(norm(GELU(horizontal(u shifted along W)) + GELU(vertical(u shifted along H)))).

    Args:
        channels: C.
        shift: Chunks of channels that move by different distances, odd.
    """

    def __init__(self, channels: int, shift: int = SHIFT) -> None:
        super().__init__()
        self.shift = shift
        self.pre = Pointwise(channels, channels)
        self.pre_norm = whole_norm(channels)
        self.horizontal = Pointwise(channels, channels)
        self.vertical = Pointwise(channels, channels)
        self.post_norm = whole_norm(channels)
        self.post = Pointwise(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B,C,H,W) of (B,C,H,W)."""
        u = functional.gelu(self.pre_norm(self.pre(x)))
        horizontal = functional.gelu(self.horizontal(axial_shift(u, self.shift, COLUMNS)))
        vertical = functional.gelu(self.vertical(axial_shift(u, self.shift, ROWS)))
        mixed: Tensor = self.post(self.post_norm(horizontal + vertical))
        return mixed


class Mlp(nn.Module):
    """C to 4C, GELU, back to C, cell by cell."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = Pointwise(channels, MLP_RATIO * channels)
        self.fc2 = Pointwise(MLP_RATIO * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B,C,H,W) of (B,C,H,W)."""
        mixed: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return mixed


class PatchMerging(nn.Module):
    """Four neighbouring cells become one of twice the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = whole_norm(4 * channels)
        self.reduction = Pointwise(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B,2C,H/2,W/2) of (B,C,H,W); the order of the four is that of the release."""
        corners = [x[:, :, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        merged: Tensor = self.reduction(self.norm(torch.cat(corners, dim=1)))
        return merged


class Pointwise(nn.Conv2d):
    """A 1x1 convolution of channels-first maps as a matrix product.

    A plain one would answer in channels-last as soon as its weights are in that format, which training chooses.
    """

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, 1, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """Return (B,out_channels,H,W) of (B,in_channels,H,W)."""
        cells, weight = input.flatten(2), self.weight.flatten(1)
        if self.bias is None:
            mixed = torch.matmul(weight, cells)
        else:
            mixed = torch.baddbmm(self.bias[:, None], weight.expand(cells.shape[0], -1, -1), cells)
        maps: Tensor = mixed.unflatten(2, input.shape[2:])
        return maps


def whole_norm(channels: int) -> nn.GroupNorm:
    """Return a group norm over all channels and cells of an image."""
    return nn.GroupNorm(1, channels)
