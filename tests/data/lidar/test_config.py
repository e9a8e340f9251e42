from dataclasses import fields

import pytest

from limbeck.data.lidar.config import CLASSES, LidarSceneConfig, RoadUser
from limbeck.errors import ConfigError


def test_there_are_three_classes_in_the_order_of_their_labels():
    assert [CLASSES[label] for label in RoadUser] == list(CLASSES)
    assert CLASSES == ("car", "pedestrian", "cyclist")


def test_all_silly_settings_are_named_at_once():
    silly = {"rings": 0, "azimuth_step": 0.0, "max_range": 5, "field_of_view": 400, "range_noise": -1}
    with pytest.raises(ConfigError, match="These LiDAR scenes cannot be made") as caught:
        LidarSceneConfig(**silly, dropout=float("nan"), clutter=2, cars=(3, 2), pedestrians=(0, 101), cyclists=(-1, 1))
    assert caught.value.problems == (
        "rings must be a whole number from 1 to 128, not 0",
        "azimuth_step must be from 0.05 to 5, not 0.0",
        "max_range must be from 20 to 200, not 5",
        "field_of_view must be from 10 to 360, not 400",
        "range_noise must be from 0 to 0.5, not -1",
        "dropout must be from 0 to 1, not nan",
        "clutter must be from 0 to 1, not 2",
        "cars must be two whole numbers, 0 <= least <= most <= 100, not (3, 2)",
        "pedestrians must be two whole numbers, 0 <= least <= most <= 100, not (0, 101)",
        "cyclists must be two whole numbers, 0 <= least <= most <= 100, not (-1, 1)",
    )


@pytest.mark.parametrize("given", [5, (1,), (1, 2, 3), (0.5, 2)])
def test_a_count_is_two_whole_numbers(given):
    with pytest.raises(ConfigError, match="LiDAR scenes") as caught:
        LidarSceneConfig(cars=given)
    assert caught.value.problems == (f"cars must be two whole numbers, 0 <= least <= most <= 100, not {given}",)


def test_a_part_of_a_ring_is_none():
    with pytest.raises(ConfigError, match="LiDAR scenes") as caught:
        LidarSceneConfig(rings=2.5)
    assert caught.value.problems == ("rings must be a whole number from 1 to 128, not 2.5",)


def test_the_page_names_every_setting_with_its_default(repo):
    page = (repo / "docs/lidar-scenes.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| `")
    ]
    defaults = {name.strip("` "): cells[0] for names, *cells in rows for name in names.split(",")}
    for field in fields(LidarSceneConfig):
        default = field.default
        expected = " to ".join(str(number) for number in default) if isinstance(default, tuple) else f"{default:g}"
        assert defaults[field.name] == expected, field.name
    assert all(name in defaults for name in CLASSES)
