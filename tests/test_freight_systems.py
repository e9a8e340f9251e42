"""HSD and SDD through the whole job, with their own students."""

import json

import onnx
import pytest
import torch
from safetensors.torch import load_file

from limbeck.config import load_config
from limbeck.lookup import build_model
from limbeck.pipeline import distill

SHORT = {"epochs": 2, "batch_size": 4, "warmup_steps": 2, "ema": None, "eval_every": 2, "workers": 0}
HSD_STUDENT = {
    "model": "hsd_fti_fdet",
    "backbone": "test_resnet",
    "channels": 16,
    "tower_depth": 1,
    "strides": [8, 16, 32],
}
SDD_STUDENT = {
    "model": "gfl",
    "backbone": "asmlp_nano",
    "neck": "mlp",
    "channels": 16,
    "tower_depth": 1,
    "strides": [8, 16, 32],
}
SDD_FTI_FDET = {
    "model": "faster_rcnn",
    "backbone": "asmlp_nano",
    "neck": "mlp",
    "channels": 16,
    "strides": [4, 8, 16, 32, 64],
    "rpn": {"samples": 32, "train_pre_nms": 100, "test_pre_nms": 50, "proposals": 40},
    "roi": {"samples": 16, "pooled_size": 3, "hidden": 32},
    "postprocess": {"score_threshold": 0.0, "pre_nms": 50},
}


@pytest.fixture
def run(make_run, tmp_path):
    """Return a function that goes through a run and returns its config, its outcome and what was said."""

    def run(student, methods, **changes):
        file = make_run(tmp_path / "data", student=student, methods=methods, train=SHORT, **changes)
        config, said = load_config(file), []
        return config, distill(config, said.append), said

    return run


def terms(folder):
    lines = [json.loads(line) for line in (folder / "student" / "metrics.jsonl").read_text().splitlines()]
    return {key.removeprefix("train/") for key in lines[0] if key.startswith("train/")}


@pytest.mark.parametrize(("design", "term"), [(SDD_STUDENT, "quality_focal"), (SDD_FTI_FDET, "roi_class")])
def test_nothing_of_the_dynamic_teacher_is_shipped(design, term, run):
    config, outcome, said = run(design, [{"name": "sdd", "frozen_backbone": 0.0}], teacher=None)
    assert set(outcome.evaluations) == {"control", "student"}
    assert any("dynamic teacher has" in line for line in said)
    # with one object per image there is nothing to choose for the attention, and what asks for it gets no gradient
    assert any("gradient of the method sdd" in line and "do not need them" in line for line in said)
    assert {"sdd", f"sdd_teacher_{term}"} <= terms(outcome.folder)
    checkpoint = torch.load(outcome.folder / "student" / "last.ckpt", map_location="cpu", weights_only=True)
    assert any("dynamic_teacher" in name for name in checkpoint["state_dict"])  # training goes on with it
    student = build_model(config.student, ("square",))
    assert load_file(outcome.folder / "student" / "best.safetensors").keys() == student.state_dict().keys()
    graph = onnx.load(outcome.bundle / "model.onnx").graph
    weights = sum(torch.Size(tensor.dims).numel() for tensor in graph.initializer)
    assert weights < sum(p.numel() for p in student.parameters()) * 1.01  # a dynamic teacher would be five million more


def test_hsd_and_bckd_together_with_a_student_that_inherits(run):
    _, outcome, said = run(HSD_STUDENT, [{"name": "hsd", "inherit": True}, "bckd"])
    assert {"hsd", "bckd_cls", "bckd_loc", "class", "box", "distribution_focal"} <= terms(outcome.folder)
    assert (
        sum("of its weights in the teacher" in line and "trunk.backbone" in line for line in said) == 2
    )  # doctor and student
    assert set(outcome.evaluations) == {"teacher", "control", "student"}
