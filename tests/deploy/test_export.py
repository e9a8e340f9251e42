"""The exported file gives the boxes of PyTorch, for every head, number of classes and batch size."""

import logging
import warnings

import numpy as np
import onnx
import pytest
import torch

from limbeck.deploy.export import export_onnx
from limbeck.deploy.graphs import DetectionGraph2D
from limbeck.deploy.runtime.detector import open_session
from limbeck.errors import ExportError

CANVAS_WH = (96, 64)


def torch_answer(model, canvases):
    with torch.no_grad():
        return [output.numpy() for output in DetectionGraph2D(model)(canvases)]


def check_equal(expected, found):
    """Boxes and labels are compared where there is a detection; unused places hold anything."""
    boxes, scores, labels = expected
    np.testing.assert_allclose(found[1], scores, atol=1e-4)
    used = scores > 0
    np.testing.assert_allclose(found[0][used], boxes[used], atol=1e-2)
    np.testing.assert_array_equal(found[2][used], labels[used])


@pytest.mark.parametrize(
    ("name", "num_classes"),
    [("gfl", 1), ("gfl", 80), ("retinanet", 2), ("fcos", 2), ("atss", 1), ("faster_rcnn", 1), ("faster_rcnn", 80)],
)
def test_onnx_runtime_gives_the_boxes_of_pytorch_at_any_batch_size(name, num_classes, detector_of, canvases, tmp_path):
    model = detector_of(name, tuple(f"class {k}" for k in range(num_classes)))
    session = open_session(export_onnx(model, CANVAS_WH, tmp_path / "model.onnx"), threads=1)
    for batch in (canvases, canvases[1:2]):
        expected = torch_answer(model, batch)
        assert (expected[1] > 0).sum() > 5 * len(batch)
        check_equal(expected, session.run(None, {"image": batch.numpy()}))


@pytest.mark.parametrize("name", ["retinanet", "faster_rcnn"])
def test_images_without_any_detection_give_scores_of_0(name, detector_of, canvases, tmp_path):
    model = detector_of(name, blind=True)
    session = open_session(export_onnx(model, CANVAS_WH, tmp_path / "model.onnx"), threads=1)
    for batch in (canvases, canvases[:1]):
        boxes, scores, labels = session.run(None, {"image": batch.numpy()})
        assert scores.shape == labels.shape == boxes.shape[:2]
        assert not scores.any()


def test_the_file_says_what_goes_in_and_comes_out(finished_bundle):
    graph = onnx.load(finished_bundle / "model.onnx").graph
    shapes = {
        entry.name: [d.dim_param or d.dim_value for d in entry.type.tensor_type.shape.dim]
        for entry in (*graph.input, *graph.output)
    }
    assert shapes == {
        "image": ["batch", 3, 64, 96],
        "boxes": ["batch", 100, 4],
        "scores": ["batch", 100],
        "labels": ["batch", 100],
    }
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [o.type.tensor_type.elem_type for o in graph.output] == [1, 1, onnx.TensorProto.INT64]


def test_no_path_of_this_machine_is_in_the_file(finished_bundle, repo):
    content = (finished_bundle / "model.onnx").read_bytes()
    assert str(repo).encode() not in content
    assert b"site-packages" not in content


def test_the_model_is_left_as_it_was_and_nothing_is_said(detector_of, tmp_path, capfd, caplog):
    model = detector_of("retinanet", ("hose",)).train().to(memory_format=torch.channels_last)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with caplog.at_level(logging.WARNING), warnings.catch_warnings():
        warnings.simplefilter("error")
        export_onnx(model, CANVAS_WH, tmp_path / "model.onnx")
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.dense_head.class_out.weight.is_contiguous(memory_format=torch.channels_last)
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


def test_a_model_that_cannot_be_translated_is_one_plain_sentence(detector_of, tmp_path):
    model = detector_of("gfl")
    model.trunk.neck.register_forward_pre_hook(lambda _, maps: maps[0][0].sum().item() > 0 and None)
    with pytest.raises(ExportError, match=r"GFL cannot be exported to ONNX: .+") as caught:
        export_onnx(model, CANVAS_WH, tmp_path / "model.onnx")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "model.onnx").exists()


def test_a_detector_without_post_processing_settings_is_refused(detector_of, tmp_path):
    model = detector_of("gfl")
    model.config = None
    with pytest.raises(ExportError, match="holds no 'postprocess'"):
        export_onnx(model, CANVAS_WH, tmp_path / "model.onnx")


@pytest.mark.parametrize("name", ["gfl", "fcos", "faster_rcnn"])
def test_the_graph_answers_as_predict_does(name, detector_of, batches):
    model, batch = detector_of(name), batches[0]
    with torch.no_grad():
        boxes, scores, labels = DetectionGraph2D(model)(batch.images)
        predicted = model.predict(model(batch), batch)
    for index, (frame, expected) in enumerate(zip(batch.frames, predicted, strict=True)):
        used = scores[index] > 0
        torch.testing.assert_close(scores[index][used], expected.scores)
        torch.testing.assert_close(labels[index][used], expected.labels)
        in_image = frame.fit.to_image(boxes[index][used].numpy())
        np.testing.assert_allclose(in_image, expected.boxes_xyxy.numpy(), atol=1e-4)
