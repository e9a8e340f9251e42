import pytest
import torch
from pydantic import ValidationError

from limbeck.models.late_fusion import LateFusion


def test_it_needs_x():
    with pytest.raises(ValidationError, match="x\n  Field required"):
        LateFusion.Config()


def test_the_two_encoders_exchange_nothing(make_segmenter, make_scenes):
    model, batch = make_segmenter("late_fusion", x="normals").eval(), make_scenes()
    image, normals = model.inputs(batch)
    with torch.no_grad():
        before = model.encoder.rgb(image)
        rgb_maps = []
        model.encoder.rgb.register_forward_hook(lambda module, given, maps: rgb_maps.extend(maps))
        model.encoder(image, normals + 1)
    assert all(torch.equal(*pair) for pair in zip(rgb_maps, before, strict=True))


def test_every_backbone_will_do_even_one_that_cannot_be_fused_inside(make_segmenter):
    assert make_segmenter("late_fusion", x="normals", backbone="asmlp_nano").spec.strides == (4, 8, 16, 32)
