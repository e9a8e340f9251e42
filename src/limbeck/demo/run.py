"""The runs of the demo, one per task: on real photographs that ship with limbeck, or on simulated LiDAR clouds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from limbeck.config import RunConfig, load_config
from limbeck.core.model import Task
from limbeck.data.cloud_config import CloudPartConfig
from limbeck.data.config import AnyPartConfig, PartName, SplitConfig
from limbeck.data.lidar.config import LidarSceneConfig
from limbeck.data.lidar.writing import write_lidar_scenes
from limbeck.data.mask_config import MaskPartConfig

FOLDER = Path(__file__).parent
FILES: Mapping[Task, str] = {
    "detection2d": "demo.yaml",
    "segmentation": "segmentation.yaml",
    "detection3d": "detection3d.yaml",
}
AHEAD = LidarSceneConfig(azimuth_step=0.25, field_of_view=90.0)
CLOUDS: Mapping[PartName, int] = {"train": 240, "val": 60}
"""Simulated clouds of each part, and of the quick run a tenth of them."""
QUICK = ("teacher_train.epochs=3", "train.epochs=2", "bootstrap_samples=200")
SMALL_CANVAS = "data.size=[128, 128]"
THIN_TEACHER = "teacher.width=0.5"


def demo_config(runs_dir: Path, task: Task = "detection2d", *, quick: bool = False) -> RunConfig:
    """Return the run of a demo. That of LiDAR detection makes its clouds, in ``runs_dir``, if they are not there.

    Args:
        runs_dir: Where the run folder goes.
        task: Its task: freight wagons to be detected, potholes in road surfaces to be segmented, or cars, pedestrians
            and cyclists to be detected in point clouds.
        quick: A much shorter run on smaller inputs, which only shows that all parts work.
    """
    smaller = (THIN_TEACHER if task == "detection3d" else SMALL_CANVAS,)
    config = load_config(FOLDER / FILES[task], (*QUICK, *smaller) if quick else ())
    name = f"{config.name}-quick" if quick else config.name
    part: Mapping[Task, Callable[[PartName], AnyPartConfig]] = {
        "detection2d": _wagons,
        "segmentation": _roads,
        "detection3d": _clouds(runs_dir / f"{name}-clouds", 10 if quick else 1),
    }
    names: tuple[PartName, ...] = ("train", "val")
    data = config.data.model_copy(update={of: part[task](of) for of in names})
    return config.model_copy(update={"name": name, "runs_dir": runs_dir, "data": data})


def _wagons(part: PartName) -> SplitConfig:
    wagons = FOLDER / "railway_wagons"
    return SplitConfig(images=wagons / "images", annotations=wagons / "annotations" / f"instances_{part}.json")


def _roads(part: PartName) -> MaskPartConfig:
    roads = FOLDER / "stereo_pothole"
    maps = {"disparity": roads / "tdisp" / part}
    return MaskPartConfig(images=roads / "images" / part, masks=roads / "masks" / part, x=maps)


def _clouds(folder: Path, divisor: int) -> Callable[[PartName], CloudPartConfig]:
    def of(part: PartName) -> CloudPartConfig:
        if not folder.exists():
            write_lidar_scenes(folder, {name: count // divisor for name, count in CLOUDS.items()}, config=AHEAD)
        return CloudPartConfig(clouds=folder / part / "clouds", labels=folder / part / "labels")

    return of
