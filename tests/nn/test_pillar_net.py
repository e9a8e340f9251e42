"""The pillar net without padding is the one with it: the usual form is built here and gives the same numbers."""

import copy

import pytest
import torch
from torch import nn

from limbeck.nn.pillar_net import EPS, MOMENTUM, PillarNet, _pillar_max
from limbeck.ops.pillars import PillarGrid, group_points

GRID = PillarGrid((-4.0, -4.0, -1.0, 4.0, 4.0, 3.0), (0.8, 1.6))
NX = 10
MOST = 6


class Padded(nn.Module):
    """The field's form: pillars padded with zero points, which take part in statistics and maximum."""

    def __init__(self, inputs, channels):
        super().__init__()
        sizes = ((inputs, channels[0] // 2), (channels[0], channels[1]))
        self.linears = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in sizes)
        self.norms = nn.ModuleList(nn.BatchNorm1d(b, eps=EPS, momentum=MOMENTUM) for _, b in sizes)

    def decorate(self, slots, counts, cells):
        """(P,N,F+5) of slots (P,N,F), zero where there is no point."""
        there = (torch.arange(slots.shape[1]) < counts[:, None])[..., None]
        means = slots[..., :3].sum(dim=1, keepdim=True) / counts.view(-1, 1, 1)
        column, row = (cells % NX).to(slots.dtype), (cells // NX % 5).to(slots.dtype)
        centres = torch.stack([column * 0.8 - 3.6, row * 1.6 - 3.2], dim=1)[:, None]
        return torch.cat([slots, slots[..., :3] - means, slots[..., :2] - centres], dim=2) * there

    def forward(self, slots, counts, cells):
        x = self.decorate(slots, counts, cells)
        for number, (linear, norm) in enumerate(zip(self.linears, self.norms, strict=True)):
            x = norm(linear(x).transpose(1, 2)).transpose(1, 2).relu()
            peaks = x.amax(dim=1, keepdim=True)
            x = torch.cat([x, peaks.expand_as(x)], dim=2) if number == 0 else peaks
        return x[:, 0]


def pad(pillars, most):
    """The points as slots (P,N,F)."""
    starts = pillars.counts.cumsum(0) - pillars.counts
    slots = pillars.points.new_zeros(len(pillars.counts), most, pillars.points.shape[1])
    for row, (start, count) in enumerate(zip(starts.tolist(), pillars.counts.tolist(), strict=True)):
        slots[row, :count] = pillars.points[start : start + count]
    return slots


def grouped(counts=(150, 90), values=4, seed=0, most=MOST, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    points = (torch.rand(sum(counts), values, generator=generator) * 2 - 1) * 3.9
    points[:, 2] /= 4
    return group_points(points.to(dtype), torch.tensor(counts), GRID, most)


@pytest.fixture
def nets():
    """Our net and the padded one with the same weights, which are not those at the start."""
    torch.manual_seed(0)
    ours, padded = PillarNet(4, GRID, MOST, (8, 6)).double(), Padded(9, (8, 6)).double()
    for layer, linear, norm in zip((ours.first, ours.second), padded.linears, padded.norms, strict=True):
        nn.init.normal_(layer.norm.weight, 1, 0.3)
        nn.init.normal_(layer.norm.bias, 0, 0.3)
        layer.norm.running_mean.normal_(0, 0.2)
        layer.norm.running_var.uniform_(0.5, 2)
        linear.load_state_dict(layer.linear.state_dict())
        norm.load_state_dict(layer.norm.state_dict())
    return ours, padded


def run(net, padded, pillars):
    """Outputs and gradients of the points from both."""
    points = pillars.points.detach().requires_grad_()
    again = copy.copy(pillars)
    again.points = points
    if padded:
        return net(pad(again, MOST), pillars.counts, pillars.cells), points
    return net(again), points


@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
def test_it_gives_what_the_padded_form_gives(nets, train):
    pillars = grouped()
    assert pillars.counts.min() < MOST, "some pillars are padded"
    assert pillars.counts.max() == MOST, "and some are not"
    found = []
    for net, padded in zip(nets, (False, True), strict=True):
        out, points = run(net.train(train), padded, pillars)
        (out * torch.linspace(-1, 1, out.numel(), dtype=torch.float64).view_as(out)).sum().backward()
        found.append((out, points.grad))
    for ours, expected in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected)
    ours, padded = nets
    for layer, linear, norm in zip((ours.first, ours.second), padded.linears, padded.norms, strict=True):
        torch.testing.assert_close(layer.linear.weight.grad, linear.weight.grad)
        for name, buffer in norm.state_dict().items():
            torch.testing.assert_close(layer.norm.state_dict()[name], buffer)
        for name, parameter in norm.named_parameters():
            torch.testing.assert_close(dict(layer.norm.named_parameters())[name].grad, parameter.grad)


def test_the_running_statistics_follow_over_several_steps(nets):
    for step in range(5):
        for net, padded in zip(nets, (False, True), strict=True):
            run(net.train(), padded, grouped(seed=step))
    for layer, norm in zip((nets[0].first, nets[0].second), nets[1].norms, strict=True):
        assert layer.norm.num_batches_tracked == 5
        torch.testing.assert_close(layer.norm.running_mean, norm.running_mean)
        torch.testing.assert_close(layer.norm.running_var, norm.running_var)


def test_the_decoration_is_the_values_and_the_offsets(nets):
    pillars = grouped()
    slots = nets[1].decorate(pad(pillars, MOST), pillars.counts, pillars.cells)
    there = torch.arange(MOST) < pillars.counts[:, None]
    torch.testing.assert_close(nets[0].decorate(pillars), slots[there])


def test_an_empty_sample_changes_nothing_for_the_others(nets):
    ours = nets[0].eval()
    alone, among = grouped((200,)), grouped((0, 200, 0))
    torch.testing.assert_close(ours(among), ours(alone))


def test_without_a_pillar_nothing_comes_out(nets):
    nothing = grouped((0, 0))
    assert nets[0].eval()(nothing).shape == (0, 6)


def test_a_single_point_gives_finite_numbers_in_training(nets):
    out = nets[0].train()(grouped((1,)))
    out.sum().backward()
    assert out.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in nets[0].parameters())
    assert all(buffer.isfinite().all() for buffer in nets[0].buffers())


def test_metres_are_not_rounded_to_16_bits_under_autocast():
    torch.manual_seed(0)
    net, pillars = PillarNet(4, GRID, MOST, (8, 6)).eval(), grouped(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = net(pillars)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, net(pillars), rtol=0, atol=0)


@pytest.mark.parametrize("most", [1, 2, 3, 4, 5, 16, 17, 20])
@pytest.mark.parametrize("counts", [(400,), (3,), (0,), (250, 0, 150)])
def test_what_is_exported_gives_the_same(most, counts, monkeypatch):
    """ONNX has no operator over segments, so that sums and maxima are taken in another way there."""
    torch.manual_seed(0)
    net, pillars = PillarNet(4, GRID, most, (8, 6)).double().eval(), grouped(counts, most=most)
    expected = net(pillars)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    torch.testing.assert_close(net(pillars), expected)


def test_the_maximum_of_each_pillar_is_that_of_a_loop():
    pillars = grouped((400,), most=20)
    rows = torch.rand(len(pillars.points), 3, generator=torch.Generator().manual_seed(1)) - 0.5
    expected = torch.stack([part.amax(dim=0) for part in rows.split(pillars.counts.tolist())])
    torch.testing.assert_close(_pillar_max(rows, pillars, 20), expected)


@pytest.mark.parametrize("sign", [1, -1])
def test_equal_points_share_the_gradient_of_their_maximum(sign):
    """torch's gradient of `segment_reduce` gives each of them all of it where it is negative."""
    pillars = grouped((2,))
    pillars.pillar, pillars.counts = torch.tensor([0, 0, 0, 1]), torch.tensor([3, 1])
    rows = torch.tensor([[1.0, 0], [1, 2], [0.5, 1], [3, 4]], requires_grad=True)
    (sign * _pillar_max(rows, pillars, 20)).sum().backward()
    assert rows.grad.tolist() == [[sign * 0.5, 0], [sign * 0.5, sign], [0, 0], [sign, sign]]


def test_the_momentum_is_the_one_asked_for():
    net, pillars = PillarNet(4, GRID, MOST, (8, 6), momentum=1.0).double(), grouped()
    net(pillars)
    first = net.first.linear(net.decorate(pillars))
    missing = int((MOST - pillars.counts).sum())
    torch.testing.assert_close(net.first.norm.running_mean, first.detach().sum(dim=0) / (len(first) + missing))
