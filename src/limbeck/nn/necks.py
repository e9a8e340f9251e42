"""Necks: from the maps of a backbone to a pyramid of equal width."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from limbeck.nn.coordinate_attention import CoordinateAttention


def conv3x3(in_channels: int, out_channels: int, *, stride: int = 1, depthwise: bool = False) -> nn.Module:
    """Return a 3x3 convolution, or a depthwise 3x3 followed by a pointwise 1x1 at about a ninth of the cost."""
    if not depthwise:
        return nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1)
    return nn.Sequential(
        nn.Conv2d(in_channels, in_channels, 3, stride=stride, padding=1, groups=in_channels, bias=False),
        nn.Conv2d(in_channels, out_channels, 1),
    )


class FPN(nn.Module):
    """Feature pyramid network (arXiv 1612.03144) with further levels by stride-2 convolutions on its last output.

    Args:
        in_channels: Channels of the maps, from fine to coarse, each half the size of the one before.
        channels: Channels of every level.
        extra_levels: Levels beyond the coarsest map.
        depthwise: Use depthwise-separable output convolutions.
    """

    def __init__(
        self, in_channels: Sequence[int], channels: int, extra_levels: int = 0, depthwise: bool = False
    ) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in in_channels)
        self.outputs = nn.ModuleList(conv3x3(channels, channels, depthwise=depthwise) for _ in in_channels)
        self.extras = nn.ModuleList(
            conv3x3(channels, channels, stride=2, depthwise=depthwise) for _ in range(extra_levels)
        )
        _initialise(self)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return the pyramid, (B,channels,H_l,W_l) each, from fine to coarse."""
        merged = _top_down([lateral(m) for lateral, m in zip(self.laterals, maps, strict=True)])
        return _levels(merged, self.outputs, self.extras)


def _levels(merged: Sequence[Tensor], outputs: nn.ModuleList, extras: nn.ModuleList) -> list[Tensor]:
    """Return the outputs of the merged maps, then a further level of each of the extras on the level before."""
    levels = [output(m) for output, m in zip(outputs, merged, strict=True)]
    for extra in extras:
        levels.append(_coarser(extra, levels[-1]))
    return levels


def _coarser(conv: nn.Module, level: Tensor) -> Tensor:
    """Return a stride-2 convolution of a level, in float32 where the level is a single cell.

    There PyTorch 2.15 leaves the weight gradient of a bfloat16 convolution uninitialised on the CPU.
    """
    if level.shape[-2:] != (1, 1):
        coarser: Tensor = conv(level)
    else:
        with torch.autocast(level.device.type, enabled=False):
            coarser = conv(level.to(next(conv.parameters()).dtype))
    return coarser


class HKN(nn.Module):
    """Heterogeneous knowledge neck of HSD FTI-FDet (arXiv 2307.00701; MVME-HBUT/HSD-FTI-FDet).

    Coordinate attention on the laterals, the top-down path of an FPN, and a depthwise 7x7 with a pointwise convolution
    for every level; further levels are such pairs of stride 2 on the level before.

    Args:
        in_channels: Channels of the maps, from fine to coarse, each half the size of the one before.
        channels: Channels of every level.
        extra_levels: Levels beyond the coarsest map.
        attention: Without it the neck computes what the release does: there the attention's answer is thrown away.
    """

    def __init__(
        self, in_channels: Sequence[int], channels: int, extra_levels: int = 0, *, attention: bool = True
    ) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in in_channels)
        self.attentions = nn.ModuleList(
            CoordinateAttention(channels) if attention else nn.Identity() for _ in in_channels
        )
        self.outputs = nn.ModuleList(_depthwise7x7(channels) for _ in in_channels)
        self.extras = nn.ModuleList(_depthwise7x7(channels, stride=2) for _ in range(extra_levels))
        _initialise(self)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return the pyramid, (B,channels,H_l,W_l) each, from fine to coarse."""
        laterals = [lateral(m) for lateral, m in zip(self.laterals, maps, strict=True)]
        merged = _top_down([attention(m) for attention, m in zip(self.attentions, laterals, strict=True)])
        return _levels(merged, self.outputs, self.extras)


class MlpFPN(nn.Module):
    """Feature pyramid of SDD FTI-FDet: pointwise convolutions only (arXiv 2312.05832; MVME-HBUT/SDD-FTI-FDet).

    Args:
        in_channels: Channels of the maps, from fine to coarse, each half the size of the one before.
        channels: Channels of every level.
        extra_levels: Levels beyond the coarsest map; each keeps every second cell of the level before.
        padding: 1 for the ring of cells that the release puts around every level, the bias of its convolution.
    """

    def __init__(self, in_channels: Sequence[int], channels: int, extra_levels: int = 0, *, padding: int = 0) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in in_channels)
        self.outputs = nn.ModuleList(nn.Conv2d(channels, channels, 1, padding=padding) for _ in in_channels)
        self.extra_levels = extra_levels
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return the pyramid, (B,channels,H_l,W_l) each, from fine to coarse."""
        merged = _top_down([lateral(m) for lateral, m in zip(self.laterals, maps, strict=True)])
        levels = [output(m) for output, m in zip(self.outputs, merged, strict=True)]
        for _ in range(self.extra_levels):
            levels.append(levels[-1][:, :, ::2, ::2])
        return levels


def _depthwise7x7(channels: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 7, stride=stride, padding=3, groups=channels),
        nn.Conv2d(channels, channels, 1),
    )


def _top_down(laterals: list[Tensor]) -> list[Tensor]:
    """Add every map, enlarged to the size of the next finer one, to that; from coarse to fine."""
    merged = list(laterals)
    for fine in reversed(range(len(merged) - 1)):
        merged[fine] = merged[fine] + functional.interpolate(merged[fine + 1], size=merged[fine].shape[-2:])
    return merged


def _initialise(neck: nn.Module) -> None:
    for module in neck.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
