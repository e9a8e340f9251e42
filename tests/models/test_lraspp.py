import pytest
import torch
from pydantic import ValidationError

from limbeck.errors import IncompatibleError
from limbeck.models.lraspp import LRASPP


def test_logits_come_from_the_finest_stride(make_segmenter, make_scenes):
    for strides in ((4, 8, 16, 32), (8, 16), (4, 16)):
        model = make_segmenter("lraspp", strides=strides).eval()
        with torch.no_grad():
            features = model.features(make_scenes())
            assert model.decoder(features).shape == (2, 3, 64 // strides[0], 96 // strides[0])
        assert model.spec.strides == strides


def test_what_lies_behind_the_coarsest_stride_is_not_built(make_segmenter):
    assert len(make_segmenter("lraspp", strides=(4, 16)).encoder.rgb.body.stages) == 4


def test_it_is_small():
    model = LRASPP(LRASPP.Config(), ("road", "crack", "pothole"))
    assert sum(p.numel() for p in model.parameters()) < 1.45e6


@pytest.mark.parametrize("strides", [(16, 4), (4, 4, 8)])
def test_strides_must_rise(strides):
    with pytest.raises(ValidationError, match=r"strides must rise from map to map, as in \[4, 16\]"):
        LRASPP.Config(strides=strides)


def test_a_stride_that_the_backbone_does_not_have_is_named(make_segmenter):
    with pytest.raises(IncompatibleError, match="'test_convnext' has no map of stride 2"):
        make_segmenter("lraspp", backbone="test_convnext", strides=(2, 8))
