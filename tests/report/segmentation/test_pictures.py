"""Which pictures are shown, and what is drawn on them."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
from PIL import Image, ImageColor

from limbeck.palette import OKABE_ITO
from limbeck.report.segmentation.collect import collect
from limbeck.report.segmentation.pictures import IGNORED, WRONG, Scene, error_map, gallery


def scene(truth: list[list[int]]) -> Scene:
    labels = np.array(truth, np.uint8)
    return Scene("x.png", np.zeros((*labels.shape, 3), np.uint8), labels, labels != 255, ("road", "sky"))


def test_the_worst_images_come_first_and_those_with_nothing_labelled_never(make_run: Any) -> None:
    folder = make_run()
    for role, scores in {
        "teacher": [0.9, 0.9, None, 0.9, 0.5, 0.5],
        "control": [0.9, 0.2, None, 0.2, 0.2, 0.5],
        "student": [0.8, 0.3, None, 0.9, 0.6, 0.5],
    }.items():
        path = folder / role / "evaluation.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"image_IoU": scores}))
    shown = gallery(collect(folder))

    assert [picture.file_name for picture in shown.pictures] == [f"scene {n}.jpg" for n in (1, 0, 3, 4)]
    assert shown.differing == 4


def test_a_picture_has_image_truth_and_all_models_with_their_errors(make_run: Any) -> None:
    run = collect(make_run())
    shown = gallery(run)
    first = shown.pictures[0]

    assert [panel.who for panel in first.panels] == ["image", "truth", "teacher", "control", "student"]
    assert list(first.errors) == ["teacher", "control", "student"]
    assert first.num_bytes == sum(len(p.content) for p in (*first.panels, *first.errors.values()))
    position = int(first.file_name.split()[1].split(".")[0])
    assert f"mIoU {run.models['student'].evaluation.image_IoU[position]:.3f}" in first.panels[4].alt
    assert first.legend[0] == ("road", OKABE_ITO[0])
    assert first.legend[-1] == ("ignored", IGNORED)


def test_without_a_teacher_the_student_is_held_against_the_control(make_run: Any) -> None:
    first = gallery(collect(make_run(teacher=False))).pictures[0]

    assert list(first.errors) == ["control", "student"]
    assert "the control is right and the student wrong" in first.note


def test_an_image_that_is_gone_or_another_one_is_named(make_run: Any) -> None:
    folder = make_run()
    whole = gallery(collect(folder))
    gone, other = (picture.file_name for picture in whole.pictures[:2])
    (folder / "images" / gone).unlink()
    Image.new("RGB", (10, 10)).save(folder / "images" / other)
    shown = gallery(collect(folder))

    assert shown.missing == (gone, other)
    assert len(shown.pictures) == len(whole.pictures) - 2


def test_shares_are_those_of_the_pixels_that_count() -> None:
    found = scene([[0, 1, 255, 255], [0, 1, 0, 1]])
    wrong = np.array([[1, 0, 0, 0], [1, 1, 0, 0]], bool)

    assert found.share(wrong) == 0.5
    assert found.error_map("student", wrong).caption == "50 % wrong"
    assert scene([[255]]).share(np.zeros((1, 1), bool)) == 0


def test_wrong_pixels_are_red_ignored_ones_grey_and_the_rest_is_faded() -> None:
    pixels = np.full((1, 3, 3), 55, np.uint8)
    drawn = error_map(pixels, np.array([[True, False, False]]), np.array([[True, False, True]]))

    assert tuple(drawn[0, 0].tolist()) == ImageColor.getrgb(WRONG)
    assert tuple(drawn[0, 1].tolist()) == ImageColor.getrgb(IGNORED)
    assert drawn[0, 2].tolist() == [205, 205, 205]


def test_a_class_map_is_as_small_as_a_panel() -> None:
    large = Scene(
        "x.png", np.zeros((600, 900, 3), np.uint8), np.zeros((600, 900), np.uint8), np.ones((600, 900), bool), ("road",)
    )
    panel = large.class_map("student", "all road", large.truth)

    assert Image.open(io.BytesIO(panel.content)).size == (420, 280)
    assert panel.alt == "x.png with the classes of the student: all road."
