"""What is written is what other tools of the format read."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from pycocotools.coco import COCO

from limbeck.data.records import BoxRecord
from limbeck.data.writers import write_coco, write_names, write_voc, write_yolo

CLASSES = ("wheel", "bolt")


@pytest.fixture
def named():
    boxes = np.array([[10, 20, 30, 60], [0.1, 5.5, 80, 60]], dtype=np.float32)
    first = BoxRecord(7, Path("a.jpg"), (80, 60), boxes, np.array([1, 0]), np.array([False, True]))
    empty = BoxRecord(9, Path("b.jpg"), (40, 30), boxes[:0], np.zeros(0, np.int64), np.zeros(0, np.bool_))
    return [("a.jpg", first), ("sub/b.jpg", empty)]


def test_coco_is_read_by_pycocotools(named, tmp_path):
    write_coco(tmp_path / "new" / "boxes.json", named, CLASSES)
    coco = COCO(tmp_path / "new" / "boxes.json")
    assert [(image["id"], image["file_name"]) for image in coco.loadImgs(coco.getImgIds())] == [
        (1, "a.jpg"),
        (2, "sub/b.jpg"),
    ]
    assert {number: category["name"] for number, category in coco.cats.items()} == {1: "wheel", 2: "bolt"}
    first, second = coco.loadAnns(coco.getAnnIds([1]))
    assert (first["bbox"], first["area"], first["category_id"], first["iscrowd"]) == ([10, 20, 20, 40], 800, 2, 0)
    assert (second["id"], second["category_id"], second["iscrowd"]) == (2, 1, 1)
    assert coco.getAnnIds([2]) == []
    write_coco(tmp_path / "masks.json", [(n, replace(r, mask_areas=r.areas / 2)) for n, r in named], CLASSES)
    assert COCO(tmp_path / "masks.json").anns[1]["area"] == 400
    assert json.loads((tmp_path / "new" / "boxes.json").read_text())["images"][0]["width"] == 80


def test_voc_has_whole_numbers_where_they_are_whole_and_no_more_digits_than_needed(named, tmp_path):
    write_voc(tmp_path, named, CLASSES)
    root = ElementTree.parse(tmp_path / "a.xml").getroot()
    assert root.findtext("filename") == "a.jpg"
    assert [root.findtext(f"size/{side}") for side in ("width", "height", "depth")] == ["80", "60", "3"]
    sides = [[side.text for side in box] for box in root.iterfind("object/bndbox")]
    assert sides == [["10", "20", "30", "60"], ["0.1", "5.5", "80", "60"]]
    assert [entry.text for entry in root.iterfind("object/name")] == ["bolt", "wheel"]
    assert [entry.text for entry in root.iterfind("object/difficult")] == ["0", "1"]
    assert ElementTree.parse(tmp_path / "sub" / "b.xml").getroot().find("object") is None


def test_yolo_has_an_empty_file_for_an_image_without_objects(named, tmp_path):
    write_yolo(tmp_path, named)
    first = (tmp_path / "a.txt").read_text().splitlines()[0]
    assert [float(number) for number in first.split()] == pytest.approx([1, 0.25, 2 / 3, 0.25, 2 / 3])
    assert (tmp_path / "sub" / "b.txt").read_text() == ""


def test_names_keep_what_yaml_would_take_for_something_else(tmp_path):
    write_names(tmp_path / "data.yaml", ("no", "1", "ü: é"), {"train": "images/train"})
    content = yaml.safe_load((tmp_path / "data.yaml").read_text(encoding="utf-8"))
    assert content == {"train": "images/train", "names": {0: "no", 1: "1", 2: "ü: é"}}
