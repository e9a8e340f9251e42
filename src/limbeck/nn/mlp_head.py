"""The all-MLP head of SegFormer (arXiv 2105.15203)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from limbeck.ops.resize import resize

DROPOUT = 0.1


class AllMlpHead(nn.Module):
    """Every map to one width, resized to the finest, concatenated, mixed by a 1x1 with batch norm and ReLU, to K.

    The 1x1 over the concatenation is the sum of one 1x1 per map, and a 1x1 and bilinear resizing may change places. So
    each map is mixed at its own size, which gives the same numbers for fewer multiply-adds.

    Args:
        channels: Channels of the maps, from fine to coarse.
        num_classes: K.
        width: Channels in between.
    """

    def __init__(self, channels: Sequence[int], num_classes: int, width: int = 256) -> None:
        super().__init__()
        self.to_width = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels)
        self.mixes = nn.ModuleList(nn.Conv2d(width, width, 1, bias=False) for _ in channels)
        self.activation = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.Dropout2d(DROPOUT))
        self.classify = nn.Conv2d(width, num_classes, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return logits (B,K,h,w) of maps of which the finest is (B,C,h,w)."""
        height, width = maps[0].shape[-2:]
        levels = [mix(to(m)) for m, to, mix in zip(maps, self.to_width, self.mixes, strict=True)]
        mixed = sum((resize(level, (height, width)) for level in levels[1:]), start=levels[0])
        logits: Tensor = self.classify(self.activation(mixed))
        return logits
