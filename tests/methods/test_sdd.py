from dataclasses import replace

import pytest
import torch

from limbeck.core.method import Progress
from limbeck.errors import IncompatibleError
from limbeck.methods.sdd import Sdd

HEADS = ["gfl", "atss", "fcos", "retinanet", "hsd_fti_fdet"]


def method(student, seed=0, **settings):
    torch.manual_seed(seed)
    spec = replace(student.spec, canvas_hw=(64, 64))
    return Sdd(Sdd.Config(**settings), student=spec, teacher=None)


@pytest.fixture
def step_of(make_step, make_batch):
    def step_of(student, fraction=1.0, batch=None):
        step = make_step(student, student, batch or make_batch())
        student.train()
        step.teacher_out = None
        step.student_out = student(step.batch)
        step.progress = Progress(int(100 * fraction), 100, 0)
        return step

    return step_of


@pytest.mark.parametrize("head", HEADS)
def test_the_head_of_every_student_is_run_on_the_teachers_maps(head, make_detector, step_of):
    student = make_detector(head)
    terms = method(student)(step_of(student)).losses
    own = student.losses(*(lambda s: (s.student_out, s.assignment, s.batch))(step_of(student)))
    assert set(terms) == {"sdd", *(f"sdd_teacher_{name}" for name in own)}
    assert all(torch.isfinite(term) and term.item() > 0 for term in terms.values())


def test_both_stages_of_a_faster_rcnn_are_run_on_the_teachers_maps(make_faster_rcnn, step_of):
    student = make_faster_rcnn()
    stages = {"rpn_objectness", "rpn_box", "roi_class", "roi_box"}
    terms = method(student)(step_of(student)).losses
    assert set(terms) == {"sdd", *(f"sdd_teacher_{name}" for name in stages)}
    assert all(torch.isfinite(term) and term.item() > 0 for term in terms.values())
    sum(value for name, value in terms.items() if name != "sdd").backward()
    assert all(p.grad is None for p in student.trunk.parameters())
    assert student.rpn.cls_logits.weight.grad.any()
    assert student.roi_head.class_out.weight.grad.any()


def test_what_trains_what(make_detector, step_of):
    student = make_detector()
    sdd = method(student)
    terms = sdd(step_of(student)).losses
    sum(value for name, value in terms.items() if name != "sdd").backward(retain_graph=True)
    assert all(p.grad is None for p in student.trunk.parameters())  # the appearance is detached
    assert student.dense_head.box_out.weight.grad.abs().sum() > 0
    trained = [name for name, p in sdd.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    assert {name.split(".")[1] for name in trained if name.startswith("dynamic_teacher")} == {
        "label_encoder",
        "label_project",
        "appearance_project",
        "attention",
        "instance_project",
        "paste_conv",
        "refine",
        "adaptors",
    }
    assert not any(name.startswith("adapter.") for name in trained)
    sdd.zero_grad()
    student.zero_grad()
    terms["sdd"].backward()
    assert all(p.grad is None for p in sdd.dynamic_teacher.parameters())  # the teacher is detached here
    assert all(p.grad is not None for p in sdd.adapter.parameters())
    assert student.trunk.neck.outputs[0].weight.grad.abs().sum() > 0


def test_the_adapter_learns_alone_at_first(make_detector, step_of):
    student = make_detector()
    sdd = method(student)
    sdd(step_of(student, fraction=0.1)).losses["sdd"].backward()
    assert all(p.grad is None for p in student.parameters())
    assert all(p.grad is not None for p in sdd.adapter.parameters())


def test_the_backbone_is_held_still_at_first(make_detector):
    sdd = method(make_detector(), frozen_backbone=0.2)
    assert list(sdd.frozen_student_parts(Progress(19, 100, 0))) == ["trunk.backbone"]
    assert list(sdd.frozen_student_parts(Progress(20, 100, 0))) == []
    assert any("frozen for the first 20%" in sentence for sentence in sdd.describe())


@pytest.mark.parametrize("loss", ["kl", "mse", "cwd", "mgd"])
def test_every_distance_is_zero_or_least_for_equal_maps(loss, make_detector):
    sdd = method(make_detector(), loss=loss)
    torch.manual_seed(1)
    maps = [torch.randn(2, 16, side, side) for side in (8, 4, 2)]
    others = [torch.randn_like(m) for m in maps]
    assert sdd.distance(maps, others) > 0
    if loss != "mgd":
        assert abs(sdd.distance(maps, maps)) < 1e-5


def test_released_loss_is_the_first_image_over_its_size(make_detector):
    torch.manual_seed(1)
    maps, others = ([torch.randn(2, 16, side, side) for side in (8, 4, 2)] for _ in range(2))
    first = method(make_detector()).distance([m[:1] for m in maps], [m[:1] for m in others])
    released = method(make_detector(), variant="release").distance(maps, others)
    torch.testing.assert_close(released, first / (16 * 84))


def test_release_keeps_the_adaptors_as_they_were_drawn(make_detector):
    names = {n for n, p in method(make_detector(), variant="release").named_parameters() if not p.requires_grad}
    assert names
    assert all(name.startswith("dynamic_teacher.adaptors.") for name in names)


def test_images_without_objects_are_trained_on(make_detector, make_batch, step_of):
    student, batch = make_detector(), make_batch()
    batch.targets = [batch.targets[1]] * 2
    sdd = method(student)
    terms = sdd(step_of(student, batch=batch)).losses
    sum(terms.values()).backward()
    gradients = [p.grad for p in [*student.parameters(), *sdd.parameters()] if p.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_another_input_size_than_that_of_the_run(make_detector, make_batch, step_of):
    student = make_detector()
    spec = replace(student.spec, canvas_hw=(96, 128))
    assert torch.isfinite(Sdd(Sdd.Config(), student=spec, teacher=None)(step_of(student)).losses["sdd"])


def test_bfloat16(make_detector, step_of):
    student = make_detector()
    with torch.autocast("cpu", torch.bfloat16):
        terms = method(student)(step_of(student)).losses
    assert all(torch.isfinite(term) and term.dtype == torch.float32 for term in terms.values())


def test_what_does_not_fit_is_refused(make_detector):
    spec = make_detector(channels=12).spec
    with pytest.raises(IncompatibleError, match="input, and was not told"):
        Sdd(Sdd.Config(), student=spec, teacher=None)
    spec = replace(spec, canvas_hw=(64, 64))
    with pytest.raises(IncompatibleError, match="12 channels into 8 heads"):
        Sdd(Sdd.Config(), student=spec, teacher=None)
    with pytest.raises(IncompatibleError, match="does not name one"):
        Sdd(Sdd.Config(heads=4), student=replace(spec, backbone=None), teacher=None)
    with pytest.raises(IncompatibleError, match="equal width"):
        Sdd(Sdd.Config(), student=replace(spec, channels=(16, 32, 64)), teacher=None)
