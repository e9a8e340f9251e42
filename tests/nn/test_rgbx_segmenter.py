from pathlib import Path

import torch
from torch import nn

from limbeck.core.samples import Batch, Frame
from limbeck.core.segmentation import SegmenterConfig
from limbeck.nn.rgbx import FusedEncoder
from limbeck.nn.rgbx_segmenter import RgbxSegmenter

STRIDES = (4, 8)


class Finest(nn.Module):
    """The first K channels of the finest map as logits."""

    def forward(self, maps):
        return maps[0][:, :2]


class Tiny(RgbxSegmenter):
    class Config(SegmenterConfig):
        backbone: str = "lean_pico"

    def __init__(self, config, classes):
        super().__init__(config, classes, FusedEncoder(config, STRIDES), Finest())


def scene(height, width):
    image = torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8)
    return Batch({"image": image}, [], [Frame(0, Path("0.png"))])


def test_the_spec_is_that_of_the_encoder_and_the_settings():
    spec = Tiny(Tiny.Config(model="tiny", x="thermal", x_channels=1, rgb_norm="unit"), ("road", "crack")).spec
    assert (spec.task, spec.classes, spec.inputs) == ("segmentation", ("road", "crack"), ("image", "thermal"))
    assert (spec.channels, spec.strides, spec.backbone) == ((16, 32), STRIDES, "encoder")
    assert (spec.mean, spec.std) == ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0))


def test_logits_are_resized_to_the_canvas_and_the_maps_are_kept():
    model, batch = Tiny(Tiny.Config(model="tiny"), ("road", "crack")).eval(), scene(32, 48)
    with torch.no_grad():
        raw = model(batch)
    coarse = raw.features[0][:, :2]
    expected = nn.functional.interpolate(coarse, scale_factor=4, mode="bilinear", align_corners=False)
    torch.testing.assert_close(raw.class_logits, expected)
    assert len(raw.features) == 2


def test_the_head_reads_the_maps_that_it_is_given():
    model, batch = Tiny(Tiny.Config(model="tiny"), ("road", "crack")).eval(), scene(32, 48)
    zeros = [torch.zeros_like(m) for m in model.features(batch)]
    assert not model.head(zeros, batch).class_logits.any()
