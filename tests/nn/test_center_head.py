"""The centre head: its branches, how they start, and that groups share one convolution."""

import torch
from torch import nn

from limbeck.nn.center_head import CenterHead

GROUPS = ({"hm": 2, "reg": 2, "height": 1, "dim": 3, "rot": 2}, {"hm": 1, "reg": 2, "height": 1, "vel": 2})


def head(channels=6, **sizes):
    torch.manual_seed(0)
    return CenterHead(channels, GROUPS, **{"shared": 8, "hidden": 5} | sizes)


def test_each_group_has_its_branches_in_their_order():
    found = head()(torch.rand(2, 6, 4, 7))
    assert [list(group) for group in found] == [list(group) for group in GROUPS]
    for group, sizes in zip(found, GROUPS, strict=True):
        assert {name: maps.shape for name, maps in group.items()} == {
            name: (2, channels, 4, 7) for name, channels in sizes.items()
        }


def test_heat_maps_start_at_a_tenth_and_the_others_around_zero():
    net = head()
    for group in net.groups:
        for name, branch in group.items():
            assert set(branch[-1].bias.tolist()) == {branch[-1].bias[0].item()}
            assert abs(branch[-1].bias.sigmoid()[0].item() - (0.1 if name == "hm" else 0.5)) < 1e-3
    for maps in net.eval()(torch.zeros(1, 6, 3, 3)):
        assert (maps["hm"].sigmoid() - 0.1).abs().max() < 0.1


def test_the_other_branches_start_with_the_spread_of_their_outgoing_values():
    branch = head(shared=64, hidden=64).groups[0]["dim"]
    for convolution in (branch[0], branch[-1]):
        spread = (2 / (9 * convolution.out_channels)) ** 0.5
        assert abs(convolution.weight.std().item() / spread - 1) < 0.05
        assert not convolution.bias.any()


def test_all_branches_work_on_one_shared_map():
    net, x = head().eval(), torch.rand(1, 6, 4, 4)
    shared, found = net.shared(x), net(x)
    for group, maps in zip(net.groups, found, strict=True):
        for name, branch in group.items():
            torch.testing.assert_close(maps[name], branch(shared))


def test_parameter_count():
    shared = 9 * 6 * 8 + 8 + 2 * 8
    branches = sum(9 * 8 * 5 + 5 + 2 * 5 + 9 * 5 * out + out for group in GROUPS for out in group.values())
    assert sum(parameter.numel() for parameter in head().parameters()) == shared + branches


def test_a_group_trains_its_own_branches_and_the_shared_convolution():
    net = head()
    net(torch.rand(2, 6, 4, 4))[1]["hm"].square().sum().backward()
    reached = {name for name, parameter in net.named_parameters() if parameter.grad is not None}
    assert reached
    assert all(name.startswith(("shared.", "groups.1.hm.")) for name in reached)


def test_its_norms_are_those_of_torch():
    """The released code gives the head no settings of its own."""
    norms = [module for module in head().modules() if isinstance(module, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-5, 0.1)}
