import pytest
import timm
import torch

from limbeck.models.sne_roadseg import SneRoadSeg

ENCODERS = {"resnet18": (64, 64, 128, 256, 512), "resnet50": (64, 256, 512, 1024, 2048)}
ENCODERS["resnet152"] = ENCODERS["resnet50"]


def build(classes=("road", "other"), **settings):
    return SneRoadSeg(SneRoadSeg.Config(**settings), classes)


def count(model):
    return sum(p.numel() for p in model.parameters())


def decoder_parameters(f, classes):
    """Of ten nodes, each an up convolution and two more with batch norms, and of the last up without its norm."""
    conv = lambda before, after: 9 * before * after + 3 * after  # noqa: E731
    nodes = [(i, j) for j in range(1, 5) for i in range(5 - j)]
    grid = sum(conv(f[i + 1], f[i]) + conv((j + 1) * f[i], f[i]) + conv(f[i], f[i]) for i, j in nodes)
    return grid + 9 * f[0] * classes + classes


@pytest.mark.parametrize("backbone", ENCODERS)
def test_parameters_are_those_of_two_resnets_and_the_grid(backbone):
    with torch.device("meta"):
        encoder = count(timm.create_model(backbone, num_classes=0))
        double, single = (count(build(backbone=backbone, x=x)) for x in ("normals", None))
    assert double == 2 * encoder + decoder_parameters(ENCODERS[backbone], 2)
    assert single == double - encoder


def test_the_published_size_of_the_released_network():
    with torch.device("meta"):
        model = build(backbone="resnet152", x="normals", release_head=True)
    assert count(model) == pytest.approx(201.3e6, abs=0.05e6)


def test_x_of_one_channel_needs_64_kernels_of_7_by_7_less_per_channel():
    three, one = (build(x="depth", x_channels=channels) for channels in (3, 1))
    assert count(three) - count(one) == 2 * 64 * 7 * 7


def test_maps_are_the_fused_ones_at_five_strides(make_segmenter):
    spec = build(x="normals").spec
    assert spec.channels == (64, 64, 128, 256, 512)
    assert spec.strides == (2, 4, 8, 16, 32)
    assert build(backbone="test_convnext").spec.strides == (4, 8, 16, 32)


def test_the_released_head_is_never_negative(make_segmenter, make_scenes):
    batch = make_scenes()
    assert make_segmenter("sne_roadseg", release_head=True)(batch).class_logits.min() == 0
    assert make_segmenter("sne_roadseg")(batch).class_logits.min() < 0


def test_a_light_decoder_is_a_fraction_of_the_whole():
    whole, light = (build(backbone="test_resnet", decoder_width=width).decoder for width in (1.0, 0.25))
    assert count(light) < 0.25 * count(whole)
