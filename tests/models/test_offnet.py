import pytest
import torch
from pydantic import ValidationError

from limbeck.models.offnet import OFFNet


def count(model):
    return sum(p.numel() for p in model.parameters())


def test_x_costs_no_more_than_the_gate():
    with torch.device("meta"):
        double, single = (OFFNet(OFFNet.Config(x=x), ("free", "other")) for x in ("normals", None))
    assert count(double) - count(single) == 64 * 64 + 64
    assert double.spec.channels == (64, 128, 320, 512)


def test_the_gate_shares_the_weight_out_between_the_two(make_segmenter, make_scenes):
    model, batch = make_segmenter("offnet", x="normals").eval(), make_scenes()
    image, normals = model.inputs(batch)
    stages = model.encoder.rgb.body.stages
    weight, bias = model.encoder.gate.weight[:, :, 0, 0], model.encoder.gate.bias[:, None, None]
    with torch.no_grad():
        a, b = stages[0](image), stages[0](normals)
        gate = torch.sigmoid(torch.einsum("oc,bchw->bohw", weight, a + b) + bias)
        a, b = a * (1 + gate), b * (2 - gate)
        expected = [a, stages[1](a + b)]
        for stage in stages[2:]:
            expected.append(stage(expected[-1]))
        maps = model.features(batch)
    for found, by_hand in zip(maps, expected, strict=True):
        torch.testing.assert_close(found, by_hand)


def test_x_of_one_channel_is_repeated(make_segmenter, make_scenes):
    model, batch = make_segmenter("offnet", x="depth", x_channels=1, x_norm="none").eval(), make_scenes()
    batch.inputs["depth"] = batch.inputs["normals"][:, :1]
    three = make_segmenter("offnet", x="depth", x_norm="none").eval()
    with torch.no_grad():
        one_map = model.features(batch)[0]
        batch.inputs["depth"] = batch.inputs["depth"].expand(-1, 3, -1, -1)
        torch.testing.assert_close(three.features(batch)[0], one_map)


def test_another_backbone_is_refused():
    with pytest.raises(ValidationError, match=r"offnet is built on one of .*'mit_b2'"):
        OFFNet.Config(backbone="resnet18")
