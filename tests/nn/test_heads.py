import pytest
import torch
from torch import nn

from limbeck.nn.heads import CLASS_PRIOR, DenseHead


def head(**settings) -> DenseHead:
    torch.manual_seed(0)
    return DenseHead(16, 3, 8, **{"depth": 2, "norm": "group", "depthwise": False} | settings)


def levels(*sides, channels=16):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, channels, side, side, generator=generator) for side in sides]


@pytest.mark.parametrize("settings", [{}, {"depth": 0}, {"depthwise": True}, {"norm": "none"}])
def test_one_map_of_classes_and_one_of_boxes_per_level(settings):
    maps = head(**settings)(levels(8, 4))
    assert [tuple(m.shape) for m in maps.classes] == [(2, 3, 8, 8), (2, 3, 4, 4)]
    assert [tuple(m.shape) for m in maps.boxes] == [(2, 8, 8, 8), (2, 8, 4, 4)]
    assert maps.centerness is None


def test_centerness_is_one_more_output_of_the_box_tower():
    rated = head(centerness=True, level_scales=2)
    maps = rated(levels(8, 4))
    assert [tuple(m.shape) for m in maps.centerness] == [(2, 1, 8, 8), (2, 1, 4, 4)]
    with torch.no_grad():
        rated.scales[0].fill_(3.0)  # the factors are for the boxes alone
        for parameter in rated.class_tower.parameters():
            parameter.zero_()
    assert torch.equal(rated(levels(8, 4)).centerness[0], maps.centerness[0])


def test_the_levels_share_their_weights_and_do_not_mix():
    shared = head()
    together, alone = shared(levels(8, 4)), [shared(levels(8)), shared([levels(8, 4)[1]])]
    for part in (0, 1):
        assert torch.allclose(together[part][0], alone[0][part][0], atol=1e-6)
        assert torch.allclose(together[part][1], alone[1][part][0], atol=1e-6)


@pytest.mark.parametrize("settings", [{}, {"depthwise": True}, {"norm": "none"}])
def test_every_class_starts_at_the_prior(settings):
    classes = head(**settings)(levels(8)).classes
    assert classes[0].sigmoid().mean().item() == pytest.approx(CLASS_PRIOR, rel=0.2)


def test_depthwise_towers_pass_a_signal_on():
    def spread(depthwise: bool) -> float:
        tower = head(depthwise=depthwise, depth=1, norm="none").class_tower
        return tower[0](levels(8)[0]).std().item()

    assert 0.2 < spread(True) / spread(False) < 5


def test_a_factor_per_level_scales_the_boxes_alone():
    scaled = head(level_scales=2)
    classes, boxes, _ = scaled(levels(8, 4))
    with torch.no_grad():
        scaled.scales[1].fill_(3.0)
    classes_after, boxes_after, _ = scaled(levels(8, 4))
    assert torch.equal(boxes[0], boxes_after[0])
    assert torch.allclose(3 * boxes[1], boxes_after[1])
    assert all(torch.equal(a, b) for a, b in zip(classes, classes_after, strict=True))
    with pytest.raises(ValueError, match="zip"):
        scaled(levels(8))


@pytest.mark.parametrize(("channels", "groups"), [(16, 16), (48, 16), (64, 32), (256, 32)])
def test_thin_heads_have_fewer_groups(channels, groups):
    thin = DenseHead(channels, 3, 8, depth=1, norm="group", depthwise=False)
    assert [m.num_groups for m in thin.modules() if isinstance(m, nn.GroupNorm)] == [groups, groups]


@pytest.mark.parametrize("towers", ["plain", "hkh"])
def test_a_single_cell_of_a_single_image_is_answered_as_in_a_batch(towers):
    batch = levels(4, 1)
    heads = head(towers=towers)
    together, alone = heads(batch), heads([level[:1] for level in batch])
    for both, one in zip(together.classes + together.boxes, alone.classes + alone.boxes, strict=True):
        torch.testing.assert_close(both[:1], one)


def test_knowledge_towers_are_depthwise_and_start_by_kaimings_rule():
    knowing = head(towers="hkh", level_scales=2)
    kinds = [nn.Conv2d, nn.GroupNorm, nn.ReLU] * 4
    assert all(isinstance(m, kind) for m, kind in zip(knowing.class_tower, kinds, strict=True))
    depthwise, pointwise = knowing.class_tower[0], knowing.class_tower[3]
    assert (depthwise.groups, depthwise.kernel_size, depthwise.bias) == (16, (5, 5), None)
    assert abs(pointwise.weight.std().item() / (2 / 16) ** 0.5 - 1) < 0.2
    assert knowing.box_out.weight.std() < 0.02
    assert [tuple(m.shape) for m in knowing(levels(8, 4)).boxes] == [(2, 8, 8, 8), (2, 8, 4, 4)]
