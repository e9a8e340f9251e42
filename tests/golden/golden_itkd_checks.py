"""Golden checks of itKD: autoencoder, interchange and attention."""

import re
from collections.abc import Callable
from typing import Any

import torch
from golden_centre_checks import centre_spec, targets_of
from golden_vectors import Case

from limbeck.core.centre import CentreAssignment, CentreRaw
from limbeck.core.method import Progress, Step
from limbeck.core.samples import Batch, Boxes3D
from limbeck.losses.interchange import fused_difference, mean_difference, object_difference
from limbeck.methods.itkd import Itkd
from limbeck.nn.head_attention import HeadAttention, attend
from limbeck.ops.centre import cells_of, gather_cells
from limbeck.ops.pillars import PillarGrid

Results = dict[str, Any]


def _autoencoder_name(name: str) -> str:
    name = re.sub(r"^(student_in|to_teacher)\.", "up.", name.replace("to_student.", "down."))
    name = name.removeprefix("student_")
    return re.sub(r"^(encoder|decoder)\.(\d)", lambda part: f"{part[1]}.{int(part[2]) // 2}", name)


def _autoencoder(case: Case, variant: str) -> tuple[Itkd, Results]:
    """The method on an entry, and what both variants have in common."""
    params, student, teacher = case.params, case.leaf("student"), case.given("teacher")
    height, width = student.shape[2:]
    specs = [
        centre_spec(PillarGrid((0, 0, 0, width, height, 1), (1, 1)), ((0,),), channels=params[f"{side}_channels"])
        for side in ("student", "teacher")
    ]
    config = Itkd.Config(variant=variant, code=params["code"], hidden=params["hidden"], attention_weight=0, stride=1)
    method = Itkd(config, student=specs[0], teacher=specs[1])
    autoencoder = method.autoencoder
    assert autoencoder is not None
    case.load(autoencoder, _autoencoder_name)
    sides = cells_of(student), cells_of(teacher)
    codes = autoencoder.encode(*sides)
    restored = autoencoder.restore(*codes)
    objects = targets_of(case, torch.zeros(0))

    def as_maps(cells):
        return cells.unflatten(0, (-1, height, width)).permute(0, 3, 1, 2)

    def at_objects(cells):
        return gather_cells(as_maps(cells), objects.index)[objects.mask]

    places = objects.mask.numel()
    l1 = [mean_difference(*pair) for pair in zip(restored, sides, strict=True)]
    ss = [object_difference(*map(at_objects, pair), places) for pair in zip(restored, sides, strict=True)]
    results = {
        "out.code_teacher": as_maps(codes[1]),
        "out.code_student": as_maps(codes[0]),
        "out.restored_student": as_maps(restored[1]),
        "out.l1_s2t": l1[1],
        "out.ss_s2t": ss[1],
        "out.l1_t2s": l1[0],
        "out.ss_t2s": ss[0],
        "out.l_cr": mean_difference(*codes),
    }
    step = Step(
        batch=Batch[Boxes3D]({}, [], []),
        student=None,
        student_out=CentreRaw([student], []),
        teacher_out=CentreRaw([teacher], []),
        assignment=CentreAssignment(objects.count, [objects]),
        task_losses={},
        progress=Progress(0, 1, 0),
    )
    loss = torch.stack(list(method(step).losses.values())).sum()
    without_objects = l1[1] + l1[0] + results["out.l_cr"]
    if variant == "release":
        loss.backward()
        results |= {
            "out.loss": loss,
            "out.decoded_teacher": as_maps(restored[0]),
            "out.decoded_student": as_maps(autoencoder.decoder(codes[0])),
        }
    else:
        without_objects.backward()
        results |= {"out.loss_l1": without_objects, "out.loss_with_ss": loss}
        results["out.restored_teacher"] = as_maps(restored[0])
    return method, results | {"grad.student": student.grad} | case.gradients(autoencoder, _autoencoder_name)


def _autoencoder_release(case: Case) -> Results:
    return _autoencoder(case, "release")[1]


def _autoencoder_paper_form(case: Case) -> Results:
    return _autoencoder(case, "paper")[1]


def _head_attention(case: Case) -> Results:
    student, mask = case.leaf("student"), case.given("mask")
    values = [gather_cells(side, case.given("ind")) * mask[..., None] for side in (student, case.given("teacher"))]
    attention = case.load(HeadAttention(case.params["head_sizes"]))
    fused = [attention(rows) for rows in values]
    loss = fused_difference(*fused, mask.sum().to(case.dtype))
    loss.backward()
    results = {"out.loss": loss, "out.student_inter": attend(values[0]), "out.student_fused": fused[0]}
    return results | {"grad.student": student.grad} | case.gradients(attention)


ITKD_CHECKS: dict[str, Callable[[Case], Results]] = {
    "autoencoder_paper_form": _autoencoder_paper_form,
    "autoencoder_release": _autoencoder_release,
    "head_attention": _head_attention,
}
