"""Every format is read by its reader, both parts with the same classes, and its annotations have a hash."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from limbeck.data.config import DataConfig, SplitConfig
from limbeck.data.convert import convert, read_part, read_parts
from limbeck.data.readers import annotation_paths, hash_annotations, read_all_parts, read_boxes
from limbeck.errors import DataError
from limbeck.files import sha256_of


@pytest.fixture
def both(make_coco: Callable[[str], Any]) -> DataConfig:
    """A data set in two parts; the second has one bolt less, and its images have other names."""
    train, val = make_coco("train"), make_coco("val")
    del val.annotations[0]
    for number, image in enumerate(val.content["images"], start=1):
        image["file_name"] = f"{number + 4}.jpg"
        val.image(number).rename(val.image(number + 4))
    return DataConfig(train=train.split, val=val.write(), size=(64, 64))


def in_format(config: DataConfig, format: Any, folder: Path) -> DataConfig:
    """The data set with its images where they are and its annotations in another format."""
    done = convert(read_parts(config), format, folder, files="none")
    return DataConfig.model_validate(done.settings | {"size": (64, 64)})


@pytest.mark.parametrize("format", ["coco", "voc", "yolo"])
def test_every_format_is_read_with_the_classes_of_train(both: DataConfig, format: Any, tmp_path: Path) -> None:
    config = in_format(both, format, tmp_path / "out")
    train, val = read_all_parts(config).values()
    assert train.classes == val.classes == ("wheel", "bolt")
    assert [len(record.labels) for record in (*train.records, *val.records)] == [2, 1, 0, 0, 1, 1, 0, 0]
    chosen, _ = read_all_parts(config.model_copy(update={"classes": ("bolt",)})).values()
    assert chosen.classes == ("bolt",)
    assert "2 annotations of 'wheel' are left out" in chosen.skipped[0]


def test_a_class_that_is_only_in_val_is_left_out_and_said(both: DataConfig, tmp_path: Path) -> None:
    config = in_format(both, "voc", tmp_path / "out").model_copy(update={"classes": None})
    for name, old, new in (("1", "bolt", "wheel"), ("5", "wheel", "nut")):
        xml = tmp_path / "out" / "Annotations" / f"{name}.xml"
        xml.write_text(xml.read_text().replace(old, new))
    train, val = read_all_parts(config).values()
    assert train.classes == val.classes == ("wheel",)
    assert train.skipped == ()
    assert len(val.skipped) == 1
    assert "1 annotations of 'nut' are left out" in val.skipped[0]


def test_both_parts_are_read_with_the_same_classes(make_coco: Callable[[str], Any]) -> None:
    train, val = make_coco("train"), make_coco("val")
    val.content["categories"] = [{"id": 1, "name": "bolt"}, {"id": 2, "name": "wheel"}]
    for annotation in val.annotations:
        annotation["category_id"] = 2
    config = DataConfig(train=train.split, val=val.write(), size=(64, 64))
    first, second = read_all_parts(config).values()
    assert first.classes == second.classes == ("wheel", "bolt")
    assert second.category_ids == (2, 1)
    assert second.records[0].labels.tolist() == [0, 0]


def test_problems_of_both_parts_come_together(make_coco: Callable[[str], Any]) -> None:
    train, val = make_coco("train"), make_coco("val")
    train.image(1).unlink()
    val.image(2).unlink()
    config = DataConfig(train=train.split, val=val.split, size=(64, 64))
    with pytest.raises(DataError) as caught:
        read_all_parts(config)
    assert [str(train.image(1)) in p or str(val.image(2)) in p for p in caught.value.problems] == [True, True]
    assert "on_broken" in str(caught.value)


def test_a_problem_that_both_parts_have_is_named_once(both: DataConfig, tmp_path: Path) -> None:
    config = in_format(both, "yolo", tmp_path / "out")
    (tmp_path / "out" / "data.yaml").unlink()
    with pytest.raises(DataError) as caught:
        read_all_parts(config)
    assert caught.value.problems == (f"{tmp_path / 'out' / 'data.yaml'}: no such file or directory",)


def test_settings_that_do_not_fit_the_format_are_refused(both: DataConfig) -> None:
    with pytest.raises(DataError) as caught:
        read_boxes(SplitConfig(images=both.train.images, list=both.train.annotations), "coco", names=Path("data.yaml"))
    assert len(caught.value.problems) == 3


def test_the_hash_of_a_json_file_is_its_own(both: DataConfig) -> None:
    paths = (both.train.annotations, both.val.annotations)
    assert hash_annotations(both) == {str(path): sha256_of(path) for path in paths if path}


@pytest.mark.parametrize(
    ("format", "names"),
    [
        ("voc", {"Annotations", "ImageSets/Main/train.txt", "ImageSets/Main/val.txt"}),
        ("yolo", {"labels/train", "labels/val", "train.txt", "val.txt", "data.yaml"}),
    ],
)
def test_the_hash_of_a_folder_changes_with_its_files(
    both: DataConfig, format: Any, names: set[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    config = in_format(both, format, out)
    hashes = hash_annotations(config)
    assert set(hashes) == {str(out / name) for name in names}
    for name in names:
        path = out / name
        file = path if path.is_file() else min(path.iterdir())
        before = file.read_text()
        file.write_text(before + " ")
        assert [key for key, value in hash_annotations(config).items() if value != hashes[key]] == [str(path)]
        file.write_text(before)
        assert hash_annotations(config) == hashes


def test_the_hash_of_a_folder_knows_the_names_of_its_annotations_only(both: DataConfig, tmp_path: Path) -> None:
    config = in_format(both, "voc", tmp_path / "out")
    folder = tmp_path / "out" / "Annotations"
    before = hash_annotations(config)[str(folder)]
    (folder / "note.md").write_text("no annotation")
    assert hash_annotations(config)[str(folder)] == before
    (folder / "1.xml").rename(folder / "one.xml")
    assert hash_annotations(config)[str(folder)] != before


def test_labels_beside_the_images_have_a_hash_too(make_coco: Callable[[str], Any], tmp_path: Path) -> None:
    coco = make_coco("train")
    part = read_part("train", coco.split, "coco")
    convert([part], "yolo", tmp_path / "out", files="none")
    for label in (tmp_path / "out" / "labels" / "train").iterdir():
        label.rename(coco.root / "images" / label.name)
    split = SplitConfig(images=coco.root / "images")
    config = DataConfig(format="yolo", train=split, val=split, classes=("wheel", "bolt"), size=(64, 64))
    before = hash_annotations(config)
    assert set(before) == {str(coco.root / "images")}
    coco.image(1).unlink()
    assert hash_annotations(config) == before


@pytest.mark.parametrize("format", ["coco", "voc", "yolo"])
def test_a_test_part_is_read_with_the_classes_of_train_and_hashed(
    both: DataConfig, make_coco: Callable[[str], Any], format: Any, tmp_path: Path
) -> None:
    third = make_coco("test")
    del third.annotations[:2]
    for number, image in enumerate(third.content["images"], start=1):
        image["file_name"] = f"{number + 8}.jpg"
        third.image(number).rename(third.image(number + 8))
    with_test = both.model_copy(update={"test": third.write()})
    config = in_format(with_test, format, tmp_path / "out")
    parts = read_all_parts(config)
    assert list(parts) == ["train", "val", "test"]
    assert parts["test"].classes == ("wheel", "bolt")
    assert [len(record.labels) for record in parts["test"].records] == [0, 1, 0, 0]
    without = hash_annotations(config.model_copy(update={"test": None}))
    test_paths = {str(path) for path in annotation_paths(config, "test")}
    assert set(hash_annotations(config)) == set(without) | test_paths
    assert annotation_paths(both, "test") == []


def test_problems_of_the_test_part_are_reported_with_the_others(both: DataConfig, make_coco: Any) -> None:
    third = make_coco("test")
    third.image(3).unlink()
    with pytest.raises(DataError) as caught:
        read_all_parts(both.model_copy(update={"test": third.split}))
    (problem,) = caught.value.problems
    assert str(third.image(3)) in problem
