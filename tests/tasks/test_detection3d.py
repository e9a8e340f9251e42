import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from limbeck.config import load_config
from limbeck.core.outputs import Detections3D
from limbeck.errors import ConfigError, IncompatibleError, RunFolderError
from limbeck.metrics.bootstrap import as_it_is
from limbeck.tasks.detection3d import Detection3DTask
from limbeck.tasks.load import load_task


@pytest.fixture(scope="module")
def run_file(make_cloud_run, tmp_path_factory):
    return make_cloud_run(tmp_path_factory.mktemp("clouds"), test_clouds=2)


@pytest.fixture
def task(run_file):
    return load_task(load_config(run_file))


def with_data(run_file, *overrides):
    return load_task(load_config(run_file, overrides))


def perfect(task, *, shift=0.0, extra=None):
    """The answers of a model that finds every object, moved along x, and perhaps one box more in every cloud."""
    answers = []
    for record in task.val.records:
        boxes = torch.from_numpy(record.boxes.copy())
        boxes[:, 0] += shift
        labels, scores = torch.from_numpy(record.labels), torch.full((len(boxes),), 0.9)
        if extra is not None:
            boxes, labels = torch.cat([boxes, torch.tensor([extra])]), torch.cat([labels, torch.tensor([0])])
            scores = torch.cat([scores, torch.tensor([0.95])])
        answers.append(Detections3D(boxes, scores, labels, torch.zeros(len(boxes), 2)))
    return answers, task.frames["val"]


def tallied(task, **how):
    tally = task.tally(thorough=True)
    tally.add(*perfect(task, **how))
    return tally


def test_the_run_file_says_which_task_it_is(task):
    assert isinstance(task, Detection3DTask)
    assert task.classes == ("car", "pedestrian", "cyclist")
    assert {part: len(frames) for part, frames in task.frames.items()} == {"train": 8, "val": 3, "test": 2}
    assert (task.canvas_wh, task.resize, task.inputs) == (None, None, ("points",))


def test_perfect_answers_score_one(task):
    found = tallied(task).metrics()
    assert {found[name] for name in ("mAP", "AP_3D", "AP_BEV", "mAPH")} == {1.0}
    assert found["mATE"] == pytest.approx(0, abs=1e-6)


def test_answers_that_are_off_score_less(task):
    found = tallied(task, shift=1.5).metrics()
    assert 0 < found["mAP"] < 1
    assert found["mATE"] == pytest.approx(1.5, abs=1e-4)


def test_what_is_found_beyond_the_range_does_not_count(task):
    far, near = ([x, 0.5, -1.0, 4.0, 2.0, 1.5, 0.0] for x in (17.0, 15.0))
    assert tallied(task, extra=far).metrics()["mAP"] == 1.0
    assert tallied(task, extra=near).metrics()["mAP"] < 1.0


def test_objects_that_are_far_or_hardly_hit_are_ignored(run_file, task):
    everything = with_data(run_file, "data.max_range=null", "data.min_points=0")
    shown, counted = (sum((~frame.ignore).sum() for frame in one.truth.frames) for one in (everything, task))
    assert shown > counted > 0
    for frame in task.truth.frames:
        assert np.array_equal(~frame.ignore, (np.hypot(*frame.boxes[:, :2].T) <= 16) & (frame.num_points >= 2))


def test_a_cloud_without_an_answer_has_no_detections(task):
    empty = task.tally()
    assert empty.metrics()["mAP"] == 0
    assert [len(frame.boxes) for frame in empty.found.frames] == [0, 0, 0]


def test_the_counts_give_the_metrics_and_are_read_back(task, tmp_path):
    tally = tallied(task, shift=0.7)
    assert as_it_is(tally.counts)["mAP"] == pytest.approx(tally.metrics()["mAP"])
    tally.write(tmp_path)
    assert as_it_is(task.read_counts(tmp_path)) == as_it_is(tally.counts)
    predictions = json.loads((tmp_path / "predictions.json").read_text())
    assert [entry["id"] for entry in predictions] == [record.id for record in task.val.records]
    assert predictions[0]["boxes"][0] == pytest.approx(perfect(task, shift=0.7)[0][0].boxes[0].tolist())


def test_counts_of_other_clouds_are_refused(task, tmp_path):
    tallied(task).write(tmp_path)
    fewer = replace(task, val=replace(task.val, records=task.val.records[:2]))
    with pytest.raises(RunFolderError, match="does not fit the validation clouds"):
        fewer.read_counts(tmp_path)


def test_scores_have_intervals_and_rows_by_class_and_by_range(task):
    tally = tallied(task, shift=0.7)
    found = tally.scores(100, 0, tally)
    low, high = found["intervals"]["mAP"]
    assert low <= found["metrics"]["mAP"] <= high
    assert set(found["per_class"]) == set(task.classes)
    assert "0-30 m" in found["by_range"]
    assert len(found["pr_curves"]["car"]) == 101


def test_the_truth_lists_the_clouds_with_their_objects(task, tmp_path):
    task.write_truth(tmp_path)
    truth = json.loads((tmp_path / "truth.json").read_text())
    assert truth["classes"] == list(task.classes)
    assert [frame["file_name"] for frame in truth["frames"]] == ["00000.npy", "00001.npy", "00002.npy"]
    assert truth["frames"][0]["boxes"] == task.val.records[0].boxes.tolist()
    assert truth["frames"][0]["ignore"] == task.truth.frames[0].ignore.tolist()


def test_the_test_part_takes_the_place_of_the_validation_part(task):
    test = task.on_test
    assert (len(test.val.records), test.test, test.config.val) == (2, None, task.config.test)
    assert test.on_test is None


def test_a_typical_cloud_has_the_median_number_of_points(task):
    counts = [len(np.load(record.path)) for record in task.val.records]
    assert task.size == (int(np.median(counts)),)


def test_batches_hold_the_points_of_all_clouds(task):
    batch = next(iter(task.train_loader(3, seed=0, workers=0, inputs=("points",))))
    assert batch.counts.sum() == len(batch.points)
    assert batch.points.shape[1] == 4
    assert len(batch) == 3


def test_another_input_is_refused(task):
    with pytest.raises(IncompatibleError, match="the data has"):
        task.val_loader(1, ("image",))


def test_rare_classes_can_be_shown_more_often(task):
    assert task.repeats(1.0).min() >= 1


def test_objects_of_an_unknown_class_cannot_be_pasted(run_file):
    with pytest.raises(ConfigError, match=r"augment\.paste has 'cat'"):
        with_data(run_file, "data.augment.paste={cat: 2}")


def test_labels_are_hashed(run_file, task):
    before = task.hash_annotations()
    assert set(before) == {str(path) for part in ("train", "val", "test") for path in task.annotation_paths(part)}
    assert with_data(run_file).hash_annotations() == before
