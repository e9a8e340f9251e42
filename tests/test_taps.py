"""Taps see what a module gives, change nothing, and say plainly what is wrong."""

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

from limbeck.errors import ConfigError
from limbeck.taps import capture, tap_shapes, unknown_taps


class Net(nn.Module):
    """Gives its results in all the ways in which modules do."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.pyramid = Pyramid()
        self.head = nn.Conv2d(4, 2, 1)
        self.unused = nn.ModuleList([nn.Linear(1, 1)])
        self.alias = self.head

    def forward(self, images: Tensor) -> list[Tensor]:
        levels = self.pyramid(self.relu(self.norm(self.stem(images))))
        return [self.head(level) for level in (*levels["maps"], levels["extra"])]


class Pyramid(nn.Module):
    def forward(self, x: Tensor) -> dict[str, object]:
        return {"maps": (x, x[..., ::2, ::2]), "extra": x[..., ::4, ::4], 7: "text"}


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net()


IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def run(net, *paths):
    with capture(net, paths, "student") as taps:
        out = net(IMAGES)
    return taps, out


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("stem", (2, 4, 8, 8)),
        ("pyramid#extra", (2, 4, 2, 2)),
        ("pyramid#maps#1", (2, 4, 4, 4)),
        ("head#0", (2, 2, 8, 8)),
        ("head#2", (2, 2, 2, 2)),
        ("alias#1", (2, 2, 4, 4)),
    ],
)
def test_a_path_leads_to_what_a_module_gives(path, shape, net):
    taps, _ = run(net, path)
    assert taps.keys() == {path}
    assert tuple(taps[path].shape) == shape


def test_several_taps_of_one_module(net):
    taps, out = run(net, "head#2", "head#0", "stem")
    assert taps["head#0"] is out[0]
    assert taps["head#2"] is out[2]
    assert torch.equal(taps["stem"], net.stem(IMAGES))


def test_taps_change_nothing(net):
    before = copy.deepcopy(net.state_dict())
    plain = [level.detach() for level in net.eval()(IMAGES)]
    _, tapped = run(net, "stem", "head#1")
    assert all(torch.equal(a, b) for a, b in zip(plain, tapped, strict=True))
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    sum(level.sum() for level in tapped).backward(retain_graph=True)
    gradient = net.stem.weight.grad.clone()
    net.zero_grad()
    sum(level.sum() for level in net(IMAGES)).backward()
    assert torch.equal(net.stem.weight.grad, gradient)


def test_a_tap_carries_the_gradient(net):
    taps, _ = run(net, "pyramid#maps#1")
    taps["pyramid#maps#1"].square().sum().backward()
    assert net.stem.weight.grad.any()
    assert net.head.weight.grad is None


def hooks(net):
    return [hook for module in net.modules() for hook in module._forward_hooks.values()]


def test_hooks_are_there_only_while_the_model_runs(net):
    with capture(net, ("stem", "head#0"), "student"):
        assert len(hooks(net)) == 2
        net(IMAGES)
    assert hooks(net) == []
    pickle.dumps(net)
    with pytest.raises(RuntimeError, match="out of memory"), capture(net, ("stem",), "student"):
        raise RuntimeError("out of memory")
    assert hooks(net) == []


def test_a_run_without_taps_has_no_hooks(net):
    with capture(net, (), "student") as taps:
        assert hooks(net) == []
        net(IMAGES)
    assert taps == {}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("unused.0", "'unused.0' did not run"),
        ("pyramid", "'pyramid' gives a dict of maps, extra, 7; choose one, such as 'pyramid#maps'"),
        ("pyramid#maps", "'pyramid#maps' gives a tuple of 0, 1; choose one, such as 'pyramid#maps#0'"),
        ("pyramid#7", "'pyramid#7' gives a str"),
        ("pyramid#2", "'pyramid#2' leads nowhere: there is no '2' in a dict of maps, extra, 7"),
        ("head", "'head' gives a list of 0, 1, 2; choose one, such as 'head#0'"),
        ("head#3", "'head#3' leads nowhere: there is no '3' in a list of 0, 1, 2"),
        ("stem#0", "'stem#0' leads nowhere: there is no '0' in a Tensor"),
        ("norm", "'norm' is changed in place by what follows it; tap the module that does so"),
    ],
)
def test_a_tap_that_cannot_be_used_is_told(path, text, net):
    with pytest.raises(ConfigError, match="taps of the student that cannot be used") as caught:
        run(net, path, "stem")
    (problem,) = caught.value.problems
    assert problem.startswith(text)


def test_all_problems_are_told_at_once(net):
    with pytest.raises(ConfigError, match="cannot be used") as caught:
        run(net, "head", "norm", "stem")
    assert len(caught.value.problems) == 2


def test_what_changes_in_place_can_be_tapped_itself(net):
    taps, _ = run(net, "relu")
    assert taps["relu"].min() == 0


def test_unknown_names_are_told_with_the_nearest_and_with_what_there_is(net):
    assert unknown_taps(net, ("stem", "pyramid#extra", "alias#1", "unused.0"), "teacher") == []
    found = unknown_taps(net, ("stern", "unused.1", "#0"), "teacher")
    assert found == [
        "the teacher has no module 'stern' (did you mean 'stem'?); it holds: stem, norm, relu, pyramid, head, unused",
        "the teacher has no module 'unused.1' (did you mean 'unused.0'?); 'unused' holds: 0",
        "the teacher has no module ''; it holds: stem, norm, relu, pyramid, head, unused",
    ]
    assert unknown_taps(net, ("stem.x",), "student") == [
        "the student has no module 'stem.x' (did you mean 'stem'?); 'stem' holds: nothing"
    ]


def test_shapes_per_image_in_eval_mode_without_a_trace(make_detector, make_batch):
    detector = make_detector(channels=24)
    detector.trunk.backbone.eval()
    modes = [module.training for module in detector.modules()]
    state = copy.deepcopy(detector.state_dict())
    shapes = tap_shapes(detector, ("trunk.neck#0", "trunk.neck#2"), make_batch(1), "student")
    assert shapes == {"trunk.neck#0": (24, 8, 8), "trunk.neck#2": (24, 2, 2)}
    assert [module.training for module in detector.modules()] == modes
    assert True in modes
    assert False in modes
    assert all(torch.equal(state[name], value) for name, value in detector.state_dict().items())


def test_modes_come_back_after_an_error(make_detector, make_batch):
    detector = make_detector().train()
    with pytest.raises(ConfigError, match="taps of the teacher that cannot be used"):
        tap_shapes(detector, ("trunk.neck",), make_batch(1), "teacher")
    assert all(module.training for module in detector.modules())
