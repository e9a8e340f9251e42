import pytest
import torch

from limbeck.errors import CheckpointError, IncompatibleError
from limbeck.nn.backbones import IMAGENET_MEAN, IMAGENET_STD, Backbone, Normalise, strides_among

STRIDES = (8, 16, 32)


@pytest.mark.parametrize(
    "name", ["test_resnet", "test_efficientnet", "test_convnext", "test_mambaout", "mobilenetv3_small_050", "resnet10t"]
)
def test_any_timm_model_gives_maps_of_the_strides_asked_for(name):
    backbone = Backbone(name, STRIDES).eval()
    with torch.no_grad():
        maps = backbone(torch.rand(2, 3, 64, 96))
    sizes = [
        (2, channels, 64 // stride, 96 // stride) for channels, stride in zip(backbone.channels, STRIDES, strict=True)
    ]
    assert [tuple(m.shape) for m in maps] == sizes


def test_only_the_strides_asked_for_are_computed():
    whole, part = Backbone("test_resnet", (8, 16, 32)), Backbone("test_resnet", (8,))
    assert len(part.channels) == 1
    assert sum(p.numel() for p in part.parameters()) < 0.5 * sum(p.numel() for p in whole.parameters())


def test_a_stride_that_occurs_twice_means_the_deepest_map():
    backbone = Backbone("vit_tiny_patch16_224", (16,))
    assert [str(index) for index in backbone.body.out_indices] == ["2"]


def test_a_misspelt_name_is_answered_with_a_near_one():
    with pytest.raises(IncompatibleError, match=r"timm knows no backbone 'resnet_18' \(did you mean 'resnet\d*18'\?\)"):
        Backbone("resnet_18", (8,))


def test_a_missing_stride_is_named_with_those_there_are():
    with pytest.raises(IncompatibleError, match=r"no map of stride 2; its maps have the strides \[4, 8, 16, 32\]"):
        Backbone("test_convnext", (2, 4))


def test_a_model_that_cannot_give_maps_is_refused(monkeypatch):
    def refuse(name, **settings):
        raise RuntimeError("features_only not implemented")

    monkeypatch.setattr("timm.create_model", refuse)
    with pytest.raises(IncompatibleError, match=r"'test_resnet' cannot give feature maps \(features_only not"):
        Backbone("test_resnet", (8,))


def test_pretrained_weights_out_of_reach_are_told(no_network, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match="The pretrained weights of 'resnet18' cannot be had") as caught:
        Backbone("resnet18", (8,), pretrained=True)
    assert "pretrained: false" in str(caught.value)
    assert len(caught.value.message.splitlines()) == 1
    assert no_network.take()  # it did ask, as it was told to


def test_nothing_is_fetched_unless_asked_for(no_network):
    Backbone("resnet18", (8,))
    assert no_network.take() == []


def test_images_are_normalised():
    images = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    result = Normalise()(images)
    assert torch.allclose(result, (images - mean) / std, atol=1e-6)
    assert result.is_contiguous(memory_format=torch.channels_last)
    assert Normalise().state_dict() == {}  # a constant, not a weight
    assert Normalise().bfloat16()(images).dtype == torch.bfloat16


@pytest.mark.parametrize("name", ["resnet18", "asmlp_nano", "lean_pico"])
def test_a_frozen_stem_keeps_its_weights_and_all_statistics(name):
    backbone = Backbone(name, (8, 16), frozen_stem=True).train()
    frozen = {n for n, p in backbone.named_parameters() if not p.requires_grad}
    assert frozen
    assert frozen < {n for n, _ in backbone.named_parameters()}
    before = {n: b.clone() for n, b in backbone.named_buffers()}
    sum(m.sum() for m in backbone(torch.randn(2, 3, 64, 64))).backward()
    assert all(torch.equal(b, before[n]) for n, b in backbone.named_buffers())
    assert all(p.grad is None for n, p in backbone.named_parameters() if n in frozen)
    assert all(p.grad is not None for n, p in backbone.named_parameters() if n not in frozen)


def test_the_frozen_stem_of_a_resnet_ends_with_its_first_stage():
    backbone = Backbone("resnet18", (8,), frozen_stem=True)
    parts = {n.split(".")[1] for n, p in backbone.named_parameters() if not p.requires_grad}
    assert parts == {"conv1", "bn1", "layer1"}


def test_a_network_that_does_not_say_where_its_stem_ends_is_refused():
    with pytest.raises(IncompatibleError, match="frozen_stem must be false"):
        Backbone("mobilenetv3_large_100", (8, 16), frozen_stem=True)


@pytest.mark.parametrize(
    ("name", "strides"),
    [
        ("resnet18", (2, 4, 8, 16, 32)),
        ("test_convnext", (4, 8, 16, 32)),
        ("test_efficientnet", (2, 4, 8, 16, 32)),
        ("mobilenetv3_small_050", (2, 4, 8, 16, 32)),  # its first map is that behind the activation
        ("mobilenetv3_small_050", (4, 16)),
        ("regnetx_002", (8, 32)),
        ("lean_pico", (4, 16)),
        ("mit_b0", (4, 8, 16, 32)),
    ],
)
def test_the_stages_one_after_another_give_the_maps(name, strides):
    backbone, maps = Backbone(name, strides).eval(), []
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        expected, x = backbone(images), images
        for layers in backbone.stages():
            for layer in layers:
                x = layer(x)
            maps.append(backbone.as_map(x))
    assert len(maps) == len(expected)
    assert all(torch.equal(*pair) for pair in zip(maps, expected, strict=True))


def test_maps_with_channels_last_are_turned_around():
    backbone = Backbone("swin_tiny_patch4_window7_224", (4,))
    assert backbone.as_map(torch.rand(1, 56, 48, 96)).shape == (1, 96, 56, 48)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "asmlp_nano"])
def test_a_network_without_a_row_of_stages_is_refused(name):
    with pytest.raises(IncompatibleError, match=f"Nothing can be added between the stages of the backbone '{name}'"):
        Backbone(name, (16,)).stages()


@pytest.mark.parametrize("name", ["resnet18", "test_convnext", "mobilenetv3_small_050", "lean_pico", "mit_b0"])
def test_one_channel_is_read_with_the_mean_of_the_first_convolution(name):
    torch.manual_seed(0)
    rgb = Backbone(name, (8,)).eval()
    torch.manual_seed(0)
    one = Backbone(name, (8,), in_channels=1).eval()
    grey = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        (first,), (second,) = one(grey), rgb(grey.expand(-1, 3, -1, -1) / 3)
    torch.testing.assert_close(first, second)


def test_a_network_that_does_not_convolve_the_image_cannot_read_one_channel():
    with pytest.raises(IncompatibleError, match="'csatv2' has no convolution over the channels of an image"):
        Backbone("csatv2", (8,), in_channels=1)


def test_the_strides_that_a_network_has_are_chosen():
    assert strides_among("test_convnext", (2, 4, 8)) == (4, 8)
    with pytest.raises(IncompatibleError, match=r"'test_convnext' has maps of the strides .* and none of \[2, 64\]"):
        strides_among("test_convnext", (2, 64))
