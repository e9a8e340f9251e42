"""The gate of segmenters lets an honest export pass and stops each planted fault."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from limbeck.config import MaskExportConfig, load_config
from limbeck.core.outputs import Segmentation
from limbeck.deploy.bundle import Licences, amend_bundle, write_bundle
from limbeck.deploy.gate import check_parity
from limbeck.deploy.parity import pass_parity_gate
from limbeck.deploy.parity_masks import MapAgreement, check_masks, compare_maps
from limbeck.deploy.runtime.manifest import load_manifest, sha256_of
from limbeck.deploy.runtime.segmenter import Segmenter
from limbeck.errors import BundleError, IncompatibleError, ParityError
from limbeck.lookup import build_model, model_config
from limbeck.tasks.load import load_task

LIMITS = MaskExportConfig()
CLASSES = ("ground", "square")
TINY = {"model": "lraspp", "backbone": "lean_pico", "head_width": 8}


def make_segmenter(**settings):
    """A segmenter whose random weights tell the classes apart by more than rounding."""
    torch.manual_seed(0)
    model = build_model(model_config(TINY | settings), CLASSES)
    for parameter in model.decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


@pytest.fixture(scope="module")
def task(make_mask_run, tmp_path_factory):
    return load_task(load_config(make_mask_run(tmp_path_factory.mktemp("parity") / "data")))


@pytest.fixture(scope="module")
def model():
    return make_segmenter()


@pytest.fixture
def bundle(model, tmp_path):
    return write(model, tmp_path / "bundle")


def write(model, folder):
    licences = Licences(weights="unknown", data="unknown")
    return write_bundle(model, folder, size=(64, 64), resize="letterbox", licences=licences, metrics={})


def spoil(bundle, name, change):
    """Change one constant of the exported graph; the hash is made to fit, so that only the gate can find it."""
    path = bundle / "model.onnx"
    content = onnx.load(path)
    (constant,) = [entry for entry in content.graph.initializer if entry.name == name]
    constant.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(constant)), name))
    onnx.save(content, path)
    amend_bundle(bundle, files={**load_manifest(bundle)["files"], "model.onnx": sha256_of(path)})


def test_an_honest_export_passes_and_the_verdict_is_in_the_bundle(model, bundle, task):
    verdict = pass_parity_gate(bundle, partial(check_parity, model, bundle, task, LIMITS))
    assert verdict.passed
    assert verdict.images == 3
    assert verdict.canvas.pixels == 3 * 64 * 64
    assert verdict.files.pixels == 3 * 48 * 64
    assert verdict.canvas.clearly_differing == verdict.files.clearly_differing == 0
    assert 0 < verdict.miou_torch == pytest.approx(verdict.miou_onnx, abs=1e-3)
    assert "mIoU" in verdict.summary()
    assert load_manifest(bundle)["parity"] == json.loads(json.dumps(verdict.to_json()))
    assert Segmenter(bundle).manifest.passed_parity is True


def test_a_segmenter_that_reads_a_further_map_is_compared_with_it(task, tmp_path):
    model = make_segmenter(x="depth", x_channels=1)
    bundle = write(model, tmp_path / "bundle")
    verdict = check_masks(model, bundle, task, LIMITS)
    assert verdict.passed
    runtime = Segmenter(bundle)
    assert runtime.maps == {"depth": 1}
    frame = task.frames["val"][0]
    seen = runtime.segment(frame.path, task.read_maps(frame, ["depth"]))
    blind = runtime.segment(frame.path, {"depth": np.zeros((1, 64, 64), np.float32)})
    assert not np.array_equal(seen.confidence, blind.confidence)


def test_a_changed_weight_is_stopped_and_the_bundle_cannot_be_used(model, bundle, task):
    name = "model.inputs.normalise.shift"
    assert name in [entry.name for entry in onnx.load(bundle / "model.onnx").graph.initializer]
    spoil(bundle, name, lambda shift: shift + np.float32(0.5))
    with pytest.raises(ParityError, match=r"on equal pixels .*from the image files"):
        pass_parity_gate(bundle, partial(check_masks, model, bundle, task, LIMITS))
    with pytest.raises(BundleError, match="failed its parity check"):
        Segmenter(bundle)


def test_a_fault_in_the_runtime_s_resizing_is_stopped_though_the_graphs_agree(model, bundle, task):
    amend_bundle(bundle, canvas={**load_manifest(bundle)["canvas"], "resize": "stretch"})
    verdict = check_masks(model, bundle, task, LIMITS)
    assert verdict.canvas.problems(LIMITS) == []
    assert verdict.files.problems(LIMITS)


def test_a_model_of_other_classes_is_refused(model, bundle, task):
    strange = build_model(model_config(TINY), ("ground", "circle"))
    with pytest.raises(IncompatibleError, match="circle"):
        check_masks(strange, bundle, task, LIMITS)


def maps(labels, confidence):
    return Segmentation(torch.tensor(labels, dtype=torch.uint8), torch.tensor(confidence))


def test_pixels_of_another_class_count_only_where_the_engine_was_sure():
    ours = maps([[0, 1, 1, 0]], [[0.9, 0.501, 0.8, 0.7]])
    theirs = maps([[0, 0, 0, 0]], [[0.9, 0.502, 0.6, 0.704]])
    margin = torch.tensor([[0.8, 0.002, 0.6, 0.4]])
    found = compare_maps(ours, theirs, margin, LIMITS)
    assert (found.pixels, found.differing, found.clearly_differing) == (4, 2, 1)
    assert found.confidence_difference == pytest.approx(0.004, abs=1e-6)
    assert found.problems(LIMITS) == ["1 of 4 pixels have another class (limit 0 of them)"]


def test_agreements_add_up_and_each_limit_has_its_sentence():
    total = MapAgreement(10, 1, 0, 0.001) + MapAgreement(10, 2, 2, 0.5)
    assert total == MapAgreement(20, 3, 2, 0.5)
    assert len(total.problems(LIMITS)) == 2
    broken = MapAgreement(confidence_difference=float("nan"))
    assert all(total.problems(LIMITS) for total in (broken, MapAgreement() + broken, broken + MapAgreement()))
    assert total.problems(LIMITS.model_copy(update={"max_label_share": 0.1, "max_confidence_difference": 0.5})) == []


def test_missing_images_and_another_miou_are_problems(model, bundle, task, monkeypatch):
    fewer = replace(task, val=replace(task.val, records=task.val.records))
    batches = list(task.val_loader(1))[:2]
    monkeypatch.setattr(type(fewer), "val_loader", lambda *args, **kwargs: batches)
    assert "2 of 3 images were compared" in check_masks(model, bundle, fewer, LIMITS).problems
