"""The gate of LiDAR detectors lets an honest export pass and stops each planted fault."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from limbeck.config import CloudExportConfig
from limbeck.core.outputs import Detections3D
from limbeck.deploy import parity_clouds
from limbeck.deploy.bundle import amend_bundle
from limbeck.deploy.gate import check_parity
from limbeck.deploy.parity import pass_parity_gate
from limbeck.deploy.parity_clouds import check_clouds
from limbeck.deploy.runtime.lidar_detector import LidarDetector
from limbeck.deploy.runtime.manifest import load_manifest, sha256_of
from limbeck.errors import BundleError, IncompatibleError, ParityError
from limbeck.tasks.detection3d import CloudTally

LIMITS = CloudExportConfig()


def change_constant(bundle, name, change):
    """Change one constant of the exported graph; the hash is made to fit, so that only the gate can find it."""
    path = bundle / "model.onnx"
    content = onnx.load(path)
    (constant,) = [entry for entry in content.graph.initializer if entry.name == name]
    constant.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(constant)), name))
    onnx.save(content, path)
    amend_bundle(bundle, files={**load_manifest(bundle)["files"], "model.onnx": sha256_of(path)})


def change_setting(bundle, **settings):
    amend_bundle(bundle, settings=load_manifest(bundle)["settings"] | settings)


def test_an_honest_export_passes_and_the_verdict_is_in_the_bundle(lidar_model, cloud_bundle, cloud_task):
    verdict = pass_parity_gate(cloud_bundle, partial(check_parity, lidar_model, cloud_bundle, cloud_task, LIMITS))
    assert verdict.passed
    assert verdict.images == 3
    assert verdict.network.boxes > verdict.runtime.boxes > 150
    assert verdict.network.unmatched == verdict.runtime.unmatched == 0
    assert 0 < verdict.network.box_difference < 1e-3
    assert 0 < verdict.network.score_difference < 1e-4
    assert verdict.map_onnx == pytest.approx(verdict.map_torch, abs=1e-3)
    assert "on 3 clouds: mAP" in verdict.summary()
    assert load_manifest(cloud_bundle)["parity"] == json.loads(json.dumps(verdict.to_json()))
    assert LidarDetector(cloud_bundle).manifest.passed_parity is True


@pytest.mark.parametrize("branch", ["0.reg", "1.dim", "1.vel"])
def test_boxes_of_a_changed_network_are_stopped(branch, lidar_model, cloud_bundle, cloud_task):
    name = f"model.centre_head.groups.{branch}.3.weight"
    change_constant(cloud_bundle, name, lambda weight: weight * np.float32(1.1))
    with pytest.raises(ParityError, match="in the network a box differs by"):
        pass_parity_gate(cloud_bundle, partial(check_clouds, lidar_model, cloud_bundle, cloud_task, LIMITS))
    assert load_manifest(cloud_bundle)["parity"]["passed"] is False
    with pytest.raises(BundleError, match="failed its parity check"):
        LidarDetector(cloud_bundle)


def test_scores_of_a_changed_network_are_stopped_though_no_box_is_chosen(lidar_model, cloud_bundle, cloud_task):
    name = "model.centre_head.groups.1.hm.3.weight"
    change_constant(cloud_bundle, name, lambda weight: weight * np.float32(1.1))
    strict = lidar_model.postprocess.model_copy(update={"score_threshold": 0.9999})
    blind = parity_clouds.deployable(lidar_model)
    blind.postprocess = strict
    verdict = check_clouds(blind, cloud_bundle, cloud_task, LIMITS)
    assert verdict.network.boxes == 0
    assert any("in the network a score differs" in problem for problem in verdict.problems)


def test_swapped_classes_are_stopped(lidar_model, cloud_bundle, cloud_task):
    content = onnx.load(cloud_bundle / "model.onnx")
    pairs = [
        entry.name
        for entry in content.graph.initializer
        if entry.dims == [2] and numpy_helper.to_array(entry).tolist() == [1, 2] and entry.data_type == 7
    ]
    assert pairs
    for name in pairs:
        change_constant(cloud_bundle, name, lambda labels: labels[::-1].copy())
    problems = check_clouds(lidar_model, cloud_bundle, cloud_task, LIMITS).problems
    assert any("in the network" in problem and "have no counterpart" in problem for problem in problems)


@pytest.mark.parametrize(
    "fault",
    [
        {"nms_iou": 0.8},
        {"nms": "circle"},
        {"score_threshold": 0.5},
        {"max_detections": 3},
        {"max_points": 1},
        {"range": [-16.0, -16.0, -1.0, 16.0, 16.0, 3.0]},
        {"post_range": [-5, -5, -5, 5, 5, 5]},
    ],
    ids=lambda fault: next(iter(fault)),
)
def test_a_fault_in_the_runtime_is_stopped_though_the_networks_agree(fault, lidar_model, cloud_bundle, cloud_task):
    change_setting(cloud_bundle, **fault)
    verdict = check_clouds(lidar_model, cloud_bundle, cloud_task, LIMITS)
    assert verdict.network.problems(LIMITS) == []
    assert verdict.runtime.problems(LIMITS)
    assert all(problem.startswith(("in sorting and choice", "mAP differs")) for problem in verdict.problems)


def test_a_difference_of_map_alone_is_stopped(lidar_model, cloud_bundle, cloud_task, monkeypatch):
    """The two tallies are told apart by the number of calls: PyTorch first."""
    results = iter([0.5, 0.4])
    monkeypatch.setattr(CloudTally, "metrics", lambda self: {"mAP": next(results)})
    problems = check_clouds(lidar_model, cloud_bundle, cloud_task, LIMITS).problems
    assert problems == ("mAP differs by 0.1 (limit 0.001)",)


def test_ties_are_counted_and_are_no_fault(lidar_model, cloud_bundle, cloud_task, monkeypatch):
    """PyTorch leaves another of two boxes that score alike: its own answer has one box more and one less."""

    def other_answer(self, raw, batch):
        answers = type(self).predict(self, raw, batch)
        nowhere = answers[0].boxes[:1] + 100
        found = answers[0]
        boxes = torch.cat([nowhere, found.boxes[1:]])
        return [Detections3D(boxes, found.scores, found.labels, found.velocities), *answers[1:]]

    twin = parity_clouds.deployable(lidar_model)
    twin.predict = partial(other_answer, twin)
    monkeypatch.setattr(parity_clouds, "deployable", lambda model: twin)
    verdict = check_clouds(lidar_model, cloud_bundle, cloud_task, LIMITS.model_copy(update={"max_map_difference": 1.0}))
    assert verdict.ties == 1
    assert verdict.passed


def test_missing_clouds_are_no_proof(lidar_model, cloud_bundle, cloud_task, monkeypatch):
    batches = list(cloud_task.val_loader(1, inputs=("points",)))[:2]
    monkeypatch.setattr(type(cloud_task), "val_loader", lambda *args, **kwargs: batches)
    assert "2 of 3 clouds were compared" in check_clouds(lidar_model, cloud_bundle, cloud_task, LIMITS).problems


def test_a_model_of_other_classes_is_refused(lidar_model, cloud_bundle, cloud_task):
    strange = replace(cloud_task, train=replace(cloud_task.train, classes=("car", "tram", "cyclist")))
    with pytest.raises(IncompatibleError, match="tram"):
        check_clouds(lidar_model, cloud_bundle, strange, LIMITS)
