"""The gate lets an honest export pass and stops each planted fault, naming the number that is over its limit."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from limbeck.core.dense2d import Postprocess
from limbeck.core.outputs import DenseRaw2D
from limbeck.deploy.agreement import Answer
from limbeck.deploy.bundle import amend_bundle
from limbeck.deploy.parity import pass_parity_gate
from limbeck.deploy.parity_boxes import check_boxes, compare_batch
from limbeck.deploy.runtime.detector import Detector
from limbeck.deploy.runtime.manifest import load_manifest, sha256_of
from limbeck.errors import BundleError, IncompatibleError, ParityError


def change_constant(bundle, name, change):
    """Change one constant of the exported graph; the hash is made to fit, so that only the gate can find it."""
    path = bundle / "model.onnx"
    content = onnx.load(path)
    (constant,) = [entry for entry in content.graph.initializer if entry.name == name]
    changed = np.ascontiguousarray(change(numpy_helper.to_array(constant)))
    constant.CopyFrom(numpy_helper.from_array(changed, name))
    onnx.save(content, path)
    amend_bundle(bundle, files={**load_manifest(bundle)["files"], "model.onnx": sha256_of(path)})


def input_of(bundle, operator, place):
    """The name of an operator's input."""
    nodes = [node for node in onnx.load(bundle / "model.onnx").graph.node if node.op_type == operator]
    assert len(nodes) == 1
    return nodes[0].input[place]


def normalisation(bundle):
    change_constant(bundle, "model.trunk.normalise.shift", lambda shift: shift + 0.1)


def channel_order(bundle):
    first = next(node for node in onnx.load(bundle / "model.onnx").graph.node if node.op_type == "Conv")
    change_constant(bundle, first.input[1], lambda weight: weight[:, ::-1])


def score_threshold(bundle):
    change_constant(bundle, input_of(bundle, "GreaterOrEqual", 1), lambda threshold: threshold + np.float32(0.2))


def nms_threshold(bundle):
    change_constant(bundle, input_of(bundle, "NonMaxSuppression", 3), lambda iou: iou + np.float32(0.3))


def test_an_honest_export_passes_and_the_verdict_is_in_the_bundle(model, bundle, batches, truth, limits):
    verdict = pass_parity_gate(bundle, partial(check_boxes, model, bundle, batches, truth, limits))
    assert verdict.passed
    assert verdict.images == 4
    assert verdict.canvas.detections > 40
    assert verdict.files.detections == verdict.canvas.detections
    assert verdict.canvas.unmatched == verdict.files.unmatched == 0
    assert verdict.canvas.box_difference < 0.05
    assert verdict.canvas.score_difference < 1e-4
    assert 0.1 < verdict.ap_torch < 0.999
    assert verdict.ap_onnx == pytest.approx(verdict.ap_torch, abs=1e-3)
    assert load_manifest(bundle)["parity"] == json.loads(json.dumps(verdict.to_json()))
    assert Detector(bundle).manifest.passed_parity is True


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (normalisation, "a score differs"),
        (channel_order, "have no counterpart"),
        (score_threshold, "have no counterpart"),
        (nms_threshold, "have no counterpart"),
    ],
)
def test_a_fault_in_the_graph_is_stopped(fault, named, model, bundle, batches, truth, limits):
    fault(bundle)
    with pytest.raises(ParityError, match=f"on equal pixels.*{named}"):
        pass_parity_gate(bundle, partial(check_boxes, model, bundle, batches, truth, limits))
    assert load_manifest(bundle)["parity"]["passed"] is False
    with pytest.raises(BundleError, match="failed its parity check"):
        Detector(bundle)


def test_a_fault_in_the_runtime_s_resizing_is_stopped_though_the_graphs_agree(model, bundle, batches, truth, limits):
    amend_bundle(bundle, canvas={**load_manifest(bundle)["canvas"], "resize": "stretch"})
    verdict = check_boxes(model, bundle, batches, truth, limits)
    assert verdict.canvas.problems(limits) == []
    assert verdict.files.problems(limits)
    assert all(problem.startswith(("from the image files", "AP differs")) for problem in verdict.problems)


def test_each_limit_is_named_with_its_number(model, bundle, batches, truth, limits):
    strict = limits.model_copy(update={"max_box_difference": 1e-9, "max_score_difference": 1e-12})
    problems = check_boxes(model, bundle, batches, truth, strict).problems
    assert any("pixels (limit 1e-09)" in problem for problem in problems)
    assert any("a score differs" in problem and "(limit 1e-12)" in problem for problem in problems)


def test_a_difference_of_ap_alone_is_stopped(model, bundle, batches, truth, limits, monkeypatch):
    """The two evaluations are told apart by the number of calls: PyTorch first."""
    results = iter([0.5, 0.4])
    monkeypatch.setattr(
        "limbeck.deploy.parity_boxes.evaluate", lambda *_: type("M", (), {"metrics": {"AP": next(results)}})
    )
    assert check_boxes(model, bundle, batches, truth, limits).problems == ("AP differs by 0.1 (limit 0.001)",)


def two_boxes_that_tie(postprocess):
    """A raw output of two boxes that overlap and score alike, and the one that is kept."""
    boxes = torch.tensor([[[10.0, 10.0, 40.0, 40.0], [12.0, 10.0, 42.0, 40.0]]])
    raw = DenseRaw2D([], torch.ones(1, 2, 1), boxes, None, boxes[0], (2,), (8,), (64, 96))
    return raw, postprocess.select(raw)[0][0, :1]


@pytest.mark.parametrize(("shift", "ties"), [(0.0, 1), (3.0, 0)])
def test_a_tie_is_no_fault_and_a_fault_is_no_tie(shift, ties, limits):
    postprocess = Postprocess()
    raw, kept = two_boxes_that_tie(postprocess)
    dropped = raw.boxes_xyxy[0][(raw.boxes_xyxy[0] != kept).any(dim=1)] + shift
    theirs = Answer(dropped, torch.ones(1).sigmoid(), torch.zeros(1, dtype=torch.int64))

    def ours(raw):
        boxes, scores, labels = postprocess.select(raw)
        return [Answer(boxes[0][scores[0] > 0], scores[0][scores[0] > 0], labels[0][scores[0] > 0])]

    found = compare_batch(ours, raw=raw, onnx_answers=[theirs], postprocess=postprocess, limits=limits)
    assert found.ties == ties
    assert (found.problems(limits) == []) == bool(ties)


@pytest.mark.parametrize("given", [0, 1])
def test_some_of_the_images_are_no_proof(given, model, bundle, batches, truth, limits):
    with pytest.raises(ParityError, match=f"{2 * given} of 4 images were compared"):
        pass_parity_gate(bundle, partial(check_boxes, model, bundle, batches[:given], truth, limits))


def test_a_bundle_that_failed_can_be_checked_again(model, bundle, batches, truth, limits):
    amend_bundle(bundle, parity={"passed": False})
    assert pass_parity_gate(bundle, partial(check_boxes, model, bundle, batches, truth, limits)).passed


def test_a_class_that_the_truth_does_not_know_is_refused(model, bundle, batches, truth, limits):
    strange = replace(truth, categories=((1, "hose"), (2, "buffer")))
    with pytest.raises(IncompatibleError, match="'coupling'"):
        check_boxes(model, bundle, batches, strange, limits)
