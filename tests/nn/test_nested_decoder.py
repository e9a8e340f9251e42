import pytest
import torch
from torch import nn

from limbeck.nn.nested_decoder import NestedDecoder, Node, Up

WIDTHS = (16, 24, 32, 40, 48)


def maps_of(widths=WIDTHS, height=32, width=48):
    generator = torch.Generator().manual_seed(0)
    sizes = [(height >> level, width >> level) for level in range(len(widths))]
    return [torch.rand(1, w, *size, generator=generator) for w, size in zip(widths, sizes, strict=True)]


def test_node_i_j_takes_j_plus_1_times_the_width_of_its_row():
    decoder = NestedDecoder(WIDTHS, 3)
    entries = len(WIDTHS) + sum(len(column) for column in decoder.columns)
    assert entries == 15
    for j, column in enumerate(decoder.columns, start=1):
        for i, node in enumerate(column):
            assert node.convs[0].in_channels == (j + 1) * WIDTHS[i]
            assert node.convs[3].out_channels == WIDTHS[i]
            assert (node.up.layers[0].in_channels, node.up.layers[0].out_channels) == (WIDTHS[i + 1], WIDTHS[i])


def parameters_by_formula(f, classes, release_head):
    conv = lambda before, after: 9 * before * after + after + 2 * after  # noqa: E731
    nodes = [(i, j) for j in range(1, 5) for i in range(5 - j)]
    grid = sum(conv(f[i + 1], f[i]) + conv((j + 1) * f[i], f[i]) + conv(f[i], f[i]) for i, j in nodes)
    return grid + conv(f[0], classes) - (0 if release_head else 2 * classes)


@pytest.mark.parametrize("release_head", [False, True])
def test_parameter_count(release_head):
    decoder = NestedDecoder(WIDTHS, 3, release_head=release_head)
    assert sum(p.numel() for p in decoder.parameters()) == parameters_by_formula(WIDTHS, 3, release_head)


def test_every_entry_is_made_of_its_row_and_the_entry_below():
    torch.manual_seed(0)
    decoder = NestedDecoder(WIDTHS[:3], 2).eval()
    x00, x10, x20 = maps_of(WIDTHS[:3])
    (node01, node11), (node02,) = decoder.columns

    def raised(node, below, like):
        return node.up.layers(nn.functional.interpolate(below, like.shape[-2:], mode="bilinear", align_corners=True))

    x01 = node01.convs(torch.cat([x00, raised(node01, x10, x00)], 1))
    x11 = node11.convs(torch.cat([x10, raised(node11, x20, x10)], 1))
    x02 = node02.convs(torch.cat([x00, x01, raised(node02, x11, x00)], 1))
    doubled = nn.functional.interpolate(x02, scale_factor=2, mode="bilinear", align_corners=True)
    torch.testing.assert_close(decoder([x00, x10, x20]), decoder.head.layers[0](doubled))


def test_the_released_head_is_never_negative():
    maps = maps_of()
    assert NestedDecoder(WIDTHS, 3, release_head=True)(maps).min() == 0
    assert NestedDecoder(WIDTHS, 3)(maps).min() < 0


def test_a_smaller_width_makes_the_nodes_thinner_and_leaves_the_maps():
    decoder = NestedDecoder(WIDTHS, 3, width=0.5)
    first, last = decoder.columns[0][3], decoder.columns[3][0]
    assert first.convs[0].in_channels == 40 + 16  # 40 * 0.5 in steps of 8
    assert first.up.layers[0].in_channels == 48
    assert last.convs[0].in_channels == 16 + 4 * 8
    assert decoder(maps_of()).shape == (1, 3, 64, 96)


def test_rows_may_have_any_size_and_number():
    sizes = [(35, 51), (18, 26), (9, 13)]
    maps = [torch.rand(1, 8, *size) for size in sizes]
    assert NestedDecoder((8, 8, 8), 2)(maps).shape == (1, 2, 70, 102)
    assert NestedDecoder((8,), 2)(maps[:1]).shape == (1, 2, 70, 102)


def test_parts_have_the_layers_of_the_release():
    assert [type(layer) for layer in Up(4, 4).layers] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
    assert [type(layer) for layer in Node(4, 8, 4).convs] == 2 * [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
