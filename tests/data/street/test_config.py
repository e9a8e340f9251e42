from dataclasses import fields

import pytest

from limbeck.data.street.config import CLASSES, Label, StreetConfig
from limbeck.errors import ConfigError


def test_there_are_nine_classes_in_the_order_of_their_labels():
    assert [CLASSES[label] for label in Label] == list(CLASSES)
    assert CLASSES == ("road", "sidewalk", "building", "vegetation", "car", "pole", "person", "sky", "pothole")


def test_the_camera_sees_the_middle_of_the_width_straight_ahead():
    camera = StreetConfig(width=96, height=64, focal=0.5).camera
    assert (camera.fx, camera.fy, camera.cx) == (48.0, 48.0, 47.5)
    assert 0 < camera.cy < 63


def test_all_silly_settings_are_named_at_once():
    with pytest.raises(ConfigError, match="These street scenes cannot be made") as caught:
        StreetConfig(width=100, height=0, night=1.5, ambiguity=-0.1, holes=float("nan"), focal=0)
    assert caught.value.problems == (
        "width must be a multiple of 32 from 32 to 4096, not 100",
        "height must be a multiple of 32 from 32 to 4096, not 0",
        "night must be from 0 to 1, not 1.5",
        "ambiguity must be from 0 to 1, not -0.1",
        "holes must be from 0 to 1, not nan",
        "focal must be from 0.2 to 5, not 0",
    )


def test_the_page_names_every_setting_with_its_default(repo):
    page = (repo / "docs/street-scenes.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| `")
    ]
    defaults = {}
    for names, *cells in rows:
        named = [name.strip("` ") for name in names.split(",")]
        defaults |= dict(zip(named, cells[0].split(", "), strict=False))
    for field in fields(StreetConfig):
        assert float(defaults[field.name]) == field.default, field.name
    assert all(name in defaults for name in CLASSES)
