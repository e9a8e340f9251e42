"""The trunk of a dense detector: normalisation, backbone and FPN."""

from __future__ import annotations

from torch import Tensor, nn

from limbeck.core.dense2d import PyramidConfig
from limbeck.core.model import DenseSpec2D
from limbeck.nn.backbones import IMAGENET_MEAN, IMAGENET_STD, Backbone, Normalise
from limbeck.nn.necks import FPN
from limbeck.ops.pyramid import PriorGrid

COARSEST_BACKBONE_STRIDE = 32


class PyramidNet(nn.Module):
    """Images to a feature pyramid.

    Args:
        config: Settings of the detector; strides up to 32 come from the backbone, coarser levels are added by the FPN.
    """

    def __init__(self, config: PyramidConfig) -> None:
        super().__init__()
        inner = tuple(stride for stride in config.strides if stride <= COARSEST_BACKBONE_STRIDE)
        self.config = config
        self.normalise = Normalise()
        self.backbone = Backbone(config.backbone, inner, config.pretrained)
        extra_levels = len(config.strides) - len(inner)
        self.neck = FPN(self.backbone.channels, config.channels, extra_levels, config.depthwise)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the pyramid, (B,channels,H/stride,W/stride) each, of images (B,3,H,W) uint8."""
        levels: list[Tensor] = self.neck(self.backbone(self.normalise(images)))
        return levels

    def spec(self, classes: tuple[str, ...], priors: PriorGrid, reg_max: int | None) -> DenseSpec2D:
        """Return the spec of a detector on this trunk."""
        return DenseSpec2D(
            task="detection2d",
            classes=classes,
            inputs=("image",),
            channels=(self.config.channels,) * len(self.config.strides),
            strides=self.config.strides,
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
            priors=priors,
            reg_max=reg_max,
        )
