"""RTFNet: two ResNets fused at five places and a decoder of transposed convolutions (IEEE RA-L 2019)."""

from __future__ import annotations

from typing import Literal

from limbeck.core.segmentation import SegmenterConfig
from limbeck.nn.backbones import strides_among
from limbeck.nn.rgbx import FusedEncoder
from limbeck.nn.rgbx_segmenter import RgbxSegmenter
from limbeck.nn.trans_bottleneck import TransDecoder

STRIDES = (2, 4, 8, 16, 32)


class RTFNet(RgbxSegmenter):
    """RGB and X in two backbones, X added to RGB at every map, and a decoder on the coarsest sum.

    Args:
        config: Settings; without ``x`` it is a single encoder with the same decoder.
        classes: Class names in the order of the labels.
    """

    class Config(SegmenterConfig):
        """Settings; the release has the backbone ``resnet152`` and reads thermal images as X."""

        model: Literal["rtfnet"] = "rtfnet"
        x_channels: Literal[1, 3] = 1
        release_head: bool = False

    def __init__(self, config: Config, classes: tuple[str, ...]) -> None:
        encoder = FusedEncoder(config, strides_among(config.backbone, STRIDES))
        decoder = TransDecoder(encoder.channels[-1], encoder.strides[-1], len(classes), config.release_head)
        super().__init__(config, classes, encoder, decoder)
