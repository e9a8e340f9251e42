"""Images find their annotation files, and everything without a partner is named."""

import pytest

from limbeck.data.config import SplitConfig
from limbeck.data.image_folder import check_folders, files_in, pair_files
from limbeck.errors import DataError


@pytest.fixture
def folder(tmp_path):
    """Images a.jpg, b.PNG and sub/a.jpg with a txt file for each but the second."""
    for name in ("images/b.PNG", "images/a.jpg", "images/sub/a.jpg", "labels/a.txt", "labels/sub/a.txt"):
        touch(tmp_path / name)
    return tmp_path


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    return path


def pair(folder, lines=None, others=()):
    """Return what was paired, by names, and the problems."""
    listed = None
    if lines is not None:
        listed = folder / "lists" / "train.txt"
        touch(listed).write_text("\n".join(lines))
    broken = []
    split = SplitConfig(images=folder / "images", list=listed)
    pairs = pair_files(split, folder / "labels", ".txt", broken, others)
    return [(name, file and file.relative_to(folder).as_posix()) for name, file in pairs], broken


def test_images_are_found_below_the_folder_whatever_the_case_of_their_ending(folder):
    pairs, broken = pair(folder)
    assert pairs == [("a.jpg", "labels/a.txt"), ("b.PNG", None), ("sub/a.jpg", "labels/sub/a.txt")]
    assert broken == []


def test_hidden_files_and_other_files_are_no_images(folder):
    for name in ("._a.jpg", ".thumbs/a.jpg", "notes.txt"):
        touch(folder / "images" / name)
    assert files_in(folder / "images", {".jpg", ".png"}) == ["a.jpg", "b.PNG", "sub/a.jpg"]


def test_a_file_without_image_is_a_problem_unless_it_is_another_file_or_the_images_are_listed(folder):
    orphan = touch(folder / "labels" / "c.txt")
    assert pair(folder)[1] == [f"{orphan}: there is no image of this name in {folder / 'images'}"]
    assert pair(folder, others={"c.txt"})[1] == []
    assert pair(folder, ["a"])[1] == []


def test_two_images_that_would_share_an_annotation_file_are_both_left_out(folder):
    touch(folder / "images" / "a.png")
    pairs, broken = pair(folder)
    assert [name for name, _ in pairs] == ["b.PNG", "sub/a.jpg"]
    assert len(broken) == 1
    assert "'a.jpg' and 'a.png' differ in their endings only" in broken[0]


def test_a_list_sets_the_order_with_names_stems_and_paths(folder, monkeypatch):
    monkeypatch.chdir(folder)
    expected = ["sub/a.jpg", "a.jpg"]
    here = folder.as_posix()
    for lines in (
        ["sub/a", "a"],
        ["sub/a.jpg", "", "  a.jpg  "],
        ["../images/sub/a.jpg", "./../images/a.jpg"],  # from the folder of the list, as YOLO tools write it
        ["images/sub/a.jpg", "images/a.jpg"],  # from where we are, as darknet writes it
        [f"{here}/images/sub/a.jpg", f"{here}/images/a.jpg"],
    ):
        pairs, broken = pair(folder, lines)
        assert [name for name, _ in pairs] == expected
        assert broken == []


def test_lines_of_a_list_that_cannot_be_used(folder):
    touch(folder / "images" / "a.png")
    pairs, broken = pair(folder, ["b", "a", "c.jpg", "b.PNG", "a.png"])
    where = folder / "lists" / "train.txt"
    assert [name for name, _ in pairs] == ["b.PNG", "a.png"], "a name with its ending is clear"
    assert broken == [
        f"{where}: line 2: 'a' may be 'a.jpg' and 'a.png'",
        f"{where}: line 3: {folder / 'images'} has no image 'c.jpg'",
        f"{where}: line 4: 'b.PNG' stands in line 1 already",
    ]


def test_a_part_that_cannot_be_used(folder):
    def problem(**changes):
        with pytest.raises(DataError) as caught:
            pair_files(SplitConfig(**{"images": folder / "images"} | changes), folder / "labels", ".txt", [])
        return caught.value.problems[0]

    (folder / "empty").mkdir()
    assert problem(images=folder / "empty").endswith(
        "has no image in it; looked for .bmp, .jpeg, .jpg, .png, .tif, .tiff, .webp"
    )
    assert problem(list=folder / "no.txt") == f"{folder / 'no.txt'}: no such file or directory"


def test_folders_that_are_none_are_refused_with_what_to_do(folder):
    def error(images, annotations, format="yolo"):
        with pytest.raises(DataError) as caught:
            check_folders(SplitConfig(images=folder / images), folder / annotations, format)
        return caught.value

    check_folders(SplitConfig(images=folder / "images"), folder / "labels", "voc")
    assert error("imags/sub", "no").problems == (
        f"{folder / 'imags/sub'}: the folder of images does not exist (did you mean 'images'?)",
        f"{folder / 'no'}: the folder of annotations does not exist",
    )
    assert error("no", "no").problems == (f"{folder / 'no'}: the folder of images does not exist",)
    assert error("labels/a.txt", "labels").problems[0].endswith("that names the images goes into 'list'")
    touch(folder / "boxes.json")
    json_file = error("images", "boxes.json")
    assert "a file, but the format yolo needs the folder of txt" in json_file.problems[0]
    assert json_file.hint == "set data.format to 'coco' for a json file"
