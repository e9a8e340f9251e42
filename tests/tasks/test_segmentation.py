import json

import numpy as np
import pytest
import torch
from PIL import Image

from limbeck.config import load_config
from limbeck.core.outputs import Segmentation
from limbeck.core.samples import IGNORED_LABEL
from limbeck.errors import ConfigError, DataError, IncompatibleError, RunFolderError
from limbeck.metrics.segmentation import evaluate
from limbeck.tasks.load import load_task
from limbeck.tasks.segmentation import SegmentationTask


@pytest.fixture
def config(make_mask_run, tmp_path):
    return load_config(make_mask_run(tmp_path / "data", test_images=2))


@pytest.fixture
def task(config):
    return load_task(config)


def with_data(config, **changes):
    return load_task(config.model_copy(update={"data": config.data.model_copy(update=changes)}))


def perfect(task, *, wrong=0):
    """The answers of a model that is right but for the first pixels of the first image."""
    answers = []
    for number, frame in enumerate(task.frames["val"]):
        labels = task.labels(frame).copy()
        labels[labels == IGNORED_LABEL] = 0
        if number == 0:
            labels.flat[:wrong] = 1
        answers.append(Segmentation(torch.from_numpy(labels), torch.ones(labels.shape)))
    return answers, task.frames["val"]


def tallied(task, **how):
    tally = task.tally(thorough=True)
    tally.add(*perfect(task, **how))
    return tally


def test_the_run_file_says_which_task_it_is(task):
    assert isinstance(task, SegmentationTask)
    assert task.classes == ("ground", "square")
    assert {part: len(frames) for part, frames in task.frames.items()} == {"train": 8, "val": 3, "test": 2}


def test_perfect_answers_score_one(task):
    assert set(tallied(task).metrics().values()) == {1.0}


def test_the_metrics_are_those_of_all_images_together_at_the_size_of_the_originals(task):
    tally = tallied(task, wrong=20)
    assert tally.counts.confusion.shape == (3, 2, 2)
    assert tally.counts.confusion.sum() == 3 * 48 * 62  # two columns are ignored
    assert tally.metrics() == evaluate(tally.counts).metrics
    assert 0.99 < tally.metrics()["pixel_accuracy"] < 1


def test_boundaries_are_counted_only_where_they_are_asked_for(task):
    quick = task.tally()
    quick.add(*perfect(task))
    assert "boundary_F" not in quick.metrics()
    assert quick.metrics() == {name: value for name, value in tallied(task).metrics().items() if name != "boundary_F"}


def test_what_is_written_is_read_back_and_is_what_the_report_needs(task, tmp_path):
    tally = tallied(task, wrong=20)
    tally.write(tmp_path)
    task.write_truth(tmp_path)
    counts = task.read_counts(tmp_path)
    assert counts.classes == task.classes
    assert np.array_equal(counts.confusion, tally.counts.confusion)
    assert np.array_equal(counts.boundary, tally.counts.boundary)
    truth = json.loads((tmp_path / "truth.json").read_text())
    assert truth["classes"] == ["ground", "square"]
    assert [image["file_name"] for image in truth["images"]] == ["0.png", "1.png", "2.png"]
    for number, frame in enumerate(task.frames["val"]):
        labels = np.array(Image.open(tmp_path / f"truth/{number:05d}.png"))
        assert np.array_equal(labels, task.labels(frame))
        assert np.array(Image.open(tmp_path / f"predictions/{number:05d}.png")).shape == labels.shape


def test_scores_hold_intervals_classes_and_single_images(task):
    tally = tallied(task, wrong=20)
    scores = tally.scores(50, 0, tally)
    low, high = scores["intervals"]["mIoU"]
    assert low <= scores["metrics"]["mIoU"] <= high
    assert set(scores["intervals"]) >= {"mIoU", "mF", "IoU/square"}
    assert np.array_equal(scores["confusion"], tally.counts.confusion.sum(axis=0))
    assert scores["image_IoU"][1:] == [1.0, 1.0]
    assert scores["image_IoU"][0] < 1
    json.dumps(scores)


def test_counts_of_another_data_set_are_refused(task, config, tmp_path):
    tallied(task).write(tmp_path)
    with pytest.raises(RunFolderError, match=r"counts\.npz does not fit the validation images"):
        task.on_test.read_counts(tmp_path)
    with pytest.raises(RunFolderError, match=r"counts\.npz"):
        task.read_counts(tmp_path / "none")


def test_the_task_on_the_test_part_is_measured_there(task):
    assert [frame.path.parent.parent.name for frame in task.on_test.frames["val"]] == ["test", "test"]
    assert tallied(task.on_test).metrics()["mIoU"] == 1
    assert task.on_test.on_test is None


def test_only_the_inputs_that_are_asked_for_are_loaded(task):
    assert set(next(iter(task.train_loader(2, seed=0, workers=0))).inputs) == {"image"}
    batch = next(iter(task.val_loader(2, inputs=("image", "depth"))))
    assert batch.inputs["depth"].shape == (2, 1, 64, 64)
    assert set(batch.inputs["depth"][:, 0, 4:40].unique().tolist()) == {2.0, 5.0}  # metres
    maps = task.read_maps(task.frames["val"][1], ("depth",))
    assert np.array_equal(maps["depth"], batch.inputs["depth"][1].numpy())
    assert task.read_maps(task.frames["val"][0], ()) == {}


def test_an_input_that_the_data_does_not_have_is_named(task):
    for loader in (task.val_loader, lambda inputs: task.train_loader(2, seed=0, workers=0, inputs=inputs)):
        with pytest.raises(IncompatibleError, match=r"reads the input 'depht' \(did you mean 'depth'\?\)"):
            loader(inputs=("image", "depht"))


def test_classes_are_weighted_and_rare_ones_shown_more_often(config):
    weights = next(iter(with_data(config, class_weights="auto").train_loader(2, seed=0, workers=0))).targets[0]
    assert weights.class_weights[1] > weights.class_weights[0]
    with pytest.raises(ConfigError, match=r"no class is called 'sqare' \(did you mean 'square'\?\)"):
        with_data(config, class_weights={"sqare": 2.0}).train_loader(2, seed=0, workers=0)
    assert len(with_data(config, repeat_threshold=1.0).train_loader(1, seed=0, workers=0)) == 8  # all show all


def test_all_missing_files_are_named(config):
    for part in ("train", "val"):
        (getattr(config.data, part).masks / "0.png").unlink()
    with pytest.raises(DataError, match="there is no mask for it") as caught:
        load_task(config)
    assert len(caught.value.problems) == 2


def test_a_changed_mask_changes_the_hash_of_its_folder(task, config):
    before = task.hash_annotations()
    assert set(map(str, task.annotation_paths("val"))) <= set(before)
    Image.fromarray(np.ones((48, 64), np.uint8)).save(config.data.val.masks / "0.png")
    changed = [path for path, digest in task.hash_annotations().items() if before[path] != digest]
    assert changed == [str(config.data.val.masks)]
    assert load_task(config.model_copy()).annotation_paths("train")
