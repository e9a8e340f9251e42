"""A small segmenter for real time: a light backbone and the head LR-ASPP (arXiv 1905.02244)."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import Field, field_validator

from limbeck.core.backbone_name import BackboneName
from limbeck.core.segmentation import SegmenterConfig
from limbeck.nn.lraspp_head import LrAsppHead
from limbeck.nn.rgbx import FusedEncoder
from limbeck.nn.rgbx_segmenter import RgbxSegmenter


class LRASPP(RgbxSegmenter):
    """A light backbone whose coarsest map tells what is in the image and whose finer ones tell where.

    Args:
        config: Settings; with ``x`` there are two backbones, and X is added to RGB at every map.
        classes: Class names in the order of the labels.
    """

    class Config(SegmenterConfig):
        """Settings; the defaults are ours, made for thin classes and a small processor."""

        model: Literal["lraspp"] = "lraspp"
        backbone: BackboneName = "lean_nano"
        strides: tuple[int, ...] = Field((4, 8, 16, 32), min_length=1)
        head_width: int = Field(128, ge=8)

        @field_validator("strides")
        @classmethod
        def _strides_rise(cls, strides: tuple[int, ...]) -> tuple[int, ...]:
            if any(fine >= coarse for fine, coarse in pairwise(strides)):
                raise ValueError("strides must rise from map to map, as in [4, 16]")
            return strides

    def __init__(self, config: Config, classes: tuple[str, ...]) -> None:
        encoder = FusedEncoder(config, config.strides)
        super().__init__(config, classes, encoder, LrAsppHead(encoder.channels, len(classes), config.head_width))
