"""Golden checks of SDD: AS-MLP, the pointwise pyramid, the dynamic teacher and the distance to it."""

import re
from collections.abc import Callable
from typing import Any

import torch
from golden_vectors import Case
from torch import Tensor, nn

from limbeck.core.model import ModelSpec
from limbeck.core.samples import Boxes2D
from limbeck.methods.sdd import Adapter, Sdd
from limbeck.nn.asmlp import AsMlp, AxialBlock, AxialShift, PatchMerging, Size
from limbeck.nn.dynamic_teacher import DynamicTeacher
from limbeck.nn.label_encoder import LabelEncoder, SpatialTransformer
from limbeck.nn.necks import MlpFPN
from limbeck.nn.permute_mlp import WeightedPermuteMlp
from limbeck.ops.axial_shift import COLUMNS, ROWS, axial_shift
from limbeck.ops.instances import inside_masks, instances, masked_means

Results = dict[str, Any]


def _module(case: Case, module: nn.Module, names: Callable[[str], str] = str) -> Results:
    """Output and all gradients of a module with one input and one output."""
    module, x = case.load(module, names), case.leaf("x")
    y = module(x)
    (y * case.cotangent("y")).sum().backward()
    return {"out.y": y, "grad.x": x.grad, **case.gradients(module, names)}


def _axial_shift(case: Case) -> Results:
    return _module(case, AxialShift(case.params["channels"], case.params["shift"]))


def _axial_shift_only(case: Case) -> Results:
    x, shift = case.given("x"), case.params["shift"]
    return {"out.horizontal": axial_shift(x, shift, COLUMNS), "out.vertical": axial_shift(x, shift, ROWS)}


def _axial_block(case: Case) -> Results:
    return _module(case, AxialBlock(case.params["channels"], case.params["shift"]))


def _patch_merging(case: Case) -> Results:
    return _module(case, PatchMerging(case.params["channels"]))


def _asmlp_name(name: str) -> str:
    name = re.sub(r"^stages\.(\d+)\.(\d+)", r"stage\1.block\2", name)
    name = re.sub(r"^merges\.(\d+)", r"stage\1.merge", name)
    return re.sub(r"^out_norms\.(\d+)", lambda found: f"out_norm{(4, 8).index(int(found[1]))}", name)


def _asmlp_two_stage(case: Case) -> Results:
    size = Size(case.params["embed_dim"], tuple(case.params["depths"]))
    network, x = case.load(AsMlp(size, strides=(4, 8)), _asmlp_name), case.leaf("x")
    maps = network(x)
    sum((m * case.cotangent(f"stage{n}")).sum() for n, m in enumerate(maps, start=2)).backward()
    results = {f"out.stage{n}": m for n, m in enumerate(maps, start=2)}
    return {**results, "grad.x": x.grad, **case.gradients(network, _asmlp_name)}


def _mlp_fpn_name(name: str) -> str:
    return re.sub(r"^(lateral|output)s\.(\d)", lambda found: f"{found[1]}{int(found[2]) + 2}", name)


def _mlp_fpn(case: Case) -> Results:
    results: Results = {}
    for padding, kind in ((1, "released"), (0, "padding0")):
        neck = MlpFPN(case.params["in_channels"], case.params["channels"], 1, padding=padding)
        maps = [case.leaf(f"c{level}") for level in (2, 3, 4, 5)]
        pyramid = case.load(neck, _mlp_fpn_name)(maps)
        (sum(level.square().sum() for level in pyramid) / 2).backward()
        results |= {f"out.p{level}_{kind}": value for level, value in enumerate(pyramid, start=2)}
    return results | {f"grad.c{level}": value.grad for level, value in enumerate(maps, start=2)}


def _stn_name(name: str) -> str:
    name = re.sub(r"\bout\.", "fc2.", name)
    return re.sub(r"\blayers\.(\d)", lambda found: ("conv0", "conv1", "conv2", "fc0", "fc1")[int(found[1])], name)


def _stn(case: Case) -> Results:
    transformer, x = case.load(SpatialTransformer(case.params["k"]), _stn_name), case.leaf("x")
    y = transformer(x.squeeze(2))
    (y * case.cotangent("y")).sum().backward()
    return {"out.y": y, "grad.x": x.grad, **case.gradients(transformer, _stn_name)}


def _instances(case: Case) -> list[tuple[Tensor, Tensor]]:
    """Descriptors and boxes of the objects of every image of the entry."""
    images = sum(name.startswith("in.gt_boxes_") for name in case.arrays)
    num_classes, canvas_hw = case.params["num_classes"], case.params["image_hw"]
    given = ((case.given(f"gt_boxes_{n}"), case.given(f"gt_labels_{n}")) for n in range(images))
    return [instances(boxes.view(-1, 4), labels, num_classes, canvas_hw) for boxes, labels in given]


def _box_descriptor(case: Case) -> Results:
    results: Results = {}
    for number, (descriptors, boxes) in enumerate(_instances(case)):
        results |= {f"out.descriptor_{number}": descriptors, f"out.clamped_boxes_{number}": boxes}
    return results


def _label_encoder_name(name: str) -> str:
    name = _stn_name(
        name.replace("descriptor_transformer", "stn_descriptor").replace("feature_transformer", "stn_feature")
    )
    return re.sub(
        r"\b(local|middle|whole)\.", lambda found: {"l": "conv0.", "m": "conv1.", "w": "conv2."}[found[1][0]], name
    )


def _label_encoder(case: Case) -> Results:
    encoder = LabelEncoder(4 + case.params["num_classes"], case.params["channels"])
    case.load(encoder, _label_encoder_name)
    descriptors = [descriptor for descriptor, _ in _instances(case)]
    embedding = encoder(descriptors)
    (embedding * case.cotangent("embedding")).sum().backward()
    matrix = encoder.descriptor_transformer(torch.cat(descriptors))
    results = {"out.embedding": embedding, "out.stn_descriptor_matrix": matrix}
    return results | case.gradients(encoder, _label_encoder_name)


def _inside_mask(case: Case) -> Results:
    boxes, canvas_hw = case.given("boxes"), case.params["image_hw"]
    masks = [inside_masks(boxes, canvas_hw, tuple(size_hw)) for size_hw in case.params["levels"]]
    return {f"out.mask_{level}": mask.to(torch.float32) for level, mask in enumerate(masks)}


def _masked_pooling(case: Case) -> Results:
    features = case.leaf("features")
    pooled = torch.cat([masked_means(image, case.given(f"mask_{n}")) for n, image in enumerate(features)])
    (pooled * case.cotangent("pooled")).sum().backward()
    return {"out.pooled": pooled, "grad.features": features.grad}


def _permute_mlp_name(name: str) -> str:
    return name.replace("reweight.0", "reweight_fc1").replace("reweight.2", "reweight_fc2")


def _vip_permute_mlp(case: Case) -> Results:
    params = case.params
    module = WeightedPermuteMlp(params["channels"], params["groups"], tuple(params["hw"]))
    return _module(case, module, _permute_mlp_name)


def _teacher_name(name: str) -> str:
    if name.startswith("label_encoder."):
        return _label_encoder_name(name)
    name = re.sub(r"^adaptors\.(\d)", lambda found: f"adaptor_p{int(found[1]) + 2}", _permute_mlp_name(name))
    name = re.sub(r"^refine\.(\d)", lambda found: f"refine{int(found[1]) // 3}", name)
    return name.replace("appearance_project.0", "appearance_project")


def _dynamic_teacher(case: Case) -> Results:
    params = case.params
    sizes_hw = [tuple(size_hw) for size_hw in params["levels"]]
    teacher = DynamicTeacher(params["channels"], params["num_classes"], sizes_hw, params["heads"], params["groups"])
    case.load(teacher, _teacher_name)
    maps = [case.leaf(f"student_p{level}") for level in (2, 3, 4)]
    labels = [case.given(f"gt_labels_{n}") for n in (0, 1)]
    targets = [Boxes2D(case.given(f"gt_boxes_{n}"), labels[n], torch.zeros_like(labels[n], dtype=bool)) for n in (0, 1)]
    answer = teacher(maps, targets, params["image_hw"])
    sum((m * case.cotangent(f"teacher_p{level}")).sum() for level, m in enumerate(answer, start=2)).backward()
    assert all(m.grad is None for m in maps)
    results = {f"out.teacher_p{level}": m for level, m in enumerate(answer, start=2)}
    refined = teacher.refined(maps, targets, params["image_hw"])
    results |= {f"out.refined_p{level}": m for level, m in enumerate(refined, start=2)}
    found = _instances(case)
    masks = [[inside_masks(boxes, params["image_hw"], size_hw) for _, boxes in found] for size_hw in sizes_hw]
    results |= {f"out.appearance_p{level}": m for level, m in enumerate(teacher.appearance(maps, masks), start=2)}
    results["out.label_embedding"] = teacher.label_encoder([descriptors for descriptors, _ in found])
    return results | case.gradients(teacher, _teacher_name)


def _distill_loss(case: Case) -> Results:
    maps = [case.leaf(f"student_p{level}") for level in (2, 3, 4)]
    teacher = [case.given(f"teacher_p{level}") for level in (2, 3, 4)]
    adapter = case.load(Adapter(maps[0].shape[1]), lambda name: f"adapter{int(name[0]) // 2}{name[1:]}")
    adapted = [adapter(m) for m in maps]
    size = case.params["D"]
    released = _sdd(case, variant="release").distance(adapted, teacher)
    corrected = _sdd(case).distance(adapted, teacher)
    one_by_one = [_sdd(case).distance([m[n : n + 1] for m in adapted], [m[n : n + 1] for m in teacher]) for n in (0, 1)]
    results = {
        "out.released": released,
        "out.corrected": corrected,
        "out.per_image_mean": torch.stack(one_by_one) / size,
        "out.mse": _sdd(case, loss="mse").distance(adapted, teacher),
    }
    for kind, value in (("released", released), ("corrected", corrected)):
        gradients = torch.autograd.grad(value, maps, retain_graph=True)
        results |= {f"grad.{kind}_student_p{level}": g for level, g in enumerate(gradients, start=2)}
    return results


def _sdd(case: Case, **settings: str) -> Sdd:
    spec = ModelSpec("detection2d", ("a",), ("image",), (16,), (8,), (0.0,), (1.0,), backbone="b", canvas_hw=(64, 64))
    return Sdd(Sdd.Config(temperature=case.params["tau"], **settings), student=spec, teacher=None)


SDD_CHECKS: dict[str, Callable[[Case], Results]] = {
    "asmlp": _asmlp_two_stage,
    "axial_block": _axial_block,
    "axial_shift": _axial_shift,
    "axial_shift_only": _axial_shift_only,
    "box_descriptor": _box_descriptor,
    "distill_loss": _distill_loss,
    "dynamic_teacher": _dynamic_teacher,
    "inside_mask": _inside_mask,
    "label_encoder": _label_encoder,
    "masked_pooling": _masked_pooling,
    "mlp_fpn": _mlp_fpn,
    "patch_merging": _patch_merging,
    "stn": _stn,
    "vip_permute_mlp": _vip_permute_mlp,
}
