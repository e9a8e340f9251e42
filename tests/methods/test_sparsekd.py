import pytest
import torch

from limbeck.errors import IncompatibleError
from limbeck.methods.sparsekd import Sparsekd, box_term


def method(student, teacher, **settings):
    return Sparsekd(Sparsekd.Config(**settings), student=student.spec, teacher=teacher.spec)


@pytest.fixture
def pair(make_lidar_detector):
    return make_lidar_detector(), make_lidar_detector(seed=1)


@pytest.fixture
def step(pair, make_step, make_clouds):
    return make_step(*pair, make_clouds())


def test_the_heat_map_term_against_a_loop(pair, step):
    mine, its = (side.groups[0]["hm"].sigmoid() for side in (step.student_out, step.teacher_out))
    peaks = step.assignment.groups[0].heat_map
    total, weights = 0.0, 0.0
    for sample, row, column in torch.cartesian_prod(*(torch.arange(n) for n in (2, *mine.shape[2:]))).tolist():
        place = sample, slice(None), row, column
        weight = its[place].max() * peaks[place].max()
        total, weights = total + weight * (mine[place] - its[place]).square().sum(), weights + weight
    found = method(*pair)(step).losses
    torch.testing.assert_close(found["sparsekd_heat_map"], 10 * total / (weights + 1e-6))


def test_the_box_term_against_a_loop(pair, step):
    groups = [side.groups[0] for side in (step.student_out, step.teacher_out)]
    codes = [torch.cat([group[name] for name in ("reg", "height", "dim", "rot")], dim=1) for group in groups]
    targets, total = step.assignment.groups[0], 0.0
    for sample, place in targets.mask.nonzero().tolist():
        cell = int(targets.index[sample, place])
        mine, its = (side[sample].flatten(1)[:, cell] for side in codes)
        total = total + (mine - its).abs().sum()
    torch.testing.assert_close(box_term(*groups, targets), total / (targets.mask.sum() + 1e-4))
    torch.testing.assert_close(method(*pair)(step).losses["sparsekd_boxes"], 0.2 * total / (targets.mask.sum() + 1e-4))


def test_cells_are_chosen_by_objects_by_score_or_by_rank(pair, step):
    probs, targets = step.teacher_out.groups[0]["hm"].sigmoid(), step.assignment.groups[0]
    best = probs.amax(dim=1, keepdim=True)
    cells = {
        name: method(*pair, positions=name, soft=False, rank=5, threshold=0.0).cells(probs, targets)
        for name in ("objects", "score", "rank")
    }
    assert torch.equal(cells["objects"] > 0, targets.heat_map.amax(dim=1, keepdim=True) > 0)
    assert cells["score"].all()
    assert (cells["rank"].flatten(1).sum(dim=1) == 5).all()
    for chosen, scores in zip(cells["rank"] > 0, best, strict=True):
        assert scores[chosen].min() >= scores[~chosen].max()
    threshold = float(best.median())
    above = method(*pair, positions="score", soft=False, threshold=threshold).cells(probs, targets)
    assert torch.equal(above > 0, best > threshold)


def test_gradient_reaches_the_student_alone(pair, step):
    torch.stack(list(method(*pair)(step).losses.values())).sum().backward()
    assert all(p.grad.any() for p in pair[0].neck.parameters() if p.ndim > 1)
    assert all(p.grad is None for p in pair[1].parameters())
    assert not list(method(*pair).parameters())


def test_equal_models_have_nothing_to_learn(make_lidar_detector, make_step, make_clouds):
    student, teacher = make_lidar_detector().eval(), make_lidar_detector().eval()
    assert all(
        term == 0 for term in method(student, teacher)(make_step(student, teacher, make_clouds())).losses.values()
    )


def test_a_term_without_weight_is_absent(pair, step):
    assert method(*pair, box_weight=0.0)(step).losses.keys() == {"sparsekd_heat_map"}
    assert method(*pair, weight=0.0)(step).losses.keys() == {"sparsekd_boxes"}
    start_alone = method(*pair, weight=0.0, box_weight=0.0)
    assert not start_alone(step).losses
    assert start_alone.config.inherits() == "thinned"


def test_the_student_starts_with_the_teachers_weights_unless_told_not_to():
    assert Sparsekd.Config().inherits() == "thinned"
    assert Sparsekd.Config(inherit=False).inherits() is None


def test_a_teacher_that_does_not_fit_is_refused(make_lidar_detector):
    with pytest.raises(IncompatibleError, match="compares cell by cell"):
        method(make_lidar_detector(), make_lidar_detector(pillar=(1.0, 1.0)))
