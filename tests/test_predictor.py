import json

import numpy as np
import pytest

from limbeck.errors import BundleError, CheckpointError, DataError
from limbeck.predictor import evaluate_file, images_in, open_predictor


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


def test_images_are_looked_for_in_files_and_folders(tmp_path):
    for name in ("b.png", "a.JPG", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "sub").mkdir()
    assert [path.name for path in images_in([tmp_path])] == ["a.JPG", "b.png"]
    assert images_in([tmp_path / "notes.txt"]) == [tmp_path / "notes.txt"], "a file that is named is taken as it is"


def test_all_missing_images_are_named(tmp_path):
    with pytest.raises(DataError, match="cannot be read") as caught:
        images_in([tmp_path / "a.jpg", tmp_path, tmp_path / "b.jpg"])
    assert [problem.rsplit("/")[-1] for problem in caught.value.problems] == [
        "a.jpg: no such file or folder",
        "b.jpg: no such file or folder",
    ]


def test_a_folder_without_images_is_named(tmp_path):
    with pytest.raises(DataError, match="holds no image"):
        images_in([tmp_path])
