"""SegFormer: an encoder with maps at four strides and a head of 1x1 convolutions (arXiv 2105.15203)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from limbeck.core.backbone_name import BackboneName
from limbeck.core.segmentation import SegmenterConfig
from limbeck.nn.backbones import strides_among
from limbeck.nn.mlp_head import AllMlpHead
from limbeck.nn.rgbx import FusedEncoder
from limbeck.nn.rgbx_segmenter import RgbxSegmenter

STRIDES = (4, 8, 16, 32)


class SegFormer(RgbxSegmenter):
    """The all-MLP head on any backbone; with X on two, X added to RGB at every map.

    Args:
        config: Settings.
        classes: Class names in the order of the labels.
    """

    class Config(SegmenterConfig):
        """Settings; the defaults are those of SegFormer-B0."""

        model: Literal["segformer"] = "segformer"
        backbone: BackboneName = "mit_b0"
        head_width: int = Field(256, ge=8)

    def __init__(self, config: Config, classes: tuple[str, ...]) -> None:
        encoder = FusedEncoder(config, strides_among(config.backbone, STRIDES))
        super().__init__(config, classes, encoder, AllMlpHead(encoder.channels, len(classes), config.head_width))
