"""OFF-Net: one transformer whose first stage reads RGB and X in turn, and a gate between the two (ICRA 2022)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator
from torch import Tensor, nn

from limbeck.core.backbone_name import MIT_BACKBONES, BackboneName
from limbeck.core.segmentation import SegmenterConfig
from limbeck.errors import nearest
from limbeck.nn.backbones import RGB_CHANNELS, Backbone
from limbeck.nn.mit import STRIDES
from limbeck.nn.mlp_head import AllMlpHead
from limbeck.nn.rgbx import Encoder
from limbeck.nn.rgbx_segmenter import RgbxSegmenter


class OFFNet(RgbxSegmenter):
    """A MiT with shared first stage and cross attention between RGB and X, and the all-MLP head.

    Args:
        config: Settings; without ``x`` it is SegFormer on the same backbone.
        classes: Class names in the order of the labels.
    """

    class Config(SegmenterConfig):
        """Settings; the backbone and the width are those of the release."""

        model: Literal["offnet"] = "offnet"
        backbone: BackboneName = "mit_b2"
        head_width: int = Field(256, ge=8)

        @field_validator("backbone")
        @classmethod
        def _backbone_has_the_stages(cls, backbone: str) -> str:
            if backbone not in MIT_BACKBONES:
                raise ValueError(f"offnet is built on one of {list(MIT_BACKBONES)}{nearest(backbone, MIT_BACKBONES)}")
            return backbone

    def __init__(self, config: Config, classes: tuple[str, ...]) -> None:
        encoder = GatedEncoder(config)
        super().__init__(config, classes, encoder, AllMlpHead(encoder.channels, len(classes), config.head_width))


class GatedEncoder(Encoder):
    """Stage 1 on both modalities with the same weights; a gate shares the weight out; then one stream.

    With a and b the maps of RGB and X: g = sigmoid(linear(a + b)) per cell and channel, a <- a (1 + g),
    b <- b (2 - g). The first map returned is a; stage 2 reads a + b (chaytonmin/Off-Road-Freespace-Detection).

    Args:
        config: Settings of the segmenter. X of one channel is repeated for the shared stage, which reads three.
    """

    def __init__(self, config: SegmenterConfig) -> None:
        super().__init__()
        self.rgb = Backbone(config.backbone, STRIDES, config.pretrained)
        self.channels, self.strides = self.rgb.channels, STRIDES
        self.gate = nn.Conv2d(self.channels[0], self.channels[0], 1) if config.x is not None else None

    def forward(self, image: Tensor, x: Tensor | None) -> list[Tensor]:
        """Return the maps of the one stream, the first one that of gated RGB."""
        if self.gate is None or x is None:
            plain: list[Tensor] = self.rgb(image)
            return plain
        (first,), *rest = self.rgb.stages()
        own, other = first(image), first(x.expand(-1, RGB_CHANNELS, -1, -1))
        gate = self.gate(own + other).sigmoid()
        own, other = own * (1 + gate), other * (2 - gate)
        maps, stream = [own], own + other
        for (stage,) in rest:
            stream = stage(stream)
            maps.append(stream)
        return maps
