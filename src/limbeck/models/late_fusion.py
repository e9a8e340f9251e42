"""Late fusion: two encoders that exchange nothing, joined map by map, and the all-MLP head. Our own stand-in."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from limbeck.core.segmentation import SegmenterConfig
from limbeck.nn.backbones import strides_among
from limbeck.nn.mlp_head import AllMlpHead
from limbeck.nn.rgbx import LateEncoder
from limbeck.nn.rgbx_segmenter import RgbxSegmenter

STRIDES = (4, 8, 16, 32)


class LateFusion(RgbxSegmenter):
    """RGB and X in two backbones whose maps are concatenated and brought back to their width by a 1x1.

    Args:
        config: Settings; ``x`` must be given.
        classes: Class names in the order of the labels.
    """

    class Config(SegmenterConfig):
        """Settings."""

        model: Literal["late_fusion"] = "late_fusion"
        x: str
        head_width: int = Field(256, ge=8)

    def __init__(self, config: Config, classes: tuple[str, ...]) -> None:
        encoder = LateEncoder(config, strides_among(config.backbone, STRIDES))
        super().__init__(config, classes, encoder, AllMlpHead(encoder.channels, len(classes), config.head_width))
