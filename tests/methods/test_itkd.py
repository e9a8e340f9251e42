import pytest
import torch
from pydantic import ValidationError

from limbeck.core.method import Progress
from limbeck.errors import IncompatibleError
from limbeck.methods.itkd import Itkd
from limbeck.nn.channel_autoencoder import ChannelAutoencoder
from limbeck.ops.centre import cells_of

TERMS = {"itkd_interchange", "itkd_compressed", "itkd_attention"}


def method(student, teacher, **settings):
    torch.manual_seed(0)
    config = Itkd.Config(**({"code": 4, "hidden": (8,)} | settings))
    return Itkd(config, student=student.spec, teacher=teacher.spec)


@pytest.fixture
def pair(make_lidar_detector):
    return make_lidar_detector(), make_lidar_detector(seed=1, width=1.5)


@pytest.fixture
def step(pair, make_step, make_clouds):
    return make_step(*pair, make_clouds())


def losses(pair, step, **settings):
    return method(*pair, **settings)(step).losses


@pytest.mark.parametrize("variant", ["paper", "release"])
def test_gradient_reaches_the_student_and_all_of_the_method_and_never_the_teacher(variant, pair, step):
    distil = method(*pair, variant=variant)
    terms = distil(step)
    assert terms.losses.keys() == TERMS
    torch.stack(list(terms.losses.values())).sum().backward()
    assert all(p.grad.any() for p in distil.parameters() if p.requires_grad)
    assert all(p.grad is None for p in pair[1].parameters())
    assert all(p.grad.any() for p in pair[0].neck.parameters() if p.ndim > 1)


def test_equal_models_have_no_attention_loss_and_equal_codes(make_lidar_detector, make_step, make_clouds):
    student, teacher = make_lidar_detector().eval(), make_lidar_detector().eval()
    found = method(student, teacher)(make_step(student, teacher, make_clouds())).losses
    assert found["itkd_attention"] == 0
    assert found["itkd_compressed"] == 0
    assert found["itkd_interchange"] > 0


@pytest.mark.parametrize("name", ["interchange", "compressed", "attention"])
def test_a_term_without_weight_is_absent_and_has_no_part(name, pair, step):
    distil = method(*pair, **{f"{name}_weight": 0.0})
    assert distil(step).losses.keys() == TERMS - {f"itkd_{name}"}
    if name == "attention":
        assert not any("attention" in part for part, _ in distil.named_parameters())


def test_weights_scale_their_terms(pair, step):
    once, twice = losses(pair, step), losses(pair, step, interchange_weight=2.0, attention_weight=3.0)
    torch.testing.assert_close(twice["itkd_interchange"], 2 * once["itkd_interchange"])
    torch.testing.assert_close(twice["itkd_attention"], 3 * once["itkd_attention"])
    assert torch.equal(twice["itkd_compressed"], once["itkd_compressed"])


def test_every_groups_head_has_an_attention_of_its_own(make_lidar_detector, make_step, make_clouds):
    groups = (("car",), ("pedestrian",))
    student, teacher = (make_lidar_detector(seed=seed, groups=groups, velocity=True) for seed in (0, 1))
    distil = method(student, teacher)
    assert [attention.sizes for attention in distil.attention] == [(1, 2, 1, 3, 2, 2)] * 2
    step = make_step(student, teacher, make_clouds(velocities=True))
    alone = []
    for number in range(2):
        row = (side.groups[number] for side in (step.student_out, step.teacher_out))
        alone.append(distil.attention_term(distil.attention[number], *row, step.assignment.groups[number]))
    torch.testing.assert_close(distil(step).losses["itkd_attention"], sum(alone))


def test_the_release_compares_probabilities_with_logits(pair, step):
    targets, maps = step.assignment.groups[0], step.student_out.groups[0]
    paper, release = (method(*pair, variant=variant) for variant in ("paper", "release"))
    assert torch.equal(paper.head_values(maps, targets, student=True), release.head_values(maps, targets, student=True))
    probs, logits = (distil.head_values(maps, targets, student=False) for distil in (paper, release))
    torch.testing.assert_close(probs[..., :2][targets.mask], logits[..., :2][targets.mask].sigmoid())
    assert torch.equal(probs[..., 2:], logits[..., 2:])


def test_places_without_an_object_have_no_part_in_the_attention(pair, step):
    distil, targets = method(*pair), step.assignment.groups[0]
    before = distil(step).losses["itkd_attention"]
    targets.index[~targets.mask] = 7
    assert torch.equal(distil(step).losses["itkd_attention"], before)


def test_the_mean_over_the_objects_is_larger_than_that_over_all_places(pair, step):
    names = ("slots", "objects", "none")
    places, objects, neither = (losses(pair, step, objects=name)["itkd_interchange"] for name in names)
    mask = step.assignment.groups[0].mask
    torch.testing.assert_close((objects - neither) * mask.sum() / mask.numel(), places - neither, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("mask", ["centres", "heat_map"])
def test_the_codes_are_compared_where_the_mask_is(mask, pair, step):
    distil = method(*pair, mask=mask, stride=1)
    maps = step.student_out.features[0], step.teacher_out.features[0]
    weights = distil.weights(step.assignment, maps[0])
    objects = step.assignment.groups[0]
    flat = weights.flatten(1)
    assert all(flat[sample, objects.index[sample][objects.mask[sample]]].all() for sample in range(len(flat)))
    if mask == "centres":
        assert weights.sum() == objects.mask.sum()
    mine, its = distil.autoencoder.encode(*map(cells_of, maps))
    expected = ((mine - its).abs() * weights.flatten()[:, None]).sum() / (weights.sum() * mine.shape[1])
    torch.testing.assert_close(distil(step).losses["itkd_compressed"], expected)


def test_steps_with_a_stride_add_up_to_the_whole(pair, step):
    whole = losses(pair, step, objects="none", stride=1)
    parts = []
    for number in range(4):
        step.progress = Progress(number, 100, 0)
        parts.append(losses(pair, step, objects="none", stride=2))
    for name in ("itkd_interchange", "itkd_compressed"):
        torch.testing.assert_close(torch.stack([part[name] for part in parts]).mean(), whole[name])


def test_the_objects_are_seen_whatever_the_stride(pair, step):
    shares = []
    for stride in (1, 4):
        with_objects, without = (losses(pair, step, stride=stride, objects=name) for name in ("objects", "none"))
        shares.append(with_objects["itkd_interchange"] - without["itkd_interchange"])
    torch.testing.assert_close(*shares, rtol=1e-4, atol=1e-6)


def test_a_detached_target_gives_the_student_no_gradient_of_its_own_map(pair, step):
    gradients = []
    for detach in (False, True):
        term = losses(pair, step, detach=detach)["itkd_interchange"]
        gradients.append(torch.autograd.grad(term, step.student_out.features[0], retain_graph=True)[0])
    assert not torch.equal(*gradients)


@pytest.mark.parametrize(("targets", "alive"), [("fixed", True), ("free", False)])
def test_a_free_target_lets_the_code_shrink(targets, alive, pair, step):
    """The reason why targets are fixed: the loss between the codes is 0 where both say the same of everything."""
    generator = torch.Generator().manual_seed(0)
    batch, _, height, width = step.student_out.features[0].shape
    seen = torch.randn(batch, 3, height, width, generator=generator)
    mixed = [torch.randn(channels, 3, generator=generator) for channels in (24, 16)]
    its, mine = (torch.einsum("oc,bchw->bohw", weights, seen).relu() for weights in mixed)
    distil = method(*pair, targets=targets, attention_weight=0, objects="none", stride=1)
    torch.manual_seed(0)
    distil.autoencoder = ChannelAutoencoder(16, 24, 4, (16,))
    step.student_out.features, step.teacher_out.features = [mine], [its]
    optimizer = torch.optim.Adam(distil.parameters(), lr=0.01)
    for _ in range(200):
        optimizer.zero_grad()
        torch.stack(list(distil(step).losses.values())).sum().backward()
        optimizer.step()
    spread = distil.autoencoder.encode(*map(cells_of, (mine, its)))[1].std(dim=0).mean()
    assert (spread > 1) == alive


def test_a_fixed_target_gives_the_fusion_no_gradient_of_its_own(pair, step):
    gradients = []
    for targets in ("fixed", "free"):
        distil = method(*pair, targets=targets)
        weight = distil.attention[0].fusion.weight
        gradients.append(torch.autograd.grad(distil(step).losses["itkd_attention"], weight, retain_graph=True)[0])
    assert not torch.equal(*gradients)


@pytest.mark.parametrize(
    "settings", [{"buffer": "teacher"}, {"buffer": "both"}, {"shared": False}, {"interchange": False}]
)
def test_the_papers_ablations_run(settings, pair, step):
    assert all(torch.isfinite(term) for term in losses(pair, step, **settings).values())


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"interchange_weight": 0, "compressed_weight": 0, "attention_weight": 0}, "must be above 0"),
        ({"variant": "release", "buffer": "teacher"}, "variant 'release' has buffer: student"),
    ],
)
def test_settings_without_effect_are_refused(settings, sentence):
    with pytest.raises(ValidationError, match=sentence):
        Itkd.Config(**settings)


@pytest.mark.parametrize(
    ("teacher", "sentence"),
    [
        ({"pillar": (1.0, 1.0)}, "compares cell by cell"),
        ({"classes": ("pedestrian", "car")}, "the same classes in the same groups"),
        ({"groups": (("car",), ("pedestrian",))}, "the same classes in the same groups"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(teacher, sentence, make_lidar_detector):
    with pytest.raises(IncompatibleError, match=sentence):
        method(make_lidar_detector(), make_lidar_detector(**teacher))


def test_a_stride_beyond_the_map_is_refused(pair):
    side = min(pair[1].spec.map_hw)
    method(*pair, stride=side)
    with pytest.raises(IncompatibleError, match=f"{side} cells along a side; stride {side + 1} is more"):
        method(*pair, stride=side + 1)


def test_without_a_teacher_or_with_another_kind_of_model_it_is_refused(make_lidar_detector, make_segmenter):
    student = make_lidar_detector()
    with pytest.raises(IncompatibleError, match="needs a teacher"):
        Itkd(Itkd.Config(), student=student.spec, teacher=None)
    with pytest.raises(IncompatibleError, match="LiDAR detectors with a centre head"):
        method(student, make_segmenter())


def test_it_says_what_is_dropped(pair):
    assert method(*pair).describe()[0].endswith("parameters, which are dropped after the training")
