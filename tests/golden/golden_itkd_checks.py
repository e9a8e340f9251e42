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
from limbeck.ops.centre import gather_cells
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
    config = Itkd.Config(variant=variant, code=params["code"], hidden=params["hidden"], attention_weight=0)
    method = Itkd(config, student=specs[0], teacher=specs[1])
    autoencoder = method.autoencoder
    assert autoencoder is not None
    case.load(autoencoder, _autoencoder_name)
    found = autoencoder(student, teacher)
    objects = targets_of(case, torch.zeros(0))

    def at_objects(maps):
        return gather_cells(maps, objects.index)[objects.mask]

    places = objects.mask.numel()
    results = {
        "out.code_teacher": found.teacher_code,
        "out.code_student": found.student_code,
        "out.restored_student": found.restored_teacher,
        "out.l1_s2t": mean_difference(found.restored_teacher, teacher),
        "out.ss_s2t": object_difference(at_objects(found.restored_teacher), at_objects(teacher), places),
        "out.l1_t2s": mean_difference(found.restored_student, student),
        "out.ss_t2s": object_difference(at_objects(found.restored_student), at_objects(student), places),
        "out.l_cr": mean_difference(found.student_code, found.teacher_code),
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
    l1 = results["out.l1_s2t"] + results["out.l1_t2s"] + results["out.l_cr"]
    if variant == "release":
        loss.backward()
        results |= {
            "out.loss": loss,
            "out.decoded_teacher": found.restored_student,
            "out.decoded_student": autoencoder.decoder(found.student_code),
        }
    else:
        l1.backward()
        results |= {"out.loss_l1": l1, "out.loss_with_ss": loss, "out.restored_teacher": found.restored_student}
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
