"""The run of the demo: real photographs of freight wagons, a heavier and a light GFL detector."""

from __future__ import annotations

from pathlib import Path

from limbeck.config import RunConfig, load_config
from limbeck.data.config import SplitConfig

FOLDER = Path(__file__).parent

QUICK = ("name=demo-quick", "data.size=[128, 128]", "teacher_train.epochs=3", "train.epochs=2", "bootstrap_samples=200")


def demo_config(runs_dir: Path, *, quick: bool = False) -> RunConfig:
    """Return the run of the demo.

    Args:
        runs_dir: Where the run folder goes.
        quick: A much shorter run on a smaller canvas, which only shows that all parts work.
    """
    config = load_config(FOLDER / "demo.yaml", QUICK if quick else ())
    data = config.data.model_copy(update={part: _wagons(part) for part in ("train", "val")})
    return config.model_copy(update={"runs_dir": runs_dir, "data": data})


def _wagons(part: str) -> SplitConfig:
    wagons = FOLDER / "railway_wagons"
    return SplitConfig(images=wagons / "images", annotations=wagons / "annotations" / f"instances_{part}.json")
