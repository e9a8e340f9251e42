import pytest
import torch

from limbeck.config import load_config
from limbeck.inference import predict_all
from limbeck.tasks.detection2d import Detection2DTask


@pytest.fixture
def task(make_run, tmp_path):
    return Detection2DTask.load(load_config(make_run(tmp_path / "data")).data)


@pytest.fixture
def talkative(make_detector):
    """A random model that answers something for every image."""
    return make_detector(classes=("square",), postprocess={"score_threshold": 0.0, "nms_iou": 1.0, "max_detections": 5})


def test_every_validation_image_is_answered_once(task, talkative):
    results = predict_all(talkative, task).results
    assert [row["image_id"] for row in results] == [image for image in range(4) for _ in range(5)]


def test_the_model_is_left_in_the_mode_it_was_in(task, talkative):
    for training in (True, False):
        predict_all(talkative.train(training), task)
        assert talkative.training is training


def test_the_model_answers_in_eval_mode_and_without_gradient(task, talkative):
    before = {name: value.clone() for name, value in talkative.state_dict().items()}
    first = predict_all(talkative.train(), task).results
    assert first == predict_all(talkative.eval(), task).results
    assert all(torch.equal(value, before[name]) for name, value in talkative.state_dict().items())
