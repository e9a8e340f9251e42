"""The weighted permute MLP of Vision Permutator (arXiv 2106.12368), as SDD's feature adaptor uses it."""

from __future__ import annotations

from torch import Tensor, nn

from limbeck.ops.resize import resize

REDUCTION = 4


class WeightedPermuteMlp(nn.Module):
    """Mixes a map along its width, its height and its channels, and weighs the three by their spatial means.

    Along the width, each group of channels and each row is one vector of (channels of the group, columns) that a linear
    layer maps to (columns, channels), in that order as in the release; along the height, (rows, channels) to the same.

    Args:
        channels: C.
        groups: Groups of channels; C is a multiple of it.
        size_hw: Rows and columns that the layers are made for. A map of another size is interpolated to them and back.
    """

    def __init__(self, channels: int, groups: int, size_hw: tuple[int, int]) -> None:
        super().__init__()
        self.groups = groups
        self.size_hw = size_hw
        segment = channels // groups
        self.height = nn.Linear(size_hw[0] * segment, size_hw[0] * segment, bias=False)
        self.width = nn.Linear(size_hw[1] * segment, size_hw[1] * segment, bias=False)
        self.channel = nn.Linear(channels, channels, bias=False)
        self.reweight = nn.Sequential(
            nn.Linear(channels, channels // REDUCTION), nn.GELU(), nn.Linear(channels // REDUCTION, 3 * channels)
        )
        self.project = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B,C,H,W) of (B,C,H,W)."""
        return resize(self._mix(resize(x, self.size_hw)), (x.shape[2], x.shape[3]))

    def _mix(self, x: Tensor) -> Tensor:
        grouped = x.unflatten(1, (self.groups, -1))  # B, groups, segment, H, W
        rows = self.width(grouped.transpose(2, 3).flatten(3)).unflatten(3, (x.shape[3], -1))
        width = rows.permute(0, 1, 4, 2, 3).flatten(1, 2)
        columns = self.height(grouped.permute(0, 1, 4, 3, 2).flatten(3)).unflatten(3, (x.shape[2], -1))
        height = columns.permute(0, 1, 4, 3, 2).flatten(1, 2)
        channel = self.channel(x.movedim(1, -1)).movedim(-1, 1)
        weights = self.reweight((width + height + channel).mean(dim=(2, 3))).unflatten(1, (-1, 3)).softmax(dim=2)
        branches = zip(weights[..., None, None].unbind(dim=2), (width, height, channel), strict=True)
        mixed: Tensor = self.project(sum(weight * branch for weight, branch in branches).movedim(1, -1)).movedim(-1, 1)
        return mixed
