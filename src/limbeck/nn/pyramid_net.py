"""The trunk of a detector: normalisation, backbone and neck."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from limbeck.core.dense2d import PyramidConfig
from limbeck.core.model import DenseSpec2D, ModelSpec
from limbeck.nn.backbones import IMAGENET_MEAN, IMAGENET_STD, Backbone, Normalise
from limbeck.nn.necks import FPN, HKN, MlpFPN
from limbeck.ops.pyramid import PriorGrid

COARSEST_BACKBONE_STRIDE = 32
BACKBONE_PATH = "trunk.backbone"
"""Where the backbone is found in a detector that calls its `PyramidNet` ``trunk``."""


class PyramidNet(nn.Module):
    """Images to a feature pyramid.

    Args:
        config: Settings of the detector; strides up to 32 come from the backbone, coarser levels are added by the neck.
    """

    def __init__(self, config: PyramidConfig) -> None:
        super().__init__()
        inner = tuple(stride for stride in config.strides if stride <= COARSEST_BACKBONE_STRIDE)
        self.config = config
        self.normalise = Normalise()
        self.backbone = Backbone(config.backbone, inner, config.pretrained, config.frozen_stem)
        self.neck = _neck(config, self.backbone.channels, len(config.strides) - len(inner))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the pyramid, (B,channels,H/stride,W/stride) each, of images (B,3,H,W) uint8."""
        levels: list[Tensor] = self.neck(self.backbone(self.normalise(images)))
        return levels

    def spec(self, classes: tuple[str, ...]) -> ModelSpec:
        """Return the spec of a detector on this trunk."""
        return ModelSpec(**self._spec(classes))

    def dense_spec(self, classes: tuple[str, ...], priors: PriorGrid, reg_max: int | None) -> DenseSpec2D:
        """Return the spec of a dense detector on this trunk."""
        return DenseSpec2D(**self._spec(classes), priors=priors, reg_max=reg_max)

    def _spec(self, classes: tuple[str, ...]) -> dict[str, Any]:
        return {
            "task": "detection2d",
            "classes": classes,
            "inputs": ("image",),
            "channels": (self.config.channels,) * len(self.config.strides),
            "strides": self.config.strides,
            "mean": IMAGENET_MEAN,
            "std": IMAGENET_STD,
            "backbone": BACKBONE_PATH,
        }


def _neck(config: PyramidConfig, in_channels: Sequence[int], extra_levels: int) -> nn.Module:
    channels, released = config.channels, config.neck.endswith("_release")
    if config.neck == "fpn":
        return FPN(in_channels, channels, extra_levels, config.depthwise)
    if config.neck.startswith("hkn"):
        return HKN(in_channels, channels, extra_levels, attention=not released)
    return MlpFPN(in_channels, channels, extra_levels, padding=int(released))
