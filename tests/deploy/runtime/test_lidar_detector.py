"""The runtime finds in a cloud what PyTorch finds, and refuses a bundle that is not as it was written."""

import json

import numpy as np
import pytest
import torch

import limbeck
from limbeck.core.samples import Batch
from limbeck.deploy.bundle import amend_bundle
from limbeck.deploy.runtime.detector import Detector
from limbeck.deploy.runtime.lidar_detector import LidarDetector
from limbeck.deploy.runtime.manifest import load_manifest, read_manifest
from limbeck.errors import BundleError, DataError


@pytest.fixture(scope="module")
def detector(finished_cloud_bundle):
    return LidarDetector(finished_cloud_bundle, threads=1)


@pytest.fixture(scope="module")
def files(cloud_task):
    """The validation clouds."""
    return [frame.path for frame in cloud_task.frames["val"]]


def predict(model, points):
    batch = Batch({"points": torch.from_numpy(points), "counts": torch.tensor([len(points)])}, [], [])
    with torch.no_grad():
        return model.predict(model(batch), batch)[0]


def test_boxes_are_those_of_the_model_best_first(detector, lidar_model, files):
    for file in files:
        expected, found = predict(lidar_model, np.load(file)), detector.detect(file)
        assert len(found) == len(expected) > 50
        assert (np.diff(found.scores) <= 0).all()
        np.testing.assert_allclose(found.boxes, expected.boxes.numpy(), atol=1e-4)
        np.testing.assert_allclose(found.scores, expected.scores.numpy(), atol=1e-5)
        np.testing.assert_allclose(found.velocities, expected.velocities.numpy(), atol=1e-4)
        np.testing.assert_array_equal(found.labels, expected.labels.numpy())
        assert found.names == tuple(lidar_model.spec.classes[label] for label in found.labels)


def test_path_text_and_array_are_the_same_cloud(detector, files):
    expected = detector.detect(files[0])
    for given in (str(files[0]), np.load(files[0]), np.load(files[0]).astype(np.float64)):
        np.testing.assert_array_equal(detector.detect(given).boxes, expected.boxes)
    assert limbeck.LidarDetector is LidarDetector


def test_threads_do_not_change_the_answer(finished_cloud_bundle, detector, files):
    expected, many = detector.detect(files[0]), LidarDetector(finished_cloud_bundle, threads=4)
    for _ in range(20):
        np.testing.assert_array_equal(many.detect(files[0]).scores, expected.scores)


def test_an_empty_cloud_has_no_detections(detector):
    found = detector.detect(np.zeros((0, 4), np.float32))
    assert len(found) == 0
    assert found.names == ()
    assert (found.boxes.shape, found.velocities.shape) == ((0, 7), (0, 2))


def test_a_cloud_out_of_range_is_answered_as_by_pytorch(detector, lidar_model):
    far = np.full((5, 4), 500.0, np.float32)
    expected = predict(lidar_model, far)  # many cells score alike, so that others may be left
    assert detector.detect(far).scores[0] == pytest.approx(expected.scores[0].item(), abs=1e-5)


def test_what_is_no_cloud_is_refused(detector, tmp_path):
    with pytest.raises(DataError, match=r"must be \(P,4\) floats"):
        detector.detect(np.zeros((5, 3), np.float32))
    with pytest.raises(DataError, match="not finite"):
        detector.detect(np.full((5, 4), np.nan, np.float32))
    with pytest.raises(DataError, match=r"none\.npy"):
        detector.detect(tmp_path / "none.npy")


def test_a_bundle_of_another_task_is_refused_by_the_name_of_what_runs_it(finished_cloud_bundle, finished_bundle):
    with pytest.raises(BundleError, match=r"the bundle is for detection3d.*limbeck\.LidarDetector runs it"):
        Detector(finished_cloud_bundle)
    with pytest.raises(BundleError, match=r"the bundle is for detection2d.*limbeck\.Detector runs it"):
        LidarDetector(finished_bundle)


def test_images_have_a_canvas_and_clouds_have_points(finished_cloud_bundle, finished_bundle):
    images, clouds = read_manifest(finished_bundle), read_manifest(finished_cloud_bundle)
    assert images.canvas == ((96, 64), "letterbox")
    assert clouds.size == (2000,)
    assert clouds.points.features == ("x", "y", "z", "intensity")
    with pytest.raises(BundleError, match="its model reads no point clouds"):
        images.points  # noqa: B018
    with pytest.raises(BundleError, match="its model reads no images"):
        clouds.canvas  # noqa: B018


@pytest.mark.parametrize("entry", ["cloud", "settings"])
def test_a_missing_entry_is_named(entry, cloud_bundle):
    content = load_manifest(cloud_bundle)
    del content[entry]
    (cloud_bundle / "bundle.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(BundleError, match=f"the entry '{entry}' is missing"):
        LidarDetector(cloud_bundle)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"range": [1.0]}, "not enough values"),
        ({"nms": "soft"}, "nms is 'soft'"),
        ({"post_range": 5}, "'int' object"),
    ],
)
def test_a_setting_that_is_wrong_is_one_sentence(change, said, cloud_bundle):
    amend_bundle(cloud_bundle, settings=load_manifest(cloud_bundle)["settings"] | change)
    with pytest.raises(BundleError, match=f"not a complete bundle description .*{said}"):
        LidarDetector(cloud_bundle)


def test_a_setting_that_is_missing_is_named(cloud_bundle):
    settings = load_manifest(cloud_bundle)["settings"]
    del settings["group_boxes"]
    amend_bundle(cloud_bundle, settings=settings)
    with pytest.raises(BundleError, match="the entry 'group_boxes' is missing"):
        LidarDetector(cloud_bundle)
