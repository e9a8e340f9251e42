"""The rules for boxes are the same for every format."""

import numpy as np
import pytest

from limbeck.data.parsed import ImageEntry, choose_categories, clip_box
from limbeck.errors import BrokenEntryError, DataError

IMAGE = ImageEntry("a.jpg", (400, 60))


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((1, 2, 3, 4), (1, 2, 3, 4)),
        ((-4, -1, 404, 61), (0, 0, 400, 60)),  # 1 % of 400 pixels, and 1 pixel where 1 % is less
        ((1e-14, 0.0009, 399.9995, 59.9999), (0, 0, 400, 60)),
        ((0.002, 0.01, 399.99, 59.99), (0.002, 0.01, 399.99, 59.99)),
    ],
)
def test_a_box_is_clipped_and_snapped(box, expected):
    assert clip_box(box, box, IMAGE) == tuple(np.array(expected, dtype=np.float32))


@pytest.mark.parametrize(
    ("box", "sentence"),
    [
        ((5, 5, 5, 9), "width or height is not positive"),
        ((5, 9, 9, 5), "width or height is not positive"),
        ((400, 5, 401, 9), "lies outside the image 'a.jpg' of 400 x 60 pixels"),
        ((-4.1, 5, 9, 9), "reaches beyond the image 'a.jpg'"),
        ((5, 5, 9, 61.1), "reaches beyond the image 'a.jpg'"),
        ((5, 5, 1e300, 9), "reaches beyond the image 'a.jpg'"),
        ((5, 5, 5.0009, 9), "is thinner than 0.001 pixels"),
        ((-1, 5, 0.0009, 9), "is thinner than 0.001 pixels"),
        ((0, 16, 9, 16.001), "is thinner than 0.001 pixels"),  # in float32 the lower side lies at 16.0009995
    ],
)
def test_a_box_that_cannot_be_meant_is_refused(box, sentence):
    with pytest.raises(BrokenEntryError) as caught:
        clip_box(box, box, IMAGE)
    assert str(caught.value).startswith(f"has the box {list(box)}, ")
    assert sentence in str(caught.value)


@pytest.mark.parametrize("box", [(399.0, 5.0, 399.0011, 9.0), (1 / 3, 0.1, 0.7, 59.9989)])
def test_a_box_that_is_accepted_has_an_area_in_float32_and_stays_the_same_when_it_is_read_again(box):
    kept = clip_box(box, (), IMAGE)
    assert clip_box(kept, (), IMAGE) == kept == tuple(np.array(kept, dtype=np.float32))
    left, top, right, bottom = np.array(kept, dtype=np.float32)
    assert right > left
    assert bottom > top


def test_categories_are_chosen_by_name_or_taken_in_order_of_their_ids(tmp_path):
    names = {7: "bolt", 3: "wheel"}
    assert choose_categories(names, tmp_path, None) == [3, 7]
    assert choose_categories(names, tmp_path, ["bolt", "wheel"]) == [7, 3]
    with pytest.raises(DataError, match=r"no class is called 'weel' \(did you mean 'wheel'\?\)"):
        choose_categories(names, tmp_path, ["weel"], "class")
