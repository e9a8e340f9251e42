"""The trunk of a dense detector: normalisation, backbone and FPN."""

from __future__ import annotations

from torch import Tensor, nn

from limbeck.nn.backbones import Backbone, Normalise
from limbeck.nn.necks import FPN

COARSEST_BACKBONE_STRIDE = 32


class PyramidNet(nn.Module):
    """Images to a feature pyramid.

    Args:
        backbone: timm name.
        strides: Strides of the pyramid, each twice the one before; those up to 32 come from the backbone, coarser
            levels are added by the FPN.
        channels: Channels of every level.
        depthwise: Use depthwise-separable convolutions in the FPN.
        pretrained: Start from timm's pretrained weights.
    """

    def __init__(
        self, backbone: str, *, strides: tuple[int, ...], channels: int, depthwise: bool, pretrained: bool
    ) -> None:
        super().__init__()
        inner = tuple(stride for stride in strides if stride <= COARSEST_BACKBONE_STRIDE)
        self.normalise = Normalise()
        self.backbone = Backbone(backbone, inner, pretrained)
        self.neck = FPN(self.backbone.channels, channels, len(strides) - len(inner), depthwise)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the pyramid, (B,channels,H/stride,W/stride) each, of images (B,3,H,W) uint8."""
        levels: list[Tensor] = self.neck(self.backbone(self.normalise(images)))
        return levels
