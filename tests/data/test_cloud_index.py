"""The index: what is known is not read again, and anything that changes is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.data import cloud_readers
from limbeck.data.cloud_config import CloudDataConfig
from limbeck.data.cloud_index import CloudIndex
from limbeck.data.cloud_labels import CloudLabels
from limbeck.data.cloud_records import CloudRecord, Sweep, no_boxes


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[bool]:
    """Gets an entry for each part that is read; the user's cache is empty."""
    found: list[bool] = []
    checked = cloud_readers.checked

    def counted(labels: CloudLabels, config: CloudDataConfig, verify: bool) -> CloudLabels:
        found.append(verify)
        return checked(labels, config, verify)

    monkeypatch.setattr(cloud_readers, "checked", counted)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return found


def _same(first: CloudRecord, second: CloudRecord) -> None:
    for name in ("id", "path", "row"):
        assert getattr(first, name) == getattr(second, name)
    for name in ("boxes", "labels", "ignore", "levels", "num_points", "velocities"):
        a, b = getattr(first, name), getattr(second, name)
        np.testing.assert_array_equal(a, b)
        assert (a is None) == (b is None)
        assert a is None or a.dtype == b.dtype
    assert len(first.sweeps) == len(second.sweeps)
    for one, other in zip(first.sweeps, second.sweeps, strict=True):
        assert (one.path, one.seconds) == (other.path, other.seconds)
        np.testing.assert_array_equal(one.to_frame, other.to_frame)


def test_a_part_is_read_once_and_comes_back_the_same(clouds: Any, builds: list[bool]) -> None:
    clouds.write_boxes(clouds.car(velocity=[1, 2], level=1), clouds.post(ignore=True))
    first = clouds.read()
    assert len(builds) == 2
    second = clouds.read()
    assert len(builds) == 2
    assert second.classes == first.classes
    for one, other in zip(first.records, second.records, strict=True):
        _same(one, other)
    files = list((clouds.root / "train/.limbeck").iterdir())
    assert [file.suffix for file in files] == [".npz"]
    assert len(clouds.read(verify=True).records) == 2
    assert builds[2:] == [True, True]


def test_sweeps_rows_and_sentences_are_kept(clouds: Any) -> None:
    split = clouds.config.train
    sweeps = (
        Sweep(split.clouds / "x/1.bin", np.arange(16.0).reshape(4, 4), 0.1),
        Sweep(split.clouds / "2.bin", np.eye(4), 0.2),
    )
    arrays = no_boxes()
    some = {**{name: np.ones(2, array.dtype) for name, array in arrays.items()}, "boxes": np.ones((2, 7), np.float32)}
    speeds = np.array([[1, np.nan], [2, 3]], np.float32)
    records = [
        CloudRecord(id="a", path=split.clouds / "n/a.bin", sweeps=sweeps, **arrays),
        CloudRecord(id="b", path=split.clouds / "b.parquet", row=3, velocities=speeds, **some),
        CloudRecord(id="c", path=split.clouds / "c.bin", sweeps=sweeps[1:], **some),
    ]
    labels = CloudLabels(records, {"dog": 0, "cat": 1}, ["one is broken"], ["one is left out"])
    index = CloudIndex.of(clouds.config, split)
    assert index.load() is None
    index.store(labels)
    found = index.load()
    assert found is not None
    assert (found.names, found.broken, found.left_out) == (labels.names, labels.broken, labels.left_out)
    for one, other in zip(records, found.records, strict=True):
        _same(one, other)
    index.store(CloudLabels(broken=["all is broken"]))
    found = index.load()
    assert found is not None
    assert (found.records, found.broken) == ([], ["all is broken"])


def _touch(clouds: Any) -> None:
    os.utime(clouds.cloud(), ns=(0, 0))


def _set(**settings: Any) -> Callable[[Any], None]:
    return lambda clouds: clouds.settings.update(settings)


CHANGES: dict[str, Callable[[Any], Any]] = {
    "a label of the same length": lambda clouds: clouds.write_boxes(clouds.car(yaw=0.6), clouds.post()),
    "a cloud that was touched": _touch,
    "a cloud of another size": lambda clouds: clouds.write_cloud(np.ones((9, 4))),
    "another cloud": lambda clouds: (clouds.write_cloud(np.ones((9, 4)), "c.npy"), clouds.write_boxes(name="c.json")),
    "a cloud that may be read now": lambda clouds: clouds.cloud().chmod(0o600),
    "other features": _set(features=("x", "y", "z")),
    "other columns": _set(columns=("x", "y", "z", "ring")),
    "invalid points": _set(drop_invalid=True),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_is_read_again(clouds: Any, builds: list[bool], change: str) -> None:
    clouds.cloud().chmod(0o644)
    clouds.read()
    before = len(builds)
    CHANGES[change](clouds)
    clouds.read()
    assert len(builds) > before


def test_a_list_that_changes_is_read_again(clouds: Any, builds: list[bool], tmp_path: Path) -> None:
    chosen = tmp_path / "list.txt"
    clouds.settings["train"]["list"] = chosen
    for names in ("a", "b"):
        chosen.write_text(names)
        assert [record.id for record in clouds.read().records] == [names]


def test_settings_of_classes_leave_the_index_as_it_is(clouds: Any, builds: list[bool]) -> None:
    clouds.read()
    clouds.settings |= {"classes": ("post",), "on_broken": "skip", "min_points": 5, "max_range": 30.0}
    assert clouds.read().classes == ("post",)
    assert len(builds) == 2


def test_problems_are_kept_too(clouds: Any, builds: list[bool]) -> None:
    clouds.cloud().write_bytes(b"123")
    first = clouds.problems()
    assert clouds.problems() == first
    assert len(builds) == 2
    clouds.settings["on_broken"] = "skip"
    assert clouds.read().skipped == first
    assert len(builds) == 2


@pytest.mark.parametrize("spoil", [lambda content: b"", lambda content: content[:300], lambda content: content[::-1]])
def test_a_broken_index_is_made_anew(clouds: Any, builds: list[bool], spoil: Callable[[bytes], bytes]) -> None:
    clouds.read()
    (path,) = (clouds.root / "train/.limbeck").iterdir()
    whole = path.read_bytes()
    path.write_bytes(spoil(whole))
    assert len(clouds.read().records) == 2
    assert len(builds) == 3
    assert path.stat().st_size == len(whole)


def test_arrays_that_do_not_fit_each_other_are_made_anew(clouds: Any, builds: list[bool]) -> None:
    clouds.read()
    (path,) = (clouds.root / "train/.limbeck").iterdir()
    with np.load(path) as content:
        arrays = dict(content)
    arrays["boxes"] = arrays["boxes"][:1]
    np.savez(path, **arrays)
    assert [len(record.boxes) for record in clouds.read().records] == [2, 2]
    assert len(builds) == 3


def test_data_that_cannot_be_written_to_has_its_index_in_the_cache(
    clouds: Any, builds: list[bool], tmp_path: Path
) -> None:
    for part in ("train", "val"):
        (clouds.root / part).chmod(0o555)
    clouds.read()
    assert not (clouds.root / "train/.limbeck").exists()
    assert len(list((tmp_path / "cache/limbeck").iterdir())) == 2
    clouds.read()
    assert len(builds) == 2
    for part in ("train", "val"):
        (clouds.root / part).chmod(0o755)


def test_nothing_can_be_written_anywhere(
    clouds: Any, builds: list[bool], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    for part in ("train", "val"):
        (clouds.root / part / ".limbeck").write_text("")
    assert len(clouds.read().records) == 2
    assert len(clouds.read().records) == 2
    assert len(builds) == 4


def test_a_stop_while_it_is_written_leaves_the_old_one(
    clouds: Any, builds: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    clouds.read()
    folder = clouds.root / "train/.limbeck"
    (path,) = folder.iterdir()
    before = path.read_bytes()

    def stop(file: Any, **content: Any) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", stop)
    with pytest.raises(KeyboardInterrupt):
        CloudIndex.of(clouds.config, clouds.config.train).store(CloudLabels())
    assert list(folder.iterdir()) == [path]
    assert path.read_bytes() == before
