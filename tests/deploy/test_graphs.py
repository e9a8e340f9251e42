"""Any 2D detector with a `Postprocess` in its config passes through the same graph and the same gate."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from limbeck.deploy.bundle import Licences, write_bundle
from limbeck.deploy.graphs import DetectionGraph2D, SegmentationGraph, export_graph
from limbeck.deploy.parity_boxes import check_boxes
from limbeck.errors import ExportError, IncompatibleError
from limbeck.lookup import build_model, model_config
from limbeck.models.torchvision_fcos import TorchvisionFCOS
from limbeck.models.torchvision_retinanet import TorchvisionRetinaNet

CANVAS_WH, CLASSES = (96, 64), ("hose", "coupling")


def torchvision_detector(family, class_std, box_std):
    """torchvision's detector with random weights that answer with some dozen boxes of different scores."""
    torch.manual_seed(0)
    settings = {"backbone": "resnet18", "norm": "frozen", "first_label": 1, "postprocess": {"score_threshold": 0.3}}
    model = family(family.Config(**settings), CLASSES)
    for layer in model.net.head.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    nn.init.normal_(model.net.head.classification_head.cls_logits.weight, std=class_std)
    nn.init.normal_(model.net.head.regression_head.bbox_reg.weight, std=box_std)
    return model.eval()


DETECTORS = {
    "torchvision_retinanet": lambda detector_of: torchvision_detector(TorchvisionRetinaNet, 0.03, 0.003),
    "torchvision_fcos": lambda detector_of: torchvision_detector(TorchvisionFCOS, 0.4, 0.1),
    "faster_rcnn": lambda detector_of: detector_of("faster_rcnn"),
}


@pytest.mark.parametrize("name", DETECTORS)
def test_detectors_of_other_builds_pass_the_parity_gate(name, detector_of, batches, truth, limits, tmp_path):
    model = DETECTORS[name](detector_of)
    bundle = write_bundle(
        model,
        tmp_path / "bundle",
        size=CANVAS_WH,
        resize="letterbox",
        licences=Licences(weights="BSD-3-Clause", data="CC BY 4.0"),
        metrics={},
    )
    verdict = check_boxes(model, bundle, batches, truth, limits)
    assert verdict.passed
    assert verdict.canvas.detections > 40
    assert verdict.canvas.unmatched == verdict.files.unmatched == 0


@pytest.mark.parametrize("config", [None, SimpleNamespace(), SimpleNamespace(postprocess={"score_threshold": 0.05})])
def test_a_detector_without_post_processing_settings_is_refused(config, model):
    graph = export_graph(model)
    assert isinstance(graph, DetectionGraph2D)
    assert graph.settings() == model.config.postprocess.model_dump()
    graph.model.config = config
    with pytest.raises(ExportError, match=r"GFL cannot be exported.*holds no 'postprocess' of the class .*Postprocess"):
        DetectionGraph2D(graph.model)


def test_the_graph_of_a_segmenter_has_the_inputs_of_its_model():
    settings = {"model": "lraspp", "backbone": "lean_pico", "head_width": 8}
    plain = export_graph(build_model(model_config(settings), ("road", "pothole")))
    assert isinstance(plain, SegmentationGraph)
    assert list(plain.inputs) == ["image"]
    both = export_graph(build_model(model_config(settings | {"x": "depth", "x_channels": 1}), ("road", "pothole")))
    assert list(both.inputs) == ["image", "depth"]
    image, depth = both.example((64, 32), count=2)
    assert (image.shape, depth.shape) == ((2, 3, 32, 64), (2, 1, 32, 64))
    labels, confidence = both(image, depth)
    assert labels.shape == confidence.shape == (2, 32, 64)
    assert labels.dtype == torch.uint8
    with pytest.raises(IncompatibleError, match="depth"):
        both(image)
