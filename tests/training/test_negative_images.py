"""Batches in which some or all images have nothing to find: half of an inspection set is like that."""

from functools import cache

import pytest
import torch

from limbeck.config import TrainConfig
from limbeck.core.detection3d import CentreDetector
from limbeck.core.segmentation import Segmenter
from limbeck.errors import IncompatibleError
from limbeck.lookup import build_model, find_method, find_model, method_config, model_config, names
from limbeck.training.fit import build_methods
from limbeck.training.module import Distillation
from limbeck.training.teacher import FrozenTeacher

TORCHVISION = ("torchvision_fcos", "torchvision_retinanet")
HEADS = [model for model in names("model") if not issubclass(find_model(model), Segmenter | CentreDetector)]
METHODS = [name for name in names("method") if "detection2d" in (find_method(name).tasks or ("detection2d",))]
OWN = [head for head in HEADS if head not in (*TORCHVISION, "faster_rcnn")]
CLASS_TERM = {"gfl": "quality_focal", "hsd_fti_fdet": "class"}
"""The name of the term of the classes where it is not ``focal``."""
BACKGROUND = {"gfl": (1.0, 2), "hsd_fti_fdet": (1.0, 0)}
"""Weight and power of the probability in the term of a background location; the focal loss has 0.75 and 2."""
SETTINGS = {"cwd": {"maps": "features"}}
"""Settings of methods whose defaults are for segmenters."""
UNFIT = {"faster_rcnn": ("bckd", "hsd", "kd", "ld")} | dict.fromkeys(TORCHVISION, ("hsd", "ld"))
"""Methods that refuse a head: they compare dense outputs, or side distributions, which it does not have."""


def without_objects(batch, images):
    """The batch with the boxes of these images gone."""
    for index in images:
        target = batch.targets[index]
        batch.targets[index] = type(target)(target.boxes_xyxy[:0], target.labels[:0], target.ignore[:0])
    return batch


def supervised(model, batch):
    raw = model.train()(batch)
    assignment = model.assign(raw, batch)
    return raw, assignment, model.losses(raw, assignment, batch)


def slow_background(head, logits):
    """The class loss of background, summed over images, locations and classes, one by one."""
    weight, power = BACKGROUND.get(head, (0.75, 2))
    probabilities = logits.detach().double().sigmoid().flatten()
    return sum((-weight * p**power * torch.log1p(-p)).item() for p in probabilities)


@pytest.mark.parametrize("head", OWN)
def test_without_any_object_only_the_background_is_learnt(head, make_detector, make_batch):
    model = make_detector(head)
    batch = without_objects(make_batch(images=2, side=32), [0, 1])
    raw, assignment, losses = supervised(model, batch)
    assert (assignment.labels == len(model.spec.classes)).all()
    assert (assignment.weights == 1).all()
    term = CLASS_TERM.get(head, "focal")
    assert losses[term].sum().item() == pytest.approx(slow_background(head, raw.class_logits) / 2, rel=1e-4), (
        "as if each of the two images had one positive"
    )
    assert all((value == 0).all() for name, value in losses.items() if name != term)
    torch.stack([value.sum() for value in losses.values()]).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("head", OWN)
def test_a_negative_image_leaves_the_terms_of_the_boxes_alone(head, make_detector, make_batch):
    """The boxes' terms are sums over positives; a negative image only counts in the normaliser, as one positive."""
    model = make_detector(head).eval()
    both = without_objects(make_batch(images=2, seed=3), [1])
    alone = without_objects(make_batch(images=2, seed=3), [1])
    alone.inputs["image"] = alone.inputs["image"][:1]
    alone.targets, alone.frames = alone.targets[:1], alone.frames[:1]
    found = []
    for batch in (both, alone):
        raw = model(batch)
        assignment = model.assign(raw, batch)
        found.append((assignment.normaliser.item(), model.losses(raw, assignment, batch)["box"].sum().item()))
    (normaliser, box), (one_less, box_alone) = found
    assert normaliser == one_less + 1
    by_normaliser = head == "retinanet"  # the others weigh boxes by a sum over the positives
    assert box == pytest.approx(box_alone * (one_less / normaliser if by_normaliser else 1), rel=1e-4)
    assert box > 0


@pytest.fixture(scope="module")
def pair_of(make_detector, make_faster_rcnn):
    """Return a function that gives a student and a teacher with this head, the same for every test."""

    @cache
    def make(head):
        if head in TORCHVISION:
            settings, classes = {"model": head, "backbone": "resnet18"}, ("wagon", "number")
            return [build_model(model_config(settings), classes) for _ in range(2)]
        if head == "faster_rcnn":
            return [make_faster_rcnn() for _ in range(2)]
        settings = {} if head in ("gfl", "hsd_fti_fdet") else {"reg_max": 16}
        settings |= {"prior_offset": 0.0} if head == "fcos" else {}
        return [make_detector(head, seed=seed, **settings) for seed in (0, 1)]

    return make


@pytest.mark.parametrize("negative", [(0, 1), (1,)], ids=["all", "half"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("head", HEADS)
def test_every_method_distils_on_negative_images(head, method, negative, pair_of, make_batch):
    student, teacher = pair_of(head)
    student.zero_grad()
    batch = without_objects(make_batch(images=2), negative)
    config = method_config({"name": method} | SETTINGS.get(method, {}))
    if method in UNFIT.get(head, ()):
        with pytest.raises(IncompatibleError):
            build_methods([config], student, teacher, [batch], canvas_wh=(64, 64))
        return
    methods = build_methods([config], student, teacher, [batch], canvas_wh=(64, 64))
    holder = FrozenTeacher(teacher) if find_method(method).uses_teacher else None
    module = Distillation(student.train(), methods, holder, TrainConfig(), seed=0, total_steps=1)
    terms = module.loss_terms(batch).losses
    total = torch.stack(list(terms.values())).sum()
    total.backward()
    assert total > 0
    assert all(term.isfinite() for term in terms.values())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in student.parameters())


@pytest.mark.parametrize("head", [*TORCHVISION, "faster_rcnn"])
def test_the_other_heads_learn_only_the_background_without_objects(head, pair_of, make_batch):
    _, _, losses = supervised(pair_of(head)[0], without_objects(make_batch(images=2), [0, 1]))
    of_classes = {name for name in losses if name in ("focal", "rpn_objectness", "roi_class")}
    assert of_classes
    assert all((value > 0) == (name in of_classes) for name, value in losses.items())
