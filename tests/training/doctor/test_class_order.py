"""Labels in another order are told from a teacher that is weak, mixed up, or right."""

import numpy as np
import pytest

from limbeck.metrics.coco import CocoTruth, TruthBox, TruthImage
from limbeck.training.doctor.class_order import label_counts, likely_order, wrong_labels

CATEGORIES = ((7, "wagon"), (3, "number"), (9, "door"))


def box(category, left, crowd=False, image=1):
    return TruthBox(image, category, (left, 0, 10, 10), 100, crowd)


def result(category, left, score, image=1):
    return {"image_id": image, "category_id": category, "bbox": [left, 0.0, 10.0, 10.0], "score": score}


def test_an_object_bears_the_label_of_its_best_detection():
    truth = CocoTruth(
        (TruthImage(1, "1.png", (99, 99)), TruthImage(2, "2.png", (99, 99))),
        CATEGORIES,
        (box(7, 0), box(7, 30), box(3, 60), box(9, 80, crowd=True), box(9, 0, image=2)),
    )
    results = [
        result(3, 0, 0.4),
        result(9, 2, 0.6),  # overlaps less and is surer
        result(7, 36, 0.9),  # IoU 0.25
        result(3, 60, 0.1),
        result(9, 80, 0.9),
        result(7, 0, 0.9, image=2),
    ]
    assert label_counts(truth, results).tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
    assert not label_counts(truth, []).any()


@pytest.mark.parametrize(
    ("counts", "wrong"),
    [
        ([[0, 20, 0], [20, 0, 0], [0, 0, 20]], {0: 1, 1: 0}),
        ([[3, 17, 0], [20, 0, 5], [2, 0, 18]], {0: 1, 1: 0}),  # swapped, and not a perfect teacher
        ([[0, 20, 0], [0, 0, 20], [20, 0, 0]], {0: 1, 1: 2, 2: 0}),
        ([[0, 20, 0], [0, 0, 20], [1, 1, 1]], {0: 1, 1: 2}),  # shifted by one, and a class that is rare
        ([[20, 0, 0], [0, 20, 0], [0, 0, 20]], {}),
        ([[0, 4, 0], [4, 0, 0], [0, 0, 20]], {}),  # too few to say
        ([[0, 20, 0], [0, 20, 0], [0, 0, 20]], {}),  # it calls both the same
        ([[0, 20, 0], [0, 0, 0], [0, 0, 20]], {}),  # one class alone
        ([[9, 11, 0], [11, 9, 0], [0, 0, 20]], {}),  # it does not know
    ],
)
def test_wrong_labels(counts, wrong):
    assert wrong_labels(np.array(counts)) == wrong


def test_labels_by_chance_are_hardly_ever_an_order():
    generator = np.random.default_rng(0)
    counts = [generator.multinomial(12, [1 / 3] * 3, size=3) for _ in range(300)]
    assert sum(bool(wrong_labels(count)) for count in counts) <= 3


def test_the_order_of_the_logits():
    classes = ("wagon", "number", "door")
    assert likely_order(classes, {0: 1, 1: 2, 2: 0}) == ["door", "wagon", "number"]
    assert likely_order(classes, {0: 1, 1: 2}) is None
