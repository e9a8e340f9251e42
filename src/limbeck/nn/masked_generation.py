"""MGD's generation block: a teacher's map is made again from a student's map with holes (arXiv 2205.01529)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MaskedGeneration(nn.Module):
    """Two 3x3 convolutions with a ReLU between them, behind a random mask.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.generation = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1)
        )

    def forward(self, maps: Tensor, kept: Tensor) -> Tensor:
        """Return (B,C,H,W) of maps (B,C,H,W) and a mask (B,1,H,W), 0 where the map is hidden."""
        generated: Tensor = self.generation(maps * kept)
        return generated


def random_mask(maps: Tensor, ratio: float) -> Tensor:
    """Return a mask (B,1,H,W) for maps (B,C,H,W) that hides each cell with the probability ``ratio``."""
    return (torch.rand_like(maps[:, :1], dtype=torch.float32) >= ratio).to(maps.dtype)
