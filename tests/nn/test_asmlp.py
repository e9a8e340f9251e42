import pytest
import torch

from limbeck.nn.asmlp import SIZES, AsMlp, AxialShift, PatchMerging

PARAMETERS = {
    "asmlp_nano": 9_085_376,
    "asmlp_tiny": 27_515_040,
    "asmlp_small": 48_827_040,
    "asmlp_base": 86_729_600,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_those_of_the_release(name):
    with torch.device("meta"):
        assert sum(p.numel() for p in AsMlp(SIZES[name]).parameters()) == PARAMETERS[name]


def test_maps_of_the_strides_asked_for():
    network = AsMlp(SIZES["asmlp_nano"], strides=(8, 16))
    maps = network(torch.randn(1, 3, 64, 96))
    assert [tuple(m.shape) for m in maps] == [(1, 128, 8, 12), (1, 256, 4, 6)]
    assert network.channels == (128, 256)
    assert len(network.stages) == 3  # nothing is built that no map needs
    assert all(m.mean().abs() < 1e-4 for m in maps)  # normalised, unlike what goes on to the next stage


def test_a_cell_sees_its_neighbours_along_both_axes_and_no_farther():
    torch.manual_seed(0)
    axial = AxialShift(10).double()
    axial.pre_norm, axial.post_norm = torch.nn.Identity(), torch.nn.Identity()
    maps = torch.randn(1, 10, 9, 9, dtype=torch.double, requires_grad=True)
    axial(maps)[0, :, 4, 4].sum().backward()
    seen = (maps.grad[0].abs().sum(dim=0) > 0).nonzero().tolist()
    assert seen == sorted([[4, x] for x in range(2, 7)] + [[y, 4] for y in (2, 3, 5, 6)])


def test_merging_halves_the_size_and_doubles_the_width():
    assert PatchMerging(6)(torch.randn(2, 6, 8, 4)).shape == (2, 12, 4, 2)


def test_channels_last_weights_do_not_turn_the_maps():
    network = AsMlp(SIZES["asmlp_nano"], strides=(4,)).to(memory_format=torch.channels_last)
    images = torch.randn(2, 3, 32, 32).to(memory_format=torch.channels_last)
    assert network.stages[0](network.patch(images).contiguous()).is_contiguous()


def test_paths_are_dropped_in_training_only():
    network, images = AsMlp(SIZES["asmlp_nano"], strides=(8,), drop_path=0.9), torch.randn(2, 3, 32, 32)
    torch.manual_seed(0)
    first, second = network(images)[0], network(images)[0]
    assert not torch.equal(first, second)
    network.eval()
    assert torch.equal(network(images)[0], network(images)[0])
