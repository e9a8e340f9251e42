"""A frame of NYU Depth v2, written as its conversions write it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from limbeck.data.x_maps import read_x


def test_nyuv2(public: Any, tmp_path: Path) -> None:
    public.image(tmp_path / "rgb" / "0001.png")
    public.save(tmp_path / "depth" / "0001.png", public.rows(0, 2500, dtype=np.uint16))
    public.save(tmp_path / "label" / "0001.png", public.rows(0, 1, 40))
    part = {"images": tmp_path / "rgb", "masks": tmp_path / "label", "x": {"depth": tmp_path / "depth"}}
    data = public.read("nyuv2", part, x={"depth": {"holds": "depth", "unit": "mm"}})
    assert len(data.classes) == 40
    assert public.labels(data)[:3] == [255, 0, 39]
    assert data.classes[39] == "otherprop"
    assert read_x(data.records[0], "depth", data.x["depth"])[0][0, :2, 0].tolist() == [0, 2.5]
