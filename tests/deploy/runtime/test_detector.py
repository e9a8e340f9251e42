"""The runtime reads any image, maps boxes back to its pixels, and refuses a bundle that is not as it was written."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from limbeck.deploy.bundle import amend_bundle
from limbeck.deploy.runtime.detector import Detector
from limbeck.deploy.runtime.manifest import load_manifest, read_manifest, sha256_of
from limbeck.errors import BundleError, DataError


@pytest.fixture(scope="module")
def detector(finished_bundle):
    return Detector(finished_bundle, threads=1)


def check_same(a, b):
    np.testing.assert_allclose(a.boxes_xyxy, b.boxes_xyxy, atol=1e-2)
    np.testing.assert_allclose(a.scores, b.scores, atol=1e-4)
    np.testing.assert_array_equal(a.labels, b.labels)
    assert a.names == b.names


def test_boxes_are_those_of_the_model_in_pixels_of_the_upright_image(detector, model, batches):
    for batch in batches:
        with torch.no_grad():
            predicted = model.predict(model(batch), batch)
        for frame, expected in zip(batch.frames, predicted, strict=True):
            found = detector.detect(frame.path)
            assert len(found) == len(expected) > 0
            np.testing.assert_allclose(found.boxes_xyxy, expected.boxes_xyxy.numpy(), atol=0.05)
            np.testing.assert_allclose(found.scores, expected.scores.numpy(), atol=1e-4)
            np.testing.assert_array_equal(found.labels, expected.labels.numpy())
            assert found.names == tuple(model.spec.classes[label] for label in expected.labels)


def test_path_text_pillow_image_and_array_are_the_same_image(detector, image_files):
    expected = detector.detect(image_files[0])
    check_same(detector.detect(str(image_files[0])), expected)
    with Image.open(image_files[0]) as image:
        check_same(detector.detect(image), expected)
    check_same(detector.detect(np.asarray(Image.open(image_files[3]))), detector.detect(image_files[3]))


def test_many_images_are_answered_like_one_at_a_time_and_in_order(detector, image_files):
    together = detector.detect_many(image_files, batch_size=3)
    assert len(together) == len(image_files)
    for path, found in zip(image_files, together, strict=True):
        check_same(found, detector.detect(path))
    assert detector.detect_many([]) == []


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 4), (0, 30, 3)])
def test_an_array_of_another_shape_is_refused(detector, shape):
    with pytest.raises(DataError, match=r"must be \(H,W,3\) uint8 RGB, was given uint8"):
        detector.detect(np.zeros(shape, np.uint8))


def test_an_array_of_floats_is_refused(detector):
    with pytest.raises(DataError, match="was given float32"):
        detector.detect(np.zeros((20, 30, 3), np.float32))


def test_a_missing_and_a_truncated_image_are_refused(detector, image_files, tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.jpg"):
        detector.detect(tmp_path / "nowhere.jpg")
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(image_files[1].read_bytes()[:-200])
    with pytest.raises(DataError, match="cannot be read"), Image.open(cut) as image:
        detector.detect(image)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(BundleError, match=r"not a bundle; there is no bundle\.json"):
        Detector(tmp_path)


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_a_broken_description_is_refused(text, bundle):
    (bundle / "bundle.json").write_text(text, encoding="utf-8")
    with pytest.raises(BundleError, match=r"bundle\.json"):
        Detector(bundle)


@pytest.mark.parametrize("entry", ["task", "classes", "canvas", "files", "parity"])
def test_a_missing_entry_is_named(entry, bundle):
    content = load_manifest(bundle)
    del content[entry]
    (bundle / "bundle.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(BundleError, match=f"the entry '{entry}' is missing"):
        read_manifest(bundle)


def test_a_bundle_of_another_format_is_refused(bundle):
    amend_bundle(bundle, format=2)
    with pytest.raises(BundleError, match="has format 2, this limbeck reads 1"):
        Detector(bundle)


def test_one_changed_byte_is_noticed(bundle):
    content = bytearray((bundle / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / "model.onnx").write_bytes(content)
    with pytest.raises(BundleError, match=r"model\.onnx has another content"):
        Detector(bundle)


def test_all_files_that_are_wrong_are_named(bundle):
    (bundle / "model.onnx").unlink()
    (bundle / "labels.txt").write_text("buffer\n", encoding="utf-8")
    with pytest.raises(BundleError, match=r"model\.onnx is missing; labels\.txt has another content"):
        Detector(bundle)


def test_a_model_that_onnx_runtime_cannot_load_is_one_plain_sentence(bundle):
    (bundle / "model.onnx").write_bytes(b"no model")
    amend_bundle(bundle, files={"model.onnx": sha256_of(bundle / "model.onnx")})
    with pytest.raises(BundleError, match="ONNX Runtime cannot load the model"):
        Detector(bundle)
