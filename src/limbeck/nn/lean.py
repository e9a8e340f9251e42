"""LeanNet: a small residual network of plain convolutions, made to be trained from scratch on a processor.

Depthwise convolutions save multiply-adds and little time: on a processor they are bound by memory. A plain 3x3
convolution over few channels uses the wide vector units, so that of two networks with the same count of multiply-adds
this one is trained and run faster.
"""

from __future__ import annotations

from torch import Tensor, nn

from limbeck.nn.stages import maps_of_stages

WIDTHS = {"lean_nano": (16, 32, 64, 128, 192), "lean_pico": (8, 16, 32, 64, 128)}
"""Channels of the stages by the name of the network."""
STRIDES = (2, 4, 8, 16, 32)
"""Pixels per cell of the stages' maps."""
PLAIN_STAGES = 2
"""The first stages, where the maps are large, are one strided convolution each; the others add a residual block."""


class LeanNet(nn.Module):
    """Stages of stride 2, as many as the coarsest map asked for needs.

    Args:
        name: A name in `WIDTHS`.
        strides: Strides of the maps to return, in pixels per cell, out of `STRIDES`.

    Attributes:
        channels: Channels of each map returned.
    """

    def __init__(self, name: str, strides: tuple[int, ...]) -> None:
        super().__init__()
        depth = STRIDES.index(max(strides)) + 1
        widths = WIDTHS[name][:depth]
        self.strides = strides
        self.stages = nn.ModuleList()
        for number, (before, width) in enumerate(zip((3, *widths), widths, strict=False)):
            down = _conv(before, width, stride=2)
            self.stages.append(down if number < PLAIN_STAGES else nn.Sequential(*down, _Residual(width)))
        self.channels = tuple(widths[STRIDES.index(stride)] for stride in strides)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the maps, (B,C,H/stride,W/stride) each."""
        return maps_of_stages(self.stages, STRIDES, self.strides, images)


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(*_conv(channels, channels), *_conv(channels, channels)[:-1])
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.relu(x + self.inner(x))
        return total


def _conv(before: int, after: int, stride: int = 1) -> nn.Sequential:
    """Return a 3x3 convolution with batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )
