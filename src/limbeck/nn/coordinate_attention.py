"""Coordinate attention: every row and every column of a map gets a weight per channel (arXiv 2103.02907)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

REDUCTION = 16
LEAST_CHANNELS = 8


class CoordinateAttention(nn.Module):
    """x * a_h * a_w, with a_h from the means of the rows and a_w from the means of the columns.

    Args:
        channels: C; the bottleneck has C // `REDUCTION` channels, at least `LEAST_CHANNELS`.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        middle = max(LEAST_CHANNELS, channels // REDUCTION)
        self.squeeze = nn.Conv2d(channels, middle, 1)
        self.norm = nn.BatchNorm2d(middle)
        self.gate_h = nn.Conv2d(middle, channels, 1)
        self.gate_w = nn.Conv2d(middle, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B,C,H,W) of (B,C,H,W)."""
        rows, columns = x.mean(dim=3, keepdim=True), x.mean(dim=2, keepdim=True)
        both = torch.cat([rows, columns.transpose(2, 3)], dim=2)
        mixed = functional.hardswish(self.norm(self.squeeze(both)))
        of_rows, of_columns = mixed.split([x.shape[2], x.shape[3]], dim=2)
        gated: Tensor = x * self.gate_h(of_rows).sigmoid() * self.gate_w(of_columns.transpose(2, 3)).sigmoid()
        return gated
