import pytest
import torch

from limbeck.nn.trans_bottleneck import TransBottleneck, TransDecoder


def test_five_stages_halve_the_width_and_double_the_size():
    decoder, sizes = TransDecoder(64, 32, 3), []
    for block in decoder.stages:
        block.register_forward_hook(lambda module, given, answer: sizes.append(tuple(answer.shape[1:])))
    assert decoder([torch.rand(2, 8, 4, 6), torch.rand(2, 64, 2, 3)]).shape == (2, 3, 64, 96)
    assert sizes[0::2] == [(64, 2, 3), (32, 4, 6), (16, 8, 12), (8, 16, 24), (4, 32, 48)]
    assert sizes[1::2] == [(32, 4, 6), (16, 8, 12), (8, 16, 24), (4, 32, 48), (3, 64, 96)]


def block_parameters(before, after, doubles):
    last = 4 * after * after if doubles else 9 * after * after
    past = 4 * before * after + 2 * after if doubles else 0
    return before * after + 9 * after * after + last + 6 * after + past


def test_parameter_count():
    widths = [64, 32, 16, 8, 4, 3]
    expected = sum(
        block_parameters(w, w, False) + block_parameters(w, widths[i + 1], True) for i, w in enumerate(widths[:5])
    )
    assert sum(p.numel() for p in TransDecoder(64, 32, 3).parameters()) == expected


@pytest.mark.parametrize("release_head", [False, True])
def test_only_the_released_logits_are_never_negative(release_head):
    torch.manual_seed(0)
    logits = TransDecoder(64, 32, 3, release_head)([torch.randn(2, 64, 2, 3)])
    assert (logits.min() >= 0) == release_head


def test_a_block_adds_what_comes_in():
    block = TransBottleneck(4, 4).eval()
    torch.nn.init.zeros_(block.inner[-1].weight)
    x = torch.randn(1, 4, 3, 3)
    assert torch.equal(block(x), x.relu())
    assert torch.equal(TransBottleneck(4, 4, activated=False).eval().past(x), x)
