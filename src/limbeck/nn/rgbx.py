"""Two modalities in one network: what it reads of a batch, and the encoders that bring RGB and X together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.core.samples import Batch
from limbeck.core.segmentation import SegmenterConfig
from limbeck.errors import IncompatibleError
from limbeck.nn.backbones import IMAGENET_MEAN, IMAGENET_STD, RGB_CHANNELS, Backbone, Normalise

GREY_LEVELS = 255.0


class RgbxInput(nn.Module):
    """Read a batch: the image, and X if the settings name it, both normalised.

    Args:
        config: Settings of the segmenter.

    Attributes:
        mean: Mean per channel of the image that is subtracted, in grey levels.
        std: Deviation per channel that it is divided by.
    """

    def __init__(self, config: SegmenterConfig) -> None:
        super().__init__()
        unit = config.rgb_norm == "unit"
        self.mean = (0.0,) * RGB_CHANNELS if unit else IMAGENET_MEAN
        self.std = (GREY_LEVELS,) * RGB_CHANNELS if unit else IMAGENET_STD
        self.normalise = Normalise(self.mean, self.std)
        self.x = config.x
        self.x_channels = config.x_channels
        has_statistics = config.x is not None and config.x_norm == "batch"
        self.x_norm = nn.BatchNorm2d(config.x_channels, affine=False) if has_statistics else nn.Identity()

    def forward(self, batch: Batch[Any]) -> tuple[Tensor, Tensor | None]:
        """Return the image (B,3,H,W) and X (B,x_channels,H,W), None without X.

        Raises:
            IncompatibleError: The batch has no such modality, or with another number of channels.
        """
        image = self.normalise(batch.images)
        if self.x is None:
            return image, None
        x = self._modality(batch).to(image.dtype)
        return image, self.x_norm(x).contiguous(memory_format=torch.channels_last)

    def _modality(self, batch: Batch[Any]) -> Tensor:
        if self.x not in batch.inputs:
            raise IncompatibleError(
                f"The model reads the modality '{self.x}' beside the image; the data give {sorted(batch.inputs)}."
            )
        x = batch.inputs[self.x]
        if x.shape[1] != self.x_channels:
            raise IncompatibleError(
                f"The model reads the modality '{self.x}' with {self.x_channels} channels; the data give it "
                f"{x.shape[1]}.",
                hint=f"set x_channels: {x.shape[1]}",
            )
        return x


class Encoder(nn.Module, ABC):
    """From image and X to one list of maps. Abstract.

    Attributes:
        channels: Channels of each map.
        strides: Pixels per cell of each map.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]

    @abstractmethod
    def forward(self, image: Tensor, x: Tensor | None) -> list[Tensor]:
        """Return the maps, (B,C_l,H_l,W_l) each, from fine to coarse."""


class FusedEncoder(Encoder):
    """Two backbones; at every map the features of X are added to those of RGB, and RGB goes on with the sum.

    X goes on unfused (hlwang1124/SNE-RoadSeg, yuxiangsun/RTFNet). Without X it is a plain backbone.

    Args:
        config: Settings of the segmenter.
        strides: Strides of the maps.

    Raises:
        IncompatibleError: With X, where nothing can be added between the stages of the backbone.
    """

    def __init__(self, config: SegmenterConfig, strides: tuple[int, ...]) -> None:
        super().__init__()
        self.rgb = Backbone(config.backbone, strides, config.pretrained)
        self.x = _x_backbone(config, strides) if config.x is not None else None
        if self.x is not None:
            self.x.stages()  # a backbone that cannot be fused is refused now and not in the first step
        self.channels, self.strides = self.rgb.channels, strides

    def forward(self, image: Tensor, x: Tensor | None) -> list[Tensor]:
        """Return the maps of the RGB stream."""
        if self.x is None or x is None:
            plain: list[Tensor] = self.rgb(image)
            return plain
        maps = []
        for rgb_layers, x_layers in zip(self.rgb.stages(), self.x.stages(), strict=True):
            x = _run(x_layers, x)
            image = _run(rgb_layers, image) + x
            maps.append(self.rgb.as_map(image))
        return maps


class LateEncoder(Encoder):
    """Two backbones that know nothing of each other; their maps are concatenated, and a 1x1 brings back the width.

    Args:
        config: Settings of the segmenter; they name X.
        strides: Strides of the maps.
    """

    def __init__(self, config: SegmenterConfig, strides: tuple[int, ...]) -> None:
        super().__init__()
        self.rgb = Backbone(config.backbone, strides, config.pretrained)
        self.x = _x_backbone(config, strides)
        self.fuse = nn.ModuleList(nn.Conv2d(2 * channels, channels, 1) for channels in self.rgb.channels)
        self.channels, self.strides = self.rgb.channels, strides

    def forward(self, image: Tensor, x: Tensor | None) -> list[Tensor]:
        """Return the fused maps."""
        pairs = zip(self.rgb(image), self.x(x), strict=True)
        return [fuse(torch.cat(pair, dim=1)) for fuse, pair in zip(self.fuse, pairs, strict=True)]


def _x_backbone(config: SegmenterConfig, strides: tuple[int, ...]) -> Backbone:
    return Backbone(config.backbone, strides, config.pretrained, in_channels=config.x_channels)


def _run(layers: Sequence[nn.Module], x: Tensor) -> Tensor:
    for layer in layers:
        x = layer(x)
    return x
