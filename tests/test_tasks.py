import pytest
import torch

from limbeck.config import load_config
from limbeck.core.outputs import Detections2D
from limbeck.core.samples import Frame
from limbeck.errors import DataError
from limbeck.tasks import Detection2DTask


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


def test_perfect_answers_score_one(task):
    assert task.evaluate(task.results(*perfect(task))).metrics["AP"] == pytest.approx(1)


def test_no_answers_score_zero(task):
    assert task.evaluate([]).metrics["AP"] == 0


def test_results_carry_the_ids_of_the_file(task):
    rows = task.results(*perfect(task))
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


def test_all_missing_files_are_named(data):
    data.train.annotations.unlink()
    data.val.annotations.unlink()
    with pytest.raises(DataError, match="no such file") as caught:
        Detection2DTask.load(data)
    assert len(caught.value.problems) == 2
