"""What all built-in segmenters share: an encoder of RGB and X, and a head on its maps."""

from __future__ import annotations

from torch import Tensor, nn

from limbeck.core.model import ModelSpec
from limbeck.core.outputs import SegmentationRaw
from limbeck.core.samples import Batch, SemanticMask
from limbeck.core.segmentation import Segmenter, SegmenterConfig
from limbeck.nn.rgbx import Encoder, RgbxInput
from limbeck.ops.precision import at_least_float32
from limbeck.ops.resize import resize

ENCODER_PATH = "encoder"


class RgbxSegmenter(Segmenter):
    """A segmenter made of an encoder and a decoder. Abstract.

    Args:
        config: Settings.
        classes: Class names in the order of the labels.
        encoder: From image and X to the maps that `features` returns.
        decoder: From these maps to logits (B,K,h,w) of any size.
    """

    def __init__(self, config: SegmenterConfig, classes: tuple[str, ...], encoder: Encoder, decoder: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.inputs = RgbxInput(config)
        self.encoder = encoder
        self.decoder = decoder
        self.spec = ModelSpec(
            task="segmentation",
            classes=classes,
            inputs=("image",) if config.x is None else ("image", config.x),
            channels=encoder.channels,
            strides=encoder.strides,
            mean=self.inputs.mean,
            std=self.inputs.std,
            backbone=ENCODER_PATH,
            maps={} if config.x is None else {config.x: config.x_channels},
        )

    def features(self, batch: Batch[SemanticMask]) -> list[Tensor]:
        """Return the maps of the encoder, after the fusion, (B,C_l,H_l,W_l) each."""
        maps: list[Tensor] = self.encoder(*self.inputs(batch))
        return maps

    def head(self, features: list[Tensor], batch: Batch[SemanticMask]) -> SegmentationRaw:
        """Return the logits of the decoder at the size of the canvas, resized bilinearly where they have another."""
        logits = at_least_float32(self.decoder(features))
        return SegmentationRaw(features, resize(logits, (batch.images.shape[-2], batch.images.shape[-1])))
