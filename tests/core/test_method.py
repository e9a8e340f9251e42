import pytest
from pydantic import ValidationError
from torch import nn

from limbeck.core.method import Method, MethodConfig, Progress, TapPaths, Terms
from limbeck.core.model import ModelSpec


class Concrete(Method):
    Config = MethodConfig
    tasks = None
    uses_teacher = False

    def __init__(self, config, *, student, teacher):
        super().__init__(config, student=student, teacher=teacher)
        self.adapter = nn.Linear(2, 2)
        self.fixed = nn.Linear(2, 2).requires_grad_(False)

    def forward(self, step):
        return Terms()


def test_the_base_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        Method(MethodConfig(name="x"), student=None, teacher=None)


def test_by_default_one_group_of_what_trains_and_nothing_frozen():
    method = Concrete(MethodConfig(name="x"), student=None, teacher=None)
    (group,) = method.param_groups()
    assert group.keys() == {"params"}
    assert {id(p) for p in group["params"]} == {id(p) for p in method.adapter.parameters()}
    assert tuple(method.frozen_student_parts(Progress(0, 10, 0))) == ()
    assert Concrete.param_groups(nn.Module()) == []


def test_by_default_nothing_is_tapped_and_nothing_is_said():
    method = Concrete(MethodConfig(name="x"), student=None, teacher=None)
    assert method.taps == TapPaths((), ())
    assert method.describe() == []


def test_taps_of_several_methods_are_each_wanted_once():
    wanted = [TapPaths(("b", "a"), ("x",)), TapPaths(), TapPaths(("a", "c"), ("x", "x"))]
    assert TapPaths.union(wanted) == TapPaths(("b", "a", "c"), ("x",))
    assert TapPaths.union([]) == TapPaths()


def test_a_spec_with_taps_can_be_a_key():
    spec = ModelSpec("detection2d", ("a",), ("image",), (8,), (8,), (0.0,), (1.0,), taps={"neck": (8, 4, 4)})
    assert {spec: 1}[spec] == 1


def test_settings_are_checked_and_do_not_change():
    with pytest.raises(ValidationError, match="weigth"):
        MethodConfig(name="x", weigth=1)
    with pytest.raises(ValidationError, match="frozen"):
        MethodConfig(name="x").name = "y"


def test_progress_as_a_fraction():
    assert [Progress(step, 8, 0).fraction for step in (0, 2, 8)] == [0, 0.25, 1]
    assert Progress(0, 0, 0).fraction == 0


def test_terms_are_not_shared():
    first, second = Terms(), Terms()
    first.losses["a"] = None
    assert second.losses == {}


def test_a_term_warms_up_linearly_and_is_never_off():
    factors = [Progress(step, 100, 0).warm_up(0.1) for step in (0, 4, 9, 10, 99)]
    assert factors == pytest.approx([0.1, 0.5, 1.0, 1.0, 1.0])
    assert Progress(0, 100, 0).warm_up(0.0) == 1.0
    assert Progress(0, 1, 0).warm_up(0.1) == 1.0
    assert Progress(49, 100, 0).warm_up(1.0) == 0.5
