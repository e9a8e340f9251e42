"""The potholes that ship with limbeck: photographs, disparity and masks that belong together."""

import numpy as np
import pytest
from PIL import Image

from limbeck.demo.run import FOLDER

HOLES = FOLDER / "stereo_pothole"
FRAMES = {part: sorted(path.stem for path in (HOLES / "images" / part).iterdir()) for part in ("train", "val")}


@pytest.mark.parametrize(("part", "count"), [("train", 20), ("val", 8)])
def test_every_photograph_has_its_disparity_and_its_mask(part, count):
    assert len(FRAMES[part]) == count
    for kind in ("tdisp", "masks"):
        assert sorted(path.name for path in (HOLES / kind / part).iterdir()) == [f"{name}.png" for name in FRAMES[part]]
    for name in FRAMES[part]:
        image = Image.open(HOLES / "images" / part / f"{name}.jpg")
        disparity, mask = (np.array(Image.open(HOLES / kind / part / f"{name}.png")) for kind in ("tdisp", "masks"))
        assert image.size == (416, 247)
        assert disparity.shape == mask.shape == (247, 416)
        assert disparity.dtype == np.uint16
        assert (disparity % 64 == 0).all()
        assert np.unique(mask).tolist() == [0, 1]
        hole, road = (np.median(disparity[(mask == label) & (disparity > 0)]) for label in (1, 0))
        assert hole < 0.9 * road, f"{name}: in the mask the road is lower"


def test_no_hole_is_in_both_parts():
    """The source's frames of one hole follow one another; these are the runs of the validation part."""
    val = {*(f"d2_{frame:02d}" for frame in (*range(1, 6), 35, 36)), *(f"d3_{frame:02d}" for frame in range(1, 6))}
    assert set(FRAMES["val"]) <= val
    assert not set(FRAMES["train"]) & val


def test_they_are_small_and_their_licence_is_with_them():
    assert sum(path.stat().st_size for path in HOLES.rglob("*") if path.is_file()) < 4_000_000
    assert (
        (HOLES / "LICENSE.txt")
        .read_text(encoding="utf-8")
        .startswith("MIT License\n\nCopyright (c) 2021 Rui (Ranger) Fan")
    )
    assert "ruirangerfan/stereo_pothole_datasets" in (HOLES / "README.md").read_text(encoding="utf-8")
