"""Which clouds are shown, and what is drawn on them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageColor

from limbeck.metrics.boxes3d import Found3D, FoundBoxes, TrueBoxes, Truth3D
from limbeck.metrics.counts3d import Counts3D
from limbeck.metrics.detection3d import evaluate
from limbeck.report.detection3d.collect import Detection3DRun, FoundCloud, TrueCloud, collect
from limbeck.report.detection3d.pictures import COLOURS, SIDE, UNSURE, best_score, gallery, judge, tally
from limbeck.report.gallery import Gallery

CLASSES = ("car", "pedestrian")


def box(x: float, y: float) -> list[float]:
    return [x, y, 0, 4, 2, 1.5, 0.1]


TRUTH = [
    TrueCloud("a", "a.npy", [box(10, 0), box(20, 5), box(30, -5)], [0, 0, 1], [False, False, False]),
    TrueCloud("b", "b.npy", [box(10, 0), box(40, 0)], [0, 1], [False, True]),
    TrueCloud("c", "c.npy", [], [], []),
]
FOUND = [
    FoundCloud("a", [box(10, 1), box(20, 8), box(30, -5), box(10, -1)], [0.9, 0.8, 0.7, 0.6], [0, 0, 0, 0]),
    FoundCloud("b", [box(40, 1), box(10, 0)], [0.5, 0.2], [1, 0]),
    FoundCloud("c", [], [], []),
]
"""A hit, one that is 3 m off, one of another class, a second hit on the first object; an ignored one, a late hit."""


def counted(found: list[FoundCloud]) -> Counts3D:
    truth = [
        TrueBoxes(
            np.array(cloud.boxes).reshape(-1, 7),
            np.array(cloud.labels, np.int64),
            np.array(cloud.ignore, np.bool_),
            np.zeros(len(cloud.boxes), np.int64),
            np.full(len(cloud.boxes), 10),
        )
        for cloud in TRUTH
    ]
    boxes = [
        FoundBoxes(np.array(cloud.boxes).reshape(-1, 7), np.array(cloud.scores), np.array(cloud.labels, np.int64))
        for cloud in found
    ]
    return evaluate(Truth3D(CLASSES, ("a", "b", "c"), tuple(truth)), Found3D(tuple(boxes))).counts


def test_tally_by_hand() -> None:
    found = tally(counted(FOUND), 0.3)

    assert found.hits.tolist() == [1, 0, 0]
    assert found.false_alarms.tolist() == [3, 0, 0]
    assert found.missed.tolist() == [2, 1, 0]
    assert tally(counted(FOUND), 0.2).hits.tolist() == [1, 1, 0]


def test_the_best_score_is_that_of_the_highest_f1() -> None:
    """Down to 0.9: 2 / (1 + 4). Down to 0.2: 4 / (5 + 4), though with more false alarms."""
    assert best_score(counted(FOUND)) == 0.2
    surer = [FOUND[0], FoundCloud("b", [box(10, 0)], [0.05], [0]), FOUND[2]]
    more = [*surer[:2], FoundCloud("c", [box(5, 5)] * 6, [0.1] * 6, [0] * 6)]
    assert best_score(counted(surer)) == 0.05
    assert best_score(counted(more)) == 0.9


def test_detections_of_one_score_are_taken_together() -> None:
    same = [FoundCloud("a", [box(10, 0)], [0.5], [0]), FOUND[1], FoundCloud("c", [box(5, 5)] * 9, [0.5] * 9, [0] * 9)]
    assert best_score(counted(same)) == 0.2, "at 0.5 there are nine false alarms too"


def test_without_a_hit_there_is_no_best_score() -> None:
    assert best_score(counted([FoundCloud(cloud.id, [], [], []) for cloud in TRUTH])) == UNSURE
    assert best_score(counted([FoundCloud("a", [box(0, 20)], [0.9], [0]), *FOUND[2:], FOUND[2]])) == UNSURE


@pytest.mark.parametrize("least", [0.05, 0.3, 0.65, 0.95])
def test_a_single_cloud_is_judged_as_all_are(least: float) -> None:
    of_all = tally(counted(FOUND), least)
    for position, (truth, found) in enumerate(zip(TRUTH, FOUND, strict=True)):
        judged = judge(truth, found, CLASSES, least)
        assert (judged.owners >= 0).sum() == judged.found.sum() == of_all.hits[position]
        assert (judged.owners == -1).sum() == of_all.false_alarms[position]
        assert judged.missed.sum() == of_all.missed[position]


def test_boxes_are_coloured_by_what_became_of_them() -> None:
    colours = {layer.colour: len(layer.boxes) for layer in judge(TRUTH[0], FOUND[0], CLASSES, 0.3).layers()}
    assert colours == {
        COLOURS["hit"]: 1,
        COLOURS["true box of a hit"]: 1,
        COLOURS["missed"]: 2,
        COLOURS["false alarm"]: 3,
        COLOURS["ignored"]: 0,
    }
    layers = judge(TRUTH[1], FOUND[1], CLASSES, 0.3).layers()
    assert [len(layer.boxes) for layer in layers if layer.colour == COLOURS["ignored"]] == [1, 1]


def test_mistakes_are_said_class_by_class() -> None:
    judged = judge(TRUTH[0], FOUND[0], CLASSES, 0.3)
    assert judged.mistakes() == "missed: car 1, pedestrian 1; false alarms: car 3"
    assert judge(TRUTH[2], FOUND[2], CLASSES, 0.3).mistakes() == ""
    alone = TrueCloud("a", "a.npy", [box(10, 0)], [0], [False])
    assert judge(alone, FOUND[2], ("car",), 0.3).mistakes() == "", "the caption says it all"


def shown(run: Detection3DRun) -> Gallery:
    return gallery(run, {role: best_score(model.counts) for role, model in run.models.items()})


def test_all_models_are_shown_in_one_view(make_run: Any) -> None:
    first = shown(collect(make_run())).pictures[0]

    assert [panel.who for panel in first.panels] == ["teacher", "control", "student"]
    images = [Image.open(io.BytesIO(panel.content)).convert("RGB") for panel in first.panels]
    assert len({image.size for image in images}) == 1
    assert max(images[0].size) == SIDE
    assert "found by the teacher and missed by the student" in first.note
    assert "from above with the boxes of the control: " in first.panels[1].alt


def test_the_colours_of_mistakes_are_not_lost(make_run: Any) -> None:
    for picture in shown(collect(make_run())).pictures:
        for panel in picture.panels:
            pixels = np.asarray(Image.open(io.BytesIO(panel.content)).convert("RGB"))
            for name in ("missed", "false alarm"):
                there = (pixels == ImageColor.getrgb(COLOURS[name])).all(axis=-1).any()
                said = {"missed": "missed: ", "false alarm": "false alarms: "}[name] in panel.caption
                assert there == said, (panel.alt, name)


def test_the_worst_clouds_come_first(make_run: Any) -> None:
    run = collect(make_run())
    least = {role: best_score(model.counts) for role, model in run.models.items()}
    f1 = {role: tally(model.counts, least[role]).f1 for role, model in run.models.items()}
    behind = (f1["teacher"] - f1["student"]).tolist()
    places = [int(picture.file_name.split(".")[0]) for picture in shown(run).pictures]

    assert len(places) > 2
    assert [behind[place] for place in places] == sorted((behind[place] for place in places), reverse=True)


def test_without_a_teacher_the_student_is_held_against_the_control(make_run: Any) -> None:
    first = shown(collect(make_run(teacher=False))).pictures[0]

    assert [panel.who for panel in first.panels] == ["control", "student"]
    assert "found by the control and missed by the student" in first.note


def test_a_cloud_that_is_gone_is_named(make_run: Any) -> None:
    folder = make_run()
    whole = shown(collect(folder))
    first = whole.pictures[0].file_name
    (folder / "data/val/clouds" / first).unlink()
    again = shown(collect(folder))

    assert again.missing == (first,)
    assert len(again.pictures) == len(whole.pictures) - 1
