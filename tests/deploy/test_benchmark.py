"""Costs are counted right on models small enough to count by hand; times are only checked to be there."""

import pytest
import torch

from limbeck.deploy import benchmark
from limbeck.deploy.benchmark import count_parameters, multiply_adds, torch_latency, weights_bytes
from limbeck.deploy.graphs import export_graph
from limbeck.deploy.runtime.latency import bundle_latency, measure_onnx
from limbeck.deploy.runtime.lidar_detector import LidarDetector
from limbeck.errors import ExportError

CANVAS_WH = (96, 64)


def test_parameters_and_bytes():
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8))
    assert count_parameters(net) == 3 * 8 * 9 + 8 + 8 + 8
    assert weights_bytes(net) == 4 * (count_parameters(net) + 8 + 8)


def test_a_shared_parameter_counts_once():
    layer = torch.nn.Linear(4, 4)
    assert count_parameters(torch.nn.Sequential(layer, layer)) == 20


class _ConvGraph(torch.nn.Module):
    """A convolution and a depthwise convolution."""

    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, stride=2, padding=1), torch.nn.Conv2d(8, 8, 3, padding=1, groups=8)
        )

    def forward(self, image):
        return self.net(image.float())

    def example(self, size):
        return (torch.zeros(1, 3, size[1], size[0], dtype=torch.uint8),)


def test_multiply_adds_of_one_image(monkeypatch):
    monkeypatch.setattr(benchmark, "export_graph", lambda model: model)
    cells = 48 * 32
    assert multiply_adds(_ConvGraph(), CANVAS_WH) == cells * (8 * 3 * 9) + cells * (8 * 9)


class _AttentionGraph(torch.nn.Module):
    """Attention of 12 positions to one another, 8 channels wide."""

    def forward(self, rows):
        return torch.nn.functional.scaled_dot_product_attention(rows, rows, rows)

    def example(self, size):
        return (torch.zeros(1, 1, 12, 8),)


def test_attention_counts(monkeypatch):
    monkeypatch.setattr(benchmark, "export_graph", lambda model: model)
    assert multiply_adds(_AttentionGraph(), CANVAS_WH) == 2 * 12 * 12 * 8


def test_multiply_adds_grow_with_the_canvas(model):
    assert multiply_adds(model, (192, 128)) > 3.5 * multiply_adds(model, CANVAS_WH)


def test_percentiles_are_in_order_and_the_number_of_threads_is_put_back(model):
    before = torch.get_num_threads()
    times = torch_latency(model, CANVAS_WH, threads=before + 1, warmup=1, runs=5)
    assert 0 < times.p50 <= times.p95 <= times.p99
    assert times.runs == 5
    assert torch.get_num_threads() == before


def test_onnx_runtime_is_timed_in_a_process_of_its_own(finished_bundle, finished_cloud_bundle):
    file = finished_bundle / "model.onnx"
    for given in (file, finished_bundle, finished_cloud_bundle):
        measured = measure_onnx(given, threads=1, warmup=1, runs=5)
        times = measured.latency
        assert measured.memory_bytes is None or measured.memory_bytes > file.stat().st_size
        assert 0 < times.p50 <= times.p95 <= times.p99
        assert times.runs == 5


def test_of_a_cloud_sorting_and_choice_are_timed_too(finished_cloud_bundle, monkeypatch):
    seen = []
    monkeypatch.setattr(LidarDetector, "detect", lambda self, cloud: seen.append(cloud))
    assert bundle_latency(finished_cloud_bundle, threads=1, warmup=1, runs=2).runs == 2
    assert [cloud.shape for cloud in seen] == [(2000, 4)] * 3


def test_what_cannot_be_run_is_one_plain_sentence(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(ExportError, match=r"model\.onnx: ONNX Runtime cannot be timed on it \(.+\)"):
        measure_onnx(tmp_path / "model.onnx", threads=1, warmup=0, runs=1)
    with pytest.raises(ExportError, match=r"cannot be timed on it \(.*not a bundle"):
        measure_onnx(tmp_path, threads=1, warmup=0, runs=1)


def test_multiply_adds_of_a_cloud_grow_with_its_points_in_the_first_layers_only(lidar_model):
    few, many = (multiply_adds(lidar_model, (count,)) for count in (500, 5000))
    assert few < many < 2 * few


def test_the_graph_that_is_timed_gives_boxes(model):
    boxes, scores, labels = export_graph(model)(torch.zeros(1, 3, 64, 96, dtype=torch.uint8))
    assert boxes.shape[:2] == scores.shape == labels.shape
