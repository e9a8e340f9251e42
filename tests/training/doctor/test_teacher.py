"""Another list of classes, logits in another order, a teacher at chance level."""

import pytest

from limbeck.training.doctor import boxes, class_order, teacher
from limbeck.training.doctor.boxes import typical_boxes


@pytest.fixture
def answers(task, monkeypatch):
    """Return a function that makes the teacher answer with the labelled boxes, under other classes."""

    def answer(swap=False, only=None, shift=0.0):
        numbers = list(task.val.category_ids)
        called = dict(zip(numbers, reversed(numbers) if swap else numbers, strict=True))
        results = [
            {
                "image_id": box.image_id,
                "category_id": called[box.category_id],
                "bbox": [box.bbox_xywh[0] + shift, *box.bbox_xywh[1:]],
                "score": 0.9,
            }
            for box in task.truth.boxes
            if only in (None, box.category_id)
        ]
        tally = task.tally()
        tally.results += results
        monkeypatch.setattr(teacher, "predict_all", lambda *args, **kwargs: tally)
        monkeypatch.setattr(class_order, "MIN_FOUND", 1)

    return answer


@pytest.fixture
def given(run_config, save_teacher):
    return run_config("bckd", checkpoint=save_teacher("wagon", "number"))


def test_a_teacher_with_other_classes(run_config, save_teacher, findings):
    failed = findings(run_config("bckd", checkpoint=save_teacher("wagon", "door")), "fail")
    assert failed == {
        "classes of the teacher": "its classes are ['wagon', 'door'], the data has ['wagon', 'number']; give a teacher "
        "of these classes"
    }


def test_a_teacher_with_other_classes_may_teach_its_features(run_config, save_teacher, findings):
    config = run_config("fitnet", checkpoint=save_teacher("bolt", "nut", "washer"))
    assert findings(config, "fail") == {}
    assert findings(config, "warn")["classes of the teacher"] == (
        "its classes are ['bolt', 'nut', 'washer'], the data has ['wagon', 'number']: its features can teach, but it "
        "cannot be measured"
    )


def test_a_teacher_with_its_classes_in_another_order(run_config, save_teacher, findings):
    failed = findings(run_config("bckd", checkpoint=save_teacher("number", "wagon")), "fail")
    assert failed == {
        "classes of the teacher": "the same as the data's in another order: 0 is 'number' and not 'wagon', 1 is "
        "'wagon' and not 'number'; set data.classes to ['number', 'wagon']"
    }


def test_a_teacher_whose_logits_are_in_another_order(given, answers, findings):
    answers(swap=True)
    assert findings(given, "fail") == {
        "labels of the teacher": "1 of 1 'wagon' are found as 'number', 1 of 1 'number' are found as 'wagon': its "
        "logits are not in the order of its classes; correct the classes in the json beside its weights, probably to "
        "['number', 'wagon']"
    }


def test_a_teacher_whose_labels_are_mostly_wrong(given, answers, task, findings):
    answers(swap=True, only=task.val.category_ids[0])
    assert findings(given, "warn")["labels of the teacher"] == (
        "1 of 1 'wagon' are found as 'number': it mixes them up, or its logits are not in the order of its classes"
    )


def test_a_good_teacher(given, answers, findings):
    answers()
    passed = findings(given, "ok")
    assert passed["classes of the teacher"] == "the same as the data's: ['wagon', 'number']"
    assert passed["labels of the teacher"] == "right for 2 of the 2 objects that it finds"
    assert passed["score of the teacher"] == "AP 1.000, AP50 1.000 on the validation images"
    assert findings(given, "fail") == {}


def test_a_teacher_at_chance_level(given, findings):
    failed = findings(given, "fail")
    assert failed == {
        "score of the teacher": "AP 0.000, AP50 0.000 on the validation images: no better than chance; train it longer "
        "or give another one"
    }


def test_a_teacher_no_better_than_the_typical_box(given, answers, task, monkeypatch, findings):
    answers(shift=5.0)
    assert "score of the teacher" in findings(given, "ok")
    monkeypatch.setattr(boxes, "typical_boxes", lambda of: teacher.predict_all().results)
    text = findings(given, "warn")["score of the teacher"]
    assert "drawn into every image, reaches AP50 1.000" in text


def test_the_typical_box_is_the_median_in_parts_of_the_image(task):
    boxes = typical_boxes(task)
    assert len(boxes) == len(task.val.records) * 2
    wagons = sorted(record.boxes_xyxy[0, 0] for record in task.train.records if record.labels[0] == 0)
    assert {found["bbox"][0] for found in boxes if found["category_id"] == task.val.category_ids[0]} == {wagons[1]}


def test_a_teacher_whose_file_is_missing(run_config, tmp_path, findings):
    failed = findings(run_config("bckd", checkpoint=tmp_path / "none.safetensors"), "fail")
    assert failed.keys() == {"teacher"}
    assert "does not exist" in failed["teacher"]
