"""The exported LiDAR detector gives the boxes of PyTorch for clouds of every kind, whatever the number of threads."""

import numpy as np
import onnx
import pytest
import torch

from limbeck.deploy.graphs import DetectionGraph3D, export_graph
from limbeck.deploy.runtime.manifest import load_manifest
from limbeck.deploy.runtime.session import open_session
from limbeck.deploy.runtime.typical_cloud import typical_cloud
from limbeck.ops.pillars import group_points

NAMES = ("points", "pillar", "counts", "cells")


def pillars_of(points, spec):
    found = group_points(torch.from_numpy(points), torch.tensor([len(points)]), spec.grid, spec.max_points)
    return found.points, found.pillar, found.counts, found.cells


def cloud(count, side, seed=0):
    """Points in a square; the smaller its side, the fuller the pillars."""
    return np.random.default_rng(seed).uniform(-side / 2, side / 2, (count, 4)).astype(np.float32)


CLOUDS = {
    "typical": lambda spec: typical_cloud(2000, spec.point_features, spec.grid.range_xyz),
    "one point in a pillar": lambda spec: cloud(30, 32),
    "full pillars": lambda spec: cloud(3000, 5),
    "a few points": lambda spec: cloud(3, 4),
    "one point": lambda spec: cloud(1, 1),
}


@pytest.mark.parametrize("name", CLOUDS)
@pytest.mark.parametrize("threads", [1, 4])
def test_onnx_runtime_gives_the_boxes_of_pytorch(name, threads, lidar_model, finished_cloud_bundle):
    graph, inputs = export_graph(lidar_model), pillars_of(CLOUDS[name](lidar_model.spec), lidar_model.spec)
    session = open_session(finished_cloud_bundle / "model.onnx", threads)
    with torch.no_grad():
        expected = [output.numpy() for output in graph(*inputs)]
    found = session.run(None, {key: value.numpy() for key, value in zip(NAMES, inputs, strict=True)})
    assert [output.shape for output in found] == [(400, 7), (400,), (400,), (400, 2)]
    np.testing.assert_allclose(found[1], expected[1], atol=1e-5)
    group = np.repeat([0, 1], 200)
    for place in np.flatnonzero(alone(expected[1], group)):  # where scores tie, the order is open
        np.testing.assert_allclose(found[0][place], expected[0][place], atol=1e-4)
        np.testing.assert_allclose(found[3][place], expected[3][place], atol=1e-4)
        assert found[2][place] == expected[2][place]


def alone(scores, group, margin=1e-5):
    """Where no other score of the group is within a margin; they fall."""
    apart = np.abs(np.diff(scores)) > margin
    before, after = np.append(True, apart), np.append(apart, True)
    last = np.append(group[1:] != group[:-1], True)  # the cut may tie
    return before & after & ~last


def test_some_order_is_not_open(lidar_model):
    graph = export_graph(lidar_model)
    scores = graph(*graph.example((2000,)))[1].detach().numpy()
    assert alone(scores, np.repeat([0, 1], 200)).sum() > 50


def test_no_scatter_has_a_reduction(finished_cloud_bundle):
    """ONNX Runtime runs one in parallel and loses what two threads write to the same place."""
    nodes = onnx.load(finished_cloud_bundle / "model.onnx").graph.node
    scatters = [node for node in nodes if node.op_type.startswith("Scatter")]
    assert scatters
    reductions = [attribute.s for node in scatters for attribute in node.attribute if attribute.name == "reduction"]
    assert set(reductions) <= {b"none"}


def test_the_file_says_what_goes_in_and_comes_out(finished_cloud_bundle):
    graph = onnx.load(finished_cloud_bundle / "model.onnx").graph
    shapes = {
        entry.name: [d.dim_param or d.dim_value for d in entry.type.tensor_type.shape.dim]
        for entry in (*graph.input, *graph.output)
    }
    assert shapes == {
        "points": ["points", 4],
        "pillar": ["points"],
        "counts": ["pillars"],
        "cells": ["pillars"],
        "boxes": [400, 7],
        "scores": [400],
        "labels": [400],
        "velocities": [400, 2],
    }


def test_the_description_says_how_to_sort_and_to_choose(finished_cloud_bundle, lidar_model):
    content = load_manifest(finished_cloud_bundle)
    assert content["task"] == "detection3d"
    assert content["canvas"] is None
    values = ["x", "y", "z", "intensity"]
    assert content["cloud"] == {"points": 2000, "columns": values, "features": values, "drop_invalid": False}
    assert set(content["outputs"]) == {"boxes", "scores", "labels", "velocities"}
    settings = content["settings"]
    assert settings["group_boxes"] == [200, 200]
    assert settings["nms_iou"] == 0.2
    assert settings["max_points"] == lidar_model.spec.max_points


def test_a_detector_without_velocities_has_no_such_output(make_lidar_detector):
    graph = export_graph(make_lidar_detector())
    assert isinstance(graph, DetectionGraph3D)
    assert list(graph.outputs) == ["boxes", "scores", "labels"]
    assert len(graph(*graph.example((500,)))) == 3


def test_the_example_is_a_typical_cloud_of_the_size_asked_for(lidar_model):
    graph = export_graph(lidar_model)
    points, pillar, counts, cells = graph.example((2000,))
    assert len(points) == len(pillar) == counts.sum() <= 2000
    assert len(counts) == len(cells)
    expected = pillars_of(typical_cloud(2000, 4, lidar_model.spec.grid.range_xyz), lidar_model.spec)
    torch.testing.assert_close(points, expected[0])
