"""The head of CenterPoint: a shared convolution, then for every group of classes a small branch for each quantity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from limbeck.core.centre import HEAT_MAP

PRIOR_PROBABILITY_LOGIT = -2.19
"""Bias of the heat maps at the start: the logit of 0.1."""


class CenterHead(nn.Module):
    """CenterHead (arXiv 2006.11275).

    Args:
        channels: Input channels.
        groups: For each group of classes the branches by name with their output channels.
        shared: Channels of the shared convolution.
        hidden: Channels within a branch.
    """

    def __init__(self, channels: int, groups: Sequence[Mapping[str, int]], shared: int = 64, hidden: int = 64) -> None:
        super().__init__()
        self.shared = nn.Sequential(
            nn.Conv2d(channels, shared, 3, padding=1), nn.BatchNorm2d(shared), nn.ReLU(inplace=True)
        )
        self.groups = nn.ModuleList(
            nn.ModuleDict({name: _branch(shared, hidden, outputs, name) for name, outputs in group.items()})
            for group in groups
        )

    def forward(self, x: Tensor) -> list[dict[str, Tensor]]:
        """Return for each group the maps (B,C,H,W) of its branches by name; heat maps are logits."""
        x = self.shared(x)
        return [{name: branch(x) for name, branch in _branches(group)} for group in self.groups]


def _branches(group: nn.Module) -> list[tuple[str, nn.Module]]:
    assert isinstance(group, nn.ModuleDict)
    return list(group.items())


def _branch(channels: int, hidden: int, outputs: int, name: str) -> nn.Sequential:
    first, last = nn.Conv2d(channels, hidden, 3, padding=1), nn.Conv2d(hidden, outputs, 3, padding=1)
    if name == HEAT_MAP:
        assert last.bias is not None
        nn.init.constant_(last.bias, PRIOR_PROBABILITY_LOGIT)
    else:
        for convolution in (first, last):
            nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
            assert convolution.bias is not None
            nn.init.zeros_(convolution.bias)
    return nn.Sequential(first, nn.BatchNorm2d(hidden), nn.ReLU(inplace=True), last)
