"""The runs of the demo, one per task, on real photographs that ship with limbeck."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from limbeck.config import RunConfig, load_config
from limbeck.core.model import Task
from limbeck.data.config import SplitConfig
from limbeck.data.mask_config import MaskPartConfig

FOLDER = Path(__file__).parent
FILES: Mapping[Task, str] = {"detection2d": "demo.yaml", "segmentation": "segmentation.yaml"}
QUICK = ("data.size=[128, 128]", "teacher_train.epochs=3", "train.epochs=2", "bootstrap_samples=200")


def demo_config(runs_dir: Path, task: Task = "detection2d", *, quick: bool = False) -> RunConfig:
    """Return the run of a demo.

    Args:
        runs_dir: Where the run folder goes.
        task: Its task: freight wagons to be detected, or potholes in road surfaces to be segmented.
        quick: A much shorter run on a smaller canvas, which only shows that all parts work.
    """
    config = load_config(FOLDER / FILES[task], QUICK if quick else ())
    part = _wagons if task == "detection2d" else _roads
    data = config.data.model_copy(update={name: part(name) for name in ("train", "val")})
    name = f"{config.name}-quick" if quick else config.name
    return config.model_copy(update={"name": name, "runs_dir": runs_dir, "data": data})


def _wagons(part: str) -> SplitConfig:
    wagons = FOLDER / "railway_wagons"
    return SplitConfig(images=wagons / "images", annotations=wagons / "annotations" / f"instances_{part}.json")


def _roads(part: str) -> MaskPartConfig:
    roads = FOLDER / "stereo_pothole"
    maps = {"disparity": roads / "tdisp" / part}
    return MaskPartConfig(images=roads / "images" / part, masks=roads / "masks" / part, x=maps)
