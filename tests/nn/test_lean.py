import pytest
import torch

from limbeck.core.backbone_name import OWN_BACKBONES
from limbeck.errors import CheckpointError, IncompatibleError
from limbeck.nn.backbones import OWN_STRIDES, Backbone
from limbeck.nn.lean import STRIDES, WIDTHS, LeanNet


@pytest.mark.parametrize("name", WIDTHS)
def test_every_stage_gives_a_map_of_its_stride(name):
    net = LeanNet(name, STRIDES).eval()
    with torch.no_grad():
        maps = net(torch.rand(2, 3, 64, 96))
    assert net.channels == WIDTHS[name]
    assert [tuple(m.shape) for m in maps] == [
        (2, width, 64 // stride, 96 // stride) for width, stride in zip(WIDTHS[name], STRIDES, strict=True)
    ]


def test_stages_beyond_the_coarsest_map_are_not_built():
    net = LeanNet("lean_nano", (8, 16))
    assert len(net.stages) == 4
    assert net.channels == WIDTHS["lean_nano"][2:4]


def test_it_starts_with_signals_of_equal_size_at_all_depths():
    torch.manual_seed(0)
    net = LeanNet("lean_nano", STRIDES).train()
    with torch.no_grad():
        spread = [m.std().item() for m in net(torch.randn(4, 3, 64, 64))]
    assert max(spread) < 3 * min(spread)


def test_it_is_found_as_a_backbone_beside_those_of_timm():
    backbone = Backbone("lean_nano", (8, 16, 32))
    assert backbone.channels == WIDTHS["lean_nano"][2:]
    with pytest.raises(IncompatibleError, match=r"no map of stride 64; its maps have the strides \[2, 4, 8, 16, 32\]"):
        Backbone("lean_nano", (32, 64))


def test_a_run_file_may_name_each_of_them():
    assert set(OWN_STRIDES) == set(OWN_BACKBONES)


def test_there_are_no_pretrained_weights(no_network):
    with pytest.raises(CheckpointError, match="no pretrained weights of 'lean_nano'"):
        Backbone("lean_nano", (8,), pretrained=True)
    assert no_network.take() == []
