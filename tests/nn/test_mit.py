import pytest
import torch

from limbeck.errors import CheckpointError
from limbeck.nn.backbones import Backbone
from limbeck.nn.mit import SIZES, STRIDES, MiT, MixFFN, ReducedAttention

ENCODER_MILLIONS = {"mit_b1": 13.1, "mit_b2": 24.2, "mit_b3": 44.0, "mit_b4": 60.8, "mit_b5": 81.4}
"""Parameters of the encoder as the paper's tables of SegFormer give them."""


@pytest.mark.parametrize(("name", "millions"), ENCODER_MILLIONS.items())
def test_published_parameter_counts(name, millions):
    with torch.device("meta"):
        count = sum(p.numel() for p in MiT(SIZES[name]).parameters())
    assert count == pytest.approx(millions * 1e6, abs=0.1e6)


def test_parameter_count_of_b0_by_hand():
    total = 0
    for before, width, patch, reduction in [(3, 32, 7, 8), (32, 64, 3, 4), (64, 160, 3, 2), (160, 256, 3, 1)]:
        norm = 2 * width
        attention = 4 * width * width + 4 * width
        if reduction > 1:
            attention += reduction**2 * width * width + width + norm
        ffn = 2 * 4 * width * width + 5 * width + 4 * width * (9 + 1)
        total += before * width * patch**2 + width + norm + 2 * (attention + ffn + 2 * norm) + norm
    assert sum(p.numel() for p in MiT(SIZES["mit_b0"]).parameters()) == total


def test_it_gives_a_map_of_each_stride_for_any_size():
    net = MiT(SIZES["mit_b0"], (4, 16)).eval()
    with torch.no_grad():
        fine, coarse = net(torch.rand(2, 3, 70, 101))
    assert net.channels == (32, 160)
    assert len(net.stages) == 3
    assert fine.shape == (2, 32, 18, 26)
    assert coarse.shape == (2, 160, 5, 7)


def test_attention_is_the_mean_of_the_values_by_similarity():
    torch.manual_seed(0)
    attention = ReducedAttention(6, heads=2, reduction=1).double()
    x = torch.rand(1, 2, 3, 6, dtype=torch.double)
    cells = x.flatten(1, 2)[0]
    query, key_value = attention.query(cells), attention.key_value(cells)
    expected = torch.zeros(6, 6, dtype=torch.double)
    for head in (slice(0, 3), slice(3, 6)):
        key, value = key_value[:, :6][:, head], key_value[:, 6:][:, head]
        for cell in range(6):
            weights = torch.softmax(key @ query[cell, head] / 3**0.5, dim=0)
            expected[cell, head] = weights @ value
    torch.testing.assert_close(attention(x).flatten(1, 2)[0], attention.out(expected))


def test_reduction_leaves_fewer_keys():
    attention = ReducedAttention(4, heads=1, reduction=2)
    seen = []
    attention.key_value.register_forward_hook(lambda module, given, answer: seen.append(given[0].shape))
    assert attention(torch.rand(1, 4, 6, 4)).shape == (1, 4, 6, 4)
    assert seen == [(1, 2, 3, 4)]


def test_the_ffn_looks_one_cell_around():
    ffn = MixFFN(4).double()
    x = torch.rand(1, 5, 5, 4, dtype=torch.double)
    changed = x.clone()
    changed[0, 2, 2] += 1
    touched = (ffn(x) != ffn(changed)).any(-1)[0]
    assert touched[1:4, 1:4].all()
    assert touched.sum() == 9


def test_branches_are_skipped_in_training_only():
    torch.manual_seed(0)
    net, images = MiT(SIZES["mit_b0"], (4, 8), drop_path=0.9).train(), torch.rand(4, 3, 64, 64)
    assert not torch.equal(net(images)[1], net(images)[1])
    assert torch.equal(net.eval()(images)[1], net(images)[1])


def test_it_is_found_as_a_backbone():
    assert Backbone("mit_b0", STRIDES).channels == (32, 64, 160, 256)
    with pytest.raises(CheckpointError, match="no pretrained weights of 'mit_b0'"):
        Backbone("mit_b0", STRIDES, pretrained=True)
