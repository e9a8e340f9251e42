"""Confusion matrices as shares, text and colours."""

from __future__ import annotations

import numpy as np

from limbeck.report.segmentation.confusion import HIT, MISTAKE, cells, painted, shares

COUNTS = [[990, 8, 2, 0], [500, 500, 0, 0], [0, 0, 0, 0], [0, 0, 0, 7]]


def test_rows_are_divided_by_their_sums() -> None:
    divided = shares(COUNTS)

    assert divided[0].tolist() == [0.99, 0.008, 0.002, 0]
    assert divided[1].tolist() == [0.5, 0.5, 0, 0]
    assert np.isnan(divided[2]).all()


def test_cells_are_per_cent_with_a_dot_for_almost_none() -> None:
    text = [[cell.text for cell in line] for line in cells(COUNTS)]

    assert text == [["99", "1", "·", ""], ["50", "50", "", ""], ["", "", "", ""], ["", "", "", "100"]]


def test_hits_and_mistakes_have_colours_that_grow_with_their_share() -> None:
    lines = cells(COUNTS)

    assert lines[3][3].colour == "rgb({} {} {})".format(*HIT)
    assert lines[3][3].dark
    assert not lines[0][2].dark
    assert lines[1][0].strength == lines[1][1].strength
    assert lines[1][0].colour != lines[1][1].colour
    assert cells([[0, 5], [0, 5]])[0][1].colour == "rgb({} {} {})".format(*MISTAKE)


def test_an_empty_cell_is_white_when_painted() -> None:
    image = painted(COUNTS)

    assert image.shape == (4, 4, 3)
    assert image[2].min() == 255
    assert tuple(image[3, 3].tolist()) == HIT
