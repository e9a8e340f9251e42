"""A data set goes from format to format and stays the same, bit for bit, or is not written at all."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from limbeck.data.config import DataConfig, SplitConfig
from limbeck.data.convert import convert, differences, read_part, read_parts
from limbeck.data.readers import read_all_parts
from limbeck.errors import DataError

SHARED = Path(__file__).parents[2] / ".." / "shared" / "data"
SIZES = {"a.png": (80, 60), "d e.png": (641, 3), "sub/ü.png": (1920, 1080), "sub/x/c.png": (1, 7000)}
NAMES = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), min_size=1).filter(
    lambda name: name == name.strip()
)


def through(part, formats, folder, **options):
    """Take a part through formats, one after the other."""
    for number, format in enumerate(formats):
        done = convert([part], format, folder / str(number), **options)
        split = SplitConfig.model_validate(done.settings[part.name])
        names = done.settings.get("names")
        part = read_part(part.name, split, format, done.settings.get("classes"), names=names and Path(names))
    return part


def content_of(part):
    """All that must stay, to the bit."""
    rows = [
        (name, record.size_wh, record.boxes_xyxy.tobytes(), record.labels.tolist(), record.ignore.tolist())
        for name, record in part.named()
    ]
    return part.data.classes, rows


@pytest.fixture
def part(coco):
    coco.annotations[0]["iscrowd"] = 1
    return read_part("train", coco.write(), "coco")


@pytest.fixture
def plain(coco):
    return read_part("train", coco.split, "coco")


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Images of very different sizes."""
    folder = tmp_path_factory.mktemp("pool")
    for name, size in SIZES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("1", size).save(folder / name)
    return folder


def side(length):
    """A start and a length along one side, with the noise of fractions and sides that end on the edge among them."""
    inside = st.floats(0, length)
    noise = st.sampled_from([0.0, 5e-324, 1.8e-14, 0.0009, 0.001, 0.0011, length / 3])
    return st.tuples(inside | noise, st.floats(0, length) | st.just(length))


@st.composite
def coco_content(draw, ignore):
    names = draw(st.permutations(list(SIZES)).flatmap(lambda all: st.integers(1, len(all)).map(lambda n: all[:n])))
    classes = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    images, annotations = [], []
    for name in names:
        width, height = SIZES[name]
        images.append({"id": len(images), "file_name": name, "width": width, "height": height})
        for (x, w), (y, h) in draw(st.lists(st.tuples(side(width), side(height)), max_size=5)):
            entry = {"id": len(annotations), "image_id": len(images) - 1, "bbox": [x, y, w, h]}
            entry |= {"category_id": draw(st.integers(1, len(classes))), "iscrowd": draw(ignore)}
            annotations.append(entry)
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, start=1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def check_round_trip(pool, content, formats):
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "boxes.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        split = SplitConfig(images=pool, annotations=path)
        part = read_part("train", split, "coco", on_broken="skip")
        rows = [[*box, label] for r in part.data.records for box, label in zip(r.boxes_xyxy, r.labels, strict=True)]
        assume(len(np.unique(rows, axis=0)) == len(rows) if rows else True)
        assert content_of(through(part, formats, Path(name), files="none")) == content_of(part)


@settings(max_examples=30)
@given(coco_content(st.integers(0, 1)), st.lists(st.sampled_from(["coco", "voc"]), min_size=1, max_size=3))
def test_coco_and_voc_keep_everything(pool, content, formats):
    check_round_trip(pool, content, [*formats, "coco"])


@settings(max_examples=40)
@given(coco_content(st.just(0)), st.lists(st.sampled_from(["coco", "voc", "yolo"]), min_size=1, max_size=3))
def test_yolo_keeps_everything_but_ignore_regions(pool, content, formats):
    check_round_trip(pool, content, ["yolo", *formats, "coco"])


@pytest.mark.parametrize("files", ["copy", "link", "none"])
@pytest.mark.parametrize("formats", [["voc", "coco"], ["yolo", "coco"], ["voc", "yolo", "voc"], ["coco", "coco"]])
def test_images_come_along_or_stay(plain, tmp_path, formats, files):
    after = through(plain, formats, tmp_path / "out", files=files)
    assert content_of(after) == content_of(plain)
    images = [record.path for record in after.data.records]
    assert all(image.is_symlink() == (files == "link") for image in images)
    assert all(image.is_relative_to(tmp_path / "out") == (files != "none") for image in images)
    sources = [record.path.read_bytes() for record in plain.data.records]
    assert [image.read_bytes() for image in images] == sources


def test_the_layout_is_the_one_that_tools_of_the_format_expect(plain, tmp_path):
    for format in ("coco", "voc", "yolo"):
        convert([plain], format, tmp_path / "out" / format)
    out = tmp_path / "out"
    there = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert there >= {
        "coco/images/train/1.jpg",
        "coco/annotations/instances_train.json",
        "voc/JPEGImages/1.jpg",
        "voc/Annotations/3.xml",
        "voc/ImageSets/Main/train.txt",
        "yolo/images/train/1.jpg",
        "yolo/labels/train/3.txt",
        "yolo/train.txt",
        "yolo/data.yaml",
    }
    assert (out / "voc/ImageSets/Main/train.txt").read_text() == "1\n2\n3\n4\n"
    assert (out / "yolo/train.txt").read_text().splitlines()[0] == "./images/train/1.jpg"
    written = yaml.safe_load((out / "yolo/data.yaml").read_text())
    assert written == {"train": "images/train", "names": {0: "wheel", 1: "bolt"}}


def test_the_settings_read_both_parts(make_run, tmp_path):
    source = yaml.safe_load(make_run(tmp_path / "data").read_text())["data"]
    parts = read_parts(DataConfig.model_validate(source))
    for format in ("coco", "voc", "yolo"):
        done = convert(parts, format, tmp_path / format)
        assert done.notes == ()
        config = DataConfig.model_validate(done.settings | {"size": (64, 64)})
        for part, data in zip(parts, read_all_parts(config).values(), strict=True):
            split = {"train": config.train, "val": config.val}[part.name]
            assert differences(part, replace(part, folder=split.images, data=data)) == []


def test_yolo_written_with_its_names_needs_no_list(plain, tmp_path):
    convert([plain], "yolo", tmp_path / "out")
    split = SplitConfig(images=tmp_path / "out" / "images" / "train")
    assert content_of(read_part("train", split, "yolo", names=tmp_path / "out" / "data.yaml")) == content_of(plain)


def test_what_yolo_does_not_have_is_refused_or_dropped_and_said(part, coco, tmp_path):
    coco.annotations.append(coco.annotations[1] | {"id": 99})
    twice = read_part("train", coco.write(), "coco")
    with pytest.raises(DataError) as caught:
        convert([twice], "yolo", tmp_path / "out")
    assert caught.value.problems == (
        "train: 1 ignore regions, which the format yolo does not have",
        "train: 1 boxes that stand twice, which the format yolo refuses",
    )
    assert caught.value.hint == "to leave them out: --drop-ignore --drop-duplicates"
    with pytest.raises(DataError, match="boxes that stand twice") as caught:
        convert([twice], "yolo", tmp_path / "out", drop_ignore=True)
    assert caught.value.hint == "to leave them out: --drop-duplicates"
    assert not (tmp_path / "out").exists()
    done = convert([twice], "yolo", tmp_path / "out", drop_ignore=True, drop_duplicates=True)
    assert done.notes == (
        "train: 1 ignore regions, which the format yolo does not have, are left out",
        "train: 1 boxes that stand twice, which the format yolo refuses, are left out",
    )
    after = read_part("train", SplitConfig(**done.settings["train"]), "yolo", names=tmp_path / "out" / "data.yaml")
    assert [record.boxes_xyxy.tolist() for record in after.data.records[:2]] == [
        [[0, 0, 80, 60]],
        [[5.5, 5.5, 15.5, 15.5]],
    ]


def test_what_the_reader_left_out_is_said_again(coco, tmp_path):
    part = read_part("train", coco.split, "coco", ["bolt"])
    (note,) = convert([part], "voc", tmp_path / "out").notes
    assert "2 annotations of 'wheel' are left out" in note


def test_ignore_regions_become_crowd_and_difficult(part, tmp_path):
    convert([part], "coco", tmp_path / "boxes")
    written = json.loads((tmp_path / "boxes/annotations/instances_train.json").read_text())
    assert [entry["iscrowd"] for entry in written["annotations"]] == [1, 0, 0]
    convert([part], "voc", tmp_path / "voc")
    assert (tmp_path / "voc/Annotations/1.xml").read_text().count("<difficult>1</difficult>") == 1


def test_names_that_a_format_cannot_hold_leave_nothing_behind(coco, tmp_path):
    coco.content["categories"][0]["name"] = "bolt\x01"
    part = read_part("train", coco.write(), "coco")
    with pytest.raises(DataError, match="The format voc cannot hold this data set as it is"):
        convert([part], "voc", tmp_path / "out")
    coco.content["categories"][0]["name"] = " bolt"
    part = read_part("train", coco.write(), "coco")
    with pytest.raises(DataError, match=r"the classes .* became"):
        convert([part], "yolo", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["coco"]


@pytest.mark.parametrize(("format", "problem"), [("voc", "would share its xml file with"), ("yolo", "endings only")])
def test_images_that_would_share_an_annotation_file_are_refused(coco, tmp_path, format, problem):
    Image.open(coco.image(1)).save(coco.root / "images" / "1.png")
    coco.content["images"][1]["file_name"] = "1.png"
    part = read_part("train", coco.write(), "coco")
    with pytest.raises(DataError, match=problem):
        convert([part], format, tmp_path / "out")
    assert content_of(through(part, ["coco"], tmp_path / "out")) == content_of(part)


def test_parts_whose_images_have_the_same_names_do_not_fit_into_one_voc_folder(make_coco, tmp_path):
    parts = [read_part(name, make_coco(name).split, "coco") for name in ("train", "val")]
    with pytest.raises(DataError, match="would share its xml file with") as caught:
        convert(parts, "voc", tmp_path / "out", files="none")
    assert len(caught.value.problems) == 4
    assert "one part after the other" in caught.value.hint
    convert(parts, "yolo", tmp_path / "out")


def test_an_image_outside_the_folder_is_refused(coco, tmp_path):
    coco.image(1).rename(coco.root / "1.jpg")
    coco.content["images"][0]["file_name"] = "../1.jpg"
    part = read_part("train", coco.write(), "coco")
    with pytest.raises(DataError, match=r"\.\./1\.jpg: lies outside"):
        convert([part], "coco", tmp_path / "out")


def test_a_place_that_cannot_be_written_is_refused(plain, coco, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    (tmp_path / "stopped.part").mkdir()
    for out, problem in (
        (tmp_path / "full", "is there already and not an empty folder"),
        (tmp_path / "full" / "file", "is there already and not an empty folder"),
        (tmp_path / "full" / "file" / "out", "not a directory"),
        (tmp_path / "stopped", r"stopped\.part: file exists"),
        (coco.root / "images" / "out", "lies inside"),
    ):
        with pytest.raises(DataError, match=problem):
            convert([plain], "coco", out)
    (tmp_path / "empty").mkdir()
    convert([plain], "coco", tmp_path / "empty")


def test_a_stop_leaves_nothing_behind(plain, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("limbeck.data.convert.write_voc", stop)
    with pytest.raises(KeyboardInterrupt):
        convert([plain], "voc", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["coco"]


def test_a_difference_in_anything_is_seen(plain):
    def changed(index=0, **changes):
        records = list(plain.data.records)
        records[index] = replace(records[index], **changes)
        return differences(plain, replace(plain, data=replace(plain.data, records=tuple(records))))

    first = plain.data.records[0]
    assert changed() == []
    for changes in (
        {"boxes_xyxy": np.nextafter(first.boxes_xyxy, np.float32(99))},
        {"boxes_xyxy": first.boxes_xyxy[:1]},
        {"labels": first.labels[::-1].copy()},
        {"ignore": ~first.ignore},
        {"size_wh": (60, 80)},
    ):
        assert changed(**changes) == ["train: '1.jpg' has other labels"]
    assert changed(path=first.path.with_name("9.jpg")) == [
        "train: the images are not the same, or not in the same order"
    ]
    other = replace(plain, data=replace(plain.data, classes=("bolt", "wheel")))
    assert differences(plain, other)[0].startswith("train: the classes ('wheel', 'bolt') became")


@pytest.mark.skipif(not (SHARED / "bccd").is_dir(), reason="the data set is not here")
def test_real_voc_files_read_like_the_json_made_from_them():
    root = SHARED / "bccd"
    xml = SplitConfig(images=root / "images", annotations=root / "voc_original", list=root / "splits/train.txt")
    boxes = SplitConfig(images=root / "images", annotations=root / "annotations/instances_train.json")
    with pytest.raises(DataError, match="object 4 has the box"):
        read_part("train", xml, "voc")
    theirs = read_part("train", boxes, "coco")
    ours = read_part("train", xml, "voc", theirs.data.classes, "skip")
    assert len(ours.data.skipped) == 1
    assert content_of(ours) == content_of(theirs)


@pytest.mark.skipif(not (SHARED / "railway_wagons").is_dir(), reason="the data set is not here")
@pytest.mark.parametrize("part", ["train", "val"])
def test_real_yolo_files_read_like_the_json_made_from_them(part, tmp_path):
    root = SHARED / "railway_wagons"
    txt = SplitConfig(images=root / "images", annotations=root / "yolo_original", list=root / f"splits/{part}.txt")
    boxes = SplitConfig(images=root / "images", annotations=root / f"annotations/instances_{part}.json")
    theirs = read_part(part, boxes, "coco")
    ours = read_part(part, txt, "yolo", theirs.data.classes)
    assert content_of(ours) == content_of(theirs)
    assert content_of(through(ours, ["voc", "yolo", "coco"], tmp_path, files="none")) == content_of(ours)
