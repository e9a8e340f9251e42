"""Json lists read entry by entry, whatever the pieces in which they come."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from limbeck.data import json_lists
from limbeck.data.json_lists import read_entries
from limbeck.errors import DataError

ENTRIES = [{"name": "a]b,{", "numbers": [1.5, -2, [3]]}, {"name": 'quote " and ä', "empty": {}}, {"n": None}] * 5


@pytest.mark.parametrize("indent", [None, 0, 1])
@pytest.mark.parametrize("chunk", [80, 93, 1 << 22])
def test_entries_across_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, indent: int | None, chunk: int) -> None:
    monkeypatch.setattr(json_lists, "CHUNK", chunk)
    path = tmp_path / "a.json"
    path.write_text("\n " + json.dumps(ENTRIES, indent=indent) + "\n")
    assert list(read_entries(path)) == ENTRIES
    path.write_text("[ ]")
    assert list(read_entries(path)) == []


def test_what_is_wrong_is_said_with_the_last_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lists, "CHUNK", 100)
    path = tmp_path / "a.json"
    text = json.dumps(ENTRIES)
    wrong = "not valid json; it breaks off or is wrong after entry"
    cases = {
        text[: text.index("quote")]: f"{wrong} 1",
        text[:-1]: f"{wrong} 15",
        text.replace('"n": null', '"n": none', 1): f"{wrong} 2",
        '{"a": 1}': "not valid json that is a list",
        "": "not valid json that is a list",
    }
    for content, problem in cases.items():
        path.write_text(content)
        with pytest.raises(DataError) as caught:
            list(read_entries(path))
        assert caught.value.problems == (f"{path}: {problem}",)
    path.write_bytes(b"[\xff\xfe")
    with pytest.raises(DataError, match="not a text file"):
        list(read_entries(path))
    with pytest.raises(DataError, match="no such file"):
        list(read_entries(tmp_path / "b.json"))
