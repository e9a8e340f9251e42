import pytest
import torch

from limbeck.models.rtfnet import RTFNet

MILLIONS = {"resnet50": 185.2, "resnet152": 254.5}
"""Parameters of the released network for the nine classes of its data set, counted from its public code."""


@pytest.mark.parametrize(("backbone", "millions"), MILLIONS.items())
def test_parameters_are_those_of_the_release(backbone, millions):
    with torch.device("meta"):
        model = RTFNet(RTFNet.Config(backbone=backbone, x="thermal"), tuple(f"class{i}" for i in range(9)))
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(millions * 1e6, abs=0.05e6)


def test_it_reads_x_of_one_channel_by_default():
    model = RTFNet(RTFNet.Config(x="thermal"), ("road", "other"))
    assert model.encoder.x.body.conv1.weight.shape == (64, 1, 7, 7)


def test_the_decoder_reaches_the_canvas_from_the_coarsest_map_alone(make_segmenter, make_scenes):
    model, batch = make_segmenter("rtfnet", x="normals").eval(), make_scenes()
    with torch.no_grad():
        raw = model(batch)
        assert torch.equal(model.decoder(raw.features[-1:]), raw.class_logits)


def test_the_released_head_is_never_negative(make_segmenter, make_scenes):
    batch = make_scenes()
    assert make_segmenter("rtfnet", release_head=True)(batch).class_logits.min() >= 0
    assert make_segmenter("rtfnet")(batch).class_logits.min() < 0
