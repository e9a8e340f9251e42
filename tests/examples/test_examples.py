"""Every example does on a tiny run what it says, from its first line to its last."""

import json
from functools import partial
from importlib import import_module

import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.models.detection import FCOS, RetinaNet
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from limbeck.deploy.benchmark import torch_latency

LONGEST = 110  # lines; an example is read from top to bottom
LIGHT = {"backbone": "test_resnet", "channels": 16, "tower_depth": 1, "strides": [8, 16, 32, 64, 128]}
# fp32: in bf16 oneDNN leaves the weight gradient of a strided 3x3 convolution on a map of one cell partly unwritten.
SHORT = ["train.epochs=1", "train.eval_every=1", "train.precision=fp32"]


@pytest.fixture
def example(repo, monkeypatch):
    """Return a function that imports an example as a dotted path in a run file does."""
    monkeypatch.syspath_prepend(str(repo / "examples"))
    return import_module


@pytest.fixture
def run_file(make_run, tmp_path):
    """Return a function that writes a tiny run file."""
    return lambda **changes: make_run(tmp_path / "data", **changes)


@pytest.fixture(autouse=True)
def timed_once(monkeypatch):
    """Time each model by one call; these times mean nothing here."""
    monkeypatch.setattr("limbeck.evaluation.torch_latency", partial(torch_latency, warmup=0, runs=1))
    monkeypatch.setattr("limbeck.evaluation.answering_memory", lambda *args: 200_000_000)


@pytest.fixture
def no_export(monkeypatch):
    """Leave the export out, which takes seconds; tests/deploy exports these models."""
    monkeypatch.setattr("limbeck.pipeline.export_weights", lambda weights, task, config, to, say: to.mkdir())


def resnet18_fpn() -> nn.Module:
    """A backbone as users of torchvision build it."""
    return resnet_fpn_backbone(
        backbone_name="resnet18",
        weights=None,
        norm_layer=nn.BatchNorm2d,
        returned_layers=[2, 3, 4],
        extra_blocks=LastLevelP6P7(256, 256),
    )


def models_of(outcome):
    """The name of each model that was measured, by role; it comes from its weight file."""
    return {role: evaluation["model"] for role, evaluation in outcome.evaluations.items()}


def terms_of(outcome):
    """What the log of the student's training has a curve of."""
    lines = (outcome.folder / "student" / "metrics.jsonl").read_text().splitlines()
    return {name.removeprefix("train/") for line in lines for name in json.loads(line)}


@pytest.mark.usefixtures("no_export")
def test_torchvision_teacher(example, run_file, tmp_path):
    torch.manual_seed(0)
    mine = RetinaNet(resnet18_fpn(), num_classes=2)  # one class and the background label 0
    scores = mine.head.classification_head.cls_logits.bias.view(9, 2)
    nn.init.constant_(scores[3:6, 1], 1.0)  # square anchors everywhere: better than chance on squares
    torch.save(mine.state_dict(), tmp_path / "mine.pth")
    path = run_file(
        teacher={"model": "torchvision_retinanet", "backbone": "resnet18", "first_label": 1},
        student={"model": "retinanet", **LIGHT},
    )
    outcome = example("torchvision_teacher").main(tmp_path / "mine.pth", path, *SHORT)
    assert (tmp_path / "mine.safetensors").is_file()
    assert not (outcome.folder / "teacher" / "best.safetensors").exists()
    expected = {"teacher": "torchvision_retinanet", "control": "retinanet", "student": "retinanet"}
    assert models_of(outcome) == expected
    assert {"bckd_cls", "bckd_loc"} <= terms_of(outcome)
    assert outcome.report.is_file()


@pytest.mark.usefixtures("no_export")
def test_torchvision_student(example, run_file, tmp_path):
    path = run_file(student={"model": "torchvision_fcos", "backbone": "resnet18"}, methods=[{"name": "fitnet"}])
    outcome = example("torchvision_student").main(path, tmp_path / "student.pth", *SHORT)
    plain = FCOS(resnet18_fpn(), num_classes=1)
    plain.load_state_dict(torch.load(tmp_path / "student.pth", weights_only=True))
    assert models_of(outcome) == {"teacher": "gfl", "control": "torchvision_fcos", "student": "torchvision_fcos"}
    assert {"fitnet", "centerness"} <= terms_of(outcome)
    assert outcome.report.is_file()


def test_own_detector(example, run_file):
    outcome = example("own_detector").main(run_file(), *SHORT)
    assert set(models_of(outcome).values()) == {"own_detector:TinyDetector"}
    assert outcome.evaluations["teacher"]["parameters"] > outcome.evaluations["student"]["parameters"]
    assert {"bckd_cls", "bckd_loc"} <= terms_of(outcome)
    assert outcome.report.is_file()


@pytest.mark.usefixtures("no_export")
def test_own_method(example, run_file):
    outcome = example("own_method").main(run_file(), *SHORT)
    assert {"score_mimic", "largest_difference"} <= terms_of(outcome)
    assert json.loads((outcome.folder / "student" / "best.json").read_text())["methods"] == ["own_method:ScoreMimic"]
    assert outcome.report.is_file()


def test_lidar_sheet(example, tmp_path):
    sheet = example("lidar_sheet")
    sheet.main(tmp_path / "sheet.png", 120)
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.size == (sheet.COLUMNS * 120, len(sheet.SEEDS) // sheet.COLUMNS * 120)


def test_street_sheet(example, tmp_path):
    sheet = example("street_sheet")
    sheet.main(tmp_path / "sheet.png", 96, 64)
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.size == (3 * 96, len(sheet.SHOWN) * 64)


def test_every_example_is_tested_and_short(repo):
    examples = sorted((repo / "examples").glob("*.py"))
    assert examples
    for path in examples:
        assert f"test_{path.stem}" in globals()
        assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST
