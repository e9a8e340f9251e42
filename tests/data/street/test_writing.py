import json

import numpy as np
import pytest
from PIL import Image

from limbeck.data.mask_config import MaskDataConfig
from limbeck.data.scene_parts import PART_NUMBERS
from limbeck.data.street.config import CLASSES, StreetConfig
from limbeck.data.street.scenes import render_scene
from limbeck.data.street.writing import COLOURS, write_street_scenes
from limbeck.errors import DataError

SMALL = StreetConfig(width=96, height=64, holes=0.05)


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes") / "streets"
    return folder, write_street_scenes(folder, {"train": 3, "val": 2}, seed=4, config=SMALL)


def test_what_is_read_back_is_what_was_rendered(written):
    folder, _ = written
    for part, count in (("train", 3), ("val", 2)):
        assert len(list((folder / "images" / part).iterdir())) == count
        for place in range(count):
            scene = render_scene((4, PART_NUMBERS[part], place), SMALL)
            read = [
                np.array(Image.open(folder / kind / part / f"{place:04d}{ending}"))
                for kind, ending in (("images", ".jpg"), ("depth", ".png"), ("masks", ".png"))
            ]
            assert np.abs(read[0].astype(int) - scene.image).mean() < 6
            assert read[1].dtype == np.uint16
            assert np.abs(read[1] / 1000 - scene.depth).max() <= 0.00051
            assert np.array_equal(read[1] == 0, scene.depth == 0)
            assert np.array_equal(read[2], scene.labels)


def test_the_settings_are_those_of_data_with_masks(written):
    _, settings = written
    config = MaskDataConfig.model_validate(settings)
    assert config.classes == CLASSES
    assert config.size == (96, 64)
    assert config.x["depth"].unit == "mm"
    assert config.x["depth"].camera == SMALL.camera
    for part in config.parts.values():
        assert all(path.is_dir() for path in (part.images, part.masks, part.x["depth"]))


def test_what_they_were_made_from_is_beside_them(written):
    folder, _ = written
    made_from = json.loads((folder / "scenes.json").read_text())
    assert (made_from["seed"], made_from["scenes"]) == (4, {"train": 3, "val": 2})
    assert StreetConfig(**made_from["config"]) == SMALL
    assert json.loads((folder / "camera.json").read_text()) == SMALL.camera.model_dump()


def test_a_mask_has_a_colour_for_each_class(written):
    assert len(COLOURS) == len(CLASSES)
    with Image.open(written[0] / "masks/train/0000.png") as mask:
        assert mask.mode == "P"
        shown = np.array(mask.convert("RGB"))
        assert np.array_equal(shown, COLOURS[np.array(mask)])


def test_more_scenes_leave_the_first_ones_as_they_are(written, tmp_path):
    folder, _ = written
    write_street_scenes(tmp_path / "more", {"train": 4, "val": 1}, seed=4, config=SMALL)
    before, after = files(folder), files(tmp_path / "more")
    both = {name for name in before.keys() & after.keys() if not name.endswith(".json")}
    assert len(both) == 3 * (3 + 1)
    assert all(before[name] == after[name] for name in both)
    write_street_scenes(tmp_path / "other", {"train": 1, "val": 1}, seed=5, config=SMALL)
    assert files(tmp_path / "other")["masks/train/0000.png"] != before["masks/train/0000.png"]
    assert before["masks/val/0000.png"] != before["masks/train/0000.png"]


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="is there already and not an empty folder"):
        write_street_scenes(tmp_path, {"train": 1, "val": 1}, config=SMALL)
    assert files(tmp_path) == {"mine.txt": b"mine"}


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="not a directory"):
        write_street_scenes(tmp_path / "file" / "streets", {"train": 1, "val": 1}, config=SMALL)
