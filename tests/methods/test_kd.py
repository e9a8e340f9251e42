import math

import pytest
import torch
from pydantic import ValidationError

from limbeck.errors import IncompatibleError
from limbeck.methods.kd import Kd


def method(student, teacher, **settings):
    return Kd(Kd.Config(**settings), student=student.spec, teacher=teacher.spec)


def slow_divergence(mine, its, temperature, background):
    """KL of two lists of logits, number by number."""
    if background:
        mine, its = [*mine, 0.0], [*its, 0.0]
    p = [math.exp(z / temperature) for z in its]
    q = [math.exp(z / temperature) for z in mine]
    p, q = [v / sum(p) for v in p], [v / sum(q) for v in q]
    return temperature**2 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


@pytest.mark.parametrize("locations", ["positive", "all"])
@pytest.mark.parametrize(("background", "temperature"), [(True, 2.0), (False, 1.0), (True, 4.0)])
def test_the_term_against_a_loop(locations, background, temperature, make_detector, make_batch, make_step):
    student, teacher = make_detector(), make_detector(seed=1, backbone="test_efficientnet", channels=32)
    step = make_step(student, teacher, make_batch())
    step.assignment.weights[:, :20] = 0
    step.assignment.weights[:, 70:] = 0.5
    expected = 0.0
    for image in range(2):
        for location in range(84):
            positive = step.assignment.labels[image, location] < 2
            if positive or locations == "all":
                mine, its = (raw.class_logits[image, location].tolist() for raw in (step.student_out, step.teacher_out))
                kl = slow_divergence(mine, its, temperature, background)
                expected += step.assignment.weights[image, location].item() * kl
    settings = {"locations": locations, "background": background, "temperature": temperature}
    terms = method(student, teacher, weight=3.0, **settings)(step).losses
    assert terms.keys() == {"kd"}
    assert terms["kd"].item() == pytest.approx(3.0 * expected / step.assignment.normaliser.item(), rel=1e-4)
    assert expected > 0


def test_gradients_go_to_the_class_branch_of_the_student(make_detector, make_batch, make_step):
    student, teacher = make_detector(), make_detector(seed=1)
    method(student, teacher)(make_step(student, teacher, make_batch())).losses["kd"].backward()
    assert student.dense_head.class_out.weight.grad.any()
    assert student.dense_head.box_out.weight.grad is None
    assert all(p.grad is None for p in teacher.parameters())


def test_one_class_is_taught_with_background_and_refused_without(make_detector, make_batch, make_step):
    student, teacher = (make_detector(classes=("fault",), seed=seed) for seed in (0, 1))
    step = make_step(student, teacher, make_batch(num_classes=1))
    assert method(student, teacher)(step).losses["kd"] > 0
    with pytest.raises(IncompatibleError, match="single class 'fault' without background: its softmax is always 1"):
        method(student, teacher, background=False)


def test_one_class_with_background_is_the_binary_divergence(make_detector, make_batch, make_step):
    student, teacher = (make_detector(classes=("fault",), seed=seed) for seed in (0, 1))
    step = make_step(student, teacher, make_batch(num_classes=1))
    positive = step.assignment.labels < 1
    q, p = (raw.class_logits[positive].sigmoid() for raw in (step.student_out, step.teacher_out))
    expected = (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).sum() / step.assignment.normaliser
    torch.testing.assert_close(method(student, teacher, temperature=1)(step).losses["kd"], expected)


@pytest.mark.parametrize("locations", ["positive", "all"])
def test_equal_models_and_negative_images_give_zero(locations, make_detector, make_batch, make_step):
    student, teacher = make_detector().eval(), make_detector().eval()
    term = method(student, teacher, locations=locations)(make_step(student, teacher, make_batch())).losses["kd"]
    assert abs(term.item()) < 1e-6
    batch = make_batch()
    batch.targets = [batch.targets[1]] * 2
    step = make_step(student, make_detector(seed=1), batch)
    term = method(student, teacher, locations=locations)(step).losses["kd"]
    term.backward()
    assert torch.isfinite(term)
    assert (term.item() == 0) == (locations == "positive")


def test_refuses_what_does_not_fit(make_detector):
    student = make_detector()
    with pytest.raises(IncompatibleError, match="'kd' compares location by location and needs equal priors"):
        method(student, make_detector(strides=(8, 16)))
    with pytest.raises(IncompatibleError, match="same classes"):
        method(student, make_detector(classes=("number", "wagon")))
    with pytest.raises(IncompatibleError, match="needs a teacher"):
        Kd(Kd.Config(), student=student.spec, teacher=None)
    with pytest.raises(ValidationError):
        Kd.Config(temperature=0)
    with pytest.raises(ValidationError):
        Kd.Config(locations="negative")


def test_the_term_of_a_segmenter_against_a_loop(make_segmenter, make_mask_batch, make_step):
    student, teacher = make_segmenter(), make_segmenter(seed=1)
    step = make_step(student, teacher, make_mask_batch(class_weights=[1.0, 0.5, 3.0]))
    total = count = 0.0
    for image in range(2):
        for y, x in torch.cartesian_prod(torch.arange(16), torch.arange(5, 24)).tolist():
            weight = [1.0, 0.5, 3.0][step.batch.targets[image].labels[y, x]]
            mine, its = (raw.class_logits[image, :, y, x].tolist() for raw in (step.student_out, step.teacher_out))
            total += weight * slow_divergence(mine, its, 4.0, background=False)
            count += weight
    term = method(student, teacher, weight=3.0, temperature=4.0)(step).losses["kd"]
    assert term.item() == pytest.approx(3.0 * total / count, rel=1e-4)
    term.backward()
    assert student.scores.weight.grad.any()
    assert all(p.grad is None for p in teacher.parameters())


def test_a_detector_does_not_teach_a_segmenter(make_segmenter, make_detector):
    with pytest.raises(IncompatibleError, match="the teacher is for detection2d"):
        method(make_segmenter(), make_detector())


@pytest.mark.parametrize("scores", ["softmax", "sigmoid"])
@pytest.mark.parametrize("locations", ["positive", "all"])
def test_the_heat_maps_of_lidar_detectors_against_a_loop(
    scores, locations, make_lidar_detector, make_clouds, make_step
):
    student, teacher = make_lidar_detector(), make_lidar_detector(seed=1)
    step = make_step(student, teacher, make_clouds())
    maps = [side.groups[0]["hm"] for side in (step.student_out, step.teacher_out)]
    targets, total = step.assignment.groups[0], 0.0
    places = targets.mask.nonzero().tolist()
    if locations == "positive":
        cells = [(sample, int(targets.index[sample, place])) for sample, place in places]
    else:
        cells = torch.cartesian_prod(torch.arange(2), torch.arange(maps[0][0, 0].numel())).tolist()
    for sample, cell in cells:
        mine, its = (side[sample].flatten(1)[:, cell] / 2.0 for side in maps)
        if scores == "softmax":
            pairs = [[torch.cat([side, side.new_zeros(1)]).softmax(0) for side in (mine, its)]]
        else:
            pairs = [[torch.stack([side[k], side.new_zeros(())]).softmax(0) for side in (mine, its)] for k in range(2)]
        total = total + sum(4 * (p * (p / q).log()).sum() for q, p in pairs)
    config = Kd.Config(scores=scores, locations=locations)
    found = Kd(config, student=student.spec, teacher=teacher.spec)(step).losses["kd"]
    torch.testing.assert_close(found, total / step.assignment.normaliser, rtol=1e-4, atol=1e-6)


def test_lidar_detectors_with_other_cells_are_refused(make_lidar_detector):
    student, teacher = make_lidar_detector(), make_lidar_detector(pillar=(1.0, 1.0))
    with pytest.raises(IncompatibleError, match="compares cell by cell"):
        Kd(Kd.Config(), student=student.spec, teacher=teacher.spec)


def test_sigmoid_scores_teach_a_single_class_without_background(make_detector, make_batch, make_step):
    student, teacher = make_detector(classes=("bolt",)), make_detector(classes=("bolt",), seed=1)
    distil = Kd(Kd.Config(scores="sigmoid", background=False), student=student.spec, teacher=teacher.spec)
    assert distil(make_step(student, teacher, make_batch())).losses["kd"] > 0
