import torch
from torch import nn

from limbeck.nn.lraspp_head import LrAsppHead


def test_logits_of_all_maps_are_added_and_those_of_the_coarsest_gated():
    torch.manual_seed(0)
    head = LrAsppHead((4, 6, 8), 3, width=5).double().eval()
    fine, middle, coarse = (torch.rand(2, c, 12 >> i, 16 >> i, dtype=torch.double) for i, c in enumerate((4, 6, 8)))

    def resized(logits):
        return nn.functional.interpolate(logits, fine.shape[-2:], mode="bilinear", align_corners=False)

    gate = torch.sigmoid(coarse.flatten(2).mean(2) @ head.gate.weight.T + head.gate.bias)
    expected = resized(head.classify(head.context(coarse) * gate[:, :, None, None]))
    expected = expected + head.classify_finer[0](fine) + resized(head.classify_finer[1](middle))
    torch.testing.assert_close(head([fine, middle, coarse]), expected)


def test_the_gate_sees_the_whole_image():
    torch.manual_seed(0)
    head = LrAsppHead((4, 8), 3, width=16).eval()
    maps = [torch.rand(1, 4, 16, 16), torch.rand(1, 8, 8, 8)]
    before = head(maps)[:, :, :8, :8]
    maps[1][0, :, 7, 7] += 5
    assert not torch.equal(head(maps)[:, :, :8, :8], before)


def test_parameter_count():
    channels, width, classes = (32, 64, 192), 128, 4
    context = 192 * width + 2 * width + 192 * width + width
    total = context + (width + 32 + 64) * classes + 3 * classes
    assert sum(p.numel() for p in LrAsppHead(channels, classes).parameters()) == total


def test_one_map_is_enough():
    assert LrAsppHead((4,), 3, width=8)([torch.rand(2, 4, 5, 7)]).shape == (2, 3, 5, 7)
