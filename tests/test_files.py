import hashlib
import json

import pytest

from limbeck.files import new_folder, sha256_of, write_bytes, write_json, write_json_list, write_text


def test_json_is_written_at_once_or_not_at_all(tmp_path):
    write_json(tmp_path / "a.json", {"old": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"new": object()})
    assert json.loads((tmp_path / "a.json").read_text()) == {"old": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("entries", [[], [{"id": 1, "boxes": [[1.5, 2.0]]}], [[1, 2], [3]]])
def test_a_json_list_has_a_line_for_each_entry(tmp_path, entries):
    write_json_list(tmp_path / "a.json", iter(entries))
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == entries
    assert len(text.splitlines()) == max(len(entries), 1) + 2


def test_text_replaces_what_was_there(tmp_path):
    for text in ("old and longer", "new"):
        write_text(tmp_path / "a.txt", text)
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "new"


def test_bytes_are_written_at_once_or_not_at_all(tmp_path):
    write_bytes(tmp_path / "a.npz", b"old and longer")
    write_bytes(tmp_path / "a.npz", b"new")
    assert (tmp_path / "a.npz").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_hash_of_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"wagon" * 300_000)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"wagon" * 300_000).hexdigest()


def test_a_folder_is_there_when_all_is_written(tmp_path):
    target = tmp_path / "deep" / "new"
    with new_folder(target) as work:
        (work / "a").write_text("wagon")
        assert not target.exists()
    assert (target / "a").read_text() == "wagon"
    assert [path.name for path in target.parent.iterdir()] == ["new"]


def test_nothing_is_left_of_a_folder_that_failed(tmp_path):
    def write_half(work):
        (work / "a").write_text("wagon")
        raise ValueError("half way")

    (tmp_path / "new").mkdir()
    with pytest.raises(ValueError, match="half way"), new_folder(tmp_path / "new") as work:
        write_half(work)
    assert [path.name for path in tmp_path.rglob("*")] == ["new"]


def test_a_folder_that_is_in_use_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("mine")
    for taken in (tmp_path, tmp_path / "mine"):
        with pytest.raises(FileExistsError, match="is there already and not an empty folder"), new_folder(taken):
            pass
    assert (tmp_path / "mine").read_text() == "mine"
