"""Copies are found among photographs of one camera, and different photographs are told apart."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from limbeck.data.duplicates import (
    MIN_LIKENESS,
    Pair,
    Thumbnails,
    draw_images,
    group_pairs,
    identical_images,
    near_duplicates,
    shared_images,
)
from limbeck.data.likeness import SIDE
from limbeck.errors import DataError

EMPTY = Thumbnails((), np.empty((0, SIDE, SIDE), np.uint8))


@pytest.fixture(scope="module")
def photographs(repo: Path) -> list[Path]:
    """All frames of a video of freight wagons, taken by one camera that does not move."""
    return sorted((repo / "src/limbeck/demo/railway_wagons/images").glob("*.jpg"))


@pytest.fixture(scope="module")
def train(photographs: list[Path]) -> Thumbnails:
    return Thumbnails.read(photographs[:60])


def cropped(image: Image.Image) -> Image.Image:
    width, height = image.size
    return image.crop((0, round(0.01 * height), round(0.97 * width), round(0.98 * height)))


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "encoded": lambda image: image,
    "half": lambda image: image.resize((image.width // 2, image.height // 2)),
    "stretched": lambda image: image.resize((500, 300)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.8),
    "cropped": cropped,
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "grey": lambda image: image.convert("L"),
}


@pytest.mark.parametrize("kind", COPIES)
def test_copies_are_found_and_named(kind: str, photographs: list[Path], train: Thumbnails, tmp_path: Path) -> None:
    originals = photographs[2:60:12]
    for path in originals:
        with Image.open(path) as image:
            COPIES[kind](image).save(tmp_path / path.name, quality=40)
    val = Thumbnails.read([*sorted(tmp_path.iterdir()), *photographs[-5:]])
    pairs = near_duplicates(train, val)
    assert sorted(pair.train for pair in pairs) == originals
    for pair in pairs:
        assert pair.val == tmp_path / pair.train.name
        assert pair.mirrored == (kind == "mirrored")
        assert MIN_LIKENESS <= pair.likeness <= 1
    assert [pair.likeness for pair in pairs] == sorted((pair.likeness for pair in pairs), reverse=True)


def test_different_photographs_of_one_camera_are_no_duplicates(photographs: list[Path], train: Thumbnails) -> None:
    assert near_duplicates(train, Thumbnails.read(photographs[60:])) == []


def test_an_image_in_both_parts_is_its_own_duplicate(photographs: list[Path], train: Thumbnails) -> None:
    (pair,) = near_duplicates(train, Thumbnails.read(photographs[7:8]))
    assert pair == Pair(photographs[7], photographs[7], pytest.approx(1, abs=1e-4), mirrored=False)
    (group,) = identical_images(train, Thumbnails.read(photographs[7:8]))
    assert group.train == group.val == (photographs[7],)


def test_parts_without_images() -> None:
    one = Thumbnails((Path("a"),), np.zeros((1, SIDE, SIDE), np.uint8))
    for train, val in ((EMPTY, EMPTY), (EMPTY, one), (one, EMPTY)):
        assert near_duplicates(train, val) == []
        assert identical_images(train, val) == []


def test_pairs_are_found_across_blocks() -> None:
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (300, SIDE // 8, SIDE // 8), dtype=np.uint8)
    grey = coarse.repeat(8, axis=1).repeat(8, axis=2)
    order = generator.permutation(300)
    train = Thumbnails(tuple(Path(f"t{row}") for row in range(300)), grey)
    val = Thumbnails(tuple(Path(f"v{row}") for row in range(300)), grey[order])
    pairs = near_duplicates(train, val)
    assert {(pair.train.name, pair.val.name) for pair in pairs} == {(f"t{order[row]}", f"v{row}") for row in range(300)}


def test_frames_of_one_video_make_one_group(photographs: list[Path], tmp_path: Path) -> None:
    frames = []
    for scene, path in enumerate(photographs[:30:15]):
        with Image.open(path) as image:
            for step in range(6):
                frames.append(tmp_path / f"{scene}-{step}.png")
                image.crop((6 * step, 0, 520 + 6 * step, 500)).save(frames[-1])
    pairs = near_duplicates(Thumbnails.read(frames[::2]), Thumbnails.read(frames[1::2]))
    groups = group_pairs(pairs)
    scenes = [{pair.val.name[0] for pair in group} | {pair.train.name[0] for pair in group} for group in groups]
    assert sorted(scenes, key=min) == [{"0"}, {"1"}]
    assert {pair.val for pair in pairs} == set(frames[1::2])


def test_groups_hang_together_by_any_image_they_share() -> None:
    def pair(train: str, val: str) -> Pair:
        return Pair(Path(train), Path(val), 0.95, mirrored=False)

    pairs = [pair("a", "1"), pair("c", "3"), pair("b", "2"), pair("b", "1"), pair("1", "4")]
    groups = group_pairs(pairs)
    assert groups == [[pairs[0], pairs[2], pairs[3]], [pairs[1]], [pairs[4]]]  # the name 1 in both parts is no link
    assert group_pairs([]) == []


def test_identical_images_are_those_with_the_same_pixels(photographs: list[Path], tmp_path: Path) -> None:
    with Image.open(photographs[0]) as image:
        image.save(tmp_path / "a.png")
        image.save(tmp_path / "b.png", compress_level=1)
        image.putpixel((3, 3), (255, 0, 255))
        image.save(tmp_path / "other.png")
    for name in ("c.png", "d.png"):
        Image.new("RGB", (64, 48)).save(tmp_path / name)
    Image.new("RGB", (48, 64)).save(tmp_path / "turned.png")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()
    train = Thumbnails.read([tmp_path / name for name in ("a.png", "c.png", "b.png", "turned.png")])
    val = Thumbnails.read([tmp_path / name for name in ("d.png", "other.png")])
    inside, across = identical_images(train, val)
    assert (inside.train, inside.val) == ((tmp_path / "a.png", tmp_path / "b.png"), ())
    assert (across.train, across.val) == ((tmp_path / "c.png",), (tmp_path / "d.png",))


def test_what_two_parts_share_is_told_once(photographs: list[Path], tmp_path: Path) -> None:
    same, nearly = tmp_path / "same.png", tmp_path / "nearly.jpg"
    shutil.copy(photographs[0], same)
    with Image.open(photographs[1]) as image:
        image.convert("RGB").save(nearly, quality=60)
    shared = shared_images(Thumbnails.read(photographs[:5]), Thumbnails.read([same, nearly, photographs[7]]))
    assert [(group.train, group.val) for group in shared.identical] == [((photographs[0],), (same,))]
    assert shared.leaked == {same: photographs[0]}
    assert [(pair.train, pair.val) for pair in shared.near] == [(photographs[1], nearly)]


def test_thumbnails_of_any_image_and_of_none(tmp_path: Path) -> None:
    Image.new("I;16", (9, 700), 65535).save(tmp_path / "deep.png")
    Image.new("CMYK", (500, 400)).save(tmp_path / "print.jpg")
    read = Thumbnails.read(iter([tmp_path / "deep.png", tmp_path / "print.jpg"]))
    assert read.grey.shape == (2, SIDE, SIDE)
    assert read.grey[:, 5, 5].tolist() == [255, 255]
    (tmp_path / "text.jpg").write_text("no image")
    with pytest.raises(DataError, match=r"text\.jpg: not an image"):
        Thumbnails.read([tmp_path / "text.jpg"])


def test_a_truncated_image_is_refused(photographs: list[Path], tmp_path: Path) -> None:
    (tmp_path / "half.jpg").write_bytes(photographs[0].read_bytes()[:9000])
    with pytest.raises(DataError, match=r"half\.jpg"):
        Thumbnails.read([tmp_path / "half.jpg"])


def test_images_are_drawn_by_the_seed() -> None:
    paths = [Path(str(number)) for number in range(50)]
    assert draw_images(paths, 50) == paths
    drawn = draw_images(paths, 10, seed=1)
    assert drawn == draw_images(paths, 10, seed=1) != draw_images(paths, 10, seed=2)
    assert drawn == [path for path in paths if path in set(drawn)]
    assert len(set(drawn)) == 10


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("weld_defects", [("105_JPG.jpg", "207_JPG.jpg", True)]),
        ("bccd", [("BloodImage_00038.jpg", "BloodImage_00037.jpg", False)]),
    ],
)
def test_leaks_of_real_data_sets(repo: Path, data: str, expected: list[tuple[str, str, bool]]) -> None:
    folder = repo.parent / "shared" / "data" / data
    if not folder.is_dir():
        pytest.skip("needs the data sets beside the checkout")
    parts = []
    for part in ("train", "val"):
        content = json.loads((folder / f"annotations/instances_{part}.json").read_text())
        parts.append(Thumbnails.read(folder / "images" / image["file_name"] for image in content["images"]))
    pairs = near_duplicates(*parts)
    assert [(pair.train.name, pair.val.name, pair.mirrored) for pair in pairs] == expected
