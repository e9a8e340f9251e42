import hashlib
import json

import pytest

from limbeck.files import sha256_of, write_json, write_text


def test_json_is_written_at_once_or_not_at_all(tmp_path):
    write_json(tmp_path / "a.json", {"old": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"new": object()})
    assert json.loads((tmp_path / "a.json").read_text()) == {"old": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_text_replaces_what_was_there(tmp_path):
    for text in ("old and longer", "new"):
        write_text(tmp_path / "a.txt", text)
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "new"


def test_hash_of_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"wagon" * 300_000)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"wagon" * 300_000).hexdigest()
