import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torchvision.ops.misc import FrozenBatchNorm2d

from limbeck.errors import CheckpointError
from limbeck.nn.torchvision_detector import BACKBONES, TorchvisionConfig, resnet_fpn


def fpn(**settings) -> nn.Module:
    return resnet_fpn(TorchvisionConfig(model="any", backbone="resnet18", **settings))


def test_norms_are_frozen_where_the_backbone_is_pretrained_unless_said_otherwise():
    assert TorchvisionConfig(model="any").norm == "batch"
    assert TorchvisionConfig(model="any", pretrained=True).norm == "frozen"
    assert TorchvisionConfig(model="any", pretrained=True, norm="batch").norm == "batch"


@pytest.mark.parametrize(
    ("norm", "kind", "other"), [("batch", nn.BatchNorm2d, "frozen"), ("frozen", FrozenBatchNorm2d, "batch")]
)
def test_checkpoints_load_with_either_kind_of_norm(norm, kind, other, tmp_path):
    backbone = fpn(norm=norm)
    norms = [module for module in backbone.modules() if isinstance(module, (nn.BatchNorm2d, FrozenBatchNorm2d))]
    assert {type(module) for module in norms} == {kind}
    nn.init.uniform_(norms[3].running_mean)
    torch.save(backbone.state_dict(), tmp_path / "mine.pth")
    loaded = fpn(norm=other)
    loaded.load_state_dict(torch.load(tmp_path / "mine.pth", weights_only=True))
    images = torch.rand(1, 3, 64, 64)
    maps, expected = loaded.eval()(images), backbone.eval()(images)
    assert list(maps) == list(expected)
    for name, value in maps.items():
        torch.testing.assert_close(value, expected[name])


def test_all_layers_are_trained():
    assert all(parameter.requires_grad for parameter in fpn(norm="frozen").parameters())


def test_the_backbones_are_torchvision_s_resnets():
    assert {"resnet18", "resnet152", "resnext50_32x4d", "wide_resnet101_2"} <= set(BACKBONES)
    assert all("resne" in name for name in BACKBONES)


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnext50_32x4d", "wide_resnet50_2"])
def test_a_backbone_fits_both_kinds_of_pyramid(name):
    config = TorchvisionConfig(model="any", backbone=name)
    with torch.device("meta"):
        for p6_from_c5 in (False, True):
            maps = resnet_fpn(config, p6_from_c5=p6_from_c5)(torch.zeros(2, 3, 128, 128))
            assert [tuple(level.shape) for level in maps.values()] == [
                (2, 256, side, side) for side in (16, 8, 4, 2, 1)
            ]


def test_an_unknown_backbone_is_named_with_the_nearest_one():
    with pytest.raises(ValidationError, match=r"knows no such ResNet \(did you mean 'resnet34'\?\)"):
        TorchvisionConfig(model="any", backbone="resnet_34")


def test_pretrained_weights_that_cannot_be_had_are_one_plain_sentence(tmp_path, monkeypatch, no_network):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(CheckpointError, match="pretrained weights of 'resnet18' cannot be had") as caught:
        fpn(pretrained=True)
    assert "\n" not in caught.value.message
    assert no_network.take() == ["download.pytorch.org"]
