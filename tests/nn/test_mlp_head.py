import torch
from torch import nn

from limbeck.nn.mlp_head import AllMlpHead


def test_it_is_a_mix_of_the_resized_and_concatenated_levels():
    torch.manual_seed(0)
    head = AllMlpHead((4, 6, 8), 3, width=5).double().eval()
    maps = [torch.rand(2, c, 12 >> i, 16 >> i, dtype=torch.double) for i, c in enumerate((4, 6, 8))]
    levels = [
        nn.functional.interpolate(to(m), (12, 16), mode="bilinear", align_corners=False)
        for to, m in zip(head.to_width, maps, strict=True)
    ]
    one_by_one = torch.cat([mix.weight for mix in head.mixes], dim=1)
    mixed = nn.functional.conv2d(torch.cat(levels, dim=1), one_by_one)
    torch.testing.assert_close(head(maps), head.classify(head.activation(mixed)))


def test_parameter_count():
    channels, width, classes = (32, 64, 160, 256), 256, 19
    levels = sum(c * width + width for c in channels) + len(channels) * width * width
    total = levels + 2 * width + width * classes + classes
    assert sum(p.numel() for p in AllMlpHead(channels, classes, width).parameters()) == total


def test_one_map_is_enough():
    assert AllMlpHead((4,), 3, width=8)([torch.rand(2, 4, 5, 7)]).shape == (2, 3, 5, 7)
