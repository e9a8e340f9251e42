import pytest

from limbeck.models.segformer import SegFormer


def count(**settings):
    model = SegFormer(SegFormer.Config(**settings), tuple(f"class{i}" for i in range(150)))
    return sum(p.numel() for p in model.parameters())


def test_published_size_of_b0():
    assert count() == pytest.approx(3.8e6, abs=0.06e6)  # 150 classes, as in the paper's table for ADE20K


@pytest.mark.parametrize("backbone", ["lean_pico", "test_resnet", "vit_tiny_patch16_224", "asmlp_nano"])
def test_any_backbone_will_do(backbone, make_segmenter):
    spec = make_segmenter("segformer", backbone=backbone).spec
    assert set(spec.strides) <= {4, 8, 16, 32}


def test_the_width_of_the_head_is_a_setting(make_segmenter):
    assert make_segmenter("segformer", head_width=48).decoder.classify.in_channels == 48
