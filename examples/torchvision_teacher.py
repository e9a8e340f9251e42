"""Distil from a torchvision RetinaNet that you have trained yourself.

The checkpoint is a state dict, as ``torch.save(model.state_dict(), "mine.pth")`` writes it. The section ``teacher`` of
the run file describes the same network (backbone, version, norm, first_label), and ``data.classes`` names its classes
in the order of its labels. The student is limbeck's own light RetinaNet.

python examples/torchvision_teacher.py mine.pth configs/detection2d/wagons-torchvision-retinanet.yaml
"""

import sys
from pathlib import Path

import torch

from limbeck.config import RunConfig, load_config
from limbeck.lookup import build_model
from limbeck.pipeline import Outcome, distill
from limbeck.tasks.detection2d import Detection2DTask
from limbeck.version import VERSION
from limbeck.weights import WeightsInfo, save_weights


def write_teacher(state_dict: Path, config: RunConfig) -> Path:
    """Write a torchvision state dict as limbeck weights beside it; a run file may name them as teacher_checkpoint."""
    assert config.teacher is not None
    classes = Detection2DTask.load(config.data).classes
    model = build_model(config.teacher, classes)
    model.net.load_state_dict(torch.load(state_dict, map_location="cpu", weights_only=True))
    info = WeightsInfo(
        model=config.teacher.model_dump(mode="json"),
        classes=classes,
        size=config.data.size,
        resize=config.data.resize,
        licence="unknown",  # the terms of your checkpoint; they go wherever the student goes
        limbeck=VERSION,
    )
    weights = state_dict.with_suffix(".safetensors")
    save_weights(weights, model.state_dict(), info)
    return weights


def main(state_dict: Path, run_file: Path, *overrides: str) -> Outcome:
    """Turn the checkpoint into a teacher and distil the student of the run file from it."""
    weights = write_teacher(state_dict, load_config(run_file, overrides))
    return distill(load_config(run_file, [*overrides, f"teacher_checkpoint={weights}"]), print)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
