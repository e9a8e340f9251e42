"""The light head LR-ASPP on any number of maps (arXiv 1905.02244)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from limbeck.ops.resize import resize


class LrAsppHead(nn.Module):
    """Class logits of the coarsest map, gated by the mean over the image, plus those of every finer map.

    With C_1 to C_L from fine to coarse: conv(ReLU(norm(conv(C_L))) * sigmoid(linear(mean(C_L)))) + sum over l < L of
    conv(C_l), each resized to the finest; all convolutions are 1x1. The paper has two maps.

    Args:
        channels: Channels of the maps, from fine to coarse.
        num_classes: K.
        width: Channels of what is gated.
    """

    def __init__(self, channels: Sequence[int], num_classes: int, width: int = 128) -> None:
        super().__init__()
        *finer, coarsest = channels
        self.context = nn.Sequential(
            nn.Conv2d(coarsest, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        self.gate = nn.Linear(coarsest, width)
        self.classify = nn.Conv2d(width, num_classes, 1)
        self.classify_finer = nn.ModuleList(nn.Conv2d(count, num_classes, 1) for count in finer)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return logits (B,K,h,w) of maps of which the finest is (B,C,h,w)."""
        *finer, coarsest = maps
        height, width = maps[0].shape[-2:]
        gate = self.gate(coarsest.mean(dim=(2, 3))).sigmoid()
        logits = resize(self.classify(self.context(coarsest) * gate[:, :, None, None]), (height, width))
        for classify, m in zip(self.classify_finer, finer, strict=True):
            logits = logits + resize(classify(m), (height, width))
        return logits
