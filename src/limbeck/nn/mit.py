"""MiT: the transformer encoder of SegFormer, with a map at each of four strides (arXiv 2105.15203)."""

from __future__ import annotations

from typing import NamedTuple

from timm.layers.drop import DropPath
from torch import Tensor, nn
from torch.nn import functional

from limbeck.nn.stages import maps_of_stages


class Size(NamedTuple):
    """Widths of the stages and blocks in each of them."""

    widths: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]


SIZES = {
    "mit_b0": Size((32, 64, 160, 256), (2, 2, 2, 2)),
    "mit_b1": Size((64, 128, 320, 512), (2, 2, 2, 2)),
    "mit_b2": Size((64, 128, 320, 512), (3, 4, 6, 3)),
    "mit_b3": Size((64, 128, 320, 512), (3, 4, 18, 3)),
    "mit_b4": Size((64, 128, 320, 512), (3, 8, 27, 3)),
    "mit_b5": Size((64, 128, 320, 512), (3, 6, 40, 3)),
}
"""The paper's table of sizes."""
STRIDES = (4, 8, 16, 32)
"""Pixels per cell of the stages' maps."""
HEADS = (1, 2, 5, 8)
REDUCTIONS = (8, 4, 2, 1)
"""Along each side, cells that become one key and one value."""
MLP_RATIO = 4
NORM_EPS = 1e-6
DROP_PATH = 0.1
"""Probability that the last block is skipped in training; it grows linearly from 0 at the first one."""
WEIGHT_STD = 0.02


class MiT(nn.Module):
    """Four stages, each an overlapping patch embedding, transformer blocks and a norm.

    Args:
        size: Widths and depths; the stages behind the coarsest map asked for are left out.
        strides: Strides of the maps to return, in pixels per cell, out of `STRIDES`.
        drop_path: See `DROP_PATH`.

    Attributes:
        channels: Channels of each map returned.
        stages: From the images to the first map, from that to the second, and so on.
    """

    def __init__(self, size: Size, strides: tuple[int, ...] = STRIDES, drop_path: float = DROP_PATH) -> None:
        super().__init__()
        depth = STRIDES.index(max(strides)) + 1
        blocks = sum(size.depths[:depth])
        rates = iter([drop_path * block / max(blocks - 1, 1) for block in range(blocks)])
        self.strides = strides
        self.stages = nn.ModuleList(
            MitStage(
                3 if stage == 0 else size.widths[stage - 1],
                size.widths[stage],
                patch_stride=4 if stage == 0 else 2,
                heads=HEADS[stage],
                reduction=REDUCTIONS[stage],
                drop_paths=[next(rates) for _ in range(size.depths[stage])],
            )
            for stage in range(depth)
        )
        self.channels = tuple(size.widths[STRIDES.index(stride)] for stride in strides)
        for module in self.modules():
            _initialise(module)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the maps, (B,C,H/stride,W/stride) each, normalised."""
        return maps_of_stages(self.stages, STRIDES, self.strides, images)


class MitStage(nn.Module):
    """One stage of `MiT`: a strided convolution whose patches overlap, a norm, the blocks, a norm.

    Args:
        in_channels: Channels of what comes in.
        channels: C, channels of the stage.
        patch_stride: Cells along each side that become one; patches are 2 x patch_stride - 1 cells wide.
        heads: Attention heads.
        reduction: See `REDUCTIONS`.
        drop_paths: For each block the probability that a branch of it is skipped in training, per image.
    """

    def __init__(
        self, in_channels: int, channels: int, *, patch_stride: int, heads: int, reduction: int, drop_paths: list[float]
    ) -> None:
        super().__init__()
        self.patches = nn.Conv2d(
            in_channels, channels, 2 * patch_stride - 1, stride=patch_stride, padding=patch_stride - 1
        )
        self.patch_norm = _norm(channels)
        self.blocks = nn.Sequential(*(MitBlock(channels, heads, reduction, rate) for rate in drop_paths))
        self.norm = _norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B,C,H',W') of (B,in_channels,H,W)."""
        cells = self.patch_norm(_channels_last(self.patches(x)))
        return _channels_first(self.norm(self.blocks(cells)))


class MitBlock(nn.Module):
    """x + Attention(norm(x)), then x + MixFFN(norm(x)); x is (B,H,W,C).

    Args:
        channels: C.
        heads: Attention heads.
        reduction: See `REDUCTIONS`.
        drop_path: Probability that a branch is skipped in training, per image.
    """

    def __init__(self, channels: int, heads: int, reduction: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.norm1 = _norm(channels)
        self.attention = ReducedAttention(channels, heads, reduction)
        self.norm2 = _norm(channels)
        self.ffn = MixFFN(channels)
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return (B,H,W,C) of (B,H,W,C)."""
        x = x + self.drop_path(self.attention(self.norm1(x)))
        total: Tensor = x + self.drop_path(self.ffn(self.norm2(x)))
        return total


class ReducedAttention(nn.Module):
    """Self-attention in which every cell asks fewer keys than there are cells.

    softmax(q k^T / sqrt(C / heads)) v, with k and v of the map that a strided convolution has reduced (equation 1).

    Args:
        channels: C.
        heads: Attention heads; C is a multiple of them.
        reduction: See `REDUCTIONS`.
    """

    def __init__(self, channels: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, channels)
        self.key_value = nn.Linear(channels, 2 * channels)
        self.out = nn.Linear(channels, channels)
        self.reduce = nn.Conv2d(channels, channels, reduction, stride=reduction) if reduction > 1 else None
        self.reduced_norm = _norm(channels) if reduction > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        """Return (B,H,W,C) of (B,H,W,C)."""
        source = x
        if self.reduce is not None and self.reduced_norm is not None:
            source = self.reduced_norm(_channels_last(self.reduce(_channels_first(x))))
        key, value = self.key_value(source).chunk(2, dim=-1)
        query, key, value = (self._by_head(part) for part in (self.query(x), key, value))
        answer = functional.scaled_dot_product_attention(query, key, value)
        mixed: Tensor = self.out(answer.transpose(1, 2).flatten(2)).unflatten(1, x.shape[1:3])
        return mixed

    def _by_head(self, cells: Tensor) -> Tensor:
        """Return (B,heads,N,C/heads) of (B,H,W,C)."""
        split: Tensor = cells.flatten(1, 2).unflatten(-1, (self.heads, -1))
        return split.transpose(1, 2)


class MixFFN(nn.Module):
    """C to 4C, a depthwise 3x3 that tells where a cell lies, GELU, back to C (equation 3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = MLP_RATIO * channels
        self.fc1 = nn.Linear(channels, hidden)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B,H,W,C) of (B,H,W,C)."""
        hidden = _channels_last(self.depthwise(_channels_first(self.fc1(x))))
        mixed: Tensor = self.fc2(functional.gelu(hidden))
        return mixed


def _norm(channels: int) -> nn.LayerNorm:
    return nn.LayerNorm(channels, eps=NORM_EPS)


def _channels_last(maps: Tensor) -> Tensor:
    """Return (B,H,W,C) of (B,C,H,W); a view."""
    return maps.permute(0, 2, 3, 1)


def _channels_first(cells: Tensor) -> Tensor:
    """Return (B,C,H,W) of (B,H,W,C); a view."""
    return cells.permute(0, 3, 1, 2)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=WEIGHT_STD)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=(2 / fan_out) ** 0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
