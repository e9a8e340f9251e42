"""SNE-RoadSeg: two ResNets fused at five places and a dense decoder (arXiv 2008.11351)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from limbeck.core.segmentation import SegmenterConfig
from limbeck.nn.backbones import strides_among
from limbeck.nn.nested_decoder import NestedDecoder
from limbeck.nn.rgbx import FusedEncoder
from limbeck.nn.rgbx_segmenter import RgbxSegmenter

STRIDES = (2, 4, 8, 16, 32)


class SneRoadSeg(RgbxSegmenter):
    """RGB and X in two backbones, X added to RGB at every map, and the grid of UNet++ on the sums.

    Args:
        config: Settings; without ``x`` it is the single-encoder student.
        classes: Class names in the order of the labels.
    """

    class Config(SegmenterConfig):
        """Settings; the release has the backbone ``resnet152``."""

        model: Literal["sne_roadseg"] = "sne_roadseg"
        decoder_width: float = Field(1.0, gt=0, le=1)
        release_head: bool = False

    def __init__(self, config: Config, classes: tuple[str, ...]) -> None:
        encoder = FusedEncoder(config, strides_among(config.backbone, STRIDES))
        decoder = NestedDecoder(encoder.channels, len(classes), config.decoder_width, config.release_head)
        super().__init__(config, classes, encoder, decoder)
