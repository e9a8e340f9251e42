import dataclasses

import pytest
import torch
from pydantic import ValidationError

from limbeck.core.outputs import RawOutput
from limbeck.errors import IncompatibleError
from limbeck.methods.fitnet import Fitnet


def method(student, teacher, **settings):
    torch.manual_seed(0)
    return Fitnet(Fitnet.Config(**settings), student=student.spec, teacher=teacher.spec)


def test_the_term_against_a_loop(make_detector, make_batch, make_step):
    student, teacher = make_detector(), make_detector("retinanet", seed=1, channels=24, strides=(8, 16, 32, 64))
    step = make_step(student, teacher, make_batch())
    distil = method(student, teacher, weight=3.0)
    levels = []
    for level in range(3):
        adapter = distil.pairs.adapters[level]
        mine, its = step.student_out.features[level], step.teacher_out.features[level]
        total = 0.0
        for b in range(2):
            for y in range(mine.shape[2]):
                for x in range(mine.shape[3]):
                    vector = adapter.weight[:, :, 0, 0] @ mine[b, :, y, x] + adapter.bias
                    total = total + (vector - its[b, :, y, x]).square().sum()
        levels.append(total / its.numel())
    terms = distil(step)
    assert terms.losses.keys() == {"fitnet"}
    assert terms.logs == {}
    torch.testing.assert_close(terms.losses["fitnet"], 3.0 * sum(levels) / 3)
    assert distil.describe()[-1] == "not compared, because nothing fits: the teacher's stride 64"


def test_gradients_reach_student_and_adapters_and_not_the_teacher(make_detector, make_batch, make_step):
    student, teacher = make_detector(), make_detector(seed=1, channels=24)
    distil = method(student, teacher)
    distil(make_step(student, teacher, make_batch())).losses["fitnet"].backward()
    assert all(p.grad is not None and p.grad.any() for p in distil.parameters())
    assert all(p.grad is not None for p in student.trunk.parameters())
    assert all(p.grad is None for p in student.dense_head.parameters())
    assert all(p.grad is None for p in teacher.parameters())
    (group,) = distil.param_groups()
    assert len(group["params"]) == 6


def test_a_student_that_equals_its_teacher_has_nothing_to_learn(make_detector, make_batch, make_step):
    student, teacher = make_detector().eval(), make_detector().eval()
    distil = method(student, teacher)
    assert distil(make_step(student, teacher, make_batch())).losses["fitnet"].item() == 0
    assert distil.param_groups() == []
    assert method(student, teacher, adapter="always")(make_step(student, teacher, make_batch())).losses["fitnet"] > 0


def test_normalised_channels_do_not_see_scale_and_shift(make_detector, make_batch, make_step):
    student, teacher = make_detector(), make_detector(seed=1)
    step = make_step(student, teacher, make_batch())
    scaled = RawOutput([100 * level - 7 for level in step.teacher_out.features])
    other = dataclasses.replace(step, teacher_out=scaled)
    plain, normalised = (method(student, teacher, normalise=choice) for choice in ("none", "channel"))
    assert plain(other).losses["fitnet"] > 1000 * plain(step).losses["fitnet"]
    torch.testing.assert_close(normalised(other).losses["fitnet"], normalised(step).losses["fitnet"], rtol=1e-3, atol=0)


def test_normalised_channels_measure_the_correlation(make_detector, make_batch, make_step):
    student, teacher = make_detector(strides=(8,)), make_detector(seed=1, strides=(8,))
    step = make_step(student, teacher, make_batch())
    mine, its = (raw.features[0].transpose(0, 1).flatten(1).detach() for raw in (step.student_out, step.teacher_out))
    values = mine.shape[1]
    correlation = torch.stack([torch.corrcoef(torch.stack(rows))[0, 1] for rows in zip(mine, its, strict=True)])
    expected = 2 * (1 - correlation).mean() * (values - 1) / values
    torch.testing.assert_close(method(student, teacher, normalise="channel")(step).losses["fitnet"], expected)


def test_strides_without_a_match_are_compared_at_the_coarser(make_detector, make_batch, make_step):
    student, teacher = make_detector(strides=(8,)), make_detector(seed=1, strides=(16,))
    step = make_step(student, teacher, make_batch())
    small = torch.nn.functional.avg_pool2d(step.student_out.features[0], 2)
    expected = (small - step.teacher_out.features[0]).square().mean()
    torch.testing.assert_close(method(student, teacher)(step).losses["fitnet"], expected)


def test_bfloat16_maps_give_a_float32_term(make_detector, make_batch, make_step):
    student, teacher = make_detector(), make_detector(seed=1, channels=24)
    distil = method(student, teacher)
    exact = distil(make_step(student, teacher, make_batch())).losses["fitnet"]
    with torch.autocast("cpu", torch.bfloat16):
        step = make_step(student, teacher, make_batch())
        term = distil(step).losses["fitnet"]
    assert step.student_out.features[0].dtype == torch.bfloat16
    assert term.dtype == torch.float32
    torch.testing.assert_close(term, exact, rtol=0.02, atol=0)
    term.backward()
    assert all(torch.isfinite(p.grad).all() for p in distil.parameters())


def test_settings_that_do_not_fit_are_refused(make_detector):
    with pytest.raises(ValidationError, match="there are 2 of the student and 1 of the teacher"):
        Fitnet.Config(student_taps=("a", "b"), teacher_taps=("c",))
    with pytest.raises(ValidationError):
        Fitnet.Config(weight=0)
    with pytest.raises(IncompatibleError, match="needs a teacher"):
        Fitnet(Fitnet.Config(), student=make_detector().spec, teacher=None)


def test_segmenters_of_other_widths_and_strides(make_segmenter, make_mask_batch, make_step):
    student, teacher = make_segmenter(), make_segmenter(seed=1, channels=(3, 4, 7), strides=(2, 4, 8))
    step, distil = make_step(student, teacher, make_mask_batch()), method(student, teacher)
    mine, its = step.student_out.features, step.teacher_out.features
    levels = [mine[0] - its[1], distil.pairs.adapters[1](mine[1]) - its[2]]
    term = distil(step).losses["fitnet"]
    torch.testing.assert_close(term, torch.stack([level.square().mean() for level in levels]).mean())
    term.backward()
    assert all(p.grad.any() for p in student.levels.parameters())
    assert distil.describe()[-1] == "not compared, because nothing fits: the teacher's stride 2"


def test_the_maps_of_lidar_detectors_seen_from_above_are_compared(make_lidar_detector, make_clouds, make_step):
    student, teacher = make_lidar_detector(width=0.5), make_lidar_detector(seed=1)
    step = make_step(student, teacher, make_clouds())
    distil = Fitnet(Fitnet.Config(), student=student.spec, teacher=teacher.spec)
    adapted = distil.pairs.adapters[0](step.student_out.features[0])
    torch.testing.assert_close(distil(step).losses["fitnet"], (adapted - step.teacher_out.features[0]).square().mean())
