import json

import numpy as np
import pytest

from limbeck.errors import BundleError, CheckpointError, DataError, IncompatibleError
from limbeck.point_files.point_format import PointFormat
from limbeck.predictor import evaluate_file, files_in, open_predictor
from limbeck.weights import WeightsInfo, save_weights


@pytest.fixture(scope="module")
def files(finished_run):
    """The student as a weight file and as a bundle."""
    return finished_run.folder / "student/best.safetensors", finished_run.folder / "bundle"


def test_weights_and_bundle_score_the_same_as_the_run(files, finished_run):
    weights, bundle = (evaluate_file(path, finished_run.config)["val"].metrics() for path in files)
    assert weights == pytest.approx(bundle, abs=1e-3)
    assert weights == pytest.approx(finished_run.outcome.evaluations["student"]["metrics"], abs=1e-6)
    assert weights["AP50"] > 0.5


def test_weights_and_bundle_find_the_same_boxes(files, finished_run):
    image = finished_run.config.data.val.images / "val-0.png"
    by_torch, by_onnx = (open_predictor(path, exact=True).detect(image) for path in files)
    assert len(by_torch) == len(by_onnx) > 0
    assert by_torch.names == by_onnx.names == ("square",) * len(by_torch)
    np.testing.assert_allclose(by_torch.scores, by_onnx.scores, atol=1e-3)
    np.testing.assert_allclose(by_torch.boxes_xyxy, by_onnx.boxes_xyxy, atol=0.5)


def test_what_is_no_model_is_refused(files, tmp_path):
    with pytest.raises(CheckpointError, match=r"best\.json is neither a bundle folder nor a \.safetensors file"):
        open_predictor(files[0].with_suffix(".json"))
    with pytest.raises(CheckpointError, match=r"The weight file .*none\.safetensors does not exist"):
        open_predictor(tmp_path / "none.safetensors")
    with pytest.raises(BundleError, match="not a bundle"):
        open_predictor(tmp_path)


def test_a_class_that_the_data_does_not_have_is_an_error(files, finished_run, tmp_path):
    data = finished_run.config.data
    renamed = {}
    for part in ("train", "val"):
        split = getattr(data, part)
        content = json.loads(split.annotations.read_text())
        content["categories"][0]["name"] = "circle"
        path = tmp_path / f"{part}.json"
        path.write_text(json.dumps(content))
        renamed[part] = split.model_copy(update={"annotations": path})
    for path in files:
        with pytest.raises(DataError, match="the data has no class 'square'"):
            evaluate_file(path, finished_run.config.model_copy(update={"data": data.model_copy(update=renamed)}))


def test_files_are_looked_for_in_files_and_folders(tmp_path):
    for name in ("b.png", "a.JPG", "notes.txt", "d.bin", "c.PCD"):
        (tmp_path / name).touch()
    (tmp_path / "sub").mkdir()
    assert [path.name for path in files_in([tmp_path], "detection2d")] == ["a.JPG", "b.png"]
    assert [path.name for path in files_in([tmp_path], "segmentation")] == ["a.JPG", "b.png"]
    assert [path.name for path in files_in([tmp_path], "detection3d")] == ["c.PCD", "d.bin"]
    notes = tmp_path / "notes.txt"
    assert files_in([notes], "detection2d") == [notes], "a file that is named is taken as it is"


def test_all_missing_images_are_named(tmp_path):
    with pytest.raises(DataError, match="These images cannot be read") as caught:
        files_in([tmp_path / "a.jpg", tmp_path, tmp_path / "b.jpg"], "detection2d")
    assert [problem.rsplit("/")[-1] for problem in caught.value.problems] == [
        "a.jpg: no such file or folder",
        "b.jpg: no such file or folder",
    ]


def test_files_of_the_other_kind_are_named(tmp_path):
    (tmp_path / "a.png").touch()
    (tmp_path / "b.bin").touch()
    with pytest.raises(DataError, match=r"a\.png: is an image, and the model reads point clouds"):
        files_in([tmp_path / "b.bin", tmp_path / "a.png"], "detection3d")
    with pytest.raises(DataError, match=r"b\.bin: is a point cloud, and the model reads images"):
        files_in([tmp_path / "b.bin"], "segmentation")


@pytest.mark.parametrize(("task", "said"), [("detection2d", "holds no image"), ("detection3d", "holds no point cloud")])
def test_a_folder_without_files_is_named(task, said, tmp_path):
    with pytest.raises(DataError, match=said):
        files_in([tmp_path], task)


@pytest.fixture(scope="module")
def cloud_files(finished_cloud_run):
    """The student of a LiDAR run as a weight file and as a bundle."""
    return finished_cloud_run.folder / "student/best.safetensors", finished_cloud_run.folder / "bundle"


def test_weights_and_bundle_of_a_lidar_detector_score_the_same_as_the_run(cloud_files, finished_cloud_run):
    measured = finished_cloud_run.outcome.evaluations["student"]
    for path in cloud_files:
        found = evaluate_file(path, finished_cloud_run.config)
        assert found["val"].metrics() == pytest.approx(measured["metrics"], abs=1e-3)
        assert found["test"].metrics() == pytest.approx(measured["test"]["metrics"], abs=1e-3)


def test_weights_and_bundle_find_the_same_boxes_in_files_and_arrays(cloud_files, finished_cloud_run):
    cloud = finished_cloud_run.config.data.val.clouds / "00000.npy"
    by_torch, by_onnx = (open_predictor(path, exact=True) for path in cloud_files)
    assert by_torch.form == by_onnx.form
    expected = by_onnx.detect(cloud)
    assert len(expected) > 0
    for found in (by_torch.detect(cloud), by_torch.detect(np.load(cloud))):
        assert found.names == expected.names
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-3)
        np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.02)
    assert len(by_torch.detect(np.zeros((0, 4), np.float32))) == 0


def test_a_model_of_another_task_is_an_error(cloud_files, finished_run):
    with pytest.raises(IncompatibleError, match="for the task detection3d, and the run file for detection2d"):
        evaluate_file(cloud_files[1], finished_run.config)


def test_a_weight_file_that_does_not_say_what_points_are_is_refused(make_lidar_detector, tmp_path):
    model = make_lidar_detector()
    info = WeightsInfo(model.config.model_dump(mode="json"), model.spec.classes, (1000,), None)
    save_weights(tmp_path / "best.safetensors", model.state_dict(), info)
    with pytest.raises(CheckpointError, match="does not say what the points of a cloud consist of"):
        open_predictor(tmp_path / "best.safetensors").detect(np.zeros((5, 4), np.float32))


def test_a_weight_file_of_clouds_says_what_their_points_are(cloud_files):
    form = open_predictor(cloud_files[0]).form
    assert form == PointFormat(("x", "y", "z", "intensity"), ("x", "y", "z", "intensity"))
