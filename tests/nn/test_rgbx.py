from pathlib import Path

import pytest
import timm
import torch

from limbeck.core.samples import Batch, Frame
from limbeck.core.segmentation import SegmenterConfig
from limbeck.errors import IncompatibleError
from limbeck.nn.backbones import IMAGENET_MEAN, IMAGENET_STD
from limbeck.nn.rgbx import FusedEncoder, LateEncoder, RgbxInput


def config(**settings):
    return SegmenterConfig(model="any", **settings)


def batch_of(**inputs):
    return Batch(inputs, [], [Frame(0, Path("0.png"))])


IMAGE = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)


def test_the_image_alone_is_read_where_no_x_is_named():
    image, x = RgbxInput(config())(batch_of(image=IMAGE, depth=torch.rand(2, 1, 8, 8)))
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    torch.testing.assert_close(image, (IMAGE - mean) / std)
    assert x is None


def test_unit_brings_the_image_to_0_to_1():
    reader = RgbxInput(config(rgb_norm="unit"))
    torch.testing.assert_close(reader(batch_of(image=IMAGE))[0], IMAGE / 255)
    assert (reader.mean, reader.std) == ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0))


def test_x_gets_the_statistics_of_the_training_and_keeps_them():
    reader = RgbxInput(config(x="depth", x_channels=1)).train()
    depth = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 7 + 20
    _, x = reader(batch_of(image=IMAGE, depth=depth))
    assert x.mean().item() == pytest.approx(0, abs=1e-5)
    assert x.std().item() == pytest.approx(1, abs=1e-2)
    for _ in range(200):
        reader(batch_of(image=IMAGE, depth=depth))
    _, kept = reader.eval()(batch_of(image=IMAGE, depth=depth))
    torch.testing.assert_close(kept, x, atol=0.05, rtol=0)  # the variance kept is the unbiased one
    assert set(reader.state_dict()) == {"x_norm.running_mean", "x_norm.running_var", "x_norm.num_batches_tracked"}
    assert list(reader.parameters()) == []


def test_x_stays_as_it_is_without_a_norm():
    depth = torch.rand(2, 1, 8, 8)
    reader = RgbxInput(config(x="depth", x_channels=1, x_norm="none"))
    assert torch.equal(reader(batch_of(image=IMAGE, depth=depth))[1], depth)
    assert reader.state_dict() == {}


def test_a_missing_modality_is_told_with_those_there_are():
    with pytest.raises(
        IncompatibleError, match=r"reads the modality 'depth' .* the data give \['image', 'thermal'\]\."
    ):
        RgbxInput(config(x="depth"))(batch_of(image=IMAGE, thermal=torch.rand(2, 1, 8, 8)))


def test_another_number_of_channels_is_told():
    with pytest.raises(IncompatibleError, match="'depth' with 3 channels; the data give it 1") as caught:
        RgbxInput(config(x="depth"))(batch_of(image=IMAGE, depth=torch.rand(2, 1, 8, 8)))
    assert "set x_channels: 1" in str(caught.value)


@torch.no_grad()
def resnet_by_hand(rgb, other, image, x):
    """The five fused maps of two ResNets, written out."""
    rgb_map = rgb.act1(rgb.bn1(rgb.conv1(image)))
    x_map = other.act1(other.bn1(other.conv1(x)))
    maps = [rgb_map + x_map]
    rgb_map, x_map = rgb.maxpool(maps[0]), other.maxpool(x_map)
    for layer in ("layer1", "layer2", "layer3", "layer4"):
        rgb_map, x_map = getattr(rgb, layer)(rgb_map), getattr(other, layer)(x_map)
        rgb_map = rgb_map + x_map
        maps.append(rgb_map)
    return maps


@pytest.mark.parametrize("x_channels", [1, 3])
def test_x_is_added_to_rgb_at_five_places_of_a_resnet(x_channels):
    torch.manual_seed(0)
    encoder = FusedEncoder(config(x="x", x_channels=x_channels), (2, 4, 8, 16, 32)).eval()
    image, x = torch.rand(1, 3, 64, 96), torch.rand(1, x_channels, 64, 96)
    rgb = timm.create_model("resnet18", num_classes=0).eval()
    rgb.load_state_dict(encoder.rgb.body.state_dict())
    other = timm.create_model("resnet18", num_classes=0, in_chans=x_channels).eval()
    other.load_state_dict(encoder.x.body.state_dict())
    with torch.no_grad():
        maps = encoder(image, x)
    for found, expected in zip(maps, resnet_by_hand(rgb, other, image, x), strict=True):
        torch.testing.assert_close(found, expected)
    assert encoder.channels == (64, 64, 128, 256, 512)


def test_without_x_the_fused_encoder_is_its_backbone():
    encoder = FusedEncoder(config(backbone="lean_pico"), (4, 8)).eval()
    image = torch.rand(1, 3, 32, 32)
    assert encoder.x is None
    with torch.no_grad():
        assert all(torch.equal(*pair) for pair in zip(encoder(image, None), encoder.rgb(image), strict=True))


def test_a_single_encoder_has_the_names_of_the_rgb_stream_of_two():
    single, double = (FusedEncoder(config(backbone="lean_pico", x=x), (4, 8)) for x in (None, "normals"))
    assert set(single.state_dict()) == {name for name in double.state_dict() if name.startswith("rgb.")}


def test_a_backbone_that_cannot_be_fused_is_refused_at_once():
    with pytest.raises(IncompatibleError, match="Nothing can be added between the stages") as caught:
        FusedEncoder(config(backbone="asmlp_nano", x="normals"), (4, 8))
    assert "late_fusion" in str(caught.value)


def test_late_fusion_joins_the_maps_of_two_backbones_and_keeps_their_widths():
    encoder = LateEncoder(config(backbone="asmlp_nano", x="depth", x_channels=1), (4, 8)).eval()
    image, x = torch.rand(1, 3, 32, 32), torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        maps, pairs = encoder(image, x), zip(encoder.rgb(image), encoder.x(x), strict=True)
        for found, (rgb, other), fuse in zip(maps, pairs, encoder.fuse, strict=True):
            weight, bias = fuse.weight[:, :, 0, 0], fuse.bias[:, None, None]
            channels = rgb.shape[1]
            expected = torch.einsum("oc,bchw->bohw", weight[:, :channels], rgb)
            expected = expected + torch.einsum("oc,bchw->bohw", weight[:, channels:], other) + bias
            torch.testing.assert_close(found, expected)
    assert [m.shape[1] for m in maps] == list(encoder.channels)
