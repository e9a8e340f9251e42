"""Which images are shown, whatever is drawn on them."""

from __future__ import annotations

from typing import Any

import numpy as np

from limbeck.errors import DataError
from limbeck.report.detection.collect import collect
from limbeck.report.detection.pictures import gallery
from limbeck.report.gallery import MAX_BYTES, MAX_PICTURES, PANEL_SIDE, Panel, Picture, hang, panel_size, worst_first


def test_worst_first_leaves_out_what_all_models_answer_alike() -> None:
    f1 = {
        "teacher": np.array([1.0, 0.5, 1.0, 0.2]),
        "control": np.array([1.0, 0.5, 0.25, 0.2]),
        "student": np.array([0.5, 0.5, 0.0, 0.9]),
    }

    assert worst_first(f1) == [2, 0, 3]
    assert worst_first({role: f1[role] for role in ("control", "student")}) == [0, 2, 3]


def test_an_image_without_anything_to_measure_is_left_out() -> None:
    scores = {"control": np.array([0.5, np.nan, 0.1]), "student": np.array([0.1, np.nan, 0.5])}

    assert worst_first(scores) == [0, 2]


def test_pictures_that_are_gone_are_named(make_run: Any) -> None:
    folder = make_run()
    whole = gallery(collect(folder))
    first = whole.pictures[0].file_name
    (folder / "images" / first).unlink()

    shown = gallery(collect(folder))

    assert shown.missing == (first,)
    assert shown.differing == whole.differing
    assert first not in [picture.file_name for picture in shown.pictures]


def hung(num_bytes: int, refused: int | None = None) -> Any:
    def draw(position: int) -> Picture:
        if position == refused:
            raise DataError("Not this one:", ["refused"])
        return Picture(str(position), (Panel("truth", "", bytes(num_bytes), ""),))

    count = MAX_PICTURES + 3
    return hang(range(count - 1, -1, -1), [f"{number}.png" for number in range(count)], draw)


def test_pictures_hang_in_their_order_until_there_are_enough() -> None:
    shown = hung(10)

    assert [picture.file_name for picture in shown.pictures] == [str(n) for n in range(MAX_PICTURES + 2, 2, -1)]
    assert shown.differing == MAX_PICTURES + 3
    assert shown.missing == ()


def test_pictures_hang_until_the_page_is_full() -> None:
    assert len(hung(MAX_BYTES // 3).pictures) == 3


def test_a_picture_that_cannot_be_drawn_makes_room_for_the_next() -> None:
    shown = hung(10, refused=MAX_PICTURES + 1)

    assert len(shown.pictures) == MAX_PICTURES
    assert shown.missing == (f"{MAX_PICTURES + 1}.png",)


def test_a_panel_keeps_the_sides_of_its_image_and_is_never_enlarged() -> None:
    assert panel_size((840, 420)) == (PANEL_SIDE, PANEL_SIDE // 2)
    assert panel_size((100, 60)) == (100, 60)
    assert panel_size((5000, 1)) == (PANEL_SIDE, 1)
