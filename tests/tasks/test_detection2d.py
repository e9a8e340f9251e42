import json
from collections import Counter

import pytest
import torch

from limbeck.config import load_config
from limbeck.core.outputs import Detections2D
from limbeck.core.samples import Frame
from limbeck.errors import ConfigError, DataError
from limbeck.metrics.coco import CocoTruth
from limbeck.tasks.detection2d import Detection2DTask


@pytest.fixture
def data(make_run, tmp_path):
    return load_config(make_run(tmp_path / "data")).data


@pytest.fixture
def task(data):
    return Detection2DTask.load(data)


def perfect(task):
    """The answers of a model that is always right."""
    detections, frames = [], []
    for record in task.val.records:
        boxes = torch.from_numpy(record.boxes_xyxy)
        detections.append(Detections2D(boxes, torch.ones(len(boxes)), torch.from_numpy(record.labels)))
        frames.append(Frame(record.id, record.path, None))
    return detections, frames


def tallied(task):
    """The tally of such a model."""
    tally = task.tally()
    tally.add(*perfect(task))
    return tally


def test_perfect_answers_score_one(task):
    assert tallied(task).metrics()["AP"] == pytest.approx(1)


def test_the_truth_is_that_of_the_annotation_file_masks_included(data, task):
    content = json.loads(data.val.annotations.read_text())
    for annotation in content["annotations"]:
        annotation["area"] = 0.5 * annotation["bbox"][2] * annotation["bbox"][3]
    data.val.annotations.write_text(json.dumps(content))
    assert Detection2DTask.load(data).truth.boxes == CocoTruth.from_json(content).boxes != task.truth.boxes


def test_no_answers_score_zero(task):
    assert task.tally().metrics()["AP"] == 0


def test_results_carry_the_ids_of_the_file(task):
    rows = tallied(task).results
    assert [row["image_id"] for row in rows] == [record.id for record in task.val.records]
    assert {row["category_id"] for row in rows} == {1}
    x1, y1, x2, y2 = task.val.records[0].boxes_xyxy[0]
    assert rows[0]["bbox"] == pytest.approx([x1, y1, x2 - x1, y2 - y1])


def test_training_is_augmented_and_shuffled_and_validation_is_neither(task):
    trained = [batch.images for batch in task.train_loader(4, seed=0, workers=0)]
    again = [batch.images for batch in task.train_loader(4, seed=1, workers=0)]
    assert not torch.equal(torch.cat(trained), torch.cat(again))
    once, twice = ([batch for batch in task.val_loader(batch_size=3)] for _ in range(2))
    assert [len(batch) for batch in once] == [3, 1]
    assert all(torch.equal(a.images, b.images) for a, b in zip(once, twice, strict=True))


def test_rare_classes_and_sizes_reach_the_training_and_no_other(data):
    changed = {"repeat_threshold": 1.0, "class_weights": {"square": 2.5}, "scales": (0.5, 1.5)}
    task = Detection2DTask.load(data.model_copy(update=changed))
    loader = task.train_loader(2, seed=0, workers=0)
    batches = [batch for epoch in range(4) for batch in (loader.set_epoch(epoch), *loader)[1:]]
    weights = torch.cat([target.weights for batch in batches for target in batch.targets])
    assert len(weights) > 0
    assert (weights == 2.5).all()
    shapes = {(batch.images.shape[3], batch.images.shape[2]) for batch in batches}
    assert len(shapes) > 1
    assert shapes <= set(task.config.canvases)
    for batch in task.val_loader():
        assert batch.images.shape[2:] == (data.size[1], data.size[0])
        assert all(target.weights is None for target in batch.targets)
    plain = Detection2DTask.load(data).train_loader(2, seed=0, workers=0)
    assert all(target.weights is None for batch in plain for target in batch.targets)


def test_images_of_rare_classes_make_the_epoch_longer(data):
    content = json.loads(data.train.annotations.read_text())
    content["annotations"] = content["annotations"][:2]  # two of eight images show something
    data.train.annotations.write_text(json.dumps(content))
    task = Detection2DTask.load(data.model_copy(update={"repeat_threshold": 1.0}))
    loader = task.train_loader(1, seed=0, workers=0)
    found = Counter(batch.frames[0].id for batch in loader)
    assert len(loader) == sum(found.values()) == 6 + 2 * 2
    assert [found[record.id] for record in task.train.records] == [2, 2, 1, 1, 1, 1, 1, 1]


def test_a_weight_for_a_class_that_is_not_there_is_refused(data):
    task = Detection2DTask.load(data.model_copy(update={"class_weights": {"sqare": 2.0}}))
    with pytest.raises(ConfigError, match=r"no class is called 'sqare' \(did you mean 'square'\?\)"):
        task.train_loader(2, seed=0, workers=0)


def test_all_missing_files_are_named(data):
    data.train.annotations.unlink()
    data.val.annotations.unlink()
    with pytest.raises(DataError, match="no such file") as caught:
        Detection2DTask.load(data)
    assert len(caught.value.problems) == 2


def test_the_task_on_the_test_part_is_measured_there(make_run, tmp_path):
    data = load_config(make_run(tmp_path / "more", test_images=5)).data
    task = Detection2DTask.load(data)
    on_test = task.on_test
    assert (
        [record.id for record in on_test.val.records] == [record.id for record in task.test.records] == list(range(5))
    )
    assert len(on_test.truth.boxes) == 4
    assert tallied(on_test).metrics()["AP"] == pytest.approx(1)
    assert on_test.train == task.train
    assert on_test.on_test is None
    images = {batch.frames[0].path for batch in task.train_loader(1, seed=0, workers=0)}
    assert not images & {record.path for record in task.test.records}


def test_without_a_test_part_there_is_no_task_on_it(task):
    assert task.test is None
    assert task.on_test is None
