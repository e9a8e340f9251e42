from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from limbeck.core.method import Progress
from limbeck.errors import IncompatibleError
from limbeck.losses.similarity import cka
from limbeck.methods.dkd import Dkd
from limbeck.methods.lix import Lix

DONE = Progress(100, 100, 0)


def method(student, teacher, **settings):
    torch.manual_seed(0)
    return Lix(Lix.Config(**settings), student=student.spec, teacher=teacher.spec)


@pytest.fixture
def pair(make_segmenter):
    """A student and a teacher of other widths that has one level more."""
    return make_segmenter(), make_segmenter(seed=1, channels=(3, 5, 7), strides=(2, 4, 8))


@pytest.fixture
def step(pair, make_mask_batch, make_step):
    return replace(make_step(*pair, make_mask_batch(class_weights=[1.0, 0.5, 3.0])), progress=DONE)


def test_the_logit_term_starts_as_plain_dkd(pair, step):
    settings = {"alpha": 1.5, "beta": 0.7, "temperature": 2.0}
    mine = method(*pair, logit_weight=3.0, stride=1, **settings)(step).losses["lix_logits"]
    dkd = Dkd(Dkd.Config(weight=3.0, **settings), student=pair[0].spec, teacher=pair[1].spec)(step).losses["dkd"]
    torch.testing.assert_close(mine, dkd)


@pytest.mark.parametrize("stride", [2, 4, 5])
def test_the_logit_term_is_a_mean_over_every_nth_pixel(stride, pair, step):
    batch = step.batch
    pixels = (slice(stride // 2, None, stride),) * 2
    outs = [
        replace(out, class_logits=out.class_logits[..., pixels[0], pixels[1]])
        for out in (step.student_out, step.teacher_out)
    ]
    targets = [replace(target, labels=target.labels[pixels]) for target in batch.targets]
    small = replace(
        step,
        student_out=outs[0],
        teacher_out=outs[1],
        assignment=pair[0].assign(outs[0], replace(batch, targets=targets)),
    )
    mine = method(*pair, stride=stride, beta=0.5, turns=False)(step).losses["lix_logits"]
    dkd = Dkd(Dkd.Config(beta=0.5), student=pair[0].spec, teacher=pair[1].spec)(small).losses["dkd"]
    torch.testing.assert_close(mine, dkd)


def test_all_pixels_have_their_turn(pair, make_mask_batch, make_step):
    step = replace(make_step(*pair, make_mask_batch()), progress=DONE)
    step.assignment.weights.fill_(1.0)  # so that every part counts alike
    step.assignment.labels.clamp_(max=2)
    every = method(*pair, stride=1)(replace(step, assignment=_whole(step.assignment))).losses["lix_logits"]
    distil = method(*pair, stride=2)
    turns = [replace(step, progress=Progress(n, 1000, 0)) for n in range(100, 104)]
    parts = [distil(turn).losses["lix_logits"] for turn in turns]
    assert len({part.item() for part in parts}) == 4
    torch.testing.assert_close(torch.stack(parts).mean(), every)


def _whole(assignment):
    return replace(assignment, normaliser=assignment.weights.sum())


def test_pixels_that_are_all_ignored_give_0_though_others_are_not(pair, make_mask_batch, make_step):
    batch = make_mask_batch()
    for target in batch.targets:
        target.labels[4::8, 4::8] = 255
    terms = method(*pair, turns=False)(make_step(*pair, batch))
    sum(terms.losses.values()).backward()
    assert terms.losses["lix_logits"].item() == 0
    assert all(torch.isfinite(p.grad).all() for p in pair[0].parameters())


def test_levels_take_turns(pair, step):
    every = method(*pair, turns=False)(step).losses["lix_features"]
    distil = method(*pair)
    single = [distil(replace(step, progress=Progress(n, 100, 0))) for n in (98, 99, 100)]
    values = [terms.losses["lix_features"] for terms in single]
    assert values[0] != values[1]
    assert values[0] == values[2]
    torch.testing.assert_close((values[0] + values[1]) / 2, every)
    values[0].backward(retain_graph=True)
    assert all(p.grad is not None for p in distil.recalibration.parameters())


def test_large_maps_are_averaged_down(pair, step):
    def halved(out):
        return replace(out, features=[torch.nn.functional.avg_pool2d(maps, 2) for maps in out.features[-2:]])

    settings = {"turns": True, "logit_weight": 0.0}  # step 100: the level of stride 4
    small = replace(step, student_out=halved(step.student_out))
    teacher = replace(step.teacher_out, features=[step.teacher_out.features[0], *halved(step.teacher_out).features])
    small = replace(small, teacher_out=teacher)
    torch.testing.assert_close(
        method(*pair, positions=6, **settings)(step).losses["lix_features"],
        method(*pair, **settings)(small).losses["lix_features"],
    )


def test_the_feature_term_against_a_loop(pair, step):
    distil, values = method(*pair, feature_weight=2.0, turns=False), []
    for level in range(2):
        student, teacher = step.student_out.features[level], step.teacher_out.features[level + 1]
        weights = distil.recalibration(student, teacher)[2]
        for image in range(2):
            mixed = weights[image] @ student[image].flatten(1)
            values.append(cka(mixed.T @ mixed, teacher[image].flatten(1).T @ teacher[image].flatten(1)))
    expected = 2.0 * (1 - torch.stack(values).mean())
    torch.testing.assert_close(distil(step).losses["lix_features"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("off", ["logit_weight", "feature_weight"])
def test_either_part_is_switched_off_with_all_that_belongs_to_it(off, pair, step):
    distil = method(*pair, **{off: 0.0})
    terms, left = distil(step), {"logit_weight": "lix_features", "feature_weight": "lix_logits"}[off]
    assert terms.losses.keys() == {left}
    assert (terms.logs == {}) == (off == "logit_weight")
    assert all(("recalibration" in name) == (off == "logit_weight") for name, _ in distil.named_parameters())


def test_both_terms_warm_up_over_a_tenth_of_the_training(pair, step):
    distil = method(*pair, turns=False)
    runs = [distil(replace(step, progress=Progress(n, 100, 0))).losses for n in (0, 4, 9, 60)]
    for name in ("lix_logits", "lix_features"):
        assert [run[name].item() / runs[-1][name].item() for run in runs] == pytest.approx([0.1, 0.5, 1.0, 1.0])


def test_it_logs_mean_and_range_of_the_weights_over_the_pixels_that_count(pair, step):
    distil = method(*pair, alpha=1.5, beta=0.5)
    optimizer = torch.optim.Adam(distil.parameters(), lr=0.05)
    for _ in range(5):
        terms = distil(step)
        sum(terms.losses.values()).backward(retain_graph=True)
        optimizer.step()
        assert terms.logs["lix_alpha_mean"].item() == pytest.approx(1.5, rel=1e-5)
        assert terms.logs["lix_beta_mean"].item() == pytest.approx(0.5, rel=1e-5)
    (_, alpha, beta, weights), logs = distil.logit_term(distil.controller, step), distil(step).logs
    for name, values in (("alpha", alpha), ("beta", beta)):
        counted = values[weights > 0]
        assert counted.min() < counted.max()
        assert logs[f"lix_{name}_min"] == counted.min()
        assert logs[f"lix_{name}_max"] == counted.max()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"update": "max", "confidence": True, "layers": 4, "hidden": 5},
        {"update": "none", "kernel": "rbf"},
        {"granularity": "class", "kernel": "linear"},
        {"kernel": "polynomial", "cka_kernel": "rbf"},
        {"kernel": "sigmoid", "cka_kernel": "laplace", "layers": 1},
        {"axis": "none"},
        {"temperature": 4.0, "grid": (2, 2), "gamma": 0.5},
    ],
    ids=str,
)
def test_every_choice_teaches_the_student_and_trains_its_own_parameters(settings, pair, step):
    distil, (student, teacher) = method(*pair, turns=False, **settings), pair
    optimizer = torch.optim.SGD(distil.parameters(), lr=0.1) if list(distil.parameters()) else None
    for _ in range(2):  # nothing arrives behind the controller's last layer before that has moved
        distil.zero_grad()
        sum(distil(step).losses.values()).backward(retain_graph=True)
        if optimizer is not None:
            optimizer.step()
    assert all(p.grad.any() for p in student.parameters() if p.ndim > 1)
    assert all(p.grad is not None and p.grad.any() for p in distil.parameters())
    assert all(p.grad is None for p in teacher.parameters())


@pytest.mark.parametrize("axis", ["spatial", "gain"])
def test_axes_for_equal_channels(axis, pair, make_segmenter, make_mask_batch, make_step):
    student, teacher = make_segmenter(), make_segmenter(seed=1)
    terms = method(student, teacher, axis=axis, turns=False)(make_step(student, teacher, make_mask_batch()))
    terms.losses["lix_features"].backward()
    assert all(p.grad.any() for p in student.levels.parameters() if p.ndim > 1)
    with pytest.raises(
        IncompatibleError, match=rf"'{axis}' needs equal channels .* stride 4 \(4 and 5\), stride 8 \(6 and 7\)"
    ):
        method(*pair, axis=axis)


def test_a_batch_of_ignored_pixels_is_finite(pair, make_mask_batch, make_step):
    batch = make_mask_batch()
    for target in batch.targets:
        target.labels.fill_(255)
    distil = method(*pair, turns=False)
    terms = distil(make_step(*pair, batch))
    sum(terms.losses.values()).backward()
    assert terms.losses["lix_logits"].item() == 0
    assert all(torch.isfinite(p.grad).all() for p in pair[0].parameters())
    assert all(torch.isfinite(p.grad).all() for p in distil.parameters())


def test_bfloat16_gives_float32_terms(pair, make_mask_batch, make_step):
    exact = method(*pair, turns=False)(make_step(*pair, make_mask_batch())).losses
    with torch.autocast("cpu", torch.bfloat16):
        step = make_step(*pair, make_mask_batch())
        terms = method(*pair, turns=False)(step).losses
    assert step.student_out.features[0].dtype == torch.bfloat16
    for name, term in terms.items():
        assert term.dtype == torch.float32
        torch.testing.assert_close(term, exact[name], rtol=0.05, atol=0)
    sum(terms.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in pair[0].parameters())


def test_it_says_which_levels_are_compared(pair):
    assert method(*pair).describe() == [
        "stride 4: 4 channels with 5",
        "stride 8: 6 channels with 7",
        "not compared, because nothing fits: the teacher's stride 2",
        "controller and recalibration have 371 parameters, which are dropped after the training",
    ]


def test_what_does_not_fit_is_refused(pair, make_segmenter):
    with pytest.raises(IncompatibleError, match=r"'lix' compares maps of equal stride; the student has \[4, 8\]"):
        method(pair[0], make_segmenter(strides=(2, 16)))
    with pytest.raises(IncompatibleError, match="same classes in the same order"):
        method(pair[0], make_segmenter(classes=("sky", "road", "car")))
    with pytest.raises(IncompatibleError, match="needs a teacher"):
        Lix(Lix.Config(), student=pair[0].spec, teacher=None)
    with pytest.raises(ValidationError, match="one of logit_weight and feature_weight must be above 0"):
        Lix.Config(logit_weight=0, feature_weight=0)
    with pytest.raises(ValidationError, match="set granularity: pixel"):
        Lix.Config(update="none", granularity="class")
    with pytest.raises(ValidationError, match=r"a row and a column at least, not \[0, 16\]"):
        Lix.Config(grid=(0, 16))
