import pytest
import torch
from lightning.pytorch.utilities.model_summary import ModelSummary

from limbeck.config import TrainConfig
from limbeck.errors import IncompatibleError
from limbeck.methods.hsd import Hsd
from limbeck.methods.sparsekd import Sparsekd
from limbeck.training.module import Distillation
from limbeck.training.teacher import FrozenTeacher, inherit_weights, inheritance


@pytest.fixture
def teacher(make_detector):
    return make_detector(seed=1, channels=24)


@pytest.fixture
def module(make_detector, toy, teacher):
    student = make_detector()
    methods = toy(student, teacher, "Adapter")
    return Distillation(student, methods, FrozenTeacher(teacher), TrainConfig(), seed=0, total_steps=1)


def test_the_teacher_is_outside_the_module_tree(module, teacher):
    inside = {id(part) for part in module.modules()}
    assert not any(id(part) in inside for part in teacher.modules())
    assert "teacher" not in str(ModelSummary(module))


def test_the_teacher_is_not_in_the_state_dict(module):
    assert {name.split(".")[0] for name in module.state_dict()} == {"student", "methods"}


def test_the_teacher_is_not_in_the_optimizer(module, teacher):
    held = {id(p) for group in module.configure_optimizers()["optimizer"].param_groups for p in group["params"]}
    assert not any(id(p) in held for p in teacher.parameters())


def test_ddp_does_not_see_the_teacher(module, teacher, tmp_path, monkeypatch):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        wrapped = torch.nn.parallel.DistributedDataParallel(module)
        seen = {id(p) for p in wrapped.parameters()}
        assert {id(p) for p in module.student.parameters()} < seen
        assert {id(p) for p in module.methods.parameters()} < seen
        assert not any(id(p) in seen for p in teacher.parameters())
    finally:
        torch.distributed.destroy_process_group()


def test_the_teacher_stays_as_it_is_while_the_student_trains(module, teacher, make_batch):
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    module.train()
    assert not any(part.training for part in teacher.modules())
    torch.stack(list(module.loss_terms(make_batch()).losses.values())).sum().backward()
    assert module.methods[0].adapter.weight.grad.any()
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())


def test_its_output_carries_no_gradient_and_is_that_of_eval_mode(teacher, make_batch):
    batch = make_batch()
    frozen = FrozenTeacher(teacher.train())
    raw = frozen(batch)
    assert not raw.class_logits.requires_grad
    assert torch.equal(raw.class_logits, frozen(batch).class_logits)
    assert torch.equal(raw.class_logits, teacher.eval()(batch).class_logits)
    assert frozen.spec is teacher.spec


def test_its_taps_carry_no_gradient(teacher, make_batch):
    raw, taps = FrozenTeacher(teacher).tapped(make_batch(), ("trunk.neck#2", "dense_head.class_out#0"))
    assert taps["trunk.neck#2"] is raw.features[2]
    assert taps["dense_head.class_out#0"].shape == (2, 2, 8, 8)
    assert not any(tap.requires_grad for tap in taps.values())


def test_it_follows_the_batch_to_its_device(make_batch):
    class Where(torch.nn.Linear):
        def forward(self, batch):
            return self.weight.device.type

    frozen = FrozenTeacher(Where(1, 1))
    assert frozen(make_batch()) == "cpu"
    assert frozen(make_batch().to("meta")) == "meta"


def test_a_student_inherits_what_has_the_same_name_and_shape(make_detector):
    student, teacher = make_detector("hsd_fti_fdet"), make_detector("gfl", seed=1)
    head = student.dense_head.class_tower[0].weight.clone()
    sentence = inherit_weights(student, teacher)
    assert "trunk.backbone" in sentence
    own, given = student.state_dict(), teacher.state_dict()
    assert all(torch.equal(own[name], given[name]) for name in own if name.startswith("trunk.backbone"))
    assert torch.equal(student.dense_head.class_tower[0].weight, head)  # another kind of tower


def test_a_student_that_shares_nothing_is_refused(make_detector):
    with pytest.raises(IncompatibleError, match="share no weight"):
        inherit_weights(torch.nn.Linear(3, 3), make_detector())


def test_a_narrower_student_inherits_every_kth_channel(make_lidar_detector):
    student, teacher = make_lidar_detector(width=0.5), make_lidar_detector(seed=1)
    sentence = inherit_weights(student, teacher, "thinned")
    assert "100% of its weights" in sentence
    own, given = student.state_dict(), teacher.state_dict()
    assert torch.equal(own["neck.blocks.1.0.0.weight"], given["neck.blocks.1.0.0.weight"][::2, ::2])
    assert torch.equal(own["centre_head.shared.0.weight"], given["centre_head.shared.0.weight"][:, ::2])
    assert torch.equal(own["pillars.first.linear.weight"], given["pillars.first.linear.weight"])


def test_thinned_layers_that_follow_one_another_stay_together(make_lidar_detector, make_clouds):
    """If the channels that are left out add nothing, the student gives every second channel of the teacher's map."""
    student, teacher = make_lidar_detector(width=0.5), make_lidar_detector(seed=1)
    with torch.no_grad():
        for name, value in teacher.state_dict().items():
            if name.startswith("neck") and name.endswith(".0.weight") and value.ndim == 4 and value.shape[1] > 8:
                value[:, 1::2] = 0
    inherit_weights(student, teacher, "thinned")
    batch = make_clouds()
    wide, narrow = teacher.eval().features(batch)[0], student.eval().features(batch)[0]
    torch.testing.assert_close(narrow, wide[:, ::2])


def test_a_width_that_does_not_divide_is_not_thinned(make_lidar_detector):
    student, teacher = make_lidar_detector(width=0.75), make_lidar_detector(seed=1)
    inherit_weights(student, teacher, "thinned")
    own, given = student.state_dict(), teacher.state_dict()
    assert own["neck.blocks.0.0.0.weight"].shape != given["neck.blocks.0.0.0.weight"].shape


def test_the_most_that_a_method_asks_for_is_inherited():
    assert inheritance([Sparsekd.Config(), Hsd.Config(inherit=True)]) == "thinned"
    assert inheritance([Hsd.Config(inherit=True)]) == "equal"
    assert inheritance([Hsd.Config(), Sparsekd.Config(inherit=False)]) is None
