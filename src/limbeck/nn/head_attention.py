"""itKD's head relation-aware self-attention: how the outputs of a head hang together at the objects (2205.15531)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class HeadAttention(nn.Module):
    """Attention between the channels of a head, over all of them and within each branch, and a fusion of the two.

    The tokens are the channels, the features of a token its values at the objects. There is no projection; the fusion,
    a convolution over the channels, is all that is trained.

    Args:
        sizes: Channels of the branches in their order; they add up to C.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        channels = sum(sizes)
        self.fusion = nn.Conv1d(2 * channels, channels, 1)
        assert self.fusion.bias is not None
        self.fusion.bias.requires_grad_(False)  # it is the same on both sides and cancels in their difference

    def forward(self, values: Tensor) -> Tensor:
        """Return the fused values (B,C,M) of values (B,M,C); places without an object hold 0."""
        within = [attend(branch) for branch in values.split(self.sizes, dim=2)]
        fused: Tensor = self.fusion(torch.cat([attend(values), *within], dim=2).transpose(1, 2))
        return fused


def attend(values: Tensor) -> Tensor:
    """Return (B,M,C) values mixed over the channels: X softmax(X^T X / sqrt(M)), whose columns add up to 1.

    Args:
        values: X, (B,M,C); M counts the places without an object too, as in the released code.
    """
    if values.shape[2] == 1:
        return values
    likeness = values.transpose(1, 2) @ values / math.sqrt(values.shape[1])
    return values @ likeness.softmax(dim=1)
