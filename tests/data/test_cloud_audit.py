"""The whole look: problems and warnings of all parts, and numbers that json can hold."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from limbeck.data.cloud_audit import audit_clouds


def test_sound_data_has_neither_problems_nor_warnings(clouds: Any) -> None:
    for part in ("train", "val"):
        for name in ("a.json", "b.json"):
            clouds.write_boxes(clouds.car(), name=name, part=part)
    found = audit_clouds(clouds.config)
    assert found.problems == found.warnings == ()
    assert [len(data.records) for data in found.data.values()] == [2, 2]
    content = found.to_json()
    assert content["parts"]["val"]["classes"][0]["objects"] == 2
    assert json.loads(json.dumps(content, allow_nan=False)) == content


def test_problems_of_all_parts_and_clouds_in_two_of_them(clouds: Any) -> None:
    points = np.ones((20, 4))
    points[3] = np.nan
    clouds.write_cloud(points)
    clouds.write_boxes(clouds.car(points=3))
    clouds.cloud("b.npy", "val").write_bytes(clouds.cloud("b.npy").read_bytes())
    file = clouds.write_boxes(clouds.car(), clouds.post(size=[0, 0, 0]), clouds.post(**{"class": "bin"}), part="val")
    found = audit_clouds(clouds.config)
    assert found.problems == (
        f"{clouds.cloud()}: 1 of its 20 points are not finite numbers; drop_invalid leaves such points out",
        f"{file}: box 2 has the box [-5, 2, 0, 0, 0, 0, 0], whose length and width and height is not positive",
        f"{clouds.cloud('b.npy', 'val')}: the same bytes as the training cloud {clouds.cloud('b.npy')}",
    )
    folder = clouds.root / "val/labels"
    left_out = f"{folder}: 1 objects of 'bin' are left out, as it is not among the classes to learn"
    assert found.warnings[0] == left_out
    assert [record.id for record in found.data["train"].records] == ["b"]
    assert [len(record.boxes) for record in found.data["val"].records] == [1, 2]


def test_a_part_that_cannot_be_read_at_all_is_missing(clouds: Any) -> None:
    clouds.settings["val"]["clouds"] = clouds.root / "vale"
    found = audit_clouds(clouds.config)
    assert list(found.data) == list(found.surveys) == ["train"]
    assert found.problems == (f"{clouds.root / 'vale'}: the folder of clouds does not exist (did you mean 'val'?)",)


def test_numbers_that_are_not_known_are_null(clouds: Any) -> None:
    clouds.settings["classes"] = ("car", "post", "bus")
    found = audit_clouds(clouds.config)
    assert found.to_json()["parts"]["train"]["classes"][2]["size"] == [None, None, None]
    assert "no training cloud has an object of 'bus': it cannot be learnt" in found.warnings
