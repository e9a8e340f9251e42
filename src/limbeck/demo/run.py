"""The run of the demo: real photographs of freight wagons, a heavier and a light GFL detector."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

from limbeck.config import RunConfig, load_config

QUICK = ("name=demo-quick", "data.size=[160, 160]", "teacher_train.epochs=6", "train.epochs=3", "bootstrap_samples=200")


def demo_config(runs_dir: Path, *, quick: bool = False) -> RunConfig:
    """Return the run of the demo.

    Args:
        runs_dir: Where the run folder goes.
        quick: A much shorter run on a smaller canvas, which only shows that all parts work.
    """
    with as_file(files("limbeck.demo")) as folder:
        data = folder / "railway_wagons"
        overrides = [f"runs_dir={runs_dir}"]
        for split in ("train", "val"):
            overrides.append(f"data.{split}.images={data / 'images'}")
            overrides.append(f"data.{split}.annotations={data / 'annotations' / f'instances_{split}.json'}")
        return load_config(folder / "demo.yaml", [*overrides, *(QUICK if quick else ())])
