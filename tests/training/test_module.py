import math

import pytest
import torch
from torch import nn

from limbeck.config import TrainConfig
from limbeck.core.method import Method, Progress, Terms
from limbeck.errors import IncompatibleError, LimbeckError, TrainingError
from limbeck.lookup import build_model, find_method
from limbeck.models.gfl import GFL
from limbeck.training.module import Distillation, lr_factor, step_seed
from limbeck.training.teacher import FrozenTeacher


@pytest.fixture
def build(make_detector, toy):
    """Return a function that builds the module of a student, some methods and a teacher, without a trainer."""

    def make(*methods, **settings) -> Distillation:
        student, teacher = make_detector(), make_detector(seed=1)
        config = TrainConfig(**{"precision": "fp32"} | settings)
        built = toy(student, teacher, *methods)
        return Distillation(student, built, FrozenTeacher(teacher), config, seed=0, total_steps=10)

    return make


@pytest.fixture
def walk(make_batch, monkeypatch):
    """Return a function that does optimizer steps as Lightning would, from ``first`` on."""

    def steps(module: Distillation, count: int, first: int = 0) -> None:
        (optimizer,) = [module.configure_optimizers()["optimizer"]] if first == 0 else [module.kept]
        module.kept = optimizer
        for step in range(first, first + count):
            monkeypatch.setattr(Distillation, "global_step", step)
            monkeypatch.setattr(Distillation, "_progress", lambda self, step=step: Progress(step, 10, 0))
            optimizer.zero_grad()
            torch.stack(list(module.loss_terms(make_batch(seed=step)).losses.values())).sum().backward()
            module.on_after_backward()
            module.on_before_optimizer_step(optimizer)
            optimizer.step()

    return steps


def weights(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in module.named_parameters()}


def moved(before: dict[str, torch.Tensor], module: nn.Module) -> set[str]:
    return {name for name, value in module.named_parameters() if not torch.equal(before[name], value)}


def test_terms_of_task_and_methods_are_summed(build, make_batch):
    module, batch = build("Adapter", "DynamicTeacher"), make_batch()
    module.student.eval()  # else batch norm would see the batch twice
    terms = module.loss_terms(batch)
    raw = module.student(batch)
    task_losses = module.student.losses(raw, module.student.assign(raw, batch), batch)
    assert terms.losses.keys() == {*task_losses, "adapter", "pull", *(f"dynamic_{name}" for name in task_losses)}
    assert all(torch.equal(terms.losses[name], value) for name, value in task_losses.items())
    result = module.training_step(batch, 0)
    assert result["loss"].item() == pytest.approx(sum(value.item() for value in terms.losses.values()), rel=1e-6)
    assert result["values"].keys() == {*terms.losses, "gap", "loss"}
    assert not any(value.requires_grad for value in result["values"].values())


def test_taps_are_handed_over_once_for_all_methods(build, make_batch):
    module, batch = build(("Tapped", 1), ("Tapped", 2), "Adapter"), make_batch()
    assert module.taps.student == ("trunk.neck#1", "trunk.neck#2")
    assert module.taps.teacher == ("trunk.neck#1", "trunk.neck#0", "trunk.neck#2")
    terms = module.loss_terms(batch).losses
    step = module.methods[0].seen
    assert step is module.methods[1].seen
    assert step.student_taps.keys() == set(module.taps.student)
    assert step.teacher_taps.keys() == set(module.taps.teacher)
    assert all(step.student_taps[f"trunk.neck#{level}"] is step.student_out.features[level] for level in (1, 2))
    assert all(step.teacher_taps[f"trunk.neck#{level}"] is step.teacher_out.features[level] for level in (0, 1, 2))
    assert not any(tap.requires_grad for tap in step.teacher_taps.values())
    terms["tapped_1"].backward()
    assert module.student.trunk.neck.outputs[1].weight.grad.any()
    assert not any(part._forward_hooks for part in module.modules())


def test_a_method_without_taps_sees_none(build, make_batch, monkeypatch):
    import toy_methods

    seen = []
    monkeypatch.setattr(toy_methods.Zero, "forward", lambda self, step: seen.append(step) or Terms())
    build("Zero").loss_terms(make_batch())
    assert seen[0].student_taps == {}
    assert seen[0].teacher_taps == {}


def test_terms_of_several_methods_add_up(build, make_batch):
    methods = [{"name": name} for name in ("bckd", "fitnet", "kd")]
    names = {"bckd": ["bckd_cls", "bckd_loc"], "fitnet": ["fitnet"], "kd": ["kd"]}
    alone = [build(method, optimizer="sgd") for method in methods]
    together = build(*methods)
    for module in (*alone, together):
        module.student.eval()
    both = together.training_step(make_batch(), 0)
    singles = {name: module.loss_terms(make_batch()).losses for name, module in zip(names, alone, strict=True)}
    for name, keys in names.items():
        assert all(torch.equal(both["values"][key], singles[name][key].detach()) for key in keys)
    terms = [value for name, value in both["values"].items() if name != "loss"]
    assert both["loss"].item() == pytest.approx(sum(term.item() for term in terms), rel=1e-6)


@pytest.mark.parametrize("methods", [("Adapter", "Adapter"), ("Same",)])
def test_a_name_given_twice_is_refused(methods, build, make_batch, monkeypatch):
    import toy_methods

    same = type("Same", (toy_methods.Toy,), {"forward": lambda self, step: Terms({"box": step.task_losses["box"]})})
    monkeypatch.setattr(toy_methods, "Same", same, raising=False)
    with pytest.raises(IncompatibleError, match="both give: " + ("box" if methods == ("Same",) else "adapter, gap")):
        build(*methods).loss_terms(make_batch())


def test_a_method_listed_twice_is_refused(build, make_batch):
    with pytest.raises(IncompatibleError, match="both give: fitnet"):
        build({"name": "fitnet"}, {"name": "fitnet", "adapter": "always"}).loss_terms(make_batch())


def test_a_term_that_is_not_finite_is_named_with_its_samples(build, make_batch):
    module, batch = build("NotANumber"), make_batch()
    with pytest.raises(TrainingError, match=r"\(broken = nan\) on the samples 0\.jpg, 1\.jpg\.") as caught:
        module.training_step(batch, 0)
    assert "box" not in caught.value.message


def test_finite_terms_whose_sum_is_not_are_told_apart():
    from limbeck.training.module import _not_finite

    terms = Terms({"a": torch.tensor(3e38), "b": torch.tensor(3e38)})
    assert "the sum overflows" in _not_finite(terms, type("Empty", (), {"frames": []}))


def test_a_gradient_that_is_not_finite_stops_the_training(build, walk):
    with pytest.raises(TrainingError, match="gradient is not finite in step 0"):
        walk(build("Explode", clip_norm=None), 1)


def test_adapters_are_trained_with_their_own_settings(build, walk):
    module = build("Adapter", optimizer="sgd", weight_decay=0.1)
    groups = module.configure_optimizers()["optimizer"].param_groups
    assert [group["lr"] for group in groups] == pytest.approx([1e-3 / 51, 1e-3 / 51, 0.5 / 51])  # first warm-up step
    assert [group["weight_decay"] for group in groups] == [0.1, 0, 0.1]
    held = {id(parameter) for group in groups for parameter in group["params"]}
    assert held == {id(parameter) for parameter in module.parameters()}
    assert all(p.ndim > 1 for p in groups[0]["params"])
    assert all(p.ndim <= 1 for p in groups[1]["params"])
    before = weights(module)
    walk(module, 2)
    assert {"methods.0.adapter.weight", "methods.0.adapter.bias"} <= moved(before, module)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_frozen_part_stands_still_in_spite_of_momentum_and_decay(optimizer, build, walk):
    module = build(("Freeze", 2), optimizer=optimizer, lr=0.01, weight_decay=0.1, momentum=0.9, warmup_steps=0)
    head = module.student.dense_head
    before = weights(head)
    walk(module, 2)
    assert moved(before, head) == set()
    assert moved(before | weights(module.student.trunk), module.student.trunk) == set()  # compared with itself
    walk(module, 1, first=2)
    assert "class_out.weight" in moved(before, head)


def test_a_part_frozen_later_is_not_carried_on_by_momentum(build, walk, monkeypatch):
    module = build("Freeze", optimizer="sgd", lr=0.01, weight_decay=0.1, momentum=0.9, warmup_steps=0)
    walk(module, 2)
    monkeypatch.setattr(type(module.methods[0]), "frozen_student_parts", lambda self, progress: ("dense_head",))
    before = weights(module.student)
    walk(module, 2, first=2)
    assert moved(before, module.student)
    assert not any(name.startswith("dense_head") for name in moved(before, module.student))


def test_gradients_are_clipped_to_the_norm_asked_for(build, make_batch):
    def norm(clip_norm):
        module = build(clip_norm=clip_norm)
        torch.stack(list(module.loss_terms(make_batch()).losses.values())).sum().backward()
        module.on_before_optimizer_step(None)
        return nn.utils.get_total_norm([p.grad for p in module.parameters()]).item()

    free = norm(None)
    assert free > 0.1
    assert norm(0.1) == pytest.approx(0.1, rel=1e-4)
    assert norm(10 * free) == free


def test_methods_without_a_teacher_do_not_run_it(build, make_batch):
    module = build("DynamicTeacher", ("Freeze", 3))
    assert module.teacher is None
    assert "pull" in module.loss_terms(make_batch()).losses


def test_a_method_may_run_the_students_head_on_its_own_features(build, make_batch):
    module = build("DynamicTeacher")
    terms = module.loss_terms(make_batch()).losses
    sum(value for name, value in terms.items() if name.startswith("dynamic_")).backward()
    assert all(p.grad is not None and p.grad.any() for p in module.methods.parameters())
    assert all(p.grad is None for p in module.student.trunk.parameters())  # SDD's teacher does not train the pyramid
    assert module.student.dense_head.class_out.weight.grad.any()
    assert not any("student" in name for name, _ in module.methods.named_parameters())


class DepthDetector(GFL):
    """As the teacher of LIX: reads a modality that its student never sees."""

    def features(self, batch):
        return [level * batch.inputs["depth"].mean() for level in super().features(batch)]


def test_a_teacher_may_read_an_input_that_its_student_never_sees(make_detector, make_batch, toy):
    student, batch = make_detector(), make_batch()
    torch.manual_seed(1)
    teacher = DepthDetector(student.config, student.spec.classes)
    module = Distillation(
        student, toy(student, teacher, "Adapter"), FrozenTeacher(teacher), TrainConfig(), seed=0, total_steps=1
    )
    results = []
    for depth in (1.0, 5.0):
        batch.inputs["depth"] = torch.full((2, 1, 64, 64), depth)
        results.append(module.loss_terms(batch).losses)
    assert results[0]["adapter"] != results[1]["adapter"]
    assert results[0]["quality_focal"] == results[1]["quality_focal"]


def test_a_dotted_path_finds_a_class_and_refuses_what_is_none():
    found = find_method("toy_methods:Adapter")
    assert issubclass(found, Method)
    with pytest.raises(LimbeckError, match="has no class 'Adaptor'"):
        find_method("toy_methods:Adaptor")
    with pytest.raises(LimbeckError, match="is not a Method"):
        find_method("toy_methods:nn")


def test_every_step_of_every_process_has_a_seed_of_its_own():
    seeds = {step_seed(seed, batches, rank) for seed in range(3) for batches in range(50) for rank in range(8)}
    assert len(seeds) == 3 * 50 * 8
    torch.manual_seed(step_seed(2**70, 10**9, 1000))  # a large seed of the user is one, too


def test_the_learning_rate_warms_up_and_follows_its_schedule():
    def factors(**settings):
        config = TrainConfig(warmup_steps=3, **settings)
        return [lr_factor(step, 10, config) for step in range(11)]

    cosine = factors(schedule="cosine")
    assert cosine[0] == 0.25
    assert cosine[5] == pytest.approx(0.5)
    assert cosine[10] == pytest.approx(0)
    assert cosine[2] == pytest.approx(0.75 * 0.5 * (1 + math.cos(0.2 * math.pi)))
    assert factors(schedule="constant") == [0.25, 0.5, 0.75] + 8 * [1.0]
    assert factors(schedule="step", milestones=(0.5, 0.8))[4:] == pytest.approx([1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01])


def test_a_run_with_a_student_of_another_kind_needs_no_change_here(make_batch):
    from limbeck.lookup import model_config

    config = model_config({"model": "retinanet", "backbone": "test_resnet", "channels": 16, "tower_depth": 1})
    module = Distillation(build_model(config, ("a", "b")), [], None, TrainConfig(), seed=0, total_steps=1)
    assert module.loss_terms(make_batch()).losses.keys() == {"focal", "box"}
